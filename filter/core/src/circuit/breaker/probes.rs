//! The probes of one half-open time: who is out, and what the others found.
//!
//! `permits` probes are judged in all. One that ends as ignored returns its permit, and one
//! that does not end in time is judged by what is known of it.
//!
//! No client can hold the circuit here. A request that its client has not finished says
//! nothing about the upstream, and may never end: its probe is displaced by any complete
//! request that asks, and after a short time by any request at all. Its permit is then
//! another's, and it settles as nothing, unless its client finishes it after all: then it takes
//! the permit of another that is unfinished. A response that has begun may go on for hours: soon
//! after its headers the probe is judged by them.

use alloc::vec::Vec;

use super::{StepContext, Why};
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
    /// The hint of the probe judged last: the one that tips the verdict.
    hint: Option<Span>,
}

#[derive(Clone, Debug, PartialEq)]
struct Probe {
    number: u32,
    deadline: Instant,
    /// Until when only a complete request displaces it, while it is incomplete.
    own_until: Instant,
    request_complete: bool,
    answered: Option<Verdict>,
    /// Whether it has passed the threshold for slowness.
    slow: bool,
}

/// For this part of the open time, more or less, an incomplete request keeps its permit from
/// other incomplete ones. If ten of them ask for each that is good, six good ones still have
/// each permit within two open times.
const INCOMPLETE_SHARE: u64 = 32;

/// For this part of the open time a probe that has response headers may still end otherwise
/// than they say.
const ANSWERED_SHARE: u64 = 4;

/// What the probes so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Undecided,
    Good,
    Bad { why: Why, hint: Option<Span> },
}

impl Probes {
    /// Hands out a permit, if one is left or can be taken from an incomplete probe: its number,
    /// which no other probe of this half-open time has, whichever worker asked for it.
    pub(super) fn start(&mut self, complete: bool, moment: &mut StepContext<'_>) -> Option<u32> {
        let (config, now) = (moment.config, moment.now);
        if self.left(config) == 0 {
            let longest =
                |probe: &Probe| (!probe.yields(complete, now), probe.own_until, probe.number);
            let places = self.live.iter().enumerate();
            let (at, probe) = places.min_by_key(|(_, probe)| longest(probe))?;
            if !probe.yields(complete, now) {
                return None;
            }
            self.live.swap_remove(at);
        }
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        // Spread, so that no rhythm of incomplete requests always comes first.
        let own = config.open.duration.as_ns() / INCOMPLETE_SHARE;
        let own = moment.random.between(own / 2, own.saturating_add(own / 2));
        self.live.push(Probe {
            number,
            deadline: now.after(config.half_open.lease),
            own_until: now.after(Span::from_ns(own)),
            request_complete: complete,
            answered: None,
            slow: false,
        });
        Some(number)
    }

    /// Whether a request that asks is refused, and nothing changes by that.
    pub(super) fn is_full(&self, complete: bool, config: &BreakerConfig, now: Instant) -> bool {
        let moves = |probe: &Probe| now >= probe.deadline || probe.yields(complete, now);
        self.left(config) == 0 && self.live() > 0 && !self.live.iter().any(moves)
    }

    /// How many permits are left.
    pub(super) fn left(&self, config: &BreakerConfig) -> u32 {
        let taken = self.live().saturating_add(self.judged.requests);
        config.half_open.permits.saturating_sub(taken)
    }

    /// How many probes are out.
    pub(super) fn live(&self) -> u32 {
        u32::try_from(self.live.len()).unwrap_or(u32::MAX)
    }

    /// When the last lease ends.
    pub(super) fn last_deadline(&self) -> Instant {
        let deadlines = self.live.iter().map(|probe| probe.deadline);
        deadlines.max().unwrap_or_default()
    }

    /// Ends all leases at `latest` if they would last longer.
    pub(super) fn shorten_leases(&mut self, latest: Instant) {
        for probe in &mut self.live {
            probe.deadline = probe.deadline.min(latest);
        }
    }

