//! The operators' page, in a real browser.

mod access;
mod changing;
mod lists;

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

/// Answers the page's requests with a list, and has it load one. Its timer is stopped, so that
/// it loads no other.
const FEED: &str = "list => {
    window.sent ??= []
    window.fetch = async (url, {method}) => {
        sent.push((method ?? 'GET') + ' ' + url)
        return {ok: true, json: async () => method ? {changed: 1} : list}
    }
    document.dispatchEvent(new Event('visibilitychange'))
    return new Promise(done => setTimeout(() => { clearTimeout(timer); done() }))
}";

/// A list of these circuits, ten seconds after 1970, of `total`.
fn list(circuits: &[Value], total: usize) -> Value {
    json!({
        "now_unix_ms": 10_000, "total": total, "policies": ["p", "q"], "circuits": circuits,
        "more": total > circuits.len(), "transitions": [],
    })
}

/// A circuit of the policy `p` with this key and state, and this percentage of failures.
fn circuit(key: &str, state: &str, failures: u32) -> Value {
    let id = key
        .bytes()
        .fold(7_u64, |id, byte| id.rotate_left(9) ^ u64::from(byte));
    json!({
        "policy": "p", "mode": "enforce", "id": format!("{id:016x}"), "key": [key],
        "state": state, "automatic_state": state, "since_unix_ms": 1_000, "until_unix_ms": null,
        "forced": null, "window": {"requests": 100, "failures": failures, "slow": 0},
        "consecutive_failures": 0, "opens": 0, "opened": null, "probes": 0, "retry_budget": 3,
    })
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
        self.shows(&format!("{row} .policy"), "p").await;
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
        self.shows(&cell, &state.replace('_', " ")).await;
    }

    /// Shows this list in place of the proxy's, once.
    async fn show(&mut self, list: &Value) {
        self.page.value(&format!("({FEED})({list})")).await;
    }

    /// The requests for lists and changes since the page first showed a list of [`show`].
    ///
    /// [`show`]: Scene::show
    async fn requests(&mut self) -> Vec<String> {
        let sent = self.page.value("window.sent.splice(0)").await;
        serde_json::from_value(sent).expect("requests")
    }

    /// Changes the circuit of a row through the dialog, and waits for the page and the workers
    /// to follow. `steps` are actions with the states after them.
    async fn change(&mut self, row: &str, steps: &[(&str, &str)]) {
        for (action, state) in steps {
            self.page.click(&format!("{row} button")).await;
            self.page.click(&format!("[value={action}]")).await;
            self.page.click("#apply").await;
            self.is_told(&format!("{}: 1 circuit changed", action.replace('_', " ")))
                .await;
            self.state_is(row, state).await;
            self.workers_go_by(state).await;
        }
    }

    /// Waits for what became of a change.
    async fn is_told(&mut self, expected: &str) {
        let told = found("what became of a change", async || {
            let told = self.page.texts("#done, #error").await;
            told.into_iter().find(|text| !text.is_empty())
        })
        .await;
        assert_eq!(told, expected);
        self.page
            .value("document.querySelector('#done').textContent = ''")
            .await;
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
        scene.shows(&format!("{row} bdi"), tenant).await;
    }
    let count = &scene.page.texts("#count").await[0];
    assert!(
        count.starts_with("2 circuits, 1 not closed, as of "),
        "{count}"
    );
    let why = &scene.page.texts("[data-state=open] small").await;
    assert!(why[0].contains(", probes in "), "{why:?}");
    assert_eq!(why[1], "opened: consecutive failures, 1 of 1 failed");
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
    // The dialog has the name too.
    let row = scene.row(keys[0]).await;
    scene.page.click(&format!("{row} button")).await;
    scene
        .shows("#asked", &format!("Change p {}", keys[0]))
        .await;
    let elements = "document.querySelectorAll('img, [onclick], td script').length";
    assert_eq!(scene.page.value(elements).await, 0);
    assert_eq!(scene.page.value("window.ran ?? 'no'").await, "no");
    scene.nothing_was_complained_of().await;
}

#[tokio::test]
async fn the_page_shows_the_last_transitions_and_the_retry_budget() {
    let retry = json!({"retry_on": ["5xx"], "budget": {
        "percent": 0, "interval": "10s", "min_retry_rate": {"count": 2, "interval": "10s"},
    }});
    let fields = json!({"key": [{"header": "x-tenant"}], "retry": retry});
    let mut scene = scene(fields).await;
    scene.shows("#none", "None yet").await;
    scene.request_of("acme", 503).await;
    let row = scene.row("acme").await;
    let budget = scene.circuits().await[0]["retry_budget"].clone();
    let text = format!("{budget} retries left");
    let cell = format!("{row} [data-field=budget]");
    scene.shows(&cell, &text).await;
    scene.change(&row, &[("reset", "closed")]).await;
    let changes = "#past [data-field=change]";
    eventually("two transitions", async || {
        scene.page.texts(changes).await == ["open to closed", "closed to open"]
    })
    .await;
    let keys = scene.page.texts("#past bdi").await;
    assert_eq!(keys, ["acme", "acme"]);
    let why = scene.page.texts("#past [data-field=why]").await;
    let opened = "consecutive failures: 1 of 1 failed; open for 10m 0s";
    assert_eq!(why, ["reset", opened]);
    let hidden = "document.querySelector('#none').hidden";
    assert_eq!(scene.page.value(hidden).await, true);
    scene.nothing_was_complained_of().await;
}
