//! The circuits as JSON.

use super::*;
use crate::circuit::breaker::{Opened, Transition, Why};

const COUNTS: Counts = Counts {
    requests: 20,
    failures: 10,
    slow: 2,
};

#[test]
fn a_list_has_every_field_of_each_circuit() {
    let whole = CircuitView {
        policy: "p".into(),
        id: 0xab,
        key: vec![Some(Box::from(*b"a\"<\xff\n")), None, Some(Box::default())],
        mode: Mode::Shadow,
        automatic: Standing {
            state: StateName::Open,
            since: at_ms(9_000),
            until: Some(at_ms(12_000)),
            counts: COUNTS,
            consecutive: 4,
            opens: 3,
            opened: Some(Opened {
                at: at_ms(8_999),
                why: Why::SlowRate,
                counts: COUNTS,
            }),
            probes_out: 1,
        },
        force: Some(Force {
            to: Forced::Closed,
            until: at_ms(70_000),
        }),
        retry_budget: Some(107),
    };
    let mut fake = FakeCircuits {
        circuits: vec![view("q-1", u64::MAX), whole],
        ..FakeCircuits::default()
    };
    let response = send("GET /spillway/circuits", &mut fake);
    assert_eq!(response.status, 200);
    assert_eq!(header(&response, "content-type"), "application/json");
    let expected = concat!(
        r#"{"now_unix_ms":1000000,"total":2,"policies":["p","empty","q-1"],"circuits":["#,
        r#"{"policy":"p","mode":"shadow","id":"00000000000000ab","key":["a\"<"#,
        "\u{fffd}",
        r#"\n",null,""],"#,
        r#""state":"forced_closed","automatic_state":"open","#,
        r#""since_unix_ms":999000,"until_unix_ms":1002000,"#,
        r#""forced":{"state":"closed","until_unix_ms":1060000},"#,
        r#""window":{"requests":20,"failures":10,"slow":2},"#,
        r#""consecutive_failures":4,"opens":3,"#,
        r#""opened":{"at_unix_ms":998999,"why":"slow_rate","requests":20,"failures":10,"slow":2},"#,
        r#""probes":1,"retry_budget":107},"#,
        r#"{"policy":"q-1","mode":"enforce","id":"ffffffffffffffff","key":["a",null],"#,
        r#""state":"closed","automatic_state":"closed","#,
        r#""since_unix_ms":997500,"until_unix_ms":null,"forced":null,"#,
        r#""window":{"requests":0,"failures":0,"slow":0},"#,
        r#""consecutive_failures":0,"opens":0,"opened":null,"probes":0,"retry_budget":null}"#,
        r#"],"more":false,"transitions":[]}"#,
    );
    assert_eq!(body(&response), expected);
}

#[test]
fn a_forced_state_is_shown_in_place_of_the_circuits_own() {
    let rows = [
        (None, "half_open"),
        (Some(Forced::Open), "forced_open"),
        (Some(Forced::Closed), "forced_closed"),
    ];
    for (to, state) in rows {
        let mut view = view("p", 1);
        view.automatic.state = StateName::HalfOpen;
        let until = at_ms(10_001);
        view.force = to.map(|to| Force { to, until });
        let mut fake = FakeCircuits {
            circuits: vec![view],
            ..FakeCircuits::default()
        };
        let list = list("", &mut fake);
        let circuit = &list["circuits"][0];
        assert_eq!(circuit["state"], state, "{to:?}");
        assert_eq!(circuit["automatic_state"], "half_open");
        assert_eq!(circuit["forced"].is_null(), to.is_none());
    }
}

