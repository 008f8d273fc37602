//! Follows the guide to a rollout: its commands, in its order, against a real Envoy and a real
//! Prometheus.
//!
//! The commands are run as they are written, except for paths, ports, and the end of the drill,
//! which could come too early on a busy computer. What happens between them is up to the reader,
//! and here to the test: traffic, an outage, the end of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;
use std::vec::IntoIter;

use serde_json::json;
use spillway_tests::envoy::ADMIN;
use spillway_tests::eventually::found;
use spillway_tests::{Answer, Envoy, Prometheus, Reply, Upstream, eventually, places};
use tempfile::TempDir;
use tokio::time::timeout;

use super::markdown::{Block, Document};
use super::proxy::{OPERATORS_GUIDE, envoy_example, set_file};

/// How long a query may take to show what has happened. Shorter than the patience of [`found`], so
/// that a failing test says what it has read.
const READING: Duration = Duration::from_secs(12);

/// Rounds of traffic in which a policy has to make its decisions.
const ROUNDS_MAX: usize = 60;

/// A reader of the guide.
struct Reader {
    /// The steps that are still to come.
    steps: IntoIter<Block>,
    /// What stands for `/etc/envoy`.
    folder: TempDir,
    upstream: Upstream,
    envoy: Envoy,
    prometheus: Prometheus,
}

impl Reader {
    /// Follows the guide until Envoy runs.
    async fn start() -> Self {
        let guide = Document::read(OPERATORS_GUIDE);
        let mut steps = steps(&guide);
        let folder = TempDir::with_prefix("spillway-").expect("a temporary folder");
        let module = folder.path().join("spillway.wasm");
        symlink(places::module(), module).expect("a writable folder");
        let prepare = steps.next().expect("a first step");
        assert_eq!(prepare.argument, "rollout prepare");
        run(&prepare.text.replace("/etc/envoy", path(&folder)));
        // The path of the module is for the reader to set.
        let file = folder.path().join("spillway.yaml");
        let text = fs::read_to_string(&file).expect("the copied file");
        fs::write(&file, text.replace("/etc/envoy", path(&folder))).expect("a writable file");

        let mut filter = envoy_example("config_discovery");
        set_file(&mut filter, &file);
        let upstream = Upstream::start().await;
        let envoy = Envoy::in_front_of(upstream.address())
            .admin_listener(json!({"policies": [], "admin": {"path_prefix": "/spillway"}}))
            .before(filter)
            .start()
            .await;
        let prometheus = Prometheus::scraping(envoy.admin_address()).await;
        Self {
            steps,
            folder,
            upstream,
            envoy,
            prometheus,
        }
    }

    /// The commands of the next step, for the addresses of this test.
    fn next(&mut self, step: &str) -> String {
        let block = self.steps.next().expect("a step of the guide");
        assert_eq!(block.argument, format!("rollout {step}"));
        let access_log = self.envoy.folder().join("access.log");
        let access_log = access_log.to_str().expect("a readable path");
        [
            ("/etc/envoy", path(&self.folder).to_owned()),
            ("/var/log/envoy/access.log", access_log.to_owned()),
            ("localhost:9901", self.envoy.admin_address().to_string()),
            ("localhost:9902", self.envoy.listener(ADMIN).to_string()),
            ("localhost:9090", self.prometheus.address().to_string()),
            ("for=1m", "for=1h".to_owned()),
        ]
        .into_iter()
        .fold(block.text, |text, (from, to)| text.replace(from, &to))
    }

    /// Runs a step that prints something at once.
    fn prints(&mut self, step: &str, expected: &str) {
        let printed = run(&self.next(step));
        assert!(printed.contains(expected), "{step}: {printed}");
    }

    /// Sends traffic until a query of the guide returns a value between these.
    async fn reads(&mut self, step: &str, least: f64, most: f64) {
        let query = self.next(step);
        let mut last = String::new();
        let seen = found(step, async || {
            self.requests(20).await;
            last = run(&query);
            let value = value(&last)?;
            (least <= value && value <= most).then_some(())
        });
        let in_time = timeout(READING, seen).await;
        assert!(in_time.is_ok(), "{step} printed {last}");
    }

    /// Changes the policy and waits until Envoy has accepted it.
    async fn changes(&mut self, step: &str) {
        const ACCEPTED: &str = "extension_config_discovery.http_filter.spillway.update_success";
        let before = self.envoy.stat(ACCEPTED).await;
        run(&self.next(step));
        eventually("an accepted update", async || {
            self.envoy.stat(ACCEPTED).await > before
        })
        .await;
    }

    async fn requests(&self, count: usize) -> Vec<Answer> {
        let mut answers = Vec::new();
        for _ in 0..count {
            answers.push(self.envoy.get("/").await);
        }
        answers
    }

