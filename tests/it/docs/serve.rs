//! Follows the documents' commands for `host-sim serve`. The proxy and the requests to it run as
//! they are written, except for ports.

use std::net::SocketAddr;

use spillway_tests::{Serve, Upstream, eventually};
use tempfile::TempDir;

use super::commands::lines;
use super::examples::Example;
use super::markdown::{Block, Document};
use super::sandbox::Sandbox;

/// Addresses of services in the documents.
const SERVICES: [&str; 2] = ["127.0.0.1:8080", "127.0.0.1:8081"];

/// The default addresses of the proxy, for clients and for operators.
const DEFAULTS: [&str; 2] = ["127.0.0.1:10000", "127.0.0.1:10001"];

/// Commands block their thread, so the upstream has another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_proxy_of_the_documents_starts_and_answers() {
    let mut requests = 0;
    for document in super::documents() {
        let blocks = document.blocks();
        let is_serve = |block| matches!(Example::of(block), Ok(Example::Serve));
        if !blocks.iter().any(is_serve) {
            continue;
        }
        requests += follow(&document, &blocks).await;
    }
    assert!(requests >= 6, "only {requests} requests were found");
}

/// Follows a document. Returns the number of requests.
async fn follow(document: &Document, blocks: &[Block]) -> usize {
    let (sandbox, upstream) = (Sandbox::new(), Upstream::start().await);
    let (mut serve, mut requests) = (None, 0);
    for block in blocks {
        let told = |why: &str| block.told(document, why);
        match Example::of(block) {
            // The proxy reads it.
            Ok(example @ Example::Policy) => {
                let checked = example.check(block, &sandbox);
                checked.unwrap_or_else(|why| panic!("{}", told(&why)));
            }
            Ok(Example::Serve) if block.language == "text" => {
                let serve: &Serve = serve.as_ref().expect("a proxy");
                assert!(
                    as_documented(serve).contains(&block.text),
                    "{}",
                    told("not printed")
                );
            }
            Ok(Example::Serve) => {
                for line in lines(block) {
                    if line.starts_with("host-sim ") {
                        serve = Some(start(&sandbox, &line, upstream.address()).await);
                    } else {
                        let serve = serve.as_ref().expect("a proxy");
                        // A busy computer may answer later than a plugin waits.
                        eventually(&told(&line), async || answers(&sandbox, serve, &line)).await;
                        requests += 1;
                    }
                }
            }
            _ => {}
        }
    }
    requests
}

/// Starts the proxy of a command in front of this upstream, on free ports.
async fn start(sandbox: &Sandbox, line: &str, upstream: SocketAddr) -> Serve {
    let upstream = upstream.to_string();
    let line = SERVICES.into_iter().fold(line.to_owned(), |line, service| {
        line.replace(service, &upstream)
    });
    let line = format!("exec {line} --listen 127.0.0.1:0 --operators 127.0.0.1:0");
    let folder = TempDir::with_prefix("spillway-").expect("a temporary folder");
    Serve::run(sandbox.command(&line), folder).await
}

/// What a proxy printed, with the default ports.
fn as_documented(serve: &Serve) -> String {
    let addresses = [serve.address(), serve.operators().address()];
    let pairs = addresses.iter().zip(DEFAULTS);
    pairs.fold(serve.log(), |log, (address, default)| {
        log.replace(&address.to_string(), default)
    })
}

/// Runs a `curl` command, and returns whether the response is a good one.
fn answers(sandbox: &Sandbox, serve: &Serve, line: &str) -> bool {
    let arguments = line.strip_prefix("curl -s ");
    let arguments = arguments.unwrap_or_else(|| panic!("nothing checks {line}"));
    let addresses = [serve.address(), serve.operators().address()];
    let pairs = addresses.iter().zip(DEFAULTS);
    let arguments = pairs.fold(arguments.to_owned(), |line, (address, default)| {
        line.replace(default, &address.to_string())
    });
    let output = sandbox.run(&format!("curl -sS --fail {arguments}"));
    output.status.success()
}
