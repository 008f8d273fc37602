//! A cluster: the proxy's limits for it, and the service behind them.
//!
//! A request can wait in two places: in the proxy for a connection, and in the service's
//! queue for a free worker. The service has `capacity` workers, so overload is real: when
//! more arrives than it can serve, the queue grows and responses come late although
//! nothing is broken.
//!
//! One attempt is one job, and a job may outlive its caller. A service that does not notice
//! that the caller has left finishes the work, and its worker is not free for others
//! meanwhile. This is what makes retry storms last.
//!
//! Invariants: `serving` counts the jobs that hold a worker, at most the capacity at the
//! time they began; `connected` counts the jobs that the proxy has on a connection,
//! `pending` those that wait for one.

mod job;

use std::collections::VecDeque;

use slotmap::SlotMap;

use crate::framing::SWITCHING_PROTOCOLS;
use crate::headers::HeaderMap;
use crate::model::distribution::Distribution;
use crate::model::fault::Faults;
use crate::model::recorded::Ending;
use crate::model::response::{Response, UpstreamEvent};
use crate::model::spec::{Calls, Cluster, Limits, UpstreamProtocol};
use crate::sim::clock::Time;
use crate::sim::rng::Rng;
use crate::sim::span::Span;

pub use job::{Attempt, JobKey, Refusal, Wakes};

use job::{Job, JobState};

/// One cluster. `O` identifies who waits for an attempt.
pub struct Upstream<O> {
    spec: Cluster,
    latency: Distribution,
    rng: Rng,
    /// The faults in effect.
    pub faults: Faults,
    jobs: SlotMap<JobKey, Job<O>>,
    /// Jobs that wait for a connection. Cancelled ones stay until their turn.
    waiting: VecDeque<JobKey>,
    pending: u32,
    connected: u32,
    serving: u32,
    queue: VecDeque<JobKey>,
    retries: u32,
    /// How the latest request of a recording ended.
    latest: Option<Ending>,
}

impl<O: Copy> Upstream<O> {
    /// Creates a cluster without requests.
    pub fn new(spec: Cluster, rng: Rng) -> Upstream<O> {
        Upstream {
            latency: spec.latency.into(),
            spec,
            rng,
            faults: Faults::default(),
            jobs: SlotMap::with_key(),
            waiting: VecDeque::new(),
            pending: 0,
            connected: 0,
            serving: 0,
            queue: VecDeque::new(),
            retries: 0,
            latest: None,
        }
    }

    /// Returns the specification.
    pub fn spec(&self) -> &Cluster {
        &self.spec
    }

    /// Returns the number of requests being served and of those in the queue.
    pub fn load(&self) -> (u32, u32) {
        (
            self.serving,
            u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
        )
    }

    /// Sets the ending of attempts that have none of their own.
    pub fn recall(&mut self, ending: Ending) {
        self.latest = Some(ending);
    }

    /// Begins an attempt. Its events come from [`Upstream::wake`], called at the times that
    /// are added to `wakes`.
    ///
    /// # Errors
    ///
    /// If the proxy does not send the request.
    pub fn begin(
        &mut self,
        attempt: Attempt<O>,
        now: Time,
        wakes: &mut Wakes,
    ) -> Result<JobKey, Refusal> {
        if self.faults.unhealthy() || self.faults.unresolved() {
            return Err(Refusal::NoHealthyHost);
        }
        let Limits {
            max_connections,
            max_pending_requests,
            max_requests,
            ..
        } = self.spec.limits;
        // Every new connection counts as pending, so a limit of 0 rejects all requests.
        if max_pending_requests == 0 {
            return Err(Refusal::PendingOverflow);
        }
        if self.connected >= max_requests {
            return Err(Refusal::Overflow);
        }
        let job = Job {
            owner: Some(attempt.owner),
            state: JobState::Pending,
            next: UpstreamEvent::Reset,
            grpc: attempt.grpc,
            whole: attempt.whole,
            writable: attempt.writable,
            ending: attempt.ending,
            chunks: 0,
            headers: self.calls().map(|_| attempt.headers.unwrap_or_default()),
        };
        // Envoy always allows one connection, whatever the limit says.
        let full = self.spec.protocol == UpstreamProtocol::Http1
            && self.connected >= max_connections.max(1);
        if full && self.pending >= max_pending_requests {
            return Err(Refusal::PendingOverflow);
        }
        let key = self.jobs.insert(job);
        if full {
            self.pending += 1;
            self.waiting.push_back(key);
        } else {
            self.connect(key, now, wakes);
        }
        Ok(key)
    }

