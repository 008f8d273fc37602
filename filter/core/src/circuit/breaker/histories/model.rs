//! A naive model of the breaker's contract: lists that are recounted each time, and floats.
//! It shares only the JSON with the real breaker.

use alloc::format;
use alloc::vec::Vec;

use crate::policy::{BreakerConfig, Outcome};
use crate::testing::breaker;

/// The settings of a policy, in readable units. 0 disables a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub minimum: usize,
    pub rate_percent: u32,
    pub slow_percent: u32,
    pub run: usize,
    pub count: usize,
    pub window_ms: u64,
    pub open_ms: u64,
    pub multiplier: u64,
    pub open_max_ms: u64,
    pub permits: usize,
    pub lease_ms: u64,
    pub ramp_ms: u64,
    pub ramp_start_percent: u32,
}

impl Numbers {
    pub(super) fn config(&self) -> BreakerConfig {
        let Numbers {
            minimum,
            rate_percent,
            slow_percent,
            run,
            count,
            window_ms,
            open_ms,
            multiplier,
            open_max_ms,
            permits,
            lease_ms,
            ramp_ms,
            ramp_start_percent,
        } = self;
        breaker(&format!(
            r#""window": {{"type": "time", "duration": "{window_ms}ms"}},
               "minimum_requests": {minimum},
               "failure_rate_threshold": {rate_percent},
               "slow_threshold": "1ms",
               "slow_rate_threshold": {slow_percent},
               "consecutive_failures": {run},
               "failure_count_threshold": {count},
               "open": {{"duration": "{open_ms}ms", "multiplier": {multiplier},
                         "max_duration": "{open_max_ms}ms", "jitter": 0}},
               "half_open": {{"permits": {permits}, "lease": "{lease_ms}ms"}},
               "recovery": {{"duration": "{ramp_ms}ms", "start_percent": {ramp_start_percent}}}"#
        ))
    }
}

/// The model's permit.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    epoch: u32,
    id: u32,
    is_probe: bool,
}

impl Ticket {
    pub(super) fn is_probe(&self) -> bool {
        self.is_probe
    }
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    state: State,
    /// Rises with every change of state except the end of a ramp.
    epoch: u32,
    pub opens: u32,
    last_open_ms: u64,
    traffic_since_ms: u64,
    /// The window. Each request is in it at most once.
    entries: Vec<Entry>,
    /// Failures in a row.
    run: usize,
    /// Time of the last addition to the window.
    added_ms: u64,
    probes: Vec<Probe>,
    requests_total: u32,
}

/// A request that has ended, or that waits past the slow threshold.
#[derive(Clone, Debug)]
struct Entry {
    id: u32,
    at_ms: u64,
    waits: bool,
    failed: bool,
    slow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    Open { until_ms: u64 },
    HalfOpen,
    Recovering { since_ms: u64 },
}

#[derive(Clone, Debug)]
struct Probe {
    id: u32,
    begun_ms: u64,
    lease_end_ms: u64,
    sent: bool,
    slow: bool,
    failed: Option<bool>,
}

impl Model {
    pub(super) fn new(now_ms: u64) -> Model {
        Model {
            state: State::Closed,
            epoch: 0,
            opens: 0,
            last_open_ms: 0,
            traffic_since_ms: now_ms,
            entries: Vec::new(),
            run: 0,
            added_ms: now_ms,
            probes: Vec::new(),
            requests_total: 0,
        }
    }

