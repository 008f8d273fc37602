//! What the page makes of lists: order, filters, pictures of the last minutes, and pauses.

use serde_json::{Value, json};
use spillway_tests::eventually;

use super::{Scene, circuit, list, one_circuit};
use crate::scene::with;

impl Scene {
    async fn keys(&mut self) -> Vec<String> {
        self.page.texts("#circuits bdi").await
    }

    async fn filter(&mut self, text: &str) {
        let clear = "(e => { e.value = ''; e.focus(); e.oninput() })";
        let clear = format!("{clear}(document.querySelector('#filter'))");
        self.page.value(&clear).await;
        self.page.type_text(text).await;
    }
}

#[tokio::test]
async fn circuits_in_trouble_come_first() {
    let mut scene = one_circuit().await;
    let expected = [
        circuit("open", "open", 0),
        circuit("forced", "forced_open", 0),
        circuit("probing", "half_open", 0),
        circuit("ramp", "recovering", 90),
        circuit("held", "forced_closed", 99),
        circuit("bad", "closed", 40),
        // Less than ten percent apart, so they are in the order of their names.
        circuit("fair 1", "closed", 21),
        circuit("fair 2", "closed", 29),
        with(
            circuit("slow", "closed", 9),
            json!({"window": {"requests": 100, "failures": 9, "slow": 50}}),
        ),
        circuit("good", "closed", 0),
        with(
            circuit("idle", "closed", 0),
            json!({"window": {"requests": 0, "failures": 0, "slow": 0}}),
        ),
    ];
    let mut shuffled = expected.to_vec();
    shuffled.reverse();
    shuffled.swap(1, 6);
    scene.show(&list(&shuffled, 11)).await;
    let keys = expected.map(|circuit| circuit["key"][0].as_str().expect("a key").to_owned());
    assert_eq!(scene.keys().await, keys);
    let counts = scene.page.texts("#states b").await;
    assert_eq!(counts, ["11", "1", "1", "1", "2", "6"]);
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn each_circuit_says_what_it_does_and_why() {
    let opened = json!({"at_unix_ms": 4_000, "why": "slow_rate", "requests": 20, "failures": 1,
        "slow": 15});
    let rows = [
        (
            json!({"state": "open", "automatic_state": "open", "until_unix_ms": 75_000,
                "opened": opened, "opens": 3}),
            [
                "for 9s, probes in 1m 5s",
                "opened 3 times in a row: slow rate, 1 of 20 failed, 15 slow",
            ],
        ),
        (
            json!({"state": "half_open", "automatic_state": "half_open", "probes": 2,
                "opened": opened, "opens": 1}),
            [
                "for 9s, 2 probes in flight",
                "opened: slow rate, 1 of 20 failed, 15 slow",
            ],
        ),
        (
            json!({"state": "recovering", "automatic_state": "recovering", "until_unix_ms": 10_100}),
            ["for 9s, closes now", ""],
        ),
        (
            json!({"state": "forced_open", "opened": opened,
                "forced": {"state": "open", "until_unix_ms": 3_610_000}}),
            [
                "1h 0m left, then closed",
                "opened 6s ago: slow rate, 1 of 20 failed, 15 slow",
            ],
        ),
        (json!({}), ["for 9s", ""]),
    ];
    let mut scene = one_circuit().await;
    for (fields, expected) in rows {
        let shown = with(circuit("a", "closed", 0), fields);
        scene.show(&list(&[shown], 1)).await;
        let lines = scene.page.texts("#circuits [data-field=state] small").await;
        assert_eq!(lines, expected);
    }
    let budgets = [
        (json!(null), "no budget"),
        (json!(0), "0 retries left"),
        (json!(1), "1 retry left"),
    ];
    for (budget, text) in budgets {
        let shown = with(circuit("a", "closed", 0), json!({"retry_budget": budget}));
        scene.show(&list(&[shown], 1)).await;
        scene.shows("#circuits [data-field=budget]", text).await;
    }
}

#[tokio::test]
async fn filters_leave_what_matches() {
    let mut scene = one_circuit().await;
    let other = with(
        circuit("c", "closed", 0),
        json!({"policy": "Quick", "key": [null, "Acme"]}),
    );
    let circuits = [
        circuit("acme-1", "open", 0),
        circuit("b", "forced_open", 0),
        other,
    ];
    scene.show(&list(&circuits, 3)).await;
    scene.requests().await;
    let rows: [(&str, &[&str]); 6] = [
        ("ACME", &["acme-1", "Acme"]),
        ("quick", &["Acme"]),
        ("e-", &["acme-1"]),
        ("absent", &[]),
        ("open", &[]),
        ("", &["acme-1", "b", "Acme"]),
    ];
    for (text, keys) in rows {
        scene.filter(text).await;
        assert_eq!(scene.keys().await, keys, "{text}");
    }
    let groups: [(&str, &[&str]); 4] = [
        ("open", &["acme-1"]),
        ("forced", &["b"]),
        ("half_open", &[]),
        ("closed", &["Acme"]),
    ];
    for (group, keys) in groups {
        scene
            .page
            .click(&format!("[name=state][value={group}]"))
            .await;
        assert_eq!(scene.keys().await, keys, "{group}");
    }
    scene.filter("zzz").await;
    scene.shows("#empty", "No circuit matches").await;
    // The page has all circuits, so the proxy need not search.
    assert_eq!(scene.requests().await, [""; 0]);
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn ten_thousand_circuits_are_shown_in_parts_and_searched_by_the_proxy() {
    let mut scene = one_circuit().await;
    let circuits: Vec<Value> = (0..1_000)
        .map(|n| circuit(&format!("t{n:03}"), "closed", 0))
        .collect();
    scene.show(&list(&circuits, 10_000)).await;
    assert_eq!(scene.keys().await.len(), 100);
    scene.shows("#more", "Show 100 more of 900").await;
    scene.page.click("#more").await;
    assert_eq!(scene.keys().await.len(), 200);
    let count = &scene.page.texts("#count").await[0];
    assert!(count.starts_with("10,000 circuits, "), "{count}");
    let partial = &scene.page.texts("#partial").await[0];
    assert!(
        partial.starts_with("The proxy lists 1,000 circuits"),
        "{partial}"
    );
    scene.requests().await;
    scene.filter("a b&c=\u{e9}%").await;
    eventually("a search", async || {
        scene.requests().await == ["GET circuits?contains=a%20b%26c%3D%C3%A9%25"]
    })
    .await;
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn the_picture_of_a_circuit_grows_to_five_minutes() {
    let mut scene = one_circuit().await;
    let at = |ms: u64, state: &str, failures: u32| {
        let mut list = list(&[circuit("a", state, failures)], 1);
        list["now_unix_ms"] = json!(ms);
        list
    };
    let line = "document.querySelector('#circuits path:last-child').getAttribute('d')";
    let band = "document.querySelector('#circuits path[data-state=open]').getAttribute('d')";
    scene.show(&at(0, "closed", 0)).await;
    assert_eq!(scene.page.value(line).await, "M149 29h1");
    scene.show(&at(2_000, "closed", 50)).await;
    assert_eq!(scene.page.value(line).await, "M148 29h1L149 15");
    // A second sample of the same two seconds replaces the first one.
    scene.show(&at(3_900, "closed", 100)).await;
    assert_eq!(scene.page.value(line).await, "M148 29h1L149 1");
    scene.show(&at(4_000, "open", 0)).await;
    scene.show(&at(6_000, "open", 0)).await;
    assert_eq!(scene.page.value(band).await, "M148 30v-30H150v30z");
    let label = "document.querySelector('#circuits svg').ariaLabel";
    let words = "At most 100 % failed, not closed for 4s";
    assert_eq!(scene.page.value(label).await, words);
    // A gap without samples is no state.
    scene.show(&at(30_000, "open", 0)).await;
    let bands = "M136 30v-30H138v30zM149 30v-30H150v30z";
    assert_eq!(scene.page.value(band).await, bands);
    for n in 16..200 {
        scene.show(&at(n * 2_000, "closed", 0)).await;
    }
    assert_eq!(scene.page.value(band).await, "");
    let samples = "[...known.values()].map(it => it.samples.length)";
    assert_eq!(scene.page.value(samples).await, json!([150]));
}

#[tokio::test]
async fn the_page_loads_nothing_while_it_is_hidden_or_paused() {
    let mut scene = one_circuit().await;
    scene.show(&list(&[], 0)).await;
    scene
        .shows(
            "#empty",
            "No circuits yet. Each begins with the first request of its key.",
        )
        .await;
    scene.requests().await;
    let again = "document.dispatchEvent(new Event('visibilitychange')); timer";
    let hide = |hidden| {
        format!(
            "Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}})
            ; {again}"
        )
    };
    scene.page.value(&hide(true)).await;
    assert_eq!(scene.requests().await, [""; 0]);
    scene.page.value(&hide(false)).await;
    assert_eq!(scene.requests().await, ["GET circuits?"]);
    scene.page.click("#pause").await;
    scene.page.value(again).await;
    assert_eq!(scene.requests().await, [""; 0]);
    scene.page.click("#pause").await;
    assert_eq!(scene.requests().await, ["GET circuits?"]);
}

#[tokio::test]
async fn the_page_says_that_it_is_out_of_date_if_the_proxy_does_not_answer() {
    let mut scene = one_circuit().await;
    scene.show(&list(&[circuit("a", "open", 0)], 1)).await;
    let away = "window.fetch = () => Promise.reject(Error('away'));
        document.dispatchEvent(new Event('visibilitychange'))";
    scene.page.value(away).await;
    eventually("a warning", async || {
        let told = &scene.page.texts("#offline").await[0];
        told.starts_with("Out of date since ")
            && told.ends_with(". No response from the proxy: away")
    })
    .await;
    assert_eq!(scene.page.value("document.body.className").await, "stale");
    assert_eq!(scene.keys().await, ["a"]);
    scene.show(&list(&[circuit("a", "open", 0)], 1)).await;
    assert_eq!(scene.page.value("document.body.className").await, "");
    scene.nothing_was_complained_of().await;
}
