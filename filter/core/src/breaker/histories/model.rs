//! The breaker as `policy.md` tells it: lists counted anew each time, floats, no
//! thought of speed. It knows nothing of the real one but its JSON.

use alloc::format;
use alloc::vec::Vec;

use crate::classify::Outcome;
use crate::policy::BreakerConfig;
use crate::testing::breaker;

/// The numbers of a policy, in units for people. 0 is off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub minimum: usize,
    pub rate_percent: u32,
    pub run: usize,
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
    pub fn config(&self) -> BreakerConfig {
        let Numbers {
            minimum,
            rate_percent,
            run,
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
               "consecutive_failures": {run},
               "open": {{"duration": "{open_ms}ms", "multiplier": {multiplier},
                         "max_duration": "{open_max_ms}ms", "jitter": 0}},
               "half_open": {{"permits": {permits}, "lease": "{lease_ms}ms"}},
               "recovery": {{"duration": "{ramp_ms}ms", "start_percent": {ramp_start_percent}}}"#
        ))
    }
}

/// What the model gives for an admission.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    epoch: u32,
    probe: Option<u32>,
}

impl Ticket {
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    state: State,
    /// Every change of state but the end of a ramp begins a new one.
    epoch: u32,
    pub opens: u32,
    last_open_ms: u64,
    traffic_since_ms: u64,
    /// When, and whether it failed.
    outcomes: Vec<(u64, bool)>,
    probes: Vec<Probe>,
    probes_ever: u32,
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
    lease_end_ms: u64,
    sent: bool,
    failed: Option<bool>,
}

impl Model {
    pub fn new(now_ms: u64) -> Model {
        Model {
            state: State::Closed,
            epoch: 0,
            opens: 0,
            last_open_ms: 0,
            traffic_since_ms: now_ms,
            outcomes: Vec::new(),
            probes: Vec::new(),
            probes_ever: 0,
        }
    }

    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::HalfOpen => "half_open",
            State::Recovering { .. } => "recovering",
        }
    }

    /// A ticket, or the time after which to ask again. `draw` is out of 10,000.
    pub fn acquire(&mut self, n: &Numbers, now_ms: u64, draw: u64) -> Result<Ticket, u64> {
        self.let_time_work(n, now_ms);
        if let State::Open { until_ms } = self.state {
            if now_ms < until_ms {
                return Err(until_ms - now_ms);
            }
            self.begin(State::HalfOpen, now_ms);
        }
        let mut ticket = Ticket {
            epoch: self.epoch,
            probe: None,
        };
        match self.state {
            State::HalfOpen if self.probes.len() == n.permits => return Err(0),
            State::HalfOpen => {
                self.probes_ever += 1;
                ticket.probe = Some(self.probes_ever);
                self.probes.push(Probe {
                    id: self.probes_ever,
                    lease_end_ms: now_ms + n.lease_ms,
                    sent: false,
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
        Ok(ticket)
    }

    pub fn sent(&mut self, ticket: &mut Ticket) {
        for probe in &mut self.probes {
            probe.sent |= Some(probe.id) == ticket.probe;
        }
    }

    pub fn settle(&mut self, ticket: Ticket, outcome: Outcome, n: &Numbers, now_ms: u64) {
        self.let_time_work(n, now_ms);
        if ticket.epoch != self.epoch {
            return;
        }
        let failed = outcome == Outcome::Failure;
        match ticket.probe {
            None if outcome == Outcome::Ignored => {}
            None => {
                self.outcomes.push((now_ms, failed));
                if self.trips(n, now_ms) {
                    self.open(n, now_ms);
                }
            }
            Some(id) if outcome == Outcome::Ignored => {
                self.probes.retain(|p| p.id != id || p.failed.is_some());
            }
            Some(id) => {
                let out = |p: &&mut Probe| p.id == id && p.failed.is_none();
                if let Some(probe) = self.probes.iter_mut().find(out) {
                    probe.failed = Some(failed);
                    self.judge(n, now_ms);
                }
            }
        }
    }

    fn let_time_work(&mut self, n: &Numbers, now_ms: u64) {
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

    fn trips(&self, n: &Numbers, now_ms: u64) -> bool {
        let run = self.outcomes.iter().rev().take_while(|(_, failed)| *failed);
        if n.run > 0 && run.count() >= n.run {
            return true;
        }
        let bucket = |ms: u64| ms * 10 / n.window_ms;
        let recent: Vec<bool> = self
            .outcomes
            .iter()
            .filter(|(ms, _)| bucket(now_ms) - bucket(*ms) < 10)
            .map(|(_, failed)| *failed)
            .collect();
        let failures = recent.iter().filter(|failed| **failed).count();
        let percent = 100.0 * failures as f64 / recent.len() as f64;
        n.rate_percent > 0 && recent.len() >= n.minimum && percent >= f64::from(n.rate_percent)
    }

    /// The verdict over the probes, if it is certain.
    fn judge(&mut self, n: &Numbers, now_ms: u64) {
        let failures = self
            .probes
            .iter()
            .filter(|p| p.failed == Some(true))
            .count();
        let successes = self
            .probes
            .iter()
            .filter(|p| p.failed == Some(false))
            .count();
        let bad_from = match n.rate_percent {
            0 => 1.0,
            percent => (n.permits as f64 * f64::from(percent) / 100.0).max(1.0),
        };
        if failures as f64 >= bad_from {
            self.open(n, now_ms);
        } else if ((n.permits - successes) as f64) < bad_from {
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
        self.outcomes.clear();
        self.probes.clear();
    }
}
