//! Changes of circuits, which a dialog asks to confirm.

use serde_json::json;

use super::{Scene, circuit, every_worker_passes, list, one_circuit};

const BUTTON: &str = "#circuits button";

/// A page with two circuits that are not the proxy's.
async fn two_circuits() -> Scene {
    let mut scene = one_circuit().await;
    let circuits = [circuit("a", "closed", 0), circuit("b", "open", 0)];
    scene.show(&list(&circuits, 2)).await;
    scene.requests().await;
    scene
}

impl Scene {
    async fn dialog_is_open(&mut self) -> bool {
        self.page
            .value("document.querySelector('dialog').open")
            .await
            == true
    }

    /// The name of the element with the focus.
    async fn focused(&mut self) -> String {
        let name = "(e => e.ariaLabel ?? e.closest('label')?.innerText ?? e.innerText)
            (document.activeElement)";
        let name = self.page.value(name).await;
        name.as_str().unwrap_or_default().to_owned()
    }

    /// Presses Tab until an element of this name has the focus.
    async fn tab_to(&mut self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..40 {
            self.page.press("Tab").await;
            let focused = self.focused().await;
            if focused.starts_with(name) {
                return;
            }
            passed.push(focused);
        }
        panic!("{name} is not among {passed:?}");
    }
}

#[tokio::test]
async fn the_dialog_changes_the_circuit_of_its_row() {
    let mut scene = one_circuit().await;
    every_worker_passes(&scene.workers, "/").await;
    let row = scene.row("upstream").await;
    let steps = [("force_open", "forced_open"), ("automatic", "closed")];
    scene.change(&row, &steps).await;

    scene.request_of("any", 503).await;
    scene.state_is(&row, "open").await;
    let steps = [
        ("force_closed", "forced_closed"),
        ("automatic", "open"),
        ("reset", "closed"),
    ];
    scene.change(&row, &steps).await;
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn nothing_changes_before_an_action_is_chosen_and_confirmed() {
    let mut scene = two_circuits().await;
    for leave in ["Escape", "Cancel"] {
        scene.page.click(BUTTON).await;
        scene.shows("#asked", "Change p b").await;
        scene.shows("#now", "It is open.").await;
        // Without a choice the form is not complete.
        scene.page.click("#apply").await;
        assert!(scene.dialog_is_open().await, "{leave}");
        scene.page.click("[value=force_open]").await;
        scene.shows("#apply", "Force open for 10m").await;
        match leave {
            "Escape" => scene.page.press(leave).await,
            _ => scene.page.click("#cancel").await,
        }
        assert!(!scene.dialog_is_open().await, "{leave}");
        assert_eq!(scene.requests().await, [""; 0], "{leave}");
        // The focus is where it was, and the next dialog begins without a choice.
        assert_eq!(scene.focused().await, "Change p b", "{leave}");
        scene.page.click(BUTTON).await;
        scene.shows("#apply", "Apply").await;
        scene.page.click("#cancel").await;
    }
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn a_keyboard_alone_can_force_a_circuit() {
    let mut scene = two_circuits().await;
    scene.tab_to("Change p b").await;
    scene.page.press("Enter").await;
    assert!(scene.dialog_is_open().await);
    assert!(scene.focused().await.starts_with("Force open"));
    for key in ["ArrowDown", "ArrowUp"] {
        scene.page.press(key).await;
    }
    scene.tab_to("For").await;
    scene.page.press("ArrowDown").await;
    scene.tab_to("Force open for 1h").await;
    assert_eq!(scene.requests().await, [""; 0]);
    scene.page.press("Enter").await;
    scene.is_told("force open: 1 circuit changed").await;
    let id = circuit("b", "open", 0)["id"].clone();
    let id = id.as_str().expect("an id");
    let put = format!("PUT circuits/p/{id}?action=force_open&for=1h");
    assert_eq!(scene.requests().await[0], put);
    assert_eq!(scene.focused().await, "Change p b");
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn all_circuits_of_a_policy_change_together() {
    let mut scene = two_circuits().await;
    let hidden = "document.querySelector('#all').hidden";
    assert_eq!(scene.page.value(hidden).await, true);
    let choose = "(e => { e.value = 'p'; e.onchange() })(document.querySelector('#policy'))";
    scene.page.value(choose).await;
    scene.shows("#all", "Change all of p").await;
    assert_eq!(scene.requests().await, ["GET circuits?policy=p"]);
    scene.page.click("#all").await;
    scene.shows("#asked", "Change all circuits of p").await;
    scene.shows("#now", "There are 2.").await;
    scene.page.click("[value=reset]").await;
    scene.page.click("#apply").await;
    scene.is_told("reset: 1 circuit changed").await;
    let sent = scene.requests().await;
    assert_eq!(sent[0], "PUT circuits/p?action=reset");
}

#[tokio::test]
async fn the_focus_stays_on_its_circuit_whatever_the_order() {
    let mut scene = two_circuits().await;
    scene.tab_to("Change p a").await;
    let orders = [
        [("a", "open"), ("b", "closed"), ("c", "closed")],
        [("c", "open"), ("b", "half_open"), ("a", "closed")],
        [("b", "open"), ("a", "half_open"), ("c", "closed")],
    ];
    for order in orders {
        let circuits = order.map(|(key, state)| circuit(key, state, 0));
        scene.show(&list(&circuits, 3)).await;
        assert_eq!(scene.focused().await, "Change p a", "{order:?}");
        let keys = scene.page.texts("#circuits bdi").await;
        assert_eq!(keys, order.map(|(key, _)| key));
    }
    // It stays although the list is of closed circuits only.
    scene
        .page
        .value("document.querySelector('[name=state][value=closed]').onchange()")
        .await;
    let circuits = [circuit("a", "open", 0), circuit("b", "open", 0)];
    scene.show(&list(&circuits, 2)).await;
    assert_eq!(scene.page.texts("#circuits bdi").await, ["a"]);
}

#[tokio::test]
async fn a_refused_change_is_told() {
    let mut scene = one_circuit().await;
    every_worker_passes(&scene.workers, "/").await;
    let row = scene.row("upstream").await;
    scene.page.click(&format!("{row} button")).await;
    scene
        .page
        .value("asked.circuit.id = '0000000000000009'")
        .await;
    scene.page.click("[value=reset]").await;
    scene.page.click("#apply").await;
    let words = "reset: the circuit's id is \"0000000000000009\", unknown to the policy";
    scene.is_told(words).await;
    assert_eq!(scene.circuits().await[0]["forced"], json!(null));
}
