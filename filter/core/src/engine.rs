//! The engine: every decision about requests, behind a few calls.
//!
//! A request is admitted by [`Engine::request_arrived`] at its headers. Its [`Ticket`] says which
//! later events the engine has to see, and [`Engine::settle`] takes the ticket at the end.
//! Nothing here waits, and nothing fails: if the core cannot help, the request passes. What
//! happened is reported as [`Event`]s, in order.
//!
//! Each worker has an engine; they share their circuits through [`Records`]. What an engine
//! has counted and not shared yet is shared in [`Engine::tick`], to be called when
//! [`Engine::next_tick`] says.
//!
//! This file only delegates: it looks up the policy of a call once, and the modules below do
//! the work on that [`PolicyState`] and on the [`Workspace`] of all policies.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::event::{Counter, Event, Series, series};
use crate::exchange::{Request, Response};
use crate::fallback::Skip;
use crate::keys::KeyTable;
use crate::policy::{Admin, Config, Policy};
use crate::random::Random;
use crate::retry::Denial;
use crate::select::Selector;
use crate::shared::key;
use crate::shared::records::Records;
use crate::stale::{Bounds, StaleStore};
use crate::time::Instant;

mod admission;
mod capabilities;
mod decision;
mod early;
mod fallback;
mod gauges;
mod lifecycle;
mod lookup;
mod needs;
mod operator;
mod paused;
mod permit;
mod placing;
mod policies;
mod policy_state;
mod replay;
mod report;
mod response;
mod retry;
mod router;
mod slip;
mod slots;
mod stale;
mod states;
mod survey;
mod sync;
mod tick;
mod ticket;
mod waiting;
mod watched;
mod workspace;

pub use admission::{Admission, Instructions};
pub use capabilities::Capabilities;
pub use decision::{Decision, DecisionNote, HeaderEdit, Step};
pub use operator::Operator;
pub use paused::{
    Call, CallResponse, Command, Ending, EngineParts, Intake, Paused, PausedStreams, Reply, Stream,
};
pub use response::{Arrival, Reaction};
pub use router::RouterOrders;
pub use slip::Slip;
pub use ticket::{EchoedFields, Ticket};

use policies::Policies;
use policy_state::PolicyState;
use slots::SlotShare;
use workspace::{Parts, Workspace};

/// The policies of one configuration, and the circuits under them.
#[derive(Debug)]
pub struct Engine<R> {
    policies: Policies,
    workspace: Workspace<R>,
    selector: Selector,
    admin: Option<Admin>,
    /// Names of headers that send requests to another route.
    reserved: Vec<Box<str>>,
}

impl<R: Records> Engine<R> {
    /// Creates an engine for `config`, whose circuits are those that the records of other
    /// workers, or of the configuration before, hold. The seed decides jitter and samples, and
    /// is the hash's if no other worker has chosen one: it should differ from one worker to the
    /// next.
    pub fn new(
        config: Config,
        seed: u64,
        records: R,
        capabilities: Rc<dyn Capabilities>,
        now: Instant,
    ) -> Engine<R> {
        let mut random = Random::new(seed);
        let hash_seed = random.word();
        let slots = SlotShare::of(&config);
        let selector = Selector::new(&config.policies);
        let reserved = reserved(&config.policies);
        let state = |(index, policy): (usize, Policy)| {
            let slots = slots.of_policy(&policy);
            PolicyState::new(index, policy, slots)
        };
        let own: Vec<PolicyState> = config.policies.into_iter().enumerate().map(state).collect();
        let capacities = own.iter().map(|policy| policy.needs.capacity);
        let bounds = Bounds {
            stale_bytes: config.limits.stale_bytes,
            recording_bytes: config.limits.recording_bytes,
            interval: config.sync.interval,
            ignores_query: own.iter().any(|it| !it.policy.ignored_query().is_empty()),
        };
        let stores = own.iter().any(|policy| policy.needs.stale.is_some());
        let parts = Parts {
            table: KeyTable::new(config.limits.keys_total, capacities),
            records,
            random,
            stale: if stores {
                StaleStore::open(bounds)
            } else {
                None
            },
            host: config.host,
            capabilities,
            limits: config.limits,
            interval: config.sync.interval,
            circuits_shown: config.metrics.circuits,
        };
        let mut engine = Engine {
            workspace: Workspace::new(parts, hash_seed, now),
            policies: Policies::new(own),
            selector,
            admin: config.admin,
            reserved,
        };
        let ws = &mut engine.workspace;
        engine.policies.begin_gauges(ws, now);
        engine.policies.enter_directory(ws, now);
        ws.hash_by(ws.hash_seed);
        engine
    }

    /// Headers that are the filter's own. The host's route table matches them, so a client's
    /// headers of these names have to be removed before [`Engine::request_arrived`]. They are
    /// sorted, each once.
    pub fn reserved_headers(&self) -> &[Box<str>] {
        &self.reserved
    }

