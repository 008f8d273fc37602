//! The probes of one half-open state.
//!
//! A half-open circuit judges `permits` probes in all. A probe that ends as ignored returns its
//! permit. A probe that outlives its lease is judged by what is known of it.
//!
//! No client can hold the circuit half-open. A request that its client has not finished says
//! nothing about the upstream, and may never end. Any complete request displaces such a probe,
//! and after a short time any request does. A displaced probe settles as a no-op, unless its
//! client finishes the request after all: then it takes the permit of another incomplete probe.
//! A response may stream for hours, so a probe is judged by the response headers soon after
//! they arrive.

use alloc::vec::Vec;

use super::names::{StepContext, Why};
use crate::circuit::window::Counts;
use crate::codec::{Encode, Reader};
use crate::outcome::classify::Verdict;
use crate::policy::{BreakerConfig, Outcome, PERMITS_MAX, WHOLE_BP};
use crate::time::{Instant, Span};

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Probes {
    live: Vec<Probe>,
    next_number: u32,
    judged: Counts,
    /// Hint of the last judged probe, which is the one that tips the judgement.
    hint: Option<Span>,
}

#[derive(Clone, Debug, PartialEq)]
struct Probe {
    number: u32,
    /// End of its lease.
    deadline: Instant,
    /// While the request is incomplete: time until which only a complete one displaces it.
    own_until: Instant,
    request_complete: bool,
    /// Verdict by the response headers, once they have arrived.
    by_headers: Option<Verdict>,
    /// Whether it has passed the slow threshold.
    slow: bool,
}

/// Fraction of the open time for which other incomplete requests cannot displace an incomplete
/// one, before jitter. Even with ten incomplete requests for each good one, six good requests
/// get each permit within two open times.
const INCOMPLETE_SHARE: u64 = 32;

/// Fraction of the open time for which a probe with response headers may still end with
/// another verdict than theirs.
const HEADERS_SHARE: u64 = 4;

/// Conclusion from the probes judged so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Undecided,
    Good,
    Bad { why: Why, hint: Option<Span> },
}

impl Probes {
    /// Issues a permit, if one is left or an incomplete probe yields its own. Returns the
    /// number of the probe, which is unique within this half-open state across all workers.
    pub(super) fn start(&mut self, complete: bool, context: &mut StepContext<'_>) -> Option<u32> {
        let (config, now) = (context.config, context.now);
        if self.left(config) == 0 {
            let order =
                |probe: &Probe| (!probe.yields(complete, now), probe.own_until, probe.number);
            let live = self.live.iter().enumerate();
            let (at, probe) = live.min_by_key(|(_, probe)| order(probe))?;
            if !probe.yields(complete, now) {
                return None;
            }
            self.live.swap_remove(at);
        }
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        // Jitter keeps periodic incomplete requests from always winning the race.
        let own = config.open.duration.as_ns() / INCOMPLETE_SHARE;
        let own = context.random.between(own / 2, own.saturating_add(own / 2));
        self.live.push(Probe {
            number,
            deadline: now.after(config.half_open.lease),
            own_until: now.after(Span::from_ns(own)),
            request_complete: complete,
            by_headers: None,
            slow: false,
        });
        Some(number)
    }

    /// Whether a new request is rejected without any change of state.
    pub(super) fn is_full(&self, complete: bool, config: &BreakerConfig, now: Instant) -> bool {
        let makes_room = |probe: &Probe| now >= probe.deadline || probe.yields(complete, now);
        self.left(config) == 0 && self.live() > 0 && !self.live.iter().any(makes_room)
    }

    /// Number of permits left.
    pub(super) fn left(&self, config: &BreakerConfig) -> u32 {
        let taken = self.live().saturating_add(self.judged.requests);
        config.half_open.permits.saturating_sub(taken)
    }

    /// Number of probes in flight.
    pub(super) fn live(&self) -> u32 {
        u32::try_from(self.live.len()).unwrap_or(u32::MAX)
    }

