//! A closed-loop load generator: each connection sends its next request once the previous one has
//! its response.

use std::net::SocketAddr;

use spillway_tests::Client;
use tokio::task::JoinSet;

use crate::Arguments;

/// The clients of one listener, with one connection each.
pub(crate) struct Load {
    callers: Vec<Client>,
    /// Number of requests that each client sends per turn.
    requests: u32,
}

impl Load {
    pub(crate) fn on(listener: SocketAddr, arguments: &Arguments) -> Self {
        let callers = 0..arguments.connections;
        Self {
            callers: callers.map(|_| Client::new(listener)).collect(),
            requests: arguments.requests.div_ceil(arguments.connections),
        }
    }

    /// Sends the requests of one turn. Returns their number.
    pub(crate) async fn send(&self) -> u32 {
        let mut turns = JoinSet::new();
        for caller in &self.callers {
            let (caller, requests) = (caller.clone(), self.requests);
            turns.spawn(async move {
                for _ in 0..requests {
                    assert_eq!(caller.get("/").await.status, 200);
                }
            });
        }
        turns.join_all().await;
        self.requests * self.callers.len() as u32
    }
}
