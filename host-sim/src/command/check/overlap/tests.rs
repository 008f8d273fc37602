use spillway_core::Map;
use spillway_core::Request;
use spillway_core::Selector;
use spillway_core::policy::Config;

use super::implies;

/// A request with a fixed cluster and route.
struct Sample {
    authority: &'static str,
    path: &'static str,
    method: &'static str,
    tenant: Option<&'static str>,
}

impl Request for Sample {
    fn cluster(&self) -> Option<&[u8]> {
        Some(b"a")
    }

    fn route(&self) -> Option<&[u8]> {
        Some(b"r")
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let value = match name {
            ":authority" => Some(self.authority),
            ":path" => Some(self.path),
            ":method" => Some(self.method),
            "x-t" => self.tenant,
            _ => None,
        };
        value.map(str::as_bytes)
    }

    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.header(name).is_some_and(test)
    }

    fn each_header<'r>(&'r self, _look: impl FnMut(&'r [u8], &'r [u8])) {}

    fn copy_headers(&self) -> Map {
        Map::default()
    }
}

const MATCHES: [&str; 30] = [
    r#"{}"#,
    r#"{"clusters": ["a"]}"#,
    r#"{"clusters": ["b", "a"]}"#,
    r#"{"clusters": ["a*"]}"#,
    r#"{"clusters": ["*"]}"#,
    r#"{"clusters": ["*|*"]}"#,
    r#"{"clusters": ["b*", "*a*"]}"#,
    r#"{"routes": ["r"]}"#,
    r#"{"methods": ["GET"]}"#,
    r#"{"methods": ["GET", "POST"], "clusters": ["a"]}"#,
    r#"{"authorities": ["x.com"]}"#,
    r#"{"authorities": ["x.com:80"]}"#,
    r#"{"authorities": ["*.x.com"]}"#,
    r#"{"authorities": ["*.com"]}"#,
    r#"{"authorities": ["*.com:80"]}"#,
    r#"{"authorities": ["a.x.com", "x.com"]}"#,
    r#"{"paths": [{"exact": "/"}]}"#,
    r#"{"paths": [{"exact": "/u/1"}]}"#,
    r#"{"paths": [{"exact": "/u/{id}"}]}"#,
    r#"{"paths": [{"prefix": "/"}]}"#,
    r#"{"paths": [{"prefix": "/u"}]}"#,
    r#"{"paths": [{"prefix": "/u/"}, {"exact": "/"}]}"#,
    r#"{"paths": [{"template": "/u/{id}"}]}"#,
    r#"{"paths": [{"template": "/{x}/1"}]}"#,
    r#"{"paths": [{"template": "/{x}/{y}"}]}"#,
    r#"{"paths": [{"template": "/u/1"}]}"#,
    r#"{"headers": [{"name": "x-t", "exact": "1"}]}"#,
    r#"{"headers": [{"name": "x-t", "present": true}]}"#,
    r#"{"headers": [{"name": "x-t", "present": false}]}"#,
    r#"{"headers": [{"name": "x-t", "exact": "1"}], "methods": ["GET"]}"#,
];

fn requests() -> Vec<Sample> {
    let authorities = [
        "x.com",
        "X.com:80",
        "a.x.com",
        "a.x.com:80",
        ".com",
        "y.com:81",
    ];
    let paths = [
        "/", "/u", "/u/", "/u/1", "/u/{id}", "/v/1?q", "/u/1/2", "/ux",
    ];
    let mut requests = Vec::new();
    for authority in authorities {
        for path in paths {
            for method in ["GET", "POST"] {
                for tenant in [None, Some("1"), Some("2")] {
                    requests.push(Sample {
                        authority,
                        path,
                        method,
                        tenant,
                    });
                }
            }
        }
    }
    requests
}

/// Returns whether the second of two matches implies the first, and how many requests the second
/// policy gets.
fn reached(first: &str, second: &str, requests: &[Sample]) -> (bool, usize) {
    let file = format!(
        r#"{{"policies": [{{"name": "a", "match": {first}}}, {{"name": "b", "match": {second}}}]}}"#
    );
    let config = Config::parse(file.as_bytes()).unwrap();
    let selector = Selector::new(&config.policies);
    let is_second = |request: &&Sample| {
        let selected = selector.select(&config.policies, *request);
        selected.is_some_and(|selected| selected.policy == 1)
    };
    let [wide, narrow] = config.policies.as_slice() else {
        panic!("{file}");
    };
    (
        implies(&narrow.matcher, &wide.matcher),
        requests.iter().filter(is_second).count(),
    )
}

#[test]
fn the_filter_never_selects_a_policy_reported_as_unreachable() {
    let requests = requests();
    let mut unreachable = 0;
    for first in MATCHES {
        for second in MATCHES {
            let (implied, count) = reached(first, second, &requests);
            assert!(!implied || count == 0, "{first} then {second}: {count}");
            unreachable += usize::from(implied);
        }
    }
    // Each match implies itself and {}. A lint that finds nothing would pass the loop above.
    assert!(unreachable > 80, "{unreachable}");
}
