//! A cluster: the proxy's limits for it, and the service behind them.
//!
//! Two places where a request can wait, as in life: in the proxy for a connection, and
//! in the service's own line for a free worker. The service is a queue with `capacity`
//! servers, so overload is real: when more comes than it can do, the line grows, and
//! answers come late though nothing is broken.
//!
//! One attempt is one job. It outlives its caller: a service that does not notice
//! that nobody waits any more does the work all the same, and its worker is not free
//! for others meanwhile. That is what makes retry storms last.
//!
//! Invariants: `serving` counts the jobs that hold a worker, at most the capacity of
//! the time they began; `connected` those that the proxy has on a connection, `pending`
//! those that wait for one.

use std::collections::VecDeque;

use slotmap::{SlotMap, new_key_type};

use crate::headers::HeaderMap;
use crate::model::answers::UNAVAILABLE;
use crate::model::distribution::Distribution;
use crate::model::fault::Faults;
use crate::model::spec::{Calls, Cluster, Limits, UpstreamProtocol};
use crate::sim::clock::Time;
use crate::sim::rng::Rng;
use crate::sim::span::Span;

new_key_type! {
    /// One attempt at an upstream.
    pub struct JobKey;
}

/// What comes back to the proxy for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer.
    Answer(Answer),
    /// A chunk of an answer whose headers came earlier, by its number from 0.
    Chunk(u32),
    /// The rest of an answer whose headers came earlier.
    Rest,
    /// The connection ended within an answer whose headers came earlier.
    Break,
    /// The connection was refused.
    Refused,
    /// The connection was not made in time.
    Unreachable,
    /// The connection ended before an answer.
    Reset,
}

/// An answer, or its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The gRPC status, and where it stands.
    pub grpc: Option<(u32, GrpcPlace)>,
    /// Whether body and trailers come at the same time; else [`Reply::Rest`] or
    /// [`Reply::Break`] follows.
    pub complete: bool,
    /// Whether it is the answer of a service that works.
    pub healthy: bool,
}

impl Answer {
    /// The answer of a service that cannot serve: 503, or gRPC's word for it.
    fn unavailable(grpc: bool) -> Answer {
        Answer {
            status: if grpc { 200 } else { 503 },
            grpc: grpc.then_some((UNAVAILABLE, GrpcPlace::Headers)),
            complete: true,
            healthy: false,
        }
    }
}

/// Where a gRPC status stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcPlace {
    /// In headers that are the whole answer.
    Headers,
    /// In trailers after headers and body.
    Trailers,
}

/// Why the proxy does not even try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoHealthyHost,
    /// The proxy's limit of requests that wait for a connection.
    PendingOverflow,
    /// The proxy's limit of requests.
    Overflow,
}

/// An attempt on its way to a cluster.
pub struct Attempt<O> {
    /// Who waits for what comes of it.
    pub owner: O,
    pub grpc: bool,
    /// Whether all of the request is there; else [`Upstream::complete`] follows.
    pub whole: bool,
    /// Its headers, if the service looks at them: see [`Upstream::call`].
    pub headers: Option<HeaderMap>,
}

/// Jobs that are to be woken, each with its time.
pub type Wakes = Vec<(Time, JobKey)>;

/// One cluster; `O` is who waits for an attempt.
pub struct Upstream<O> {
    spec: Cluster,
    latency: Distribution,
    rng: Rng,
    /// What is wrong with it just now.
    pub faults: Faults,
    jobs: SlotMap<JobKey, Job<O>>,
    pool: VecDeque<JobKey>,
    pending: u32,
    connected: u32,
    serving: u32,
    line: VecDeque<JobKey>,
    retries: u32,
}

struct Job<O> {
    /// None once nobody waits for it.
    owner: Option<O>,
    place: Place,
    reply: Reply,
    grpc: bool,
    whole: bool,
    /// Chunks of the answer's body that have come.
    chunks: u32,
    /// What it came with, until the service has called another with it; none for a service
    /// that calls nobody.
    headers: Option<HeaderMap>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Waits in the proxy for a connection.
    Pool,
    /// Its body is still on its way.
    Receiving,
    /// The same, and the service will end the connection.
    Cut,
    /// Waits in the service.
    Line,
    /// Is worked on.
    Served,
    /// Holds a worker and will never end.
    Hung,
    /// Its answer's headers are out, its body is not.
    Streaming,
    /// Was refused without taking a worker.
    TurnedAway,
}

