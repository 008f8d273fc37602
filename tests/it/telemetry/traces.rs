//! The decision as an attribute of the request's span, by the tracing that the guide shows.

use std::collections::BTreeSet;

use prost::Message;
use serde_json::json;
use spillway_tests::{Envoy, Reply, Upstream, eventually};

use super::collector;
use crate::docs::proxy::envoy_example;
use crate::scene::{policy, touchy};

/// The parts of OTLP's export request for traces that the test reads.
#[derive(Clone, PartialEq, Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, tag = "1")]
    text: String,
}

impl Span {
    fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|it| it.key == name)?;
        Some(&found.value.as_ref()?.text)
    }
}

/// All spans that the collector has received.
fn spans(collector: &Upstream) -> Vec<Span> {
    let requests = collector.requests().into_iter();
    let bodies = requests.map(|seen| {
        assert_eq!(seen.uri.path(), "/v1/traces");
        ExportRequest::decode(seen.body).expect("an export request")
    });
    let resources = bodies.flat_map(|it| it.resources);
    resources
        .flat_map(|it| it.scopes)
        .flat_map(|it| it.spans)
        .collect()
}

#[tokio::test]
async fn the_decision_is_an_attribute_of_the_span() {
    let (collects, upstream) = (Upstream::start().await, Upstream::start().await);
    let breaker = touchy(json!({"open": {"duration": "60s", "jitter": 0}}));
    let envoy = Envoy::in_front_of(upstream.address())
        .clusters(collector(&collects))
        .manager(envoy_example("tracing"))
        .policy(policy(json!({"circuit_breaker": breaker})))
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 200);
    upstream.reply(Reply::status(503));
    assert_eq!(envoy.get("/").await.status, 503);
    for _ in 0..8 {
        assert_eq!(envoy.get("/").await.status, 503);
    }
    eventually("ten spans", async || spans(&collects).len() >= 10).await;
    let spans = spans(&collects);
    let seen: BTreeSet<Option<&str>> = spans.iter().map(|it| it.attribute("spillway")).collect();
    let rejected = "policy=p state=open decision=reject";
    assert_eq!(seen, [None, Some(rejected)].into());
    let rejections = spans.iter().filter(|it| it.attribute("spillway").is_some());
    assert_eq!(rejections.count(), 8);
}