    /// End of the last lease.
    pub(super) fn last_deadline(&self) -> Instant {
        let deadlines = self.live.iter().map(|probe| probe.deadline);
        deadlines.max().unwrap_or_default()
    }

    /// Ends every lease at `latest` or earlier.
    pub(super) fn shorten_leases(&mut self, latest: Instant) {
        for probe in &mut self.live {
            probe.deadline = probe.deadline.min(latest);
        }
    }

    /// Notes that the client has sent the whole request of a probe.
    pub(super) fn request_complete(&mut self, number: Option<u32>, now: Instant) {
        if let Some(probe) = self.leased(number, now) {
            probe.request_complete = true;
        } else if let Some(number) = number
            && self.live.iter().all(|probe| probe.number != number)
        {
            self.take_back(number, now);
        }
    }

    /// Gives the permit of an incomplete probe to a displaced one that is complete now.
    /// Otherwise a service that receives only slow uploads would never have a probe judged.
    fn take_back(&mut self, number: u32, now: Instant) {
        let live = self.live.iter_mut();
        let others = live.filter(|probe| now < probe.deadline && probe.yields(true, now));
        if let Some(probe) = others.min_by_key(|probe| (probe.own_until, probe.number)) {
            probe.number = number;
            probe.request_complete = true;
        }
    }

    /// Notes the verdict by the response headers of a probe, and shortens its lease.
    pub(super) fn headers_arrived(
        &mut self,
        number: Option<u32>,
        verdict: Verdict,
        context: &StepContext<'_>,
    ) {
        let soon = Span::from_ns(context.config.open.duration.as_ns() / HEADERS_SHARE);
        if let Some(probe) = self.leased(number, context.now) {
            probe.by_headers = Some(verdict);
            probe.deadline = probe.deadline.min(context.now.after(soon));
        }
    }

    /// Notes that a probe has passed the slow threshold.
    pub(super) fn mark_slow(&mut self, number: Option<u32>) {
        let mut live = self.live.iter_mut();
        if let Some(probe) = live.find(|p| Some(p.number) == number) {
            probe.slow = true;
        }
    }

    /// Counts the outcome of one probe, unless its lease has ended.
    pub(super) fn settle(&mut self, number: Option<u32>, verdict: Verdict) {
        let at = self.live.iter().position(|p| Some(p.number) == number);
        if let Some(at) = at {
            let probe = self.live.swap_remove(at);
            self.count(probe.slow, verdict);
        }
    }

    /// Counts the probes whose lease has ended.
    pub(super) fn expire(&mut self, now: Instant) {
        let mut ended = Vec::new();
        self.live.retain(|probe| {
            let over = now >= probe.deadline;
            if over {
                ended.push((probe.slow, probe.at_lease_end()));
            }
            !over
        });
        for (slow, verdict) in ended {
            self.count(slow, verdict);
        }
    }

    /// The judged probes, and those in flight that are slow already.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.judged;
        let slow = self.live.iter().filter(|probe| probe.slow);
        slow.for_each(|_| counts.add(false, true));
        counts
    }

    /// Judges the probes: bad as soon as the failures or the slow ones reach their share of
    /// `permits`, good as soon as neither can reach it any more.
    pub(super) fn judge(&self, config: &BreakerConfig) -> Judgement {
        let left = config
            .half_open
            .permits
            .saturating_sub(self.judged.requests);
        let (found, judged) = (self.counts(), self.judged);
        let rules = [
            (
                Why::ProbesFailed,
                (found.failures, judged.failures),
                failures_needed(config),
            ),
            (
                Why::ProbesSlow,
                (found.slow, judged.slow),
                slow_needed(config),
            ),
        ];
        let mut judgement = Judgement::Good;
        for (why, (found, judged), needed) in rules {
            let Some(needed) = needed else { continue };
            if found >= needed {
                let hint = self.hint;
                return Judgement::Bad { why, hint };
            }
            if judged.saturating_add(left) >= needed {
                judgement = Judgement::Undecided;
            }
        }
        judgement
    }

    /// Returns a probe whose lease has not ended. After that end nothing new may change how it
    /// is judged, even if no call has judged it yet.
    fn leased(&mut self, number: Option<u32>, now: Instant) -> Option<&mut Probe> {
        let mut live = self.live.iter_mut();
        live.find(|p| Some(p.number) == number && now < p.deadline)
    }

    fn count(&mut self, slow: bool, verdict: Verdict) {
        if verdict.outcome == Outcome::Ignored {
            return;
        }
        let failure = verdict.outcome == Outcome::Failure;
        self.judged.add(failure, slow || verdict.slow);
        self.hint = verdict.hint;
    }
}