    /// How many decisions to reject there were so far: applied ones, and others.
    async fn decisions(&self) -> (u64, u64) {
        let metrics = self.envoy.metrics().await;
        let count = |name| metrics.value(name, &[("policy", "default")]);
        (
            count("spillway_rejected_requests_total"),
            count("spillway_would_reject_requests_total"),
        )
    }

    /// Sends traffic until the policy has decided this often to reject, and checks the share of
    /// the requests that were rejected.
    async fn rejects(&self, percent: f64, decisions: u64) {
        let before = self.decisions().await;
        let (mut rejected, mut applied, mut of) = (0, 0, 0);
        for _ in 0..ROUNDS_MAX {
            let answers = self.requests(100).await.into_iter();
            rejected += answers.filter(is_rejected).count() as u64;
            let now = self.decisions().await;
            applied = now.0 - before.0;
            of = applied + now.1 - before.1;
            if of >= decisions {
                break;
            }
        }
        assert!(of >= decisions, "only {of} decisions");
        assert_eq!(applied, rejected);
        let (share, count) = (percent / 100.0, of as f64);
        let deviation = (count * share * (1.0 - share)).sqrt();
        let distance = (applied as f64 - count * share).abs();
        // Five standard deviations: by chance once in a million runs.
        assert!(
            distance <= 5.0 * deviation,
            "{applied} of {of} at {percent} percent"
        );
        assert!(applied > 0, "none of {of} at {percent} percent");
    }

    /// Waits until requests reach the service, whatever it responds.
    async fn all_pass(&self) {
        eventually("requests that pass", async || {
            !is_rejected(&self.envoy.get("/").await)
        })
        .await;
        assert!(!self.requests(50).await.iter().any(is_rejected));
    }
}

#[tokio::test]
async fn the_guide_to_a_rollout_leads_from_shadow_to_enforcement_and_back() {
    let mut reader = Reader::start().await;
    reader.prints("verdict", "spillway.update_success: 1\n");

    // An outage and its end, watched.
    reader.requests(50).await;
    reader.upstream.reply(Reply::status(503));
    reader.reads("share-of-requests", 0.1, 1.0).await;
    reader.reads("openings", 0.5, 10.0).await;
    reader.upstream.reply(Reply::status(200));
    let answers = reader.requests(50).await;
    assert!(!answers.iter().any(is_rejected));
    let log = reader.envoy.folder().join("access.log");
    eventually("a false rejection in the access log", async || {
        let log = fs::read_to_string(&log).expect("a log");
        let mut lines = log.lines().filter(|line| line.contains("would_reject"));
        lines.any(|line| line.contains(r#""code":200"#))
    })
    .await;
    let served = run(&reader.next("false-rejections"));
    assert!(
        served.trim().parse::<u32>().is_ok_and(|count| count > 0),
        "{served}"
    );

    // A healthy service, and a circuit that an operator opens.
    reader.changes("1-percent").await;
    reader.prints("drill", r#""changed":1"#);
    reader.rejects(1.0, 2_000).await;
    reader.reads("share-applied", 0.001, 0.1).await;
    reader.prints("drill-ends", r#""changed":1"#);

    reader.upstream.reply(Reply::status(503));
    reader.changes("10-percent").await;
    reader.rejects(10.0, 1_000).await;
    reader.changes("50-percent").await;
    reader.rejects(50.0, 500).await;
    reader.changes("100-percent").await;
    reader.rejects(100.0, 200).await;

    reader.prints("abort", r#""changed":1"#);
    reader.all_pass().await;
    reader.changes("back").await;
    let before = reader.decisions().await;
    eventually("decisions in shadow mode", async || {
        reader.all_pass().await;
        reader.decisions().await.1 > before.1
    })
    .await;
    assert_eq!(reader.decisions().await.0, before.0);
    assert!(reader.steps.next().is_none());
}

/// The steps of the guide, in order.
fn steps(guide: &Document) -> IntoIter<Block> {
    let blocks = guide.blocks().into_iter();
    let steps = blocks.filter(|block| block.argument.starts_with("rollout "));
    steps.collect::<Vec<_>>().into_iter()
}

/// Runs commands from the root of the project and returns what they print.
fn run(commands: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", commands])
        .current_dir(places::root())
        .output()
        .expect("a shell");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}\n{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The value of the policy in the output of `promtool`: `{policy="default"} => 0.5 @[1.0]`.
fn value(printed: &str) -> Option<f64> {
    let rest = printed.split_once(r#"{policy="default"} => "#)?.1;
    rest.split(' ').next()?.parse().ok()
}

fn is_rejected(answer: &Answer) -> bool {
    !answer.header("x-circuit-state").is_empty()
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().expect("a readable path")
}
