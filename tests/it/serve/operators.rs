//! The operators' address: the page in a real browser, and the API.

use serde_json::json;
use spillway_tests::client::request;
use spillway_tests::{Browser, Client, Reply, eventually};

use super::{lasting, scene};
use crate::scene::{rejected, untouched};

#[tokio::test]
async fn the_page_shows_an_open_circuit_and_forces_it() {
    let (upstream, serve) = scene(&lasting()).await;
    upstream.reply(Reply::status(503));
    assert_eq!(serve.client().get("/").await.status, 503);
    upstream.reply(Reply::status(200));

    let mut page = Browser::open(&format!("http://{}/", serve.operators().address())).await;
    let shows = async |page: &mut Browser, selector: &str, text: &str| {
        eventually(&format!("{text:?} at {selector}"), async || {
            page.texts(selector).await == [text]
        })
        .await;
    };
    shows(&mut page, "[data-circuit] .policy", "p").await;
    shows(&mut page, "[data-circuit] [data-state=open] b", "open").await;
    let steps = [
        ("force_closed", "forced_closed", "forced closed"),
        ("automatic", "open", "open"),
        ("reset", "closed", "closed"),
        ("force_open", "forced_open", "forced open"),
    ];
    for (action, state, text) in steps {
        page.click("[data-circuit] button").await;
        page.click(&format!("[value={action}]")).await;
        page.click("#apply").await;
        shows(
            &mut page,
            &format!("[data-circuit] [data-state={state}] b"),
            text,
        )
        .await;
        // Connections take turns among the workers, and each worker learns of the change.
        let is_open = state.ends_with("open");
        eventually(state, async || {
            let client = Client::unpooled(serve.address());
            let mut all = true;
            for _ in 0..4 {
                all &= (client.get("/").await.header("x-circuit-state") == state) == is_open;
            }
            all
        })
        .await;
    }
    rejected(&serve.client().get("/").await, "forced_open");
    assert_eq!(page.complaints().await, [] as [String; 0]);
}

#[tokio::test]
async fn the_api_and_the_metrics_are_on_the_operators_address_alone() {
    let (upstream, serve) = scene(&lasting()).await;
    let operators = serve.operators();
    untouched(&serve.client().get("/").await);
    let path = "/spillway/circuits/p?action=force_open&for=10m";
    assert_eq!(
        operators.send(request("PUT", path, &[], "")).await.status,
        200
    );
    let circuits = operators.get("/spillway/circuits").await.json();
    assert_eq!(circuits["circuits"][0]["state"], json!("forced_open"));

    let first = operators.get("/").await;
    assert_eq!(
        (first.status, first.header("location")),
        (302, "/spillway/")
    );
    let metrics = operators.get("/metrics").await;
    assert_eq!(
        (metrics.status, metrics.header("content-type")),
        (200, "text/plain; charset=UTF-8")
    );
    assert!(
        metrics
            .text()
            .contains("# TYPE spillway_requests_total counter\n")
    );
    let head = operators.send(request("HEAD", "/metrics", &[], "")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));

    // For clients these paths are the upstream's.
    let client = serve.client();
    let reset = "/spillway/circuits/p?action=reset";
    assert_eq!(
        operators.send(request("PUT", reset, &[], "")).await.status,
        200
    );
    upstream.forget();
    eventually("an upstream that is asked", async || {
        client.get("/metrics").await.text() == "ok"
    })
    .await;
    assert_eq!(client.get("/spillway/circuits").await.text(), "ok");
    assert_eq!(upstream.hits_on("/spillway/circuits"), 1);
}