impl Probe {
    /// Whether a new request may take its permit.
    fn yields(&self, complete: bool, now: Instant) -> bool {
        let incomplete = !self.request_complete && self.by_headers.is_none();
        incomplete && (complete || now >= self.own_until)
    }

    /// The verdict on a probe that is in flight when its lease ends. The response headers
    /// decide if they have arrived, because a long stream is not a failure. Without headers it
    /// is ignored while the client is still sending, otherwise it is a failure.
    fn at_lease_end(&self) -> Verdict {
        match self.by_headers {
            Some(verdict) => verdict,
            None if self.request_complete => Verdict::of(Outcome::Failure),
            None => Verdict::of(Outcome::Ignored),
        }
    }
}

impl Encode for Probes {
    fn write(&self, out: &mut Vec<u8>) {
        self.next_number.write(out);
        self.judged.write(out);
        self.hint.write(out);
        self.live().write(out);
        self.live.iter().for_each(|probe| probe.write(out));
    }

    fn read(from: &mut Reader<'_>) -> Option<Probes> {
        let (next_number, judged) = (u32::read(from)?, Counts::read(from)?);
        let (hint, live) = (Option::read(from)?, u32::read(from)?);
        if live > PERMITS_MAX {
            return None;
        }
        let live = (0..live)
            .map(|_| Probe::read(from))
            .collect::<Option<_>>()?;
        Some(Probes {
            live,
            next_number,
            judged,
            hint,
        })
    }
}

impl Encode for Probe {
    fn write(&self, out: &mut Vec<u8>) {
        self.number.write(out);
        self.deadline.write(out);
        self.own_until.write(out);
        self.request_complete.write(out);
        self.by_headers.write(out);
        self.slow.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Probe> {
        Some(Probe {
            number: u32::read(from)?,
            deadline: Instant::read(from)?,
            own_until: Instant::read(from)?,
            request_complete: bool::read(from)?,
            by_headers: Option::read(from)?,
            slow: bool::read(from)?,
        })
    }
}

/// Number of failed probes that reopens the circuit. Without a failure rate one failure does,
/// if a number of failures trips the breaker or if it has no other rule. If only slowness trips
/// it, failures do not count.
fn failures_needed(config: &BreakerConfig) -> Option<u32> {
    match config.failure_rate_bp {
        0 if !config.counts_failures() && config.effective_slow_rate_bp() > 0 => None,
        0 => Some(1),
        share_bp => Some(share_of_permits(config, share_bp)),
    }
}

/// Number of slow probes that reopens the circuit.
fn slow_needed(config: &BreakerConfig) -> Option<u32> {
    match config.effective_slow_rate_bp() {
        0 => None,
        share_bp => Some(share_of_permits(config, share_bp)),
    }
}

/// Returns the smallest number of probes that reaches a share, which is not zero.
fn share_of_permits(config: &BreakerConfig, share_bp: u32) -> u32 {
    let share = u64::from(config.half_open.permits).saturating_mul(u64::from(share_bp));
    u32::try_from(share.div_ceil(u64::from(WHOLE_BP))).unwrap_or(u32::MAX)
}
