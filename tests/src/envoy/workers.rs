//! Selection of the worker that serves a request.
//!
//! Envoy assigns a worker to each connection when it accepts it, not to each request. A client that
//! stays on one connection therefore stays with one worker. With
//! [`Setting::balanced`](super::Setting::balanced), opening one connection per worker reaches every
//! worker.

use super::Envoy;
use super::setting::INGRESS;
use crate::client::Client;
use crate::eventually::eventually;

impl Envoy {
    /// Creates one client per worker. They live until the listener is replaced. Other connections
    /// must be equally many on each worker, and must stay open.
    ///
    /// # Panics
    ///
    /// Panics if the setting was not balanced, or if a worker got no connection.
    pub async fn client_per_worker(&self) -> Vec<Client> {
        assert!(self.setting.balanced, "connections are not balanced");
        let before = self.connections_per_worker().await;
        let mut clients = Vec::new();
        for _ in 0..self.setting.concurrency {
            clients.push(Client::connected(self.address()).await);
        }
        let expected: Vec<u64> = before.iter().map(|count| count + 1).collect();
        eventually("a new connection on each worker", async || {
            self.connections_per_worker().await == expected
        })
        .await;
        clients
    }

    async fn connections_per_worker(&self) -> Vec<u64> {
        let mut counts = Vec::new();
        for worker in 0..self.setting.concurrency {
            let name = format!("listener.{INGRESS}.worker_{worker}.downstream_cx_total");
            counts.push(self.stat(&name).await);
        }
        counts
    }
}
