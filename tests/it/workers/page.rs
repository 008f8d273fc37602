//! The operators' page, in a real browser.

use serde_json::{Value, json};
use spillway_tests::client::request;
use spillway_tests::envoy::ADMIN;
use spillway_tests::eventually::found;
use spillway_tests::{Browser, Client, Envoy, Reply, Upstream, eventually};

use super::{every_worker_passes, every_worker_rejects, lasting, on_all_workers};
use crate::scene::{policy, untouched, with};

/// The running Envoy, and a browser with the page open.
struct Scene {
    upstream: Upstream,
    envoy: Envoy,
    workers: Vec<Client>,
    page: Browser,
}

/// Opens the page of a proxy with two workers and a policy with these fields.
async fn scene(fields: Value) -> Scene {
    let upstream = Upstream::start().await;
    let breaker = json!({"circuit_breaker": lasting(json!({}))});
    let envoy = on_all_workers(&upstream)
        .concurrency(2)
        .policy(policy(with(breaker, fields)))
        .admin_listener(json!({"policies": [], "admin": {"path_prefix": "/spillway"}}))
        .start()
        .await;
    let workers = envoy.client_per_worker().await;
    let page = Browser::open(&format!("http://{}/spillway/", envoy.listener(ADMIN))).await;
    Scene {
        upstream,
        envoy,
        workers,
        page,
    }
}

async fn one_circuit() -> Scene {
    scene(json!({})).await
}

async fn tenants() -> Scene {
    scene(json!({"key": [{"header": "x-tenant"}]})).await
}

impl Scene {
    /// Sends a request of a tenant that ends with this status.
    async fn request_of(&self, tenant: &str, status: u16) {
        self.upstream.reply(Reply::status(status));
        let answer = self.workers[0].get_with("/", &[("x-tenant", tenant)]).await;
        untouched(&answer);
        assert_eq!(answer.status, status);
        self.upstream.reply(Reply::status(200));
    }

    /// The circuits, as the page receives them.
    async fn circuits(&self) -> Vec<Value> {
        let admin = Client::new(self.envoy.listener(ADMIN));
        let mut told = admin.get("/spillway/circuits").await.json();
        serde_json::from_value(told["circuits"].take()).expect("a list")
    }

    /// The selector of a circuit's row, once the page has it.
    async fn row(&mut self, key: &str) -> String {
        let circuits = self.circuits().await;
        let mut of_key = circuits.iter().filter(|it| it["key"] == json!([key]));
        let id = &of_key.next().expect("a circuit of this key")["id"];
        let row = format!("[data-circuit={id}]");
        self.shows(&format!("{row} [data-field=policy]"), "p").await;
        row
    }

    /// Waits until a selector matches exactly one element, with this text.
    async fn shows(&mut self, selector: &str, text: &str) {
        eventually(&format!("{text:?} at {selector}"), async || {
            self.page.texts(selector).await == [text]
        })
        .await;
    }

    /// Waits until a row shows this state, as text and as its colour class.
    async fn state_is(&mut self, row: &str, state: &str) {
        let cell = format!("{row} [data-state={state}] b");
        self.shows(&cell, state).await;
    }

    /// Presses buttons of a row and waits for the page and the workers to follow. `steps` are
    /// actions with the states after them.
    async fn press(&mut self, row: &str, steps: &[(&str, &str)]) {
        for (action, state) in steps {
            let button = format!("{row} [data-action={action}]");
            let place = format!("document.querySelector('{row}').getBoundingClientRect().top");
            let before = self.page.value(&place).await;
            self.page.click(&button).await;
            let told = found("what became of a click", async || {
                let told = self.page.texts("#done, #error").await;
                told.into_iter().find(|text| !text.is_empty())
            })
            .await;
            assert_eq!(told, format!("{action}: 1 changed"));
            // A message must not move another row under the pointer.
            assert_eq!(self.page.value(&place).await, before);
            self.state_is(row, state).await;
            self.workers_go_by(state).await;
        }
    }

    async fn workers_go_by(&self, state: &str) {
        match state {
            "closed" | "forced_closed" => every_worker_passes(&self.workers, "/").await,
            _ => every_worker_rejects(&self.upstream, &self.workers, "/", state).await,
        }
    }

    async fn nothing_was_complained_of(&mut self) {
        assert_eq!(self.page.complaints().await, [] as [String; 0]);
        assert_eq!(self.page.texts("[role=alert]").await, ["", ""]);
    }
}

