//! Attempts: how they begin, fail and are retried.

use crate::framing::Fault;
use crate::model::cause::LocalCause;
use crate::model::exchange::{Exchange, NEVER, Phase};
use crate::model::keys::ExchangeKey;
use crate::model::recorded::Fate;
use crate::model::retry::Reset;
use crate::model::spec::{ATTEMPT_COUNT, UpstreamProtocol};
use crate::model::upstream::{Attempt, JobKey, Refusal};
use crate::model::world::event::Owner;
use crate::model::world::state::World;
use crate::proxy::stream::info::flag;
use crate::record::{Failure, What};
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// Status for a request that a service cannot read.
const BAD_REQUEST: u16 = 400;

impl World {
    /// Begins an attempt: the first one, or a retry after its backoff.
    pub(in crate::model::world) fn attempt(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let Some(cluster) = exchange.picked.as_ref().and_then(|picked| picked.cluster) else {
            return;
        };
        let backend = &mut self.clusters[cluster];
        exchange.attempts += 1;
        exchange.phase = Phase::Trying;
        exchange.deadlines.backoff = NEVER;
        let (request, nth) = (exchange.request, exchange.attempts);
        let note = What::Attempt {
            request,
            cluster: cluster as u16,
            nth: nth as u16,
        };
        self.record.note(self.now, note);
        let mut headers = exchange.headers.clone();
        if let Some(headers) = headers.as_mut().filter(|_| self.include_attempt_count) {
            headers.replace(ATTEMPT_COUNT.as_bytes(), nth.to_string().as_bytes());
        }
        let attempt = Attempt {
            owner: Owner::Exchange(key),
            grpc: exchange.grpc,
            whole: exchange.complete_at.is_some() && exchange.request_fault().is_none(),
            writable: exchange.unwritable.is_none(),
            headers,
            ending: exchange.fate.and_then(Fate::ending),
        };
        let begun = backend.upstream.begin(attempt, self.now, &mut self.wakes);
        if let Some(info) = self.host.info_mut(exchange.stream) {
            info.attempts = Some(nth.into());
            if matches!(begun, Ok(_) | Err(Refusal::Overflow)) {
                info.upstream_address = Some(backend.address.clone());
            }
        }
        match begun {
            Ok(job) => self.begin_job(key, cluster, job),
            Err(Refusal::NoHealthyHost) => {
                self.note_failure(key, cluster, Failure::NoHealthyHost);
                self.reply_locally(key, LocalCause::NoHealthyHost);
            }
            Err(Refusal::Overflow | Refusal::PendingOverflow) => {
                self.record
                    .count(self.now, |tally| tally.clusters[cluster].overflows += 1);
                self.fail_attempt(key, cluster, Reset::Overflow);
            }
        }
    }

    /// The cluster has taken an attempt.
    fn begin_job(&mut self, key: ExchangeKey, cluster: usize, job: JobKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.attempt = Some(job);
        if let Some(transcript) = &mut self.transcript
            && !exchange.request_read.is_unreadable()
        {
            transcript.request.get_or_insert_default();
        }
        let plan = exchange.plan.as_ref();
        let per_try = plan.map_or(Span::ZERO, |plan| plan.per_try);
        if per_try > Span::ZERO && exchange.complete_at.is_some() {
            exchange.deadlines.per_try = self.now + per_try;
        }
        let longest = self.clusters[cluster].upstream.spec().max_stream_duration;
        if longest > Span::ZERO {
            exchange.deadlines.attempt = self.now + longest;
        }
        let is_retry = exchange.attempts > 1;
        self.expect_event(key, cluster, job);
        self.record.count(self.now, |tally| {
            tally.clusters[cluster].attempts += 1;
            tally.clusters[cluster].retries += u64::from(is_retry);
        });
        self.flush_wakes(cluster);
        self.arm(key);
        self.complete_faulty(key);
    }

    /// Completes a request that was complete when its attempt began, and has a fault.
    fn complete_faulty(&mut self, key: ExchangeKey) {
        let exchange = self.exchanges.get(key);
        if exchange.is_some_and(|it| it.request_fault().is_some()) {
            self.complete_upload(key);
        }
    }

    /// Returns whether the service cannot serve a request, because it does not fit its headers. The
    /// service waits for more of it, refuses it or resets it.
    pub(super) fn misreads(&mut self, key: ExchangeKey, cluster: usize) -> bool {
        let fault = self.exchanges.get(key).and_then(Exchange::request_fault);
        let protocol = self.clusters[cluster].upstream.spec().protocol;
        match (fault, protocol) {
            (None, _) => return false,
            (Some(_), UpstreamProtocol::Http2) => {
                self.fail_attempt(key, cluster, Reset::ProtocolError);
            }
            // It reads what follows as the next request.
            (Some(Fault::Long { .. }), UpstreamProtocol::Http1) => return false,
            (Some(Fault::Length(_)), UpstreamProtocol::Http1) => {
                self.cancel_attempt(key);
                self.reply_from_service(key, BAD_REQUEST);
            }
            (Some(Fault::Encoding), UpstreamProtocol::Http1) => {
                self.fail_attempt(key, cluster, Reset::ConnectionTermination);
            }
            (Some(_), UpstreamProtocol::Http1) => {}
        }
        true
    }

