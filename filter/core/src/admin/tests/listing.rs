//! The circuits as JSON.

use super::*;

#[test]
fn a_list_says_all_about_each_circuit() {
    let whole = CircuitView {
        id: 0xab,
        key: vec![Some(Box::from(*b"a\"<\xff\n")), None, Some(Box::default())],
        mode: Mode::Shadow,
        automatic: StateName::Open,
        since: at_ms(9_000),
        until: Some(at_ms(12_000)),
        force: Some(Force {
            to: Forced::Closed,
            until: at_ms(70_000),
        }),
        counts: Counts {
            requests: 20,
            failures: 10,
            slow: 2,
        },
        consecutive: 4,
        opens: 3,
        probes_out: 1,
        retry_budget: Some(107),
    };
    let mut held = Held {
        circuits: vec![("q-1", view(u64::MAX)), ("p", whole)],
        ..Held::default()
    };
    let answer = answered("GET /spillway/circuits", &mut held);
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer, "content-type"), "application/json");
    let expected = concat!(
        r#"{"circuits":["#,
        r#"{"policy":"p","mode":"shadow","id":"00000000000000ab","key":["a\"<"#,
        "\u{fffd}",
        r#"\n",null,""],"#,
        r#""state":"forced_closed","automatic_state":"open","#,
        r#""since_unix_ms":999000,"until_unix_ms":1002000,"#,
        r#""forced":{"state":"closed","until_unix_ms":1060000},"#,
        r#""window":{"requests":20,"failures":10,"slow":2},"#,
        r#""consecutive_failures":4,"opens":3,"probes":1,"retry_budget":107},"#,
        r#"{"policy":"q-1","mode":"enforce","id":"ffffffffffffffff","key":["a",null],"#,
        r#""state":"closed","automatic_state":"closed","#,
        r#""since_unix_ms":997500,"until_unix_ms":null,"forced":null,"#,
        r#""window":{"requests":0,"failures":0,"slow":0},"#,
        r#""consecutive_failures":0,"opens":0,"probes":0,"retry_budget":null}"#,
        r#"],"more":false}"#,
    );
    assert_eq!(body(&answer), expected);
}

#[test]
fn a_force_is_shown_until_its_end_and_not_at_it() {
    let rows = [
        (Forced::Open, 10_001, "forced_open"),
        (Forced::Closed, 10_001, "forced_closed"),
        (Forced::Open, 10_000, "half_open"),
        (Forced::Open, 9_999, "half_open"),
    ];
    for (to, until_ms, state) in rows {
        let view = CircuitView {
            automatic: StateName::HalfOpen,
            force: Some(Force {
                to,
                until: at_ms(until_ms),
            }),
            ..view(1)
        };
        let mut held = Held {
            circuits: vec![("p", view)],
            ..Held::default()
        };
        let answer = answered("GET /spillway/circuits", &mut held);
        let list: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let circuit = &list["circuits"][0];
        assert_eq!(circuit["state"], state, "{to:?} {until_ms}");
        assert_eq!(circuit["automatic_state"], "half_open");
        assert_eq!(circuit["forced"].is_null(), state == "half_open");
    }
}

#[test]
fn a_list_ends_at_a_thousand_and_says_whether_there_are_more() {
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
        let p = (0..of_p).map(|n| ("p", view(n as u64)));
        let q = (0..of_q).map(|n| ("q-1", view(n as u64)));
        let mut held = Held {
            circuits: p.chain(q).collect(),
            ..Held::default()
        };
        let answer = answered(&format!("GET /spillway/circuits{query}"), &mut held);
        let list: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let count = list["circuits"].as_array().expect("a list").len();
        assert_eq!(
            (count, &list["more"]),
            (shown, &more.into()),
            "{of_p} {of_q} {query}"
        );
    }
}
