//! The short path: requests that pass a closed circuit under a policy that only counts them.
//!
//! Nearly all requests are of this kind. They pass without an allocation: the parts of the key
//! are compared where they are, and a [`Slip`] of a few words is all that is kept.
//!
//! The short path says "passes, and nothing is to be done", or nothing at all. For any other
//! request it leaves everything as it was, and the long path decides from the beginning. When the
//! request ends, its slip becomes a ticket, and is settled as every ticket is.

use crate::circuit::breaker::{Permit, StateName};
use crate::exchange::{CLAIMS, Request, RequestTiming};
use crate::http_value::is_grpc;
use crate::policy::Mode;
use crate::shared::key;
use crate::shared::records::Records;
use crate::time::Instant;

use super::policy_state::PolicyState;
use super::ticket::{Admitted, CircuitUse, Ticket, Watches};
use super::workspace::Workspace;

/// A request that passed and is only counted, from its headers to its end.
///
/// The engine takes it back when the request ends, as it does a [`Ticket`].
#[must_use = "an unsettled slip keeps its key in use"]
#[derive(Debug)]
pub struct Slip {
    /// Index of its policy.
    pub(super) policy: usize,
    /// Position of its key in the table of keys.
    at: u32,
    permit: Permit,
    started: Instant,
    /// Whether the client has sent the whole request.
    complete: bool,
}

impl Slip {
    /// Notes that the client has sent its whole request.
    pub fn request_complete(&mut self) {
        self.complete = true;
    }
}

impl PolicyState {
    /// Admits a request if it passes and is only counted. If not, nothing has changed.
    pub(super) fn pass<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        request: &impl Request,
        pattern: Option<&str>,
        complete: bool,
        now: Instant,
    ) -> Option<Slip> {
        // A store looks at every request, and without ends the response's headers decide.
        if !self.needs.counts_only || ws.stale.is_some() || !ws.capabilities.reports_ends() {
            return None;
        }
        let at = self.find_known(ws, request, pattern)?;
        let interval = ws.interval;
        let permit = ws.table.entry(at)?.2.admit_plainly(interval, now)?;
        let [content_type, deadlines @ ..] = request.headers(&CLAIMS);
        if is_grpc(content_type) || deadlines != [None; 3] {
            return None;
        }
        ws.table.enter(at);
        Some(Slip {
            policy: self.index,
            at,
            permit,
            started: now,
            complete,
        })
    }

    /// Returns the entry of a request's key if the table has it.
    fn find_known<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        request: &impl Request,
        pattern: Option<&str>,
    ) -> Option<u32> {
        let parts = &self.policy.key;
        let is_wanted = |known: &[u8]| key::is_of(parts, request, pattern, known);
        if let Some(at) = ws.table.find_recent(self.index, is_wanted) {
            return Some(at);
        }
        if !key::encode(parts, request, pattern, &mut ws.key) {
            return None;
        }
        let hash = key::hash(ws.hash_seed, &ws.key);
        ws.table.find(self.index, hash, &ws.key)
    }

    /// The ticket that the long path would have issued in place of a slip.
    pub(super) fn ticket_of(&self, slip: Slip) -> Ticket {
        let timing = RequestTiming {
            request_complete: slip.complete,
            started: slip.started,
            ..RequestTiming::default()
        };
        let watches = Watches {
            clock: false,
            response: false,
        };
        let (at, permit) = (slip.at, Some(slip.permit));
        Ticket {
            circuit: CircuitUse {
                state: StateName::Closed,
                admitted: Some(Admitted { at, permit }),
                waits: None,
                answered: false,
            },
            ..Ticket::new(
                self.index,
                self.policy.mode != Mode::Shadow,
                timing,
                watches,
            )
        }
    }
}
