//! The whole of Spillway behind four calls: admit, watch, answer, settle.
//!
//! A request's way is [`Engine::admit`] at its headers, then whatever its
//! [`Ticket`] asks to be told, and [`Engine::settle`] at its end, which takes the
//! ticket away. Nothing here waits, and nothing fails: where the core cannot help
//! the request passes. What happened comes out as [`Event`]s, in order.
//!
//! Each worker has an engine; their circuits are one, by way of [`Records`]. What an
//! engine has counted and not shared yet it shares in [`Engine::tick`], which wants to
//! be called when [`Engine::next_tick`] says so.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::circuit::Forced;
use crate::circuit::breaker::{Permit, Refusal, StateName, Transition};
use crate::event::{Counter, Event};
use crate::keys::{self, KEY_BYTES_MAX, KeyTable};
use crate::outcome::classify::{self, Deadlines, Outcome, RequestTiming, Response, Rules, Verdict};
use crate::policy::{Admin, Config, Host, Limits, Mode, On, Policy, WHOLE_BP};
use crate::random::Random;
use crate::select::{Request, Selector};
use crate::shared::records::Records;
use crate::stale::{Bounds, StaleStore};
use crate::time::{Instant, Span};

mod fallback;
mod gauges;
mod lifecycle;
mod needs;
mod operator;
mod order;
mod probing;
mod report;
mod retry;
mod slots;
mod stale;
mod sync;
mod ticket;
mod waiting;

pub use operator::Operator;
pub use ticket::{
    Admission, Decision, DecisionNote, EchoedFields, Pairs, RetryHeaders, Step, Ticket,
};

use gauges::Gauges;
use needs::Needs;
use report::Unnoted;
use slots::SlotShare;
use sync::Lookup;
use ticket::{Admitted, NO_POLICY, Plan, Storing};
use waiting::Waiting;

/// The policies of one configuration, and the circuits under them.
#[derive(Debug)]
pub struct Engine<R> {
    policies: Vec<Policy>,
    /// Their places, in the order of their names.
    by_name: Vec<usize>,
    /// What each policy needs, found out once.
    needs: Vec<Needs>,
    table: KeyTable,
    selector: Selector,
    random: Random,
    admin: Option<Admin>,
    /// Policies that are not of this configuration, which the operator's view has met.
    others: Vec<Box<str>>,
    /// Their places, in the order of their names.
    others_by_name: Vec<usize>,
    records: R,
    /// Where kept answers lie, if a policy gives any.
    shelf: Option<StaleStore>,
    /// Headers by which requests are sent elsewhere.
    reserved: Vec<Box<str>>,
    host: Host,
    limits: Limits,
    interval: Span,
    loaded_at: Instant,
    hash_seed: u64,
    /// Entries with outcomes that wait to be merged: the policy, the place in its table,
    /// and since when.
    pending: VecDeque<(usize, u32, Instant)>,
    /// When the next tick is to merge them. Set while something waits, and until a tick finds
    /// that nothing did: under steady traffic these ticks are evenly spaced.
    merge_at: Option<Instant>,
    /// Requests that wait for their upstreams.
    waiting: Waiting,
    /// Slots that are to be noted in the census again.
    unnoted: VecDeque<Unnoted>,
    gauges: Gauges,
    key: Vec<u8>,
    buffer: Vec<u8>,
    transitions: Vec<Transition>,
    events: VecDeque<Event>,
}

/// Longest time between ticks: long intervals let much wait, which is then to be shared
/// bit by bit.
const TICK_MAX: Span = Span::from_ms(100);

impl<R: Records> Engine<R> {
    /// Circuits for `config`, as the records of other workers, or of the configuration
    /// before, have them. The seed decides jitter and samples, and is the hash's where
    /// no other worker has chosen one: it should differ from one worker to the next.
    pub fn new(config: Config, seed: u64, records: R, now: Instant) -> Engine<R> {
        let mut random = Random::new(seed);
        let hash_seed = random.word();
        let slots = SlotShare::of(&config);
        let needs = |policy: &Policy| Needs::of(policy, slots.of_policy(policy));
        let needs: Vec<Needs> = config.policies.iter().map(needs).collect();
        let capacities = needs.iter().map(|needs| needs.capacity);
        let keeps = needs.iter().any(|needs| needs.storing.is_some());
        let bounds = Bounds {
            stale_bytes: config.limits.stale_bytes,
            recording_bytes: config.limits.recording_bytes,
            interval: config.sync.interval,
        };
        let shelf = keeps.then(|| StaleStore::new(bounds));
        let mut engine = Engine {
            reserved: reserved(&config.policies),
            shelf,
            host: config.host,
            table: KeyTable::new(config.limits.keys_total, capacities),
            selector: Selector::new(&config.policies),
            waiting: Waiting::new(config.policies.len()),
            needs,
            by_name: order::by_name(&config.policies),
            policies: config.policies,
            random,
            admin: config.admin,
            others: Vec::new(),
            others_by_name: Vec::new(),
            records,
            limits: config.limits,
            interval: config.sync.interval,
            loaded_at: now,
            hash_seed,
            pending: VecDeque::new(),
            merge_at: None,
            unnoted: VecDeque::new(),
            gauges: Gauges::default(),
            key: Vec::with_capacity(KEY_BYTES_MAX),
            buffer: Vec::new(),
            transitions: Vec::new(),
            events: VecDeque::new(),
        };
        engine.begin_gauges(now);
        engine.enter_directory(now);
        engine.hash_by(engine.hash_seed);
        engine
    }

