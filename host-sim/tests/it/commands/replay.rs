use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::commands::{CommandOutput, assert_valid, host_sim};

/// A log and a policy in a folder of their own.
struct Case {
    folder: TempDir,
}

/// One request of the log, 10 ms after the one before.
fn line(log: &mut String, number: u64, code: u16) {
    let ms = number * 10;
    let (s, ms) = (1_767_225_600 + ms / 1_000, ms % 1_000);
    writeln!(
        log,
        "{{\"start\":{s}.{ms:03},\"method\":\"GET\",\"path\":\"/\",\"cluster\":\"up\",\
         \"code\":{code},\"details\":\"via_upstream\",\"flags\":\"-\",\"duration_ms\":4}}"
    )
    .unwrap();
}

impl Case {
    fn new(codes: impl Iterator<Item = u16>, breaker: &str) -> Case {
        let mut log = String::new();
        for (number, code) in (0..).zip(codes) {
            line(&mut log, number, code);
        }
        let case = Case {
            folder: tempfile::tempdir().unwrap(),
        };
        let policy = format!(r#"{{"policies":[{{"name":"p","circuit_breaker":{breaker}}}]}}"#);
        std::fs::write(case.path("access.log"), log).unwrap();
        std::fs::write(case.path("policy.json"), policy).unwrap();
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn replay(&self, more: &[&str]) -> CommandOutput {
        let (log, policy) = (self.path("access.log"), self.path("policy.json"));
        let (log, policy) = (log.to_str().unwrap(), policy.to_str().unwrap());
        host_sim(&[&["replay", log, "--policy", policy], more].concat())
    }
}

/// Ten seconds of calm, five of outage, ten of calm.
fn outage() -> impl Iterator<Item = u16> {
    (0..2_500).map(|number| match number {
        1_000..1_500 => 503,
        _ => 200,
    })
}

const BREAKER: &str = r#"{"window": {"duration": "2s"},
    "open": {"duration": "2s", "jitter": 0}}"#;

#[test]
fn recorded_and_replayed_stand_side_by_side() {
    insta::assert_snapshot!(Case::new(outage(), BREAKER).replay(&[]).all());
}

#[test]
fn programs_get_the_replay_in_the_form_of_its_schema() {
    let case = Case::new(outage(), BREAKER);
    let document = case.replay(&["--json"]).json();
    assert_valid(&document, "replay");
    let (recorded, replayed) = (&document["runs"][0]["total"], &document["runs"][1]["total"]);
    assert_eq!(recorded["outcomes"]["error"], 500);
    assert_eq!(recorded["calls"], replayed["calls"]);
    let let_through = replayed["outcomes"]["error"].as_u64().unwrap();
    assert!((20..300).contains(&let_through), "{let_through}");
    let [good, failed, unknown] = &document["effects"].as_array().unwrap()[..] else {
        panic!("{document}");
    };
    assert_eq!(
        (&good["requests"], &failed["requests"]),
        (&2_000.into(), &500.into())
    );
    assert_eq!(unknown["requests"], 0);
    assert_eq!(failed["passed"], let_through);
    let first = &document["transitions"][0];
    assert_eq!(
        (&first["from"], &first["to"]),
        (&"closed".into(), &"open".into())
    );
    let at = first["at"].as_str().unwrap();
    assert!(at.starts_with("2026-01-01T00:00:1"), "{at}");
    assert_eq!(
        case.replay(&["--json"]).stdout,
        case.replay(&["--json"]).stdout
    );
}

#[test]
fn a_page_has_the_plots_and_the_settings() {
    let case = Case::new(outage().step_by(10), BREAKER);
    let page = case.path("page.html");
    let said = case.replay(&["--tune", "--report", page.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}", said.all());
    let page = std::fs::read_to_string(page).unwrap();
    for part in [
        "<svg",
        "id=\"tuning\"",
        "Assumed",
        "replayed",
        "2026-01-01T00:00:00.000Z",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

/// Three of ten requests fail all the time, so a threshold below 30 % rejects good ones for
/// nothing. In the outages all fail, so a threshold above 100 % could not help.
#[test]
fn tuning_finds_the_threshold_that_the_traffic_needs() {
    let codes = (0..6_000).map(|number| match (number / 500 % 4, number % 10) {
        (3, _) => 503,
        (_, 0 | 3 | 6) => 503,
        _ => 200,
    });
    let breaker = r#"{"failure_rate_threshold": 20, "window": {"duration": "1s"},
        "open": {"duration": "500ms", "jitter": 0, "multiplier": 1}}"#;
    let document = Case::new(codes, breaker)
        .replay(&["--tune", "--json"])
        .json();
    let tuning = &document["tuning"];
    let cells = tuning["cells"].as_array().unwrap();
    assert!(cells.len() >= 20, "{}", cells.len());
    let best = &cells[tuning["best"].as_u64().unwrap() as usize];
    assert_eq!(best["failure_rate_threshold"], 40.0, "{tuning:#}");
    assert_eq!(best["on_front"], true);
    let cost = |cell: &Value| {
        let number = |name: &str| cell[name].as_u64().unwrap();
        number("good_kept_away") + number("errors_let_through")
    };
    assert!(cost(best) * 3 < cost(&cells[0]) * 2, "{tuning:#}");
}

#[test]
fn a_log_comes_from_stdin_too() {
    let case = Case::new(outage(), BREAKER);
    let (log, policy) = (case.path("access.log"), case.path("policy.json"));
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_host-sim"))
        .args(["replay", "-", "--json", "--policy"])
        .arg(policy)
        .stdin(std::fs::File::open(log).unwrap())
        .output()
        .unwrap();
    let piped: Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = case.replay(&["--json"]).json();
    assert_eq!(piped["log"]["name"], "stdin");
    assert_eq!(piped["runs"][1]["digest"], file["runs"][1]["digest"]);
}

#[test]
fn what_cannot_be_replayed_says_why() {
    let wrong = Case::new(std::iter::empty(), "{}");
    std::fs::write(wrong.path("access.log"), "\nhello\n").unwrap();
    let refused = Case::new(outage().take(5), r#"{"minimum_requests": 0}"#);
    let untuned = Case::new(outage().take(5), r#"{"failure_rate_threshold": 0}"#);
    let rows: [(&Case, &[&str], i32, &str); 6] = [
        (&wrong, &[], 2, "access.log:2: is not a JSON object"),
        (
            &wrong,
            &["--format", "istio-text"],
            2,
            "access.log:2: has 1 parts, allowed 22",
        ),
        (&wrong, &["--field", "state=x"], 2, "allowed FIELD=NAME"),
        (
            &refused,
            &[],
            1,
            "policy.json: the plugin refuses its configuration",
        ),
        (
            &untuned,
            &["--tune"],
            1,
            "policy.json: --tune needs a circuit_breaker",
        ),
        (&untuned, &["--workers", "0"], 2, "0 is not in 1..=64"),
    ];
    for (case, more, code, expected) in rows {
        let said = case.replay(more);
        assert_eq!(said.code, code, "{}", said.all());
        assert!(said.stderr.contains(expected), "{}", said.all());
    }
}
