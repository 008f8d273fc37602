//! What an engine does in its ticks.

use crate::shared::records::Records;
use crate::time::{Instant, Span};

use super::policies::Policies;
use super::workspace::Workspace;

impl Policies {
    /// Counts requests that have waited for too long, and merges what would have waited for
    /// longer than the interval by the next tick, as far as one call may. Ticks that come for
    /// something else merge nothing.
    pub(super) fn tick<R: Records>(&mut self, ws: &mut Workspace<R>, now: Instant) {
        self.count_requests(ws);
        self.count_all_overdue(ws, now);
        self.note_unnoted(ws, now);
        self.look_at_gauges(ws, now);
        let period = ws.tick_period();
        if is_merge_tick(ws.merge_at, period, now) {
            ws.merge_at = ws.has_pending().then(|| now.after(period));
            self.merge_due(ws, now.after(period), now);
        }
    }

    /// Counts the requests of all policies that have passed their thresholds.
    fn count_all_overdue<R: Records>(&mut self, ws: &mut Workspace<R>, now: Instant) {
        for policy in &mut self.own {
            if ws.waiting.is_empty() {
                return;
            }
            policy.count_overdue(ws, now);
        }
    }
}

/// Whether a tick at `now` is one that merges. Timers may be a little early; and after a
/// step back of the clock the time set for it is too far away.
fn is_merge_tick(merge_at: Option<Instant>, period: Span, now: Instant) -> bool {
    let early = now.after(period.scale(1, 10));
    merge_at.is_some_and(|at| at <= early || at > now.after(period))
}
