//! Configuration updates of a running Envoy.

use super::{Envoy, Setting, bootstrap};
use crate::eventually::{eventually, found};

/// Envoy's verdict on a new configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    Accepted,
    /// Envoy rejected it, and the old one still serves.
    Refused,
}

impl Envoy {
    /// Gives the running Envoy a changed listener, such as one with another policy, and waits for
    /// its verdict. Existing connections keep the old listener for about a second, so send requests
    /// with [`crate::Client::unpooled`]. Clusters cannot be changed.
    ///
    /// # Panics
    ///
    /// Panics if Envoy was not started with [`Setting::listener_on_disk`].
    pub async fn update(&mut self, change: impl FnOnce(Setting) -> Setting) -> Update {
        assert!(
            self.setting.listener_on_disk,
            "only a listener on disk can be updated"
        );
        let before = self.verdicts().await;
        let changed = change(self.setting.clone());
        let version = before.accepted + before.refused + 1;
        let listener = bootstrap::discovery(&changed, self.process.folder(), version);
        self.process.replace("listeners.json", &listener);
        let verdict = found("Envoy's verdict on an update", async || {
            let now = self.verdicts().await;
            match now != before {
                true if now.accepted > before.accepted => Some(Update::Accepted),
                true => Some(Update::Refused),
                false => None,
            }
        })
        .await;
        if verdict == Update::Accepted {
            self.setting = changed;
        }
        verdict
    }

    /// Waits until connections from before the last update have closed.
    pub async fn old_connections_end(&self) {
        eventually("the end of the replaced listener", async || {
            let chains = self
                .stat("listener_manager.total_filter_chains_draining")
                .await;
            let listeners = self.stat("listener_manager.total_listeners_draining").await;
            chains == 0 && listeners == 0
        })
        .await;
    }

    async fn verdicts(&self) -> Verdicts {
        Verdicts {
            accepted: self.stat("listener_manager.lds.update_success").await,
            refused: self.stat("listener_manager.lds.update_rejected").await,
        }
    }
}

/// Numbers of accepted and rejected updates so far.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Verdicts {
    accepted: u64,
    refused: u64,
}
