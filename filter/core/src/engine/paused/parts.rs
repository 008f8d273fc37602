//! The parts of an engine that a paused stream borrows.

use crate::engine::policies::Policies;
use crate::engine::policy_state::PolicyState;
use crate::engine::ticket::Ticket;
use crate::engine::workspace::Workspace;

/// What a paused stream needs of the engine that decides about it.
pub struct EngineParts<'a, R> {
    pub(in crate::engine) policies: &'a mut Policies,
    pub(in crate::engine) ws: &'a mut Workspace<R>,
}

impl<R> EngineParts<'_, R> {
    /// Whether a response to a call can be delivered: only a body within the limit fits.
    pub fn accepts(&self, body_bytes: usize, has_trailers: bool) -> bool {
        let most = self.ws.limits.replay_answer_bytes;
        !has_trailers && u32::try_from(body_bytes).is_ok_and(|len| len <= most)
    }

    /// Returns the state of a ticket's policy, or `None` if there is no such policy.
    pub(super) fn of(&mut self, ticket: &Ticket) -> Option<(&mut PolicyState, &mut Workspace<R>)> {
        let policy = self.policies.own.get_mut(ticket.policy)?;
        Some((policy, self.ws))
    }
}
