//! Requests as fast as they are answered, over connections that stay.

use std::net::SocketAddr;

use spillway_tests::Client;
use tokio::task::JoinSet;

use crate::Arguments;

/// The callers of one listener, with a connection each.
pub struct Load {
    callers: Vec<Client>,
    /// Requests that each of them sends in a turn.
    requests: u32,
}

impl Load {
    pub fn on(listener: SocketAddr, arguments: &Arguments) -> Self {
        let callers = 0..arguments.connections;
        Self {
            callers: callers.map(|_| Client::new(listener)).collect(),
            requests: arguments.requests.div_ceil(arguments.connections),
        }
    }

    /// Sends the requests of a turn; returns how many they were.
    pub async fn send(&self) -> u32 {
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