#[test]
fn the_last_transitions_are_listed_newest_first_and_by_policy() {
    let past = |policy: &str, ms, to| Past {
        at: at_ms(ms),
        policy: policy.into(),
        key: [2, 0, b'<', 0xff, 0xff, 0xff].into(),
        transition: Transition {
            from: StateName::Closed,
            to,
            why: Why::FailureRate,
            counts: COUNTS,
            opens: 3,
            lasted: Span::from_ms(4_000),
            open_for: Span::from_ms(5_000),
        },
    };
    let mut fake = three_circuits();
    fake.past = vec![
        past("p", 9_000, StateName::Open),
        past("gone", 9_500, StateName::HalfOpen),
        past("p", 9_700, StateName::Recovering),
    ];
    let first = serde_json::json!({
        "at_unix_ms": 999_000, "policy": "p", "key": ["<\u{fffd}", null],
        "from": "closed", "to": "open", "why": "failure_rate",
        "requests": 20, "failures": 10, "slow": 2, "opens": 3,
        "lasted_ms": 4_000, "open_ms": 5_000,
    });
    assert_eq!(list("", &mut fake)["transitions"][2], first);
    let rows = [
        ("", "recovering half_open open"),
        ("?policy=p", "recovering open"),
        ("?policy=empty", ""),
    ];
    for (query, states) in rows {
        let list = list(query, &mut fake);
        let shown = list["transitions"].as_array().expect("a list").iter();
        let shown: Vec<&str> = shown.filter_map(|it| it["to"].as_str()).collect();
        assert_eq!(shown.join(" "), states, "{query}");
    }
}

/// Returns the list for this query.
fn list(query: &str, fake: &mut FakeCircuits) -> serde_json::Value {
    let response = send(&format!("GET /spillway/circuits{query}"), fake);
    serde_json::from_slice(&response.body).expect("JSON")
}

#[test]
fn a_list_has_at_most_a_thousand_circuits_and_says_if_there_are_more() {
    let rows: [(usize, usize, &str, usize, bool); 7] = [
        (0, 0, "", 0, false),
        (999, 1, "", 1_000, false),
        (1_000, 0, "", 1_000, false),
        (1_000, 1, "", 1_000, true),
        (1_001, 0, "", 1_000, true),
        (1_500, 7, "?policy=q-1", 7, false),
        (1_500, 7, "?policy=empty", 0, false),
    ];
    for (of_p, of_q, query, shown, more) in rows {
        let p = (0..of_p).map(|n| view("p", n as u64));
        let q = (0..of_q).map(|n| view("q-1", n as u64));
        let mut fake = FakeCircuits {
            circuits: p.chain(q).collect(),
            ..FakeCircuits::default()
        };
        let list = list(query, &mut fake);
        let count = list["circuits"].as_array().expect("a list").len();
        assert_eq!(
            (count, &list["more"]),
            (shown, &more.into()),
            "{of_p} {of_q} {query}"
        );
    }
}

#[test]
fn a_list_may_be_of_circuits_whose_names_contain_a_text() {
    let named = |policy: &str, id, key: &[u8]| CircuitView {
        key: vec![None, Some(key.into())],
        ..view(policy, id)
    };
    let mut fake = FakeCircuits {
        circuits: vec![
            named("p", 1, b"Acme Ltd"),
            named("p", 2, b"50%"),
            named("q-1", 3, b"\xc3\xa9\xff&="),
            view("q-1", 4),
        ],
        ..FakeCircuits::default()
    };
    let rows: [(&str, &[u64]); 14] = [
        ("", &[1, 2, 3, 4]),
        ("acme", &[1]),
        ("CME%20l", &[1]),
        ("acme+ltd", &[]),
        ("%41CME", &[1]),
        ("%", &[2]),
        ("%25", &[2]),
        ("0%2", &[]),
        ("%zz", &[]),
        ("%C3%a9", &[3]),
        ("%ff%26%3D", &[3]),
        ("q-", &[3, 4]),
        ("a", &[1, 4]),
        ("%00", &[]),
    ];
    for (text, ids) in rows {
        let list = list(&format!("?contains={text}"), &mut fake);
        let circuits = list["circuits"].as_array().expect("a list").iter();
        let shown: Vec<String> = circuits.map(|it| format!("{}", it["id"])).collect();
        let expected: Vec<String> = ids.iter().map(|id| format!("\"{id:016x}\"")).collect();
        assert_eq!((shown, &list["total"]), (expected, &4.into()), "{text}");
    }
    let query = "?contains=a&policy=q-1";
    let of_policy = list(query, &mut fake);
    assert_eq!(of_policy["circuits"].as_array().map(Vec::len), Some(1));
}