    /// Hashes as the other workers do: by the seed in the directory.
    fn hash_by(&mut self, seed: u64) {
        self.hash_seed = seed;
        if let Some(shelf) = &mut self.shelf {
            shelf.hash_by(seed);
        }
    }

    /// Headers that are the filter's own: what a client sends under these names is to be
    /// taken off its request before [`Engine::admit`], since the host's route table goes by
    /// them. They are in their order, each once.
    pub fn reserved_headers(&self) -> &[Box<str>] {
        &self.reserved
    }

    /// The name of a policy, for metrics and logs; empty for a place that no policy has.
    pub fn policy_name(&self, policy: usize) -> &str {
        let own = self.policies.get(policy).map(|policy| &*policy.name);
        let other = || {
            let place = policy.checked_sub(self.policies.len())?;
            self.others.get(place).map(|name| &**name)
        };
        own.or_else(other).unwrap_or_default()
    }

    /// When [`Engine::tick`] wants to be called next; `None` if nothing waits for it. A call
    /// that comes earlier does no harm and costs little.
    pub fn next_tick(&self, now: Instant) -> Option<Instant> {
        let unnoted = || (!self.unnoted.is_empty()).then(|| now.after(self.tick_period()));
        let merge = self.merge_at.or_else(unnoted);
        merge.into_iter().chain(self.gauges.next_look()).min()
    }

    /// How many slots a policy of this configuration has for keys.
    fn capacity_of(&self, policy: usize) -> u32 {
        self.needs.get(policy).map_or(0, |needs| needs.capacity)
    }

    /// Time between two ticks that merge.
    fn tick_period(&self) -> Span {
        self.interval.min(TICK_MAX)
    }

    /// Whether something waits to be shared, or to be counted.
    fn has_pending(&self) -> bool {
        !self.pending.is_empty() || !self.unnoted.is_empty() || !self.waiting.is_empty()
    }

    /// The name of the policy that a note is about.
    pub fn policy_of(&self, note: &DecisionNote) -> &str {
        self.policy_name(note.policy)
    }