    /// The whole request of `key` has arrived.
    pub fn complete(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        let Some(job) = self.jobs.get_mut(key) else {
            return;
        };
        job.whole = true;
        if job.state == JobState::Receiving {
            self.admit(key, now, wakes);
        }
    }

    /// Returns the call that the service makes to another one, if it makes one.
    pub fn calls(&self) -> Option<&Calls> {
        self.spec.calls.as_ref()
    }

    /// Returns the request headers of `key` if its service now has to call another one. The
    /// job keeps its worker and has no event before [`Upstream::call_ended`].
    pub fn headers_to_forward(&mut self, key: JobKey) -> Option<HeaderMap> {
        let job = self.jobs.get_mut(key)?;
        match job.next {
            UpstreamEvent::Response(response) if response.healthy => job.headers.take(),
            _ => None,
        }
    }

    /// The call that the service made for `key` has ended: it responds now.
    pub fn call_ended(&mut self, key: JobKey, success: bool, now: Time, wakes: &mut Wakes) {
        let Some(job) = self.jobs.get_mut(key) else {
            return;
        };
        if !success {
            job.next = UpstreamEvent::Response(Response::unavailable(job.grpc));
        }
        wakes.push((now, key));
    }

    /// Wakes `key` at its time. Returns the event and who waits for it, if anybody still does.
    pub fn wake(
        &mut self,
        key: JobKey,
        now: Time,
        wakes: &mut Wakes,
    ) -> Option<(O, UpstreamEvent)> {
        let job = self.jobs.get_mut(key)?;
        if job.state == JobState::Cut && job.whole {
            self.admit(key, now, wakes);
            return None;
        }
        let event = job.owner.map(|owner| (owner, job.next));
        let spec = &self.spec.answer;
        let healthy = match job.next {
            UpstreamEvent::Response(response) if !response.complete => Some(response.healthy),
            UpstreamEvent::Chunk(_) => Some(true),
            _ => None,
        };
        if let Some(healthy) = healthy {
            let chunks = spec.body_chunks.max(1);
            let last = job.chunks + 1 >= chunks;
            // An upgraded stream has no end but that of its connection.
            let ends_well = healthy && spec.status != SWITCHING_PROTOCOLS;
            job.next = match (last || !healthy, ends_well) {
                (false, _) => UpstreamEvent::Chunk(job.chunks),
                (true, true) => UpstreamEvent::Rest,
                (true, false) => UpstreamEvent::Break,
            };
            job.chunks += 1;
            job.state = JobState::Streaming;
            let parts = if healthy { u64::from(chunks) } else { 1 };
            wakes.push((now + Span::from_ns(spec.body_time.as_ns() / parts), key));
            return event;
        }
        self.remove(key, now, wakes);
        event
    }

    /// Cancels `key`: nobody waits for it any more.
    pub fn cancel(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        let Some(job) = self.jobs.get_mut(key) else {
            return;
        };
        let notices = self.spec.notices_cancel;
        match job.state {
            // Its key stays in `waiting`, and `disconnect` skips it.
            JobState::Pending => {
                self.jobs.remove(key);
                self.pending -= 1;
            }
            JobState::Queued | JobState::Served | JobState::Streaming if !notices => {
                if job.owner.take().is_some() {
                    self.disconnect(now, wakes);
                }
            }
            JobState::Queued => {
                self.queue.retain(|other| *other != key);
                self.remove(key, now, wakes);
            }
            JobState::Served
            | JobState::Streaming
            | JobState::Hung
            | JobState::Rejected
            | JobState::Receiving
            | JobState::Cut => {
                self.remove(key, now, wakes);
            }
        }
    }

    /// Counts a retry against the proxy's retry limit. Returns false if the limit is reached.
    pub fn begin_retry(&mut self) -> bool {
        let Limits {
            max_retries,
            retry_budget,
            ..
        } = &self.spec.limits;
        let limit = match retry_budget {
            None => u64::from(*max_retries),
            Some(budget) => {
                let live = u64::from(self.connected) + u64::from(self.pending);
                let share = live * u64::from(budget.budget_percent.as_bp()) / 10_000;
                share.max(u64::from(budget.min_retry_concurrency))
            }
        };
        let allowed = u64::from(self.retries) < limit;
        self.retries += u32::from(allowed);
        allowed
    }