    pub(super) fn request_complete(&mut self, number: Option<u32>, now: Instant) {
        if let Some(probe) = self.leased(number, now) {
            probe.request_complete = true;
        } else if let Some(number) = number
            && self.live.iter().all(|probe| probe.number != number)
        {
            self.take_back(number, now);
        }
    }

    /// Gives a displaced probe that is complete now the permit of one that is not. Else a
    /// service of nothing but slow uploads would never have one judged.
    fn take_back(&mut self, number: u32, now: Instant) {
        let live = self.live.iter_mut();
        let others = live.filter(|probe| now < probe.deadline && probe.yields(true, now));
        if let Some(probe) = others.min_by_key(|probe| (probe.own_until, probe.number)) {
            probe.number = number;
            probe.request_complete = true;
        }
    }

    pub(super) fn answered(
        &mut self,
        number: Option<u32>,
        verdict: Verdict,
        moment: &StepContext<'_>,
    ) {
        let soon = Span::from_ns(moment.config.open.duration.as_ns() / ANSWERED_SHARE);
        if let Some(probe) = self.leased(number, moment.now) {
            probe.answered = Some(verdict);
            probe.deadline = probe.deadline.min(moment.now.after(soon));
        }
    }

    pub(super) fn is_slow(&mut self, number: Option<u32>) {
        let mut live = self.live.iter_mut();
        if let Some(probe) = live.find(|p| Some(p.number) == number) {
            probe.slow = true;
        }
    }

    /// Judges one probe, unless its lease has ended already.
    pub(super) fn settle(&mut self, number: Option<u32>, verdict: Verdict) {
        let at = self.live.iter().position(|p| Some(p.number) == number);
        if let Some(at) = at {
            let probe = self.live.swap_remove(at);
            self.count(probe.slow, verdict);
        }
    }

    /// Ends the leases that are over.
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

    /// The probes that were judged, and those that are out and slow already.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.judged;
        let slow = self.live.iter().filter(|probe| probe.slow);
        slow.for_each(|_| counts.add(false, true));
        counts
    }

    /// Bad as soon as failures, or slow ones, reach their share of `permits`; good as
    /// soon as neither can any more.
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

    /// The probe, unless its lease is over: it is judged by what was known by then,
    /// though nobody may have come to judge it yet.
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
    /// Whether its permit can be taken by a request that asks.
    fn yields(&self, complete: bool, now: Instant) -> bool {
        let incomplete = !self.request_complete && self.answered.is_none();
        incomplete && (complete || now >= self.own_until)
    }

    /// The verdict over a probe that is still out when its lease ends: by the
    /// response's headers if they came, since a long stream is no failure; not the
    /// upstream's fault while the client was still sending; else a failure.
    fn at_lease_end(&self) -> Verdict {
        match self.answered {
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
        self.answered.write(out);
        self.slow.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Probe> {
        Some(Probe {
            number: u32::read(from)?,
            deadline: Instant::read(from)?,
            own_until: Instant::read(from)?,
            request_complete: bool::read(from)?,
            answered: Option::read(from)?,
            slow: bool::read(from)?,
        })
    }
}

/// How many failed probes are bad. Without a failure rate one is, if runs of
/// failures trip, or if nothing else could judge; where only slowness trips
/// failures say nothing.
fn failures_needed(config: &BreakerConfig) -> Option<u32> {
    match config.failure_rate_bp {
        0 if config.consecutive_failures == 0 && config.effective_slow_rate_bp() > 0 => None,
        0 => Some(1),
        share_bp => Some(share_of_permits(config, share_bp)),
    }
}

fn slow_needed(config: &BreakerConfig) -> Option<u32> {
    match config.effective_slow_rate_bp() {
        0 => None,
        share_bp => Some(share_of_permits(config, share_bp)),
    }
}

/// The smallest number of probes that is at least the share, which is not zero: one
/// or more.
fn share_of_permits(config: &BreakerConfig, share_bp: u32) -> u32 {
    let share = u64::from(config.half_open.permits).saturating_mul(u64::from(share_bp));
    u32::try_from(share.div_ceil(u64::from(WHOLE_BP))).unwrap_or(u32::MAX)
}
