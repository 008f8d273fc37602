//! The gauges that take a look at every key of a policy: the failure rate, and the lowest retry
//! budget.
//!
//! Outcomes are merged many times a second, so keeping totals in a record would make that record
//! the bottleneck of all workers. Instead, one worker reads all circuits of a policy now and
//! then. The record of the survey says when the next one is due, and the worker whose
//! compare-and-swap claims it does it, in portions. A worker that has merged something asks for
//! surveys until one that began later finds the policy at rest: the clock alone changes nothing
//! any more. A second one has to confirm that, because another survey may have overtaken the
//! first before it set the gauges.

use alloc::vec::Vec;

use crate::circuit::breaker::StateName;
use crate::circuit::budget::Account;
use crate::codec::{self, Encode, Kind};
use crate::event::Gauge;
use crate::policy::WindowShape;
use crate::shared::census::Census;
use crate::shared::records::{Name, Records, Version};
use crate::shared::slots::{Slot, Taken};
use crate::time::{Instant, Span};

use super::policy_state::PolicyState;
use super::watched::{Begun, Found, Survey, Watch, What};
use super::workspace::Workspace;

/// Time until a change shows in the gauges of a policy at rest, and until a survey that found
/// it at rest is confirmed.
const LOOK: Span = Span::from_ms(100);

/// Shortest time between two surveys of a policy.
const INTERVAL_MIN: Span = Span::from_secs(1);

/// Time between two surveys for each key: reading a circuit takes about a microsecond, so
/// surveys take one percent of one core at most.
const INTERVAL_PER_KEY: Span = Span::from_ns(100_000);

/// The record of the last survey of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Last {
    begun: Instant,
    next: Instant,
    /// Whether it found that the clock alone changes nothing.
    at_rest: bool,
}

impl Last {
    fn read<R: Records>(records: &mut R, policy: &str) -> (Option<Last>, Option<Version>) {
        let Some((record, version)) = records.read(Name::Survey(policy)) else {
            return (None, None);
        };
        let last = codec::open(Kind::Survey, &record).and_then(|mut from| {
            let last = Last {
                begun: Instant::read(&mut from)?,
                next: Instant::read(&mut from)?,
                at_rest: bool::read(&mut from)?,
            };
            from.end(last)
        });
        (last, Some(version))
    }

    fn write<R: Records>(
        self,
        records: &mut R,
        policy: &str,
        version: Option<Version>,
        buffer: &mut Vec<u8>,
    ) -> bool {
        codec::seal(Kind::Survey, buffer, |out| {
            self.begun.write(out);
            self.next.write(out);
            self.at_rest.write(out);
        });
        records.write(Name::Survey(policy), buffer, version)
    }
}

impl PolicyState {
    /// Sets the gauge of the budget as it is without any key.
    pub(super) fn begin_budget_gauge<R: Records>(&self, ws: &mut Workspace<R>, now: Instant) {
        if let Some(balance) = self.fresh_balance(now) {
            ws.set_gauge(self.index, Gauge::RetryBudget, balance);
        }
    }

    fn fresh_balance(&self, now: Instant) -> Option<u32> {
        let budget = self.policy.budget()?;
        Some(Account::new(budget).balance(now))
    }

    /// Wants a survey if a merge has changed what it would find.
    pub(super) fn watch_keys<R: Records>(&self, ws: &mut Workspace<R>, at: u32, now: Instant) {
        let Some((_, _, replica)) = ws.table.entry(at) else {
            return;
        };
        // In a count window, any outcome may push out a failure.
        let counts = matches!(self.policy.breaker.window, WindowShape::Count { .. });
        let fails = replica.view().breaker.has_failures();
        if fails || counts || self.policy.retry.is_some() {
            let since = now;
            ws.watched.watch(Watch {
                policy: self.index,
                what: What::Survey(Survey { since, begun: None }),
                look_at: now.after(LOOK),
            });
        }
    }