    /// Takes the oldest event that was not taken yet.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Decides about a request whose headers have come. `complete` says that
    /// nothing follows them.
    pub fn admit(&mut self, request: &impl Request, complete: bool, now: Instant) -> Admission {
        let Some(selected) = self.selector.select(&self.policies, request) else {
            return self.unmatched(request, complete, now);
        };
        let place = selected.policy;
        let (Some(policy), Some(&needs)) = (self.policies.get(place), self.needs.get(place)) else {
            return Admission::Unmatched;
        };
        let (mode, pattern) = (policy.mode, selected.pattern);
        let enforced = match (mode, policy.enforce_bp) {
            (Mode::Shadow, _) => false,
            (_, WHOLE_BP) => true,
            (_, share_bp) => self.random.chance(share_bp),
        };
        let [content_type, deadlines @ ..] = request.headers(&classify::CLAIMS);
        let grpc = classify::is_grpc(content_type);
        let course = RequestTiming {
            grpc,
            request_complete: complete,
            started: now,
            request_end: complete.then_some(now),
            response_start: None,
            deadlines: Deadlines::read(deadlines),
        };
        let mut ticket = Box::new(Ticket {
            policy: place,
            admitted: None,
            enforced,
            state: StateName::Closed,
            decision: None,
            course,
            is_head: false,
            transcoded: false,
            watches_clock: policy.breaker.slow_threshold.is_some(),
            watches_response: enforced && needs.response || policy.judges_at_headers(),
            trouble: None,
            uncallable: None,
            may_call: enforced && needs.copy && !grpc,
            storing: Storing::None,
            has_body: false,
            echo: needs.echo.then(|| EchoedFields::of(request)),
            plan: Plan::None,
            counted: false,
            seen: None,
            answered: false,
            waits: None,
            replaced: false,
        });
        if ticket.watches_response {
            ticket.note_client(request);
        }
        let retry = policy.retry.as_ref();
        let wish = retry.map(|config| crate::retry::wish(config, request, grpc));
        let fits = keys::encode(&policy.key, request, pattern, &mut self.key);
        let refusal = match self.reach(place, fits, now) {
            Lookup::Entry(at) => self.acquire(&mut ticket, at, mode, now),
            Lookup::Refused(refusal) => Some(refusal),
            Lookup::Overflow(at) => {
                let refusal = self.forced_open(place, mode);
                if let (None, Some(at)) = (&refusal, at) {
                    self.enter(&mut ticket, at, None);
                }
                refusal
            }
        };
        if self.shelf.is_some() {
            let mut storing = needs.storing.filter(|_| fits);
            if let Some(storing) = &mut storing {
                storing.gives_later = enforced && (storing.gives_later || refusal.is_some());
            }
            self.ask(&mut ticket, storing, request, now);
        }
        if let Some(refusal) = refusal {
            ticket.state = refusal.state;
            if ticket.enforced {
                let step = self.refuse(&mut ticket, refusal.retry_after, request, now);
                return Admission::Reject(ticket, step);
            }
            ticket.decision = Some(Decision::WouldReject);
            self.count(place, Counter::WouldReject);
        }
        if complete && needs.early {
            self.begin_wait(&mut ticket, now);
        }
        if let Some(wish) = wish {
            self.plan(&mut ticket, wish, now);
            self.override_deadlines(&mut ticket);
        }
        Admission::Pass(ticket)
    }

    /// Notes that the client has sent its whole request, at `now` where
    /// [`Ticket::watches_clock`] says that the time matters.
    pub fn request_complete(&mut self, ticket: &mut Ticket, now: Option<Instant>) {
        if ticket.course.request_complete {
            return;
        }
        ticket.course.request_complete = true;
        ticket.course.request_end = now;
        // Only a probe's lease asks when, and a probe watches the clock.
        // One with a response is judged by that already.
        let waits = ticket.course.response_start.is_none();
        if let (Some((at, permit)), Some(now), true) = (ticket.probe(), now, waits) {
            self.share(ticket.policy, at, now, &mut |circuit, moment| {
                circuit.breaker.request_complete(permit, moment.now);
            });
        }
        // An upstream may answer before it has all of the request.
        if let Some(now) = now
            && ticket.course.response_start.is_none()
            && self.is_early(ticket.policy)
        {
            self.begin_wait(ticket, now);
        }
    }

    /// Looks at the response's headers, and answers in their place if the policy
    /// has an answer for what they say.
    pub fn response_headers(
        &mut self,
        ticket: &mut Ticket,
        response: &impl Response,
        now: Instant,
    ) -> Step {
        if ticket.trouble.is_some() {
            return self.label(ticket);
        }
        ticket.course.response_start = Some(now);
        if ticket.waits.is_some() {
            self.end_wait(ticket, now);
        }
        if !ticket.watches_response {
            return Step::Pass;
        }
        self.forget(ticket, response);
        let Some(policy) = self.policies.get(ticket.policy) else {
            return Step::Pass;
        };
        let verdict = classify::at_headers(&rules(policy), &ticket.course, response, now);
        ticket.seen = Some(verdict);
        let settles = policy.judges_at_headers();
        self.probe_answered(ticket, response, verdict, now);
        if let Some(wait) = self.again(ticket, response, verdict, now) {
            return Step::Retry(wait);
        }
        if settles {
            self.count_outcome(ticket, verdict);
            self.settle_attempt(ticket, verdict, now);
        }
        self.conclude(ticket, now)
    }

    /// Takes a ticket back, with how its request ended.
    pub fn settle(&mut self, mut ticket: Box<Ticket>, response: &impl Response, now: Instant) {
        let Some(policy) = self.policies.get(ticket.policy) else {
            return;
        };
        let verdict = match ticket.seen {
            Some(seen) if ticket.replaced || policy.judges_at_headers() => seen,
            _ => classify::at_end(&rules(policy), &ticket.course, response, now),
        };
        let too_late = !ticket.replaced
            && ticket.trouble.is_none()
            && ticket.enforced
            && verdict.outcome == Outcome::Failure
            && policy
                .fallback
                .iter()
                .any(|entry| entry.on.contains(reason(verdict)));
        if too_late {
            self.count(ticket.policy, Counter::FallbackTooLate);
        }
        // Only the router's retries are not known here; who was granted none made none.
        let made = match &ticket.plan {
            Plan::Router(Some(_)) => response.attempts().map(|all| all.saturating_sub(1)),
            Plan::Router(None) | Plan::Filter(_) | Plan::None => None,
        };
        self.finish(&mut ticket, verdict, made, now);
    }

