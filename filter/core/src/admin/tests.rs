//! Requests and their complete responses.

use alloc::borrow::ToOwned;
use alloc::vec;

use super::*;
use crate::circuit::breaker::{Standing, StateName};
use crate::circuit::window::Counts;
use crate::circuit::{Force, Forced};
use crate::policy::Mode;
use crate::shared::history::Past;
use crate::testing::{TestRequest, at_ms};
use crate::time::Span;
use alloc::boxed::Box;

mod listing;
mod page;
mod refusals;

const PREFIX: &str = "/spillway";

/// Circuits as plain data, with a log of the actions on them.
#[derive(Default)]
struct FakeCircuits {
    circuits: Vec<CircuitView>,
    past: Vec<Past>,
    done: Vec<(String, Option<u64>, Action)>,
    busy: bool,
}

impl Circuits for FakeCircuits {
    fn policies(&mut self) -> Vec<Box<str>> {
        vec!["p".into(), "empty".into(), "q-1".into()]
    }

    fn circuits(&mut self, policies: &[&str], search: Search<'_>) -> Listing {
        let mut circuits = Vec::new();
        for policy in policies {
            let of_policy = self.circuits.iter().filter(|it| *it.policy == **policy);
            circuits.extend(of_policy.cloned());
        }
        let total = circuits.len() as u32;
        circuits.retain(|view| search.finds(view));
        let more = circuits.len() > search.most;
        circuits.truncate(search.most);
        Listing {
            circuits,
            more,
            total,
        }
    }

    fn transitions(&mut self) -> Vec<Past> {
        self.past.clone()
    }

    fn control(&mut self, policy: &str, id: Option<u64>, action: Action) -> Result<usize, Busy> {
        if self.busy {
            return Err(Busy);
        }
        self.done.push((policy.to_owned(), id, action));
        let reached =
            |view: &&CircuitView| *view.policy == *policy && id.is_none_or(|id| id == view.id);
        Ok(self.circuits.iter().filter(reached).count())
    }
}

/// Ten seconds after the clock's origin, at 1,000,000 ms since 1970.
const CLOCKS: Clocks = Clocks {
    now: at_ms(10_000),
    unix_ms: 1_000_000,
};

/// A closed circuit without transitions.
fn view(policy: &str, id: u64) -> CircuitView {
    CircuitView {
        policy: policy.into(),
        id,
        key: vec![Some(Box::from(*b"a")), None],
        mode: Mode::Enforce,
        automatic: Standing {
            state: StateName::Closed,
            since: at_ms(7_500),
            until: None,
            counts: Counts::default(),
            consecutive: 0,
            opens: 0,
            opened: None,
            probes_out: 0,
        },
        force: None,
        retry_budget: None,
    }
}

/// Two circuits of `p` and one of `q-1`.
fn three_circuits() -> FakeCircuits {
    FakeCircuits {
        circuits: vec![view("p", 1), view("p", 0xfedc), view("q-1", 3)],
        ..FakeCircuits::default()
    }
}

fn ask(method: &str, path: impl AsRef<[u8]>) -> TestRequest {
    TestRequest::default()
        .with(":authority", "localhost:9902")
        .with(":method", method)
        .with(":path", path)
}

/// Returns the response to `line`, a method and a path under the prefix.
fn send(line: &str, fake: &mut FakeCircuits) -> AdminResponse {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    respond(PREFIX, &ask(method, path), CLOCKS, fake).unwrap_or_else(|| panic!("{line}"))
}

fn header<'a>(response: &'a AdminResponse, name: &str) -> &'a str {
    let mut values = response.headers.iter().filter(|(n, _)| n == name);
    let value = values.next().map_or(&b""[..], |(_, value)| value);
    assert!(values.next().is_none(), "{name} occurs twice");
    core::str::from_utf8(value).expect("text")
}

fn body(response: &AdminResponse) -> &str {
    core::str::from_utf8(&response.body).expect("text")
}

/// Returns the detail of a problem, and checks its other fields.
fn detail(response: &AdminResponse) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    let title = match response.status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        other => panic!("{other}"),
    };
    let detail = problem["detail"].as_str().expect("a detail");
    let whole = serde_json::json!({
        "type": "about:blank", "title": title, "status": response.status, "detail": detail,
    });
    assert_eq!(problem, whole);
    assert_eq!(header(response, "content-type"), "application/problem+json");
    detail.into()
}

#[test]
fn a_path_outside_the_prefix_gets_no_response() {
    let paths = [
        "",
        "/",
        "/spillwayX",
        "/spillway.html",
        "/spillwa",
        "/Spillway/",
        "//spillway/",
        "/%73pillway/",
        "/spillway%2Fcircuits",
        "/spillway#/",
        "/x/spillway/",
        "*",
        "http://a/spillway/",
        "spillway/",
    ];
    for path in paths {
        assert!(!is_under(PREFIX, path.as_bytes()), "{path}");
        let mut fake = three_circuits();
        let result = respond(PREFIX, &ask("PUT", path), CLOCKS, &mut fake);
        assert_eq!(result, None, "{path}");
    }
    let no_path = TestRequest::default().with(":method", "GET");
    assert_eq!(
        respond(PREFIX, &no_path, CLOCKS, &mut three_circuits()),
        None
    );
}

#[test]
fn only_the_path_of_a_request_outside_the_prefix_is_read() {
    let request = ask("GET", "/pay");
    assert_eq!(
        respond(PREFIX, &request, CLOCKS, &mut three_circuits()),
        None
    );
    assert_eq!(*request.reads.borrow(), [":path"]);
}

#[test]
fn an_action_applies_to_one_circuit_or_to_all_of_a_policy() {
    let open_for = |seconds| Action::Force(Forced::Open, Span::from_secs(seconds));
    let closed_for = |seconds| Action::Force(Forced::Closed, Span::from_secs(seconds));
    let rows = [
        (
            "p/000000000000fedc?action=reset",
            Some(0xfedc),
            Action::Reset,
            1,
        ),
        (
            "p/000000000000FEDC?action=automatic",
            Some(0xfedc),
            Action::Automatic,
            1,
        ),
        (
            "p/0000000000000001?action=force_open&for=1s",
            Some(1),
            open_for(1),
            1,
        ),
        ("p?for=1m30s&action=force_closed", None, closed_for(90), 2),
        ("p?action=force_open&for=24h", None, open_for(86_400), 2),
        ("p?action=reset", None, Action::Reset, 2),
        ("empty?action=automatic", None, Action::Automatic, 0),
    ];
    for (target, id, action, changed) in rows {
        let mut fake = three_circuits();
        let response = send(&format!("PUT /spillway/circuits/{target}"), &mut fake);
        assert_eq!(response.status, 200, "{target}");
        assert_eq!(header(&response, "content-type"), "application/json");
        assert_eq!(
            body(&response),
            format!("{{\"changed\":{changed}}}"),
            "{target}"
        );
        let policy = target.split(['/', '?']).next().expect("a policy");
        assert_eq!(fake.done, [(policy.to_owned(), id, action)], "{target}");
    }
}

#[test]
fn a_head_gets_the_response_of_the_get() {
    for path in [
        "",
        "/",
        "/circuits",
        "/circuits?policy=p",
        "/circuits?policy=x",
        "/x",
    ] {
        let [get, head] = ["GET", "HEAD"]
            .map(|method| send(&format!("{method} /spillway{path}"), &mut three_circuits()));
        assert_eq!(get, head, "{path}");
    }
}