    /// Ends a retry that [`Upstream::begin_retry`] counted.
    pub fn end_retry(&mut self) {
        self.retries = self.retries.saturating_sub(1);
    }

    /// Serves queued requests after a fault has begun or ended, since capacity may have grown.
    pub fn refresh(&mut self, now: Time, wakes: &mut Wakes) {
        self.serve_waiting(now, wakes);
    }

    fn connect(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        self.connected += 1;
        let job = self.jobs.get(key);
        let (whole, writable) = job.map_or((true, true), |job| (job.whole, job.writable));
        if self.faults.refuses(&mut self.rng) {
            self.reject(key, UpstreamEvent::Refused, now, wakes);
        } else if self.faults.unreachable(&mut self.rng) {
            let until = now + self.spec.connect_timeout;
            self.reject(key, UpstreamEvent::Unreachable, until, wakes);
        } else if !writable {
            self.reject(key, UpstreamEvent::Unwritable, now, wakes);
        } else if !whole && self.faults.cuts_upload(&mut self.rng) {
            self.set_state(key, JobState::Cut);
            let took = self.faults.latency(self.latency, &mut self.rng);
            wakes.push((now + took, key));
        } else if whole || self.spec.answers_early {
            self.admit(key, now, wakes);
        } else {
            self.set_state(key, JobState::Receiving);
        }
    }

    /// Hands the request to the service, which serves, queues or rejects it.
    fn admit(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        let capacity = self.capacity();
        if self.serving < capacity {
            self.serve(key, now, wakes);
        } else if self.queue.len() < self.spec.line as usize {
            self.set_state(key, JobState::Queued);
            self.queue.push_back(key);
        } else {
            let response = Response::unavailable(false);
            self.reject(key, UpstreamEvent::Response(response), now, wakes);
        }
    }

    fn capacity(&self) -> u32 {
        let limit = self.faults.capacity().or(self.spec.capacity);
        limit.unwrap_or(u32::MAX)
    }

    fn reject(&mut self, key: JobKey, event: UpstreamEvent, now: Time, wakes: &mut Wakes) {
        if let Some(job) = self.jobs.get_mut(key) {
            job.state = JobState::Rejected;
            job.next = event;
        }
        wakes.push((now, key));
    }

    fn serve(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        let Some(job) = self.jobs.get_mut(key) else {
            return;
        };
        self.serving += 1;
        if let Some(Ending { took, event }) = job.ending.or(self.latest) {
            job.next = event;
            job.state = JobState::Served;
            wakes.push((now + took, key));
            return;
        }
        let took = self.faults.latency(self.latency, &mut self.rng);
        match self
            .faults
            .event(&self.spec.answer, job.grpc, &mut self.rng)
        {
            Some(event) => {
                job.next = event;
                job.state = JobState::Served;
                wakes.push((now + took, key));
            }
            None => job.state = JobState::Hung,
        }
    }

    /// Ends a job and frees its worker and connection for others.
    fn remove(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        let Some(job) = self.jobs.remove(key) else {
            return;
        };
        if matches!(
            job.state,
            JobState::Served | JobState::Hung | JobState::Streaming
        ) {
            self.serving -= 1;
            self.serve_waiting(now, wakes);
        }
        if job.owner.is_some() {
            self.disconnect(now, wakes);
        }
    }

    fn serve_waiting(&mut self, now: Time, wakes: &mut Wakes) {
        while self.serving < self.capacity() {
            let Some(next) = self.queue.pop_front() else {
                return;
            };
            self.serve(next, now, wakes);
        }
    }

    fn disconnect(&mut self, now: Time, wakes: &mut Wakes) {
        self.connected -= 1;
        while let Some(next) = self.waiting.pop_front() {
            if self.jobs.contains_key(next) {
                self.pending -= 1;
                self.connect(next, now, wakes);
                return;
            }
        }
    }

    fn set_state(&mut self, key: JobKey, state: JobState) {
        if let Some(job) = self.jobs.get_mut(key) {
            job.state = state;
        }
    }
}

#[cfg(test)]
mod tests;