#[tokio::test]
async fn the_page_shows_an_open_circuit_with_its_policy_key_and_state() {
    let mut scene = tenants().await;
    scene.request_of("acme", 503).await;
    scene.request_of("other", 200).await;
    for (tenant, state) in [("acme", "open"), ("other", "closed")] {
        let row = scene.row(tenant).await;
        scene.state_is(&row, state).await;
        let key = format!("{row} [data-field=key]");
        scene.shows(&key, tenant).await;
    }
    scene.shows("#count", "2 circuits, 1 not closed").await;
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn the_page_updates_without_a_reload() {
    let mut scene = one_circuit().await;
    every_worker_passes(&scene.workers, "/").await;
    let row = scene.row("upstream").await;
    scene.state_is(&row, "closed").await;
    scene.page.value("window.same = true").await;

    let admin = Client::new(scene.envoy.listener(ADMIN));
    for (action, state) in [("force_open&for=10m", "forced_open"), ("reset", "closed")] {
        let path = format!("/spillway/circuits/p?action={action}");
        assert_eq!(admin.send(request("PUT", &path, &[], "")).await.status, 200);
        scene.state_is(&row, state).await;
    }
    scene.request_of("any", 503).await;
    scene.state_is(&row, "open").await;
    assert_eq!(scene.page.value("window.same").await, true);
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn the_buttons_of_a_row_change_its_circuit() {
    let mut scene = one_circuit().await;
    every_worker_passes(&scene.workers, "/").await;
    let row = scene.row("upstream").await;
    let steps = [("force_open", "forced_open"), ("automatic", "closed")];
    scene.press(&row, &steps).await;

    scene.request_of("any", 503).await;
    scene.state_is(&row, "open").await;
    let steps = [
        ("force_closed", "forced_closed"),
        ("automatic", "open"),
        ("reset", "closed"),
    ];
    scene.press(&row, &steps).await;
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn markup_in_a_key_is_escaped() {
    let mut scene = tenants().await;
    let keys = [
        r#"<img src=x onerror="window.ran = 1">"#,
        "<script>window.ran = 1</script>",
        r#""><b onclick=alert(1)>"#,
        "&lt;b&gt;",
    ];
    for key in keys {
        scene.request_of(key, 503).await;
    }
    for key in keys {
        let row = scene.row(key).await;
        scene.shows(&format!("{row} bdi"), key).await;
    }
    let elements = "document.querySelectorAll('img, td [onclick], td script').length";
    assert_eq!(scene.page.value(elements).await, 0);
    assert_eq!(scene.page.value("window.ran ?? 'no'").await, "no");
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn the_page_follows_the_color_scheme_and_fits_a_narrow_window() {
    let mut scene = tenants().await;
    let long = "0123456789abcdef".repeat(16);
    for key in ["acme", long.as_str()] {
        scene.request_of(key, 503).await;
        scene.row(key).await;
    }
    let colours = "(e => {
        e.style.background = 'Canvas'
        const {color, backgroundColor} = getComputedStyle(document.body.appendChild(e))
        e.remove()
        return [color, backgroundColor]
    })(document.createElement('p'))";
    let mut seen = Vec::new();
    for scheme in ["light", "dark"] {
        scene.page.look(1280, scheme).await;
        seen.push(scene.page.value(colours).await);
    }
    let (light, dark) = (&seen[0], &seen[1]);
    assert!(light[0] != dark[0] && light[1] != dark[1], "{seen:?}");
    assert!(light[0] != light[1] && dark[0] != dark[1], "{seen:?}");

    let outside = "(root => [root, ...document.querySelectorAll('body *')]
        .filter(e => Math.max(e.scrollWidth, e.getBoundingClientRect().right) > root.clientWidth)
        .map(e => e.cloneNode().outerHTML))(document.documentElement)";
    for width in [360, 400, 850, 1_000, 1_160, 1_280] {
        scene.page.look(width, "light").await;
        assert_eq!(scene.page.value(outside).await, json!([]), "{width}");
    }
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn the_page_shows_the_last_transitions_and_the_retry_budget() {
    let retry = json!({"retry_on": ["5xx"], "budget": {
        "percent": 0, "interval": "10s", "min_retry_rate": {"count": 2, "interval": "10s"},
    }});
    let fields = json!({"key": [{"header": "x-tenant"}], "retry": retry});
    let mut scene = scene(fields).await;
    scene.shows("#none", "None").await;
    scene.request_of("acme", 503).await;
    let row = scene.row("acme").await;
    let budget = scene.circuits().await[0]["retry_budget"].clone();
    let text = format!("{budget} retries");
    scene
        .shows(&format!("{row} [data-field=budget]"), &text)
        .await;
    scene.press(&row, &[("reset", "closed")]).await;
    let changes = "#past [data-field=change]";
    eventually("two transitions", async || {
        scene.page.texts(changes).await == ["open to closed", "closed to open"]
    })
    .await;
    let keys = scene.page.texts("#past [data-field=key]").await;
    assert_eq!(keys, ["acme", "acme"]);
    let why = scene.page.texts("#past [data-field=why]").await;
    assert_eq!(why, ["reset", "consecutive_failures"]);
    let hidden = "document.querySelector('#none').hidden";
    assert_eq!(scene.page.value(hidden).await, true);
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn short_words_never_wrap() {
    let mut scene = tenants().await;
    let long = "0123456789abcdef".repeat(16);
    for key in ["payments", long.as_str()] {
        scene.request_of(key, 503).await;
        scene.row(key).await;
    }
    // The height of one line, compared with that of the element.
    let broken = "[...document.querySelectorAll('bdi, b, button, th')]
        .filter(e => e.textContent.length < 18 && e.getClientRects().length > 1)
        .map(e => e.textContent)";
    for width in [360, 850, 1_151, 1_280] {
        scene.page.look(width, "light").await;
        assert_eq!(scene.page.value(broken).await, json!([]), "{width}");
    }
}