impl<O: Copy> Upstream<O> {
    /// A cluster without any request.
    pub fn new(spec: Cluster, rng: Rng) -> Upstream<O> {
        Upstream {
            latency: spec.latency.into(),
            spec,
            rng,
            faults: Faults::default(),
            jobs: SlotMap::with_key(),
            pool: VecDeque::new(),
            pending: 0,
            connected: 0,
            serving: 0,
            line: VecDeque::new(),
            retries: 0,
        }
    }

    /// What it was made of.
    pub fn spec(&self) -> &Cluster {
        &self.spec
    }

    /// Requests that it works on, and those that wait in its line.
    pub fn load(&self) -> (u32, u32) {
        (
            self.serving,
            u32::try_from(self.line.len()).unwrap_or(u32::MAX),
        )
    }

    /// Begins an attempt. What comes of it, [`Upstream::wake`] tells at the times that are
    /// added to `wakes`.
    ///
    /// # Errors
    ///
    /// Where the proxy does not let the request out.
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
        // A request without a connection waits for one, be it for no time.
        if max_pending_requests == 0 {
            return Err(Refusal::PendingOverflow);
        }
        if self.connected >= max_requests {
            return Err(Refusal::Overflow);
        }
        let job = Job {
            owner: Some(attempt.owner),
            place: Place::Pool,
            reply: Reply::Reset,
            grpc: attempt.grpc,
            whole: attempt.whole,
            chunks: 0,
            headers: self.calls().map(|_| attempt.headers.unwrap_or_default()),
        };
        // A pool without any connection may always open one, whatever the limit says.
        let full = self.spec.protocol == UpstreamProtocol::Http1
            && self.connected >= max_connections.max(1);
        if full && self.pending >= max_pending_requests {
            return Err(Refusal::PendingOverflow);
        }
        let key = self.jobs.insert(job);
        if full {
            self.pending += 1;
            self.pool.push_back(key);
        } else {
            self.connect(key, now, wakes);
        }
        Ok(key)
    }

    /// All of the request of `key` has come.
    pub fn complete(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        let Some(job) = self.jobs.get_mut(key) else {
            return;
        };
        job.whole = true;
        if job.place == Place::Receiving {
            self.admit(key, now, wakes);
        }
    }

    /// What the service asks of another, if it does.
    pub fn calls(&self) -> Option<&Calls> {
        self.spec.calls.as_ref()
    }

    /// The time of `key` has come, and the service needs another one to answer it: gives the
    /// headers that `key` came with. It keeps its worker, and nothing comes of it before
    /// [`Upstream::called`].
    pub fn call(&mut self, key: JobKey) -> Option<HeaderMap> {
        let job = self.jobs.get_mut(key)?;
        match job.reply {
            Reply::Answer(answer) if answer.healthy => job.headers.take(),
            _ => None,
        }
    }

    /// What the service asked for `key` went well, or did not: it answers now.
    pub fn called(&mut self, key: JobKey, well: bool, now: Time, wakes: &mut Wakes) {
        let Some(job) = self.jobs.get_mut(key) else {
            return;
        };
        if !well {
            job.reply = Reply::Answer(Answer::unavailable(job.grpc));
        }
        wakes.push((now, key));
    }

    /// The time of `key` has come: gives what goes to whom, if anybody still waits.
    pub fn wake(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) -> Option<(O, Reply)> {
        let job = self.jobs.get_mut(key)?;
        if job.place == Place::Cut && job.whole {
            self.admit(key, now, wakes);
            return None;
        }
        let told = job.owner.map(|owner| (owner, job.reply));
        let spec = &self.spec.answer;
        let healthy = match job.reply {
            Reply::Answer(answer) if !answer.complete => Some(answer.healthy),
            Reply::Chunk(_) => Some(true),
            _ => None,
        };
        if let Some(healthy) = healthy {
            let chunks = spec.body_chunks.max(1);
            let last = job.chunks + 1 >= chunks;
            // What was upgraded ends with its connection.
            let ends_well = healthy && spec.status != SWITCHING;
            job.reply = match (last || !healthy, ends_well) {
                (false, _) => Reply::Chunk(job.chunks),
                (true, true) => Reply::Rest,
                (true, false) => Reply::Break,
            };
            job.chunks += 1;
            job.place = Place::Streaming;
            let parts = if healthy { u64::from(chunks) } else { 1 };
            wakes.push((now + Span::from_ns(spec.body_time.as_ns() / parts), key));
            return told;
        }
        self.remove(key, now, wakes);
        told
    }

    /// Nobody waits for `key` any more.
    pub fn cancel(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        let Some(job) = self.jobs.get_mut(key) else {
            return;
        };
        let notices = self.spec.notices_cancel;
        match job.place {
            // Its turn in the pool finds it gone.
            Place::Pool => {
                self.jobs.remove(key);
                self.pending -= 1;
            }
            Place::Line | Place::Served | Place::Streaming if !notices => {
                if job.owner.take().is_some() {
                    self.disconnect(now, wakes);
                }
            }
            Place::Line => {
                self.line.retain(|other| *other != key);
                self.remove(key, now, wakes);
            }
            Place::Served
            | Place::Streaming
            | Place::Hung
            | Place::TurnedAway
            | Place::Receiving
            | Place::Cut => {
                self.remove(key, now, wakes);
            }
        }
    }

    /// Counts a retry against the proxy's limit for them; false if that is reached.
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

    /// A retry that [`Upstream::begin_retry`] counted is over.
    pub fn end_retry(&mut self) {
        self.retries = self.retries.saturating_sub(1);
    }

    /// A fault began or ended: more capacity takes waiting requests at once.
    pub fn refresh(&mut self, now: Time, wakes: &mut Wakes) {
        self.serve_waiting(now, wakes);
    }

    fn connect(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        self.connected += 1;
        let whole = self.jobs.get(key).is_none_or(|job| job.whole);
        if self.faults.refuses(&mut self.rng) {
            self.turn_away(key, Reply::Refused, now, wakes);
        } else if self.faults.unreachable(&mut self.rng) {
            let until = now + self.spec.connect_timeout;
            self.turn_away(key, Reply::Unreachable, until, wakes);
        } else if !whole && self.faults.cuts_upload(&mut self.rng) {
            self.place(key, Place::Cut);
            let took = self.faults.latency(self.latency, &mut self.rng);
            wakes.push((now + took, key));
        } else if whole || self.spec.answers_early {
            self.admit(key, now, wakes);
        } else {
            self.place(key, Place::Receiving);
        }
    }

    /// The service has the request, and takes it up if it can.
    fn admit(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        let capacity = self.capacity();
        if self.serving < capacity {
            self.serve(key, now, wakes);
        } else if self.line.len() < self.spec.line as usize {
            self.place(key, Place::Line);
            self.line.push_back(key);
        } else {
            let answer = Answer::unavailable(false);
            self.turn_away(key, Reply::Answer(answer), now, wakes);
        }
    }

    fn capacity(&self) -> u32 {
        let own = self.faults.capacity().or(self.spec.capacity);
        own.unwrap_or(u32::MAX)
    }

    fn turn_away(&mut self, key: JobKey, reply: Reply, now: Time, wakes: &mut Wakes) {
        if let Some(job) = self.jobs.get_mut(key) {
            job.place = Place::TurnedAway;
            job.reply = reply;
        }
        wakes.push((now, key));
    }

    fn serve(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        let Some(job) = self.jobs.get_mut(key) else {
            return;
        };
        self.serving += 1;
        let took = self.faults.latency(self.latency, &mut self.rng);
        match self
            .faults
            .reply(&self.spec.answer, job.grpc, &mut self.rng)
        {
            Some(reply) => {
                job.reply = reply;
                job.place = Place::Served;
                wakes.push((now + took, key));
            }
            None => job.place = Place::Hung,
        }
    }

    /// Ends a job and lets those in who waited for its place.
    fn remove(&mut self, key: JobKey, now: Time, wakes: &mut Wakes) {
        let Some(job) = self.jobs.remove(key) else {
            return;
        };
        if matches!(job.place, Place::Served | Place::Hung | Place::Streaming) {
            self.serving -= 1;
            self.serve_waiting(now, wakes);
        }
        if job.owner.is_some() {
            self.disconnect(now, wakes);
        }
    }

    fn serve_waiting(&mut self, now: Time, wakes: &mut Wakes) {
        while self.serving < self.capacity() {
            let Some(next) = self.line.pop_front() else {
                return;
            };
            self.serve(next, now, wakes);
        }
    }

    fn disconnect(&mut self, now: Time, wakes: &mut Wakes) {
        self.connected -= 1;
        while let Some(next) = self.pool.pop_front() {
            if self.jobs.contains_key(next) {
                self.pending -= 1;
                self.connect(next, now, wakes);
                return;
            }
        }
    }

    fn place(&mut self, key: JobKey, place: Place) {
        if let Some(job) = self.jobs.get_mut(key) {
            job.place = place;
        }
    }
}

/// The status of an answer that makes the connection a stream of its own.
pub const SWITCHING: u16 = 101;

#[cfg(test)]
mod tests;
