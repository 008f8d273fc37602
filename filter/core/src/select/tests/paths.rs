//! Which policies are tried for a path.

use super::*;

#[test]
fn of_ten_thousand_policies_by_path_only_those_of_its_beginnings_are_tried() {
    const BELOW: &str = r#"{"prefix": "/N/"}"#;
    const EXACT: &str = r#"{"exact": "/N"}"#;
    const TEMPLATE: &str = r#"{"template": "/N/{id}/x"}"#;
    let rows = [
        ("", BELOW, "/7777/a?b", Some(7_777)),
        ("", BELOW, "/10000/", None),
        ("", BELOW, "", None),
        ("", EXACT, "/7777", Some(7_777)),
        ("", EXACT, "/7777/", None),
        ("", TEMPLATE, "/9999/5/x", Some(9_999)),
        ("", TEMPLATE, "/9999/5/y", None),
        (
            "",
            r#"{"prefix": "/N/"}, {"exact": "/N/a"}"#,
            "/0/a",
            Some(0),
        ),
        // Two of them match, and the first in the file is selected.
        ("", r#"{"prefix": "/N"}"#, "/77x", Some(7)),
        (r#""clusters": ["c"],"#, BELOW, "/7777/", Some(7_777)),
        (r#""authorities": ["a"],"#, BELOW, "/7777/", Some(7_777)),
        (r#""routes": ["r"],"#, BELOW, "/3/", Some(3)),
    ];
    for (fields, paths, path, expected) in rows {
        let matches: Vec<String> = (0..10_000)
            .map(|n| paths.replace('N', &format!("{n}")))
            .map(|paths| format!(r#"{fields}"paths": [{paths}]"#))
            .collect();
        let matches: Vec<&str> = matches.iter().map(String::as_str).collect();
        let policies = policies(&matches);
        let selector = Selector::new(&policies);
        let request = TestRequest::cluster("c")
            .with_route("r")
            .with(":authority", "a")
            .with(":path", path);
        let selected = selector.select(&policies, &request);
        assert_eq!(
            selected.map(|s| s.policy),
            expected,
            "{fields}{paths} {path}"
        );
        let asked = request.reads.take();
        assert!(asked.len() <= 24, "{fields}{paths} {path}: {asked:?}");
    }
}
