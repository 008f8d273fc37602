use crate::host_sim;

#[test]
fn the_cost_of_a_request_is_told_by_hostcall_and_fuel() {
    let costs = host_sim(&["bench", "--requests", "500", "--json"]).json();
    let filter = &costs["spillway"];
    assert!(filter["fuel"].as_f64().unwrap() > 100.0, "{costs}");
    assert_eq!(
        filter["callbacks"]["proxy_on_request_headers"], 1.0,
        "{costs}"
    );
    assert_eq!(costs["no filter"]["fuel"], 0.0);
    let calls = filter["hostcalls"].as_object().unwrap().values();
    let calls: f64 = calls.map(|it| it.as_f64().unwrap()).sum();
    assert!((1.0..20.0).contains(&calls), "{costs}");
}

#[test]
fn the_cost_is_shown_as_a_table() {
    let said = host_sim(&["bench", "--requests", "500"]);
    assert_eq!(said.code, 0, "{}", said.all());
    for word in [
        "per request",
        "no filter",
        "spillway",
        "fuel",
        "proxy_on_log",
    ] {
        assert!(said.stdout.contains(word), "{}", said.all());
    }
}
