//! Choosing the worker that serves a request.
//!
//! A worker is not chosen by the request but by the connection that it comes on, when Envoy
//! accepts that. So a client that stays on one connection stays with one worker, whichever it is;
//! and with [`Setting::balanced`](super::Setting::balanced) as many connections as there are
//! workers have one each.

use super::Envoy;
use super::setting::INGRESS;
use crate::client::Client;
use crate::eventually::eventually;

impl Envoy {
    /// A client for each worker. They live until the listener is replaced; other connections must
    /// be as many on each worker, and stay.
    ///
    /// # Panics
    ///
    /// Where the setting was not balanced, or a worker got none.
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