    pub(super) fn state_name(&self) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::HalfOpen => "half_open",
            State::Recovering { .. } => "recovering",
        }
    }

    /// Requests, failures and slow ones of the window, or of the probes.
    pub(super) fn counts(&self, n: &Numbers) -> (usize, usize, usize) {
        let of = |all: Vec<(bool, bool)>| {
            let failures = all.iter().filter(|(failed, _)| *failed).count();
            let slow = all.iter().filter(|(_, slow)| *slow).count();
            (all.len(), failures, slow)
        };
        match self.state {
            State::HalfOpen => {
                let known = self.probes.iter().filter(|p| p.slow || p.failed.is_some());
                of(known.map(|p| (p.failed == Some(true), p.slow)).collect())
            }
            _ => {
                let recent = self.recent(n).into_iter();
                of(recent.map(|entry| (entry.failed, entry.slow)).collect())
            }
        }
    }

    /// Whether a probe is in flight and was not displaced.
    pub(super) fn has_probe(&self, ticket: &Ticket) -> bool {
        let mut probes = self.probes.iter();
        probes.any(|p| p.id == ticket.id && p.failed.is_none())
    }

    /// Returns a ticket or the time to wait. `draw` is out of 10,000.
    pub(super) fn acquire(
        &mut self,
        sent: bool,
        n: &Numbers,
        now_ms: u64,
        draw: u64,
    ) -> Result<Ticket, u64> {
        self.catch_up(n, now_ms);
        if let State::Open { until_ms } = self.state {
            if now_ms < until_ms {
                return Err(until_ms - now_ms);
            }
            self.begin(State::HalfOpen, now_ms);
        }
        match self.state {
            State::HalfOpen => {
                if self.probes.len() == n.permits {
                    self.displace(sent, now_ms)?;
                }
                self.probes.push(Probe {
                    id: self.requests_total + 1,
                    begun_ms: now_ms,
                    lease_end_ms: now_ms + n.lease_ms,
                    sent,
                    slow: false,
                    failed: None,
                });
            }
            State::Recovering { since_ms } => {
                let start = f64::from(n.ramp_start_percent);
                let way = (now_ms - since_ms) as f64 / n.ramp_ms as f64;
                if draw as f64 >= (start + (100.0 - start) * way) * 100.0 {
                    return Err(0);
                }
            }
            State::Closed | State::Open { .. } => {}
        }
        self.requests_total += 1;
        Ok(Ticket {
            epoch: self.epoch,
            id: self.requests_total,
            is_probe: self.state == State::HalfOpen,
        })
    }

    /// Takes the permit of the oldest incomplete probe. An incomplete request cannot take that of
    /// a probe that has just begun.
    fn displace(&mut self, sent: bool, now_ms: u64) -> Result<(), u64> {
        let yields = |p: &&Probe| p.failed.is_none() && !p.sent && (sent || now_ms > p.begun_ms);
        let oldest = self.probes.iter().filter(yields).map(|p| p.id).min();
        let oldest = oldest.ok_or(0_u64)?;
        self.probes.retain(|p| p.id != oldest);
        Ok(())
    }

    /// Notes that a request is complete. A displaced probe takes permit and lease of the oldest
    /// incomplete one; returns the end of that lease.
    pub(super) fn sent(&mut self, ticket: &Ticket, now_ms: u64) -> Option<u64> {
        for probe in &mut self.probes {
            probe.sent |= probe.id == ticket.id && now_ms < probe.lease_end_ms;
        }
        let known = self.probes.iter().any(|probe| probe.id == ticket.id);
        if known || !ticket.is_probe || ticket.epoch != self.epoch {
            return None;
        }
        let unsent = |p: &&mut Probe| p.failed.is_none() && !p.sent && now_ms < p.lease_end_ms;
        let unsent = self.probes.iter_mut().filter(unsent);
        let oldest = unsent.min_by_key(|p| (p.begun_ms, p.id))?;
        (oldest.id, oldest.sent) = (ticket.id, true);
        Some(oldest.lease_end_ms)
    }

    /// Notes that a request has passed the slow threshold.
    pub(super) fn overdue(&mut self, ticket: &Ticket, n: &Numbers, now_ms: u64) {
        if ticket.is_probe {
            self.catch_up(n, now_ms);
        }
        if ticket.epoch != self.epoch {
            return;
        }
        if ticket.is_probe {
            for probe in self.probes.iter_mut().filter(|p| p.failed.is_none()) {
                probe.slow |= probe.id == ticket.id;
            }
            self.judge(n, now_ms);
        } else {
            self.add(ticket, (true, false, true), now_ms);
            self.trip(n, now_ms);
        }
    }

    pub(super) fn settle(
        &mut self,
        ticket: Ticket,
        (outcome, slow): (Outcome, bool),
        n: &Numbers,
        now_ms: u64,
    ) {
        self.catch_up(n, now_ms);
        if ticket.epoch != self.epoch {
            return;
        }
        let failed = outcome == Outcome::Failure;
        let ignored = outcome == Outcome::Ignored;
        if ticket.is_probe && ignored {
            self.probes
                .retain(|p| p.id != ticket.id || p.failed.is_some());
            self.judge(n, now_ms);
        } else if ticket.is_probe {
            let out = |p: &&mut Probe| p.id == ticket.id && p.failed.is_none();
            if let Some(probe) = self.probes.iter_mut().find(out) {
                probe.failed = Some(failed);
                probe.slow |= slow;
                self.judge(n, now_ms);
            }
        } else {
            // The outcome replaces the waiting request.
            self.entries.retain(|entry| entry.id != ticket.id);
            if !ignored {
                self.add(&ticket, (false, failed, slow), now_ms);
                self.run = if failed { self.run + 1 } else { 0 };
            }
            self.trip(n, now_ms);
        }
    }

    fn add(&mut self, ticket: &Ticket, (waits, failed, slow): (bool, bool, bool), now_ms: u64) {
        assert!(self.entries.iter().all(|entry| entry.id != ticket.id));
        self.added_ms = now_ms;
        self.entries.push(Entry {
            id: ticket.id,
            at_ms: now_ms,
            waits,
            failed,
            slow,
        });
    }

    fn catch_up(&mut self, n: &Numbers, now_ms: u64) {
        if let State::Recovering { since_ms } = self.state
            && now_ms >= since_ms + n.ramp_ms
        {
            self.state = State::Closed;
        }
        let over = |p: &Probe| p.failed.is_none() && now_ms >= p.lease_end_ms;
        if self.state == State::HalfOpen && self.probes.iter().any(over) {
            self.probes.retain(|p| !over(p) || p.sent);
            for probe in self.probes.iter_mut().filter(|p| over(p)) {
                probe.failed = Some(true);
            }
            self.judge(n, now_ms);
        }
    }

    fn recent(&self, n: &Numbers) -> Vec<&Entry> {
        let bucket = |ms: u64| ms * 10 / n.window_ms;
        let entries = self.entries.iter();
        entries
            .filter(|entry| bucket(self.added_ms) - bucket(entry.at_ms) < 10)
            .collect()
    }

    fn trip(&mut self, n: &Numbers, now_ms: u64) {
        let recent = self.recent(n);
        let all = recent.len();
        let ended = recent.iter().filter(|entry| !entry.waits).count();
        let failures = recent.iter().filter(|entry| entry.failed).count();
        let slow = recent.iter().filter(|entry| entry.slow).count();
        let reached = |part: usize, all: usize, percent: u32| {
            let share = 100.0 * part as f64 / all as f64;
            percent > 0 && all >= n.minimum && share >= f64::from(percent)
        };
        if reached(failures, ended, n.rate_percent)
            || reached(failures, all, n.rate_percent)
            || reached(slow, all, n.slow_percent)
            || (n.run > 0 && self.run >= n.run)
            || (n.count > 0 && failures >= n.count)
        {
            self.open(n, now_ms);
        }
    }

    /// Judges the probes if the result is certain.
    fn judge(&mut self, n: &Numbers, now_ms: u64) {
        if self.state != State::HalfOpen {
            return;
        }
        let of = |test: fn(&Probe) -> bool| self.probes.iter().filter(|p| test(p)).count() as f64;
        let failures = of(|p| p.failed == Some(true));
        let (slow, slow_ended) = (of(|p| p.slow), of(|p| p.slow && p.failed.is_some()));
        let left = n.permits as f64 - of(|p| p.failed.is_some());
        let share = |percent: u32| (n.permits as f64 * f64::from(percent) / 100.0).max(1.0);
        let failures_from = share(n.rate_percent);
        let slow_from = match n.slow_percent {
            0 => f64::INFINITY,
            percent => share(percent),
        };
        if failures >= failures_from || slow >= slow_from {
            self.open(n, now_ms);
        } else if failures + left < failures_from && slow_ended + left < slow_from {
            let next = match n.ramp_ms {
                0 => State::Closed,
                _ => State::Recovering { since_ms: now_ms },
            };
            self.begin(next, now_ms);
        }
    }

    fn open(&mut self, n: &Numbers, now_ms: u64) {
        let in_traffic = self.state != State::HalfOpen;
        let stayed = in_traffic && now_ms - self.traffic_since_ms >= self.last_open_ms;
        self.opens = if stayed { 1 } else { self.opens + 1 };
        let grown = n.open_ms * n.multiplier.pow(self.opens - 1);
        self.last_open_ms = grown.min(n.open_max_ms);
        let until_ms = now_ms + self.last_open_ms;
        self.begin(State::Open { until_ms }, now_ms);
    }

    fn begin(&mut self, state: State, now_ms: u64) {
        self.state = state;
        self.epoch += 1;
        self.traffic_since_ms = now_ms;
        self.entries.clear();
        self.run = 0;
        self.probes.clear();
    }
}