    /// Continues a survey, or begins one if it is due. Returns what to look at again and when,
    /// or `None` if nothing will change without a worker that wants a survey itself.
    pub(super) fn look_at_survey<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        survey: Survey,
        looks: &mut usize,
        now: Instant,
    ) -> Option<(What, Instant)> {
        let name = &self.policy.name;
        let since = survey.since;
        let mut begun = match survey.begun {
            Some(begun) => begun,
            None => match self.claim(ws, since, now) {
                Ok(begun) => begun,
                Err(next) => return Some((What::Survey(survey), next?)),
            },
        };
        let census = Census::read(&mut ws.records, name, self.needs.capacity);
        for place in census.taken().filter(|place| *place >= begun.next_slot) {
            if *looks == 0 {
                begun.next_slot = place;
                let begun = Some(begun);
                return Some((What::Survey(Survey { since, begun }), now));
            }
            *looks = looks.saturating_sub(1);
            if let Slot::Taken(mut taken) = Slot::read(&mut ws.records, name, place) {
                self.add(&mut begun.found, &mut taken, now);
            }
        }
        // Something has merged into a slot that was read before.
        let again = (since > begun.at).then(|| now.after(LOOK));
        let next = self.report_survey(ws, begun, now).or(again)?;
        Some((What::Survey(Survey { since, begun: None }), next))
    }

    /// Begins a survey. Otherwise returns when to look again, or `None` if the last one has seen
    /// everything.
    fn claim<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        since: Instant,
        now: Instant,
    ) -> Result<Begun, Option<Instant>> {
        let name = &self.policy.name;
        let (last, version) = Last::read(&mut ws.records, name);
        let last = last.unwrap_or_default();
        // After a step back of the clock, the next one may seem far away.
        let sane = last.begun <= now;
        if sane && last.at_rest && since < last.begun {
            return Err(None);
        }
        if sane && now < last.next {
            return Err(Some(last.next));
        }
        let census = Census::read(&mut ws.records, name, self.needs.capacity);
        let for_keys = INTERVAL_PER_KEY.scale(u64::from(census.totals().taken), 1);
        let next = now.after(INTERVAL_MIN.max(for_keys));
        let claim = Last {
            begun: now,
            next,
            at_rest: false,
        };
        if !claim.write(&mut ws.records, name, version, &mut ws.buffer) {
            return Err(Some(next));
        }
        Ok(Begun {
            at: now,
            was_at_rest: last.at_rest,
            next_slot: 0,
            found: Found::default(),
        })
    }

    /// Adds one circuit to what a survey has found.
    fn add(&self, found: &mut Found, taken: &mut Taken, now: Instant) {
        let breaker = &self.policy.breaker;
        let standing = taken
            .circuit
            .breaker
            .standing(breaker.recovery.duration, now);
        if matches!(standing.state, StateName::Closed | StateName::Recovering) {
            let counts = standing.counts;
            found.requests = found.requests.saturating_add(counts.requests);
            found.failures = found.failures.saturating_add(counts.failures);
            let ages = matches!(breaker.window, WindowShape::Time { .. });
            found.moves |= ages && counts.failures > 0;
        }
        if let Some(account) = &mut taken.circuit.account {
            let balance = account.balance(now);
            found.budget = Some(found.budget.map_or(balance, |least| least.min(balance)));
            found.moves |= !account.is_at_rest(now);
        }
    }

    /// Sets the gauges. Returns when to look again, or `None` if nothing will change by the
    /// clock alone.
    fn report_survey<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        begun: Begun,
        now: Instant,
    ) -> Option<Instant> {
        let found = begun.found;
        if self.policy.breaker.enabled {
            let percent = percent(found.failures, found.requests);
            ws.set_gauge(self.index, Gauge::FailureRate, percent);
        }
        if let Some(fresh) = self.fresh_balance(now) {
            let least = found.budget.unwrap_or(fresh);
            ws.set_gauge(self.index, Gauge::RetryBudget, least);
        }
        let name = &self.policy.name;
        let (last, version) = Last::read(&mut ws.records, name);
        let last = last.filter(|last| last.begun == begun.at);
        if found.moves {
            let next = last.map_or(now.after(INTERVAL_MIN), |last| last.next);
            return Some(next);
        }
        let next = now.after(LOOK);
        if let Some(last) = last {
            let rests = Last {
                next,
                at_rest: true,
                ..last
            };
            rests.write(&mut ws.records, name, version, &mut ws.buffer);
        }
        (!begun.was_at_rest).then_some(next)
    }
}

/// The share of `part` in `whole`, rounded to a percent; 0 of nothing.
fn percent(part: u32, whole: u32) -> u32 {
    let (part, whole) = (u64::from(part), u64::from(whole));
    let hundredfold = part.saturating_mul(100).saturating_add(whole / 2);
    let percent = hundredfold.checked_div(whole).unwrap_or(0);
    u32::try_from(percent).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_to_a_percent() {
        for (part, whole, expected) in [
            (0, 0, 0),
            (0, 7, 0),
            (1, 200, 1),
            (1, 201, 0),
            (1, 3, 33),
            (2, 3, 67),
            (7, 7, 100),
            (u32::MAX, u32::MAX, 100),
        ] {
            assert_eq!(percent(part, whole), expected, "{part} of {whole}");
        }
    }
}
