//! Calls of services to other services.
//!
//! Such a service is a client of the proxy: its calls are ordinary requests with a stream,
//! a route and retries of their own, but they do not count as calls of clients. The result
//! goes back to the waiting job through the queue, since a call may end while an effect is
//! handled.

use crate::headers::HeaderMap;
use crate::model::exchange::Caller;
use crate::model::spec::Calls;
use crate::model::upstream::JobKey;
use crate::model::world::clients::Sending;
use crate::model::world::event::Event;
use crate::model::world::state::World;

impl World {
    /// Begins the call that the service of `cluster` makes for `job`. `received` are the headers
    /// of the job's own request.
    pub(super) fn begin_service_call(&mut self, cluster: usize, job: JobKey, received: &HeaderMap) {
        let backend = &self.clusters[cluster];
        let (Some(source), Some(calls)) = (backend.source, backend.upstream.calls()) else {
            return;
        };
        let headers = forwarded_headers(calls, received);
        let sending = Sending {
            caller: Caller::Service { cluster, job },
            source,
            kind: 0,
            worker: self.sources[source].draw_worker(self.workers),
            client: None,
            recorded: None,
        };
        self.send_request(&sending, &headers);
    }

    /// Ends the call that a service made for `job`.
    pub(super) fn end_service_call(&mut self, cluster: usize, job: JobKey, success: bool) {
        let backend = &mut self.clusters[cluster];
        backend.nested.remove(job);
        backend
            .upstream
            .call_ended(job, success, self.now, &mut self.wakes);
        self.flush_wakes(cluster);
    }

    /// Cancels the call that a service made for `job`, since nobody waits for `job` any more. Only
    /// a service that notices the cancellation gives up.
    pub(super) fn cancel_service_call(&mut self, cluster: usize, job: JobKey) {
        let backend = &mut self.clusters[cluster];
        if !backend.upstream.spec().notices_cancel {
            return;
        }
        let Some(nested) = backend.nested.remove(job) else {
            return;
        };
        if let Some(exchange) = self.exchanges.get_mut(nested) {
            exchange.deadlines.patience = self.now;
            self.queue.push(self.now, Event::Deadline(nested));
        }
    }
}

/// Returns the received headers that the service forwards.
fn forwarded_headers(calls: &Calls, received: &HeaderMap) -> Vec<(String, Box<[u8]>)> {
    let names = calls.forwards.iter().map(|name| name.to_ascii_lowercase());
    let header = |name: String| {
        let value = received.value(name.as_bytes())?;
        Some((name, value.into()))
    };
    names.filter_map(header).collect()
}
