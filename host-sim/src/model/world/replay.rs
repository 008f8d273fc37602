//! Recorded requests: how they arrive, and how a recorded proxy ended them.

use crate::model::cause::LocalCause;
use crate::model::client::{RECORDED, Source};
use crate::model::keys::ExchangeKey;
use crate::model::recorded::Recording;
use crate::model::response::ProxyEnding;
use crate::model::retry::Reset;
use crate::model::world::state::World;
use crate::record::Failure;
use crate::sim::rng::Seed;

impl World {
    /// Adds the requests of a recording.
    pub fn replay(&mut self, recording: Box<dyn Recording>) {
        let source = self.sources.len();
        self.sources.push(Source::recorded(recording, Seed(0)));
        let names = &mut self.record.names;
        names.sources.push(RECORDED.into());
        names.kinds.push(vec!["request".into()]);
        self.prepare_arrivals(source);
    }

    /// Ends an attempt as the recorded proxy did.
    pub(super) fn end_by_proxy(&mut self, key: ExchangeKey, cluster: usize, ending: ProxyEnding) {
        let (cause, failure) = match ending {
            ProxyEnding::ClientLeft => return self.give_up(key),
            ProxyEnding::PerTryTimeout => {
                return self.fail_attempt(key, cluster, Reset::PerTryTimeout);
            }
            ProxyEnding::Overflow => return self.fail_attempt(key, cluster, Reset::Overflow),
            ProxyEnding::Idle => return self.end_stream(key, LocalCause::Idle),
            ProxyEnding::Duration => return self.end_stream(key, LocalCause::Duration),
            ProxyEnding::RouteTimeout => (LocalCause::RouteTimeout, Failure::RouteTimeout),
            ProxyEnding::MaxDuration => (LocalCause::MaxDuration, Failure::MaxDuration),
            ProxyEnding::NoHealthyHost => (LocalCause::NoHealthyHost, Failure::NoHealthyHost),
            ProxyEnding::Unresolved => (LocalCause::Unresolved, Failure::Unresolved),
        };
        self.time_out(key, Some(cluster), cause, failure);
    }
}
