//! Chains: services that need other services.
//!
//! Such a service is a client of the proxy: what it asks is a request like any other, with
//! a stream, a route and retries of its own, but it is no call of a client and counts as
//! none. What comes of it goes back to the job that needed it by way of the queue, since
//! it may end within the handling of an effect.

use crate::headers::HeaderMap;
use crate::model::exchange::Caller;
use crate::model::spec::Calls;
use crate::model::upstream::JobKey;
use crate::model::world::clients::Sending;
use crate::model::world::{Event, World};

impl World {
    /// The service of `cluster` needs another one for `job`, which came with these headers.
    pub(super) fn call_on(&mut self, cluster: usize, job: JobKey, came_with: &HeaderMap) {
        let place = &self.clusters[cluster];
        let (Some(source), Some(calls)) = (place.source, place.upstream.calls()) else {
            return;
        };
        let headers = handed_on(calls, came_with);
        let sending = Sending {
            caller: Caller::Service { cluster, job },
            source,
            kind: 0,
            worker: self.sources[source].draw_worker(self.workers),
            client: None,
        };
        self.send_request(&sending, &headers);
    }

    /// What a service asked for `job` has ended, well or not.
    pub(super) fn end_call_on(&mut self, cluster: usize, job: JobKey, well: bool) {
        let place = &mut self.clusters[cluster];
        place.inner.remove(job);
        place.upstream.called(job, well, self.now, &mut self.wakes);
        self.flush_wakes(cluster);
    }

    /// Nobody waits for `job` any more: a service that notices loses its patience with what it
    /// asked for it.
    pub(super) fn drop_call_on(&mut self, cluster: usize, job: JobKey) {
        let place = &mut self.clusters[cluster];
        if !place.upstream.spec().notices_cancel {
            return;
        }
        let Some(inner) = place.inner.remove(job) else {
            return;
        };
        if let Some(exchange) = self.exchanges.get_mut(inner) {
            exchange.deadlines.patience = self.now;
            self.queue.push(self.now, Event::Deadline(inner));
        }
    }
}

/// The headers that the service hands on, of those that its own request came with.
fn handed_on(calls: &Calls, came_with: &HeaderMap) -> Vec<(String, Box<[u8]>)> {
    let names = calls.forwards.iter().map(|name| name.to_ascii_lowercase());
    let kept = |name: String| {
        let value = came_with.value(name.as_bytes())?;
        Some((name, value.into()))
    };
    names.filter_map(kept).collect()
}