    /// Takes a ticket back where the host never said how its request ended: it is
    /// judged by the response's headers if those were looked at.
    pub fn abandon(&mut self, mut ticket: Box<Ticket>, now: Instant) {
        if ticket.policy == NO_POLICY {
            return;
        }
        let verdict = ticket.seen.unwrap_or(Verdict::of(Outcome::Ignored));
        self.finish(&mut ticket, verdict, None, now);
    }

    /// Asks the circuit for admission.
    fn acquire(
        &mut self,
        ticket: &mut Ticket,
        at: u32,
        mode: Mode,
        now: Instant,
    ) -> Option<Refusal> {
        let place = ticket.policy;
        let force = self.table.entry(at)?.2.view().force(now);
        let refusal = match force.map(|force| (force.to, force.until)) {
            Some((Forced::Closed, _)) => {
                ticket.state = StateName::ForcedClosed;
                self.enter(ticket, at, None);
                return None;
            }
            Some((Forced::Open, until)) => Some(Refusal {
                state: StateName::ForcedOpen,
                retry_after: until.since(now),
            }),
            None => self.forced_open(place, mode),
        };
        let refusal = match refusal {
            Some(refusal) => refusal,
            None => match self.permit(place, at, ticket.course.request_complete, now)? {
                Ok((permit, state)) => {
                    ticket.state = state;
                    self.enter(ticket, at, Some(permit));
                    return None;
                }
                Err(refusal) => refusal,
            },
        };
        self.table.touch(at);
        Some(refusal)
    }

    /// Admits a request, by a permit where its outcome is to count.
    fn enter(&mut self, ticket: &mut Ticket, at: u32, permit: Option<Permit>) {
        self.table.enter(at);
        if permit.as_ref().is_some_and(Permit::is_probe) {
            ticket.decision = Some(Decision::Probe);
            ticket.watches_clock = true;
            ticket.watches_response = true;
            self.count(ticket.policy, Counter::Probe);
        }
        ticket.admitted = Some(Admitted { at, permit });
    }

    /// The refusal of a policy that is forced open by its mode.
    fn forced_open(&self, policy: usize, mode: Mode) -> Option<Refusal> {
        let policy = self.policies.get(policy)?;
        (mode == Mode::ForcedOpen).then_some(Refusal {
            state: StateName::ForcedOpen,
            retry_after: policy.breaker.open.duration,
        })
    }

    /// Every ticket ends here, with how many retries the host's router has made, if it was
    /// granted any and says so.
    fn finish(&mut self, ticket: &mut Ticket, verdict: Verdict, made: Option<u64>, now: Instant) {
        self.forget_request(ticket);
        if ticket.is_rejected() {
            return;
        }
        self.count_outcome(ticket, verdict);
        if !matches!(ticket.plan, Plan::None) {
            let retries = self.settle_retries(ticket, made, now);
            self.count_many(ticket.policy, Counter::Retries(verdict.outcome), retries);
        }
        self.settle_attempt(ticket, verdict, now);
        if let Some(Admitted { at, .. }) = ticket.admitted {
            self.table.leave(at);
        }
    }

    /// Counts how an attempt ended, once, and shares what is to be shared.
    fn settle_attempt(&mut self, ticket: &mut Ticket, verdict: Verdict, now: Instant) {
        if ticket.waits.is_some() {
            self.settle_wait(ticket);
        }
        let policy = ticket.policy;
        let Some(Admitted { at, permit }) = &mut ticket.admitted else {
            return;
        };
        let (at, permit) = (*at, permit.take());
        if let Some(permit) = permit {
            self.settle_permit((policy, at), &permit, (verdict, ticket.answered), now);
        }
        self.merge_or_queue(policy, at, now);
    }
}

fn rules(policy: &Policy) -> Rules<'_> {
    Rules {
        outcome: &policy.outcome,
        slow_threshold: policy.breaker.slow_threshold,
        slow_until: policy.breaker.slow_until,
        hints: policy.breaker.open.retry_after_max > Span::ZERO,
    }
}

fn reason(verdict: Verdict) -> On {
    if verdict.timeout {
        On::Timeout
    } else {
        On::Failure
    }
}

/// The headers by which policies send requests elsewhere, those of disabled ones included:
/// the route table goes by them whatever a policy's mode is. In their order.
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