    /// The name of a policy, for metrics and logs. Empty if no policy has this index.
    pub fn policy_name(&self, policy: usize) -> &str {
        self.policies.name(policy)
    }

    /// Calls `visit` with each series that the first policies can have, for the host to create
    /// them before they are used.
    pub fn visit_series(&self, visit: &mut dyn FnMut(usize, Series)) {
        for state in self.policies.own.iter().take(series::POLICIES_MAX) {
            series::of(&state.policy, &mut |series| visit(state.index, series));
        }
    }

    /// When [`Engine::tick`] is to be called next, or `None` if nothing waits for it. An earlier
    /// call is harmless and cheap.
    pub fn next_tick(&self, now: Instant) -> Option<Instant> {
        self.workspace.next_tick(now)
    }

    /// Counts requests that have waited for too long, and merges what is due.
    pub fn tick(&mut self, now: Instant) {
        self.policies.tick(&mut self.workspace, now);
    }

    /// Takes the oldest event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.workspace.events.pop_front()
    }

    /// Sets the gauges again that another worker has overwritten, for a worker that ends.
    /// Returns whether there are events to report.
    pub fn confirm_gauges(&mut self, now: Instant) -> bool {
        self.policies.confirm_gauges(&mut self.workspace, now)
    }

    /// Shares what is still to be shared, and empties the slots that no worker looks into any
    /// more.
    pub fn retire(&mut self, now: Instant) {
        self.policies.retire(&mut self.workspace, now);
    }

    /// The prefix of the paths of operators, or `None` if there is no admin endpoint.
    pub fn admin_prefix(&self) -> Option<&str> {
        self.admin.as_ref().map(|admin| &*admin.path_prefix)
    }

    /// A view for an operator whose request arrives now.
    pub fn operator(&mut self, now: Instant) -> Operator<'_, R> {
        Operator::new(&mut self.policies, &mut self.workspace, now)
    }

    /// What a paused stream needs to decide how to continue.
    pub fn parts(&mut self) -> EngineParts<'_, R> {
        EngineParts {
            policies: &mut self.policies,
            ws: &mut self.workspace,
        }
    }

    /// Decides about a request whose headers have come. `complete` says that nothing follows
    /// them. On the short path the slip is put into its place, since moving it would cost as much
    /// as deciding.
    pub fn request_arrived(
        &mut self,
        request: &impl Request,
        complete: bool,
        slip: &mut Option<Slip>,
        now: Instant,
    ) -> Admission {
        let ws = &mut self.workspace;
        let Some(selected) = self.selector.select(&self.policies.own, request) else {
            // It may still change what is stored.
            return match ws.changed_uri(request) {
                Some(uri) => {
                    let ticket = Box::new(Ticket::of_change(uri, complete, now));
                    Admission::Pass(ticket, None)
                }
                None => Admission::Unmatched,
            };
        };
        let Some(policy) = self.policies.own.get(selected.policy) else {
            return Admission::Unmatched;
        };
        let (index, pattern) = (selected.policy, selected.pattern);
        let late = ws.misses_ticks(now);
        let plain = match late {
            false => policy.plain_permit(ws, request, pattern, now),
            true => None,
        };
        let parts = &policy.policy.key;
        let fits = plain.is_none() && key::encode(parts, request, pattern, &mut ws.key);
        // On a host whose ticks do not come, requests do what waits for them.
        if late {
            self.policies.tick(ws, now);
        }
        match (self.policies.own.get_mut(index), plain) {
            (Some(policy), Some(plain)) => {
                let slip = slip.insert(Slip::new(policy, request, plain, complete, now));
                Admission::Count(policy.pass(ws, request, slip, now))
            }
            (Some(policy), None) => policy.admit(ws, request, (fits, complete), now),
            (None, _) => Admission::Unmatched,
        }
    }

    /// The policy of a ticket, unless its request is under none.
    fn of(&mut self, ticket: &Ticket) -> Option<(&mut PolicyState, &mut Workspace<R>)> {
        let policy = self.policies.own.get_mut(ticket.policy)?;
        Some((policy, &mut self.workspace))
    }

    fn policy(&self, ticket: &Ticket) -> Option<&PolicyState> {
        self.policies.own.get(ticket.policy)
    }

    /// Notes that the client has sent its whole request, at `now` if
    /// [`Ticket::watches_clock`] says that the time matters.
    pub fn request_complete(&mut self, ticket: &mut Ticket, now: Option<Instant>) {
        if let Some((policy, ws)) = self.of(ticket) {
            policy.request_complete(ws, ticket, now);
        }
    }

    /// Notes that the client has sent its whole request now, if [`Slip::watches_clock`].
    pub fn slip_complete(&mut self, slip: &mut Slip, now: Instant) {
        if let Some(policy) = self.policies.own.get_mut(slip.policy) {
            policy.slip_complete(&mut self.workspace, slip, now);
        }
    }

    /// Judges a response whose headers have come, if [`Slip::watches_response`]. If it is a
    /// failure that may be replaced, returns a ticket in place of the slip, for
    /// [`Engine::response_arrived`].
    pub fn slip_answered(
        &mut self,
        slip: &mut Option<Slip>,
        response: &impl Response,
        now: Instant,
    ) -> Option<Box<Ticket>> {
        let held = slip.as_mut()?;
        let policy = self.policies.own.get_mut(held.policy)?;
        let verdict = policy.slip_answered(&mut self.workspace, held, response, now)?;
        Some(Box::new(policy.ticket_of(slip.take()?, Some(verdict))))
    }

    /// Calls `edit` with each request header that tells the host's router its orders: the name,
    /// the value, and whether the value is added to the header's other values rather than
    /// replacing them.
    pub fn each_edit(&self, orders: RouterOrders, edit: &mut dyn FnMut(&str, &[u8], bool)) {
        if let Some(policy) = self.policies.own.get(orders.policy) {
            policy.each_edit(orders, edit);
        }
    }

    /// Decides about a response whose headers have come.
    pub fn response_arrived(
        &mut self,
        ticket: &mut Ticket,
        response: &impl Response,
        arrival: Arrival,
        now: Instant,
    ) -> Reaction {
        match self.of(ticket) {
            Some((policy, ws)) => policy.react(ws, ticket, response, arrival, now),
            None => {
                self.workspace.forget(ticket, response);
                Reaction::Pass
            }
        }
    }

    /// Takes a chunk of the response's body: `size` bytes, the last ones if it `ends` there.
    /// `read` is called only if the bytes are wanted.
    pub fn response_body(
        &mut self,
        ticket: &mut Ticket,
        chunk: (usize, bool),
        read: impl FnOnce() -> Option<Vec<u8>>,
        now: Instant,
    ) {
        self.workspace.response_body(ticket, chunk, read, now);
    }

    /// Finds another fallback for a rejected request that cannot be copied.
    pub fn without_copy(&mut self, ticket: &mut Ticket, denial: Denial, now: Instant) -> Step {
        ticket.spoil(denial);
        match self.of(ticket) {
            Some((policy, ws)) => policy.skip(ws, ticket, Skip::without_copy(denial), now),
            None => Step::Pass,
        }
    }

    /// Takes a ticket back, with how its request ended.
    pub fn settle(&mut self, mut ticket: Box<Ticket>, response: &impl Response, now: Instant) {
        if let Some((policy, ws)) = self.of(&ticket) {
            policy.settle(ws, &mut ticket, response, now);
        }
    }

    /// Takes a slip back, with how its request ended if the host said so. It is settled in its
    /// place.
    pub fn settle_slip(
        &mut self,
        slip: &mut Option<Slip>,
        response: Option<&impl Response>,
        now: Instant,
    ) {
        if let Some(slip) = slip
            && let Some(policy) = self.policies.own.get_mut(slip.policy)
        {
            policy.settle_slip(&mut self.workspace, slip, response, now);
        }
        *slip = None;
    }

    /// Takes a ticket back if the host never said how its request ended. The request is judged
    /// by the response's headers if those were seen.
    pub fn abandon(&mut self, mut ticket: Box<Ticket>, now: Instant) {
        if let Some((policy, ws)) = self.of(&ticket) {
            policy.abandon(ws, &mut ticket, now);
        }
    }

    /// Largest request body of which a copy is worth keeping.
    pub fn replay_body_bytes(&self) -> u32 {
        self.workspace.limits.replay_body_bytes
    }

    /// Most bytes that all copies of requests take together, per VM.
    pub fn copies_bytes(&self) -> u32 {
        self.workspace.limits.copies_bytes
    }

    /// Forgets what is saved of a request for placeholders: there is no room for it.
    pub fn save_nothing(&mut self, ticket: &mut Ticket) {
        ticket.client.echo = None;
        self.workspace.count(ticket.policy, Counter::NothingSaved);
    }

    /// The decision about a request, if it was something else than "pass".
    pub fn note(&self, ticket: &Ticket) -> Option<DecisionNote> {
        self.policy(ticket)?.note(ticket)
    }
}

/// The headers by which policies send requests to other routes, sorted. Those of disabled
/// policies are among them: the route table matches them whatever a policy's mode is.
fn reserved(policies: &[Policy]) -> Vec<Box<str>> {
    let mut names: Vec<Box<str>> = Vec::new();
    for route in policies.iter().flat_map(Policy::routes) {
        if let Err(at) = names.binary_search(&route.name) {
            names.insert(at, route.name.clone());
        }
    }
    names
}

#[cfg(test)]
mod tests;
