//! One file with most of the fields.

use super::defaults::{default_retry, defaults};
use super::*;
use crate::policy::template::{Escape, Template};
use crate::time::Span;

#[test]
fn the_full_example_is_parsed_field_by_field() {
    let (path, json) = files("valid", 1)
        .into_iter()
        .find(|(path, _)| path.ends_with("full_example.json"))
        .expect("the example");
    let mut parsed = Config::parse(&json).expect("a good file");
    let mut expected = defaults();
    let text = |text: &str| Template::new(text, Escape::Header);
    expected.name = "checkout".into();
    expected.matcher = Match {
        clusters: alloc::vec!["outbound|8080||checkout.shop.svc.cluster.local".into()],
        routes: alloc::vec!["checkout".into()],
        authorities: alloc::vec![Authority::Suffix(".example.com".into())],
        paths: [
            ("/api/", PathKind::Prefix),
            ("/pay", PathKind::Exact),
            ("/users/{id}/orders", PathKind::Template),
        ]
        .map(|(text, kind)| PathPattern {
            text: text.into(),
            kind,
        })
        .into(),
        methods: alloc::vec!["GET".into()],
        headers: alloc::vec![
            HeaderCondition {
                name: "x-tenant".into(),
                test: HeaderTest::Exact("gold".into()),
            },
            HeaderCondition {
                name: "x-debug".into(),
                test: HeaderTest::Present(false),
            },
        ],
    };
    expected.key.push(KeyPart::Header("x-tenant".into()));
    expected.breaker.slow_threshold = Some(Span::from_secs(2));
    expected.retry = Some(default_retry());
    let open = OnSet::default().with(On::Open);
    let entry = |on, from| Fallback { on, from };
    expected.fallback = alloc::vec![
        entry(
            open.with(On::Failure),
            FallbackType::Stale(StaleConfig {
                max_age: Span::from_secs(600),
                shared: true,
                ignore_query: Vec::new(),
            }),
        ),
        entry(
            open,
            FallbackType::Cluster(ClusterConfig {
                cluster: "checkout-lite".into(),
                path: Some("/lite".into()),
                authority: None,
                timeout: Span::from_ms(500),
            }),
        ),
        entry(
            open,
            FallbackType::Route(RouteConfig {
                name: "x-fallback".into(),
                value: "yes".into(),
            }),
        ),
        entry(
            open.with(On::Failure),
            FallbackType::Respond(Respond {
                status: 200,
                headers: alloc::vec![("content-type".into(), text("application/json"))],
                body: Template::new(r#"{"items":[],"degraded":true}"#, Escape::Json),
                variants: alloc::vec![],
                grpc_status: 14,
                grpc_message: Template::default(),
            }),
        ),
    ];
    assert_eq!(parsed.limits.stale_bytes, 8_388_608);
    assert!(parsed.host.headers_stop_iteration);
    assert_eq!(parsed.limits.keys, 1_000, "{path:?}");
    assert_eq!(parsed.policies.remove(0), expected);
}