    /// Notes when the next event of the job comes, if that is known.
    pub(super) fn expect_event(&mut self, key: ExchangeKey, cluster: usize, job: JobKey) {
        let of_job = |(_, other): &&(Time, _)| *other == job;
        let known = self.wakes.iter().find(of_job).map(|(at, _)| *at);
        // Unknown if the service calls another one first.
        let known = known.filter(|_| self.clusters[cluster].upstream.calls().is_none());
        if let (Some(exchange), Some(known)) = (self.exchanges.get_mut(key), known) {
            exchange.deadlines.known = known;
        }
    }

    /// An attempt has ended without a response.
    pub(in crate::model::world) fn fail_attempt(
        &mut self,
        key: ExchangeKey,
        cluster: usize,
        reset: Reset,
    ) {
        let failure = match reset {
            Reset::ConnectionFailure => Failure::Refused,
            Reset::ConnectionTermination
            | Reset::ProtocolError
            | Reset::RemoteReset
            | Reset::RefusedStream => Failure::Reset,
            Reset::ConnectionTimeout => Failure::ConnectTimeout,
            Reset::PerTryTimeout => Failure::PerTryTimeout,
            Reset::MaxDuration => Failure::MaxDuration,
            Reset::Overflow => Failure::Overflow,
        };
        self.cancel_attempt(key);
        self.note_failure(key, cluster, failure);
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let plan = exchange.plan.as_ref();
        let wanted = plan.is_some_and(|plan| plan.retries_reset(reset));
        if !self.schedule_retry(key, cluster, wanted) {
            self.reply_locally(key, reset.into());
        }
    }

    /// The codec did not write the request. The router does not retry it.
    pub(super) fn refuse_request(&mut self, key: ExchangeKey, cluster: usize) {
        self.abandon_request(key);
        self.note_failure(key, cluster, Failure::Unwritable);
        self.reply_unwritable(key);
    }

    pub(in crate::model::world) fn note_failure(
        &mut self,
        key: ExchangeKey,
        cluster: usize,
        why: Failure,
    ) {
        if let Some(exchange) = self.exchanges.get(key) {
            let request = exchange.request;
            let what = What::Failed {
                request,
                cluster: cluster as u16,
                why,
            };
            self.record.note(self.now, what);
        }
        self.record
            .count(self.now, |tally| tally.clusters[cluster].failures += 1);
    }

    /// Schedules a retry if one is `wanted` and allowed. Returns whether it did. If a wanted retry
    /// is not allowed, the response flags say why.
    pub(super) fn schedule_retry(
        &mut self,
        key: ExchangeKey,
        cluster: usize,
        wanted: bool,
    ) -> bool {
        self.release_retry(key);
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return false;
        };
        let Some(plan) = exchange.plan.as_mut().filter(|_| wanted) else {
            return false;
        };
        let denied = if !plan.take() {
            flag::RETRY_LIMIT_EXCEEDED
        } else if !self.clusters[cluster].upstream.begin_retry() {
            flag::UPSTREAM_OVERFLOW
        } else {
            0
        };
        if denied != 0 {
            if denied == flag::UPSTREAM_OVERFLOW {
                self.record
                    .count(self.now, |tally| tally.clusters[cluster].overflows += 1);
            }
            if let Some(info) = self.host.info_mut(exchange.stream) {
                info.flags |= denied;
            }
            return false;
        }
        let wait = plan.backoff(&mut self.backoff_draws);
        exchange.holds_retry = true;
        exchange.phase = Phase::BackingOff;
        exchange.deadlines.backoff = self.now + wait;
        let request = exchange.request;
        self.cancel_attempt(key);
        self.record.note(self.now, What::Backoff { request, wait });
        self.arm(key);
        true
    }

    fn release_retry(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        let cluster = exchange.picked.as_ref().and_then(|picked| picked.cluster);
        if std::mem::take(&mut exchange.holds_retry)
            && let Some(cluster) = cluster
        {
            self.clusters[cluster].upstream.end_retry();
        }
    }

    /// Cancels the attempt in flight.
    fn cancel_attempt(&mut self, key: ExchangeKey) {
        let Some(exchange) = self.exchanges.get_mut(key) else {
            return;
        };
        exchange.deadlines.drop_attempt();
        let cluster = exchange.picked.as_ref().and_then(|picked| picked.cluster);
        if let (Some(job), Some(cluster)) = (exchange.attempt.take(), cluster) {
            let upstream = &mut self.clusters[cluster].upstream;
            upstream.cancel(job, self.now, &mut self.wakes);
            self.flush_wakes(cluster);
            self.cancel_service_call(cluster, job);
        }
    }

    /// Ends the router's work for the request.
    pub(in crate::model::world) fn abandon_request(&mut self, key: ExchangeKey) {
        self.release_retry(key);
        self.cancel_attempt(key);
    }
}
