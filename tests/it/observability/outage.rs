//! An outage with everything that the dashboard shows: a slow service, then a failing one, retries,
//! fallbacks, stored responses, a policy in shadow mode, and one whose circuit flaps.

use std::any::Any;
use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::{Client, Envoy, Prometheus, Serve, Upstream, places};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::scene::{file, named, touchy};

/// Pause between two rounds of requests.
const PAUSE: Duration = Duration::from_millis(40);

/// What the service does to first attempts and to retries, and for how many rounds. A second has
/// about 20 of them.
const PHASES: [(&str, &str, usize); 6] = [
    (HEALTHY, HEALTHY, 60),
    ("status=503", HEALTHY, 5),
    (HEALTHY, HEALTHY, 40),
    ("status=200 delay_ms=150", HEALTHY, 30),
    ("status=503", "status=503", 160),
    (HEALTHY, HEALTHY, 130),
];

/// The last round in which the policy `nervous` gets requests: the clock has two seconds after it.
const LAST_FAILURE: usize = 402;

/// A response that is stored, and asked for anew each time.
const HEALTHY: &str = "status=200 cache-control=max-age=0";

/// An outage that is over, with the Prometheus that saw it.
pub(super) struct Outage {
    pub prometheus: Prometheus,
    began: f64,
    ended: f64,
    _proxy: Box<dyn Any>,
}

impl Outage {
    /// Plays it in a real Envoy. This takes about half a minute, since rates need time.
    pub(super) async fn in_envoy() -> Self {
        let upstream = Upstream::start().await;
        let envoy = Envoy::in_front_of(upstream.address())
            .full_module()
            .policy(policies())
            .start()
            .await;
        let prometheus = Prometheus::scraping(envoy.admin_address()).await;
        let client = envoy.client().clone();
        Self::play(client, prometheus, Box::new((envoy, upstream))).await
    }

    /// Plays it in `host-sim serve`, which takes as long.
    pub(super) async fn in_host_sim() -> Self {
        let upstream = Upstream::start().await;
        let url = format!("http://{}", upstream.address());
        let policies = policies().to_string();
        let arguments = ["--workers", "1"];
        let serve = Serve::start_with(&places::module(), &url, &policies, &arguments).await;
        let operators = serve.operators().address();
        let prometheus = Prometheus::scraping_page(operators, Some("/metrics")).await;
        Self::play(serve.client(), prometheus, Box::new((serve, upstream))).await
    }

    async fn play(client: Client, prometheus: Prometheus, proxy: Box<dyn Any>) -> Self {
        let began = now(&prometheus).await;
        let mut requests = JoinSet::new();
        let mut round = 0;
        for (script, again, rounds) in PHASES {
            for _ in 0..rounds {
                round += 1;
                for (policy, tenant, script) in traffic(round, script) {
                    requests.spawn(request(client.clone(), policy, tenant, script, again));
                }
                sleep(PAUSE).await;
            }
        }
        requests.join_all().await;
        sleep(Duration::from_secs(1)).await;
        Self {
            ended: now(&prometheus).await,
            prometheus,
            began,
            _proxy: proxy,
        }
    }

    /// From when to when, in seconds.
    pub(super) fn span(&self) -> (f64, f64) {
        (self.began, self.ended)
    }
}

/// Seconds since 1970, by the clock of Prometheus.
async fn now(prometheus: &Prometheus) -> f64 {
    let time = prometheus.query("vector(time())").await;
    let text = time[0]["value"][1].as_str().expect("a time");
    text.parse().expect("a number")
}

/// The requests of a round: policy, tenant and script.
fn traffic(round: usize, script: &str) -> Vec<(&'static str, String, String)> {
    let tenant = ["alpha", "beta"][round % 2].to_owned();
    let script = script.to_owned();
    // Fails for a moment every two seconds, whatever the others do.
    let now_and_then = if round % 40 < 3 {
        "status=503"
    } else {
        "status=200"
    };
    let mut requests = vec![
        ("checkout", tenant, script.clone()),
        ("checkout", "alpha".into(), script.clone()),
        ("search", String::new(), script.clone()),
        ("reports", String::new(), script.clone()),
        ("next", String::new(), script),
    ];
    // After its last failure nobody probes its circuit, so the clock leaves it half-open.
    if round <= LAST_FAILURE {
        requests.push(("nervous", String::new(), now_and_then.into()));
    }
    if round.is_multiple_of(20) {
        // Too long for a key of its own.
        requests.push(("checkout", "t".repeat(600), "status=200".into()));
    }
    requests
}

async fn request(
    client: Client,
    policy: &'static str,
    tenant: String,
    script: String,
    again: &'static str,
) {
    let headers = [
        ("x-policy", policy),
        ("x-tenant", &*tenant),
        ("x-script", &*script),
        ("x-script-again", again),
    ];
    client.get_with("/items", &headers).await;
}

/// `checkout` has retries and serves stored responses; `search` asks a cluster that does not exist,
/// then responds itself; `reports` has retries and no breaker; `next` watches; `nervous` opens for
/// every failure.
fn policies() -> Value {
    let breaker = json!({
        "window": {"type": "time", "duration": "2s"},
        "minimum_requests": 10,
        "slow_threshold": "100ms",
        "slow_rate_threshold": 0,
        "open": {"duration": "1s", "max_duration": "2s", "jitter": 0},
        "recovery": {"duration": "1s"},
    });
    let retry =
        json!({"budget": {"percent": 10, "min_retry_rate": {"count": 1, "interval": "1s"}}});
    let stale = json!({"type": "stale", "on": ["open", "failure"], "shared": true});
    let elsewhere = json!({"type": "cluster", "on": ["open"], "cluster": "unknown"});
    let sorry = json!({"type": "respond", "on": ["open", "failure"], "status": 503});
    let mut file = file(json!([
        named(
            "checkout",
            json!({
                "key": [{"header": "x-tenant"}],
                "circuit_breaker": breaker,
                "retry": retry,
                "fallback": [stale, sorry],
            })
        ),
        named(
            "search",
            json!({"circuit_breaker": breaker, "fallback": [elsewhere, sorry]})
        ),
        named("reports", json!({"retry": retry})),
        named(
            "next",
            json!({"mode": "shadow", "circuit_breaker": breaker, "retry": retry})
        ),
        named(
            "nervous",
            json!({"circuit_breaker": touchy(json!({
                "recovery": {"duration": "10ms"},
            }))})
        ),
    ]));
    file["metrics"] = json!({"circuits": 100});
    file
}
