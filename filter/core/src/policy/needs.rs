//! What a policy needs from the request, the response and the host.

use alloc::boxed::Box;

use super::fallback::{FallbackType, OnSet, Respond, RouteConfig, StaleConfig};
use super::outcome::JudgeAt;
use super::retry::BudgetConfig;
use super::{Mode, Policy};

impl Policy {
    /// Returns the retry budget of each key.
    #[inline]
    pub fn budget(&self) -> Option<&BudgetConfig> {
        self.retry.as_ref().map(|retry| &retry.budget)
    }

    /// Whether the response's headers alone decide the outcome.
    pub fn judges_at_headers(&self) -> bool {
        self.outcome.judge_at == JudgeAt::Headers
    }

    /// Whether some fixed response depends on the request: its path, its id, or its `accept`.
    pub fn echoes_request(&self) -> bool {
        self.responds().any(|(_, it)| it.echoes_request())
    }

    /// Whether some fixed response to a failure does. Those fields must be saved, since hosts
    /// discard a request's headers before the response's arrive.
    pub fn echoes_request_later(&self) -> bool {
        self.responds()
            .any(|(on, it)| on.wants_response() && it.echoes_request())
    }

    fn responds(&self) -> impl Iterator<Item = (OnSet, &Respond)> {
        self.fallback.iter().filter_map(|entry| match &entry.from {
            FallbackType::Respond(respond) => Some((entry.on, respond)),
            _ => None,
        })
    }

    /// Returns the entries that use the stale cache.
    pub fn stale(&self) -> impl Iterator<Item = &StaleConfig> + Clone {
        self.fallback.iter().filter_map(|entry| match &entry.from {
            FallbackType::Stale(stale) => Some(stale),
            _ => None,
        })
    }

    /// Returns the query parameters that do not select a stored response. All entries use the
    /// same responses, so none is ignored unless they agree.
    pub fn ignored_query(&self) -> &[Box<str>] {
        let mut entries = self.stale().map(|it| &*it.ignore_query);
        let first = entries.next().unwrap_or_default();
        if entries.all(|it| it == first) {
            first
        } else {
            &[]
        }
    }

    /// Whether successful responses are stored. Not in shadow mode, where none would be used.
    pub fn keeps_answers(&self) -> bool {
        self.mode != Mode::Shadow && self.stale().next().is_some()
    }

    /// Whether a stored response may replace one that failed.
    pub fn gives_stale_later(&self) -> bool {
        self.fallback
            .iter()
            .any(|entry| entry.on.wants_response() && matches!(entry.from, FallbackType::Stale(_)))
    }

    /// Whether another cluster may replace a response that failed. The request must be saved
    /// for that.
    pub fn asks_cluster_later(&self) -> bool {
        self.fallback.iter().any(|entry| {
            entry.on.wants_response() && matches!(entry.from, FallbackType::Cluster(_))
        })
    }

    /// Returns the headers that select another route.
    pub fn routes(&self) -> impl Iterator<Item = &RouteConfig> {
        self.fallback.iter().filter_map(|entry| match &entry.from {
            FallbackType::Route(route) => Some(route),
            _ => None,
        })
    }

    /// Whether some fallback depends on the upstream's response.
    pub fn wants_response(&self) -> bool {
        self.fallback.iter().any(|entry| entry.on.wants_response())
    }
}
