//! The world at work: it plays clients, router and upstreams against the host.
//!
//! One loop takes the next event, either the host's timer or the queue's, moves the
//! host's clock, hands the event in and then settles: takes effects out until nothing
//! moves any more. Handlers of effects never settle, so that no effect is handled
//! within another; what has to follow later in the same moment (the body after the
//! headers, which a filter may have answered by then) goes into `feeds`.

mod callouts;
mod chains;
mod clients;
mod deadlines;
mod own;
mod router;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use slotmap::{SecondaryMap, SlotMap, new_key_type};

use crate::model::answers::Answers;
use crate::model::client::{Kind, Source};
use crate::model::exchange::{Exchange, Phase};
use crate::model::route::Routes;
use crate::model::spec;
use crate::model::template::BadPlaceholder;
use crate::model::upstream::{JobKey, Upstream, Wakes};
use crate::proxy::{CallId, ClusterState, Effect, Host, Part, StreamId};
use crate::record::{Names, Record, What};
use crate::sim::clock::Time;
use crate::sim::queue::Queue;
use crate::sim::rng::{Rng, Seed};
use crate::sim::span::Span;

use callouts::Callout;
use clients::Call;
use own::Texts;

new_key_type! {
    /// One call of a client.
    pub struct CallKey;
    /// One request.
    pub struct ExchangeKey;
    /// One call of a plugin.
    pub struct CalloutKey;
}

/// What a world is made of.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub seed: u64,
    pub workers: usize,
    pub duration: Span,
    /// In the order of their names.
    pub clusters: Vec<(String, spec::Cluster)>,
    pub routes: Vec<spec::Route>,
    /// Whether the router tells upstreams the number of the attempt.
    pub include_attempt_count: bool,
    /// Whether the router leaves out its own `x-envoy-` headers of responses.
    pub suppress_envoy_headers: bool,
    pub traffic: Vec<spec::Traffic>,
    pub faults: Vec<spec::Fault>,
    /// New configurations of the plugin, each with its time.
    pub updates: Vec<(Time, Vec<u8>)>,
    /// Times at which the watcher is asked.
    pub marks: Vec<Time>,
}

/// Who looks on.
pub trait Watcher {
    /// The time of mark `number` has come; nothing of that moment has happened yet.
    fn mark(&mut self, number: usize, world: &World);
    /// The run has come so far. Called often.
    fn progress(&mut self, now: Time);
}

/// What came out of a world, word for word: for tests that compare it with a real proxy.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The parts of the answers that clients got, in their order.
    pub answer: Vec<Part>,
    /// Whether one broke off.
    pub broken: bool,
    /// The lines of the plugin's log.
    pub log: Vec<String>,
}

/// How a run ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    pub at: Time,
    pub why: String,
}

/// The world.
pub struct World {
    pub host: Host,
    pub record: Record,
    now: Time,
    /// When traffic stops.
    duration: Time,
    queue: Queue<Event>,
    clusters: Vec<Place>,
    names: Vec<String>,
    routes: Routes,
    /// The groups of clients, and after them the services that call others.
    sources: Vec<Source>,
    include_attempt_count: bool,
    suppress_envoy_headers: bool,
    faults: Vec<spec::Fault>,
    updates: Vec<Vec<u8>>,
    calls: SlotMap<CallKey, Call>,
    exchanges: SlotMap<ExchangeKey, Exchange>,
    by_stream: HashMap<StreamId, ExchangeKey>,
    callouts: SlotMap<CalloutKey, Callout>,
    by_call: HashMap<CallId, CalloutKey>,
    feeds: VecDeque<Feed>,
    texts: Texts,
    workers: u64,
    worker_draws: Rng,
    backoff_draws: Rng,
    requests: u64,
    wakes: Wakes,
    heard: Option<Heard>,
}

/// One cluster in the world.
struct Place {
    upstream: Upstream<Owner>,
    answers: Answers,
    address: Rc<str>,
    /// The service's place among the sources, if it calls others.
    source: Option<usize>,
    /// What it has asked for its jobs.
    inner: SecondaryMap<JobKey, ExchangeKey>,
}

impl Place {
    fn new(name: &str, spec: &spec::Cluster, seed: Seed) -> Place {
        Place {
            answers: Answers::new(&spec.answer),
            address: spec.address.as_str().into(),
            upstream: Upstream::new(spec.clone(), seed.split(&format!("cluster/{name}"))),
            source: None,
            inner: SecondaryMap::new(),
        }
    }
}

/// Who waits for an attempt.
#[derive(Clone, Copy)]
enum Owner {
    Exchange(ExchangeKey),
    Callout(CalloutKey),
}

/// What is in the queue.
#[derive(Clone, Copy)]
enum Event {
    /// The next call of an open loop.
    Arrival {
        source: usize,
    },
    /// A client of a closed loop has thought.
    Thought {
        source: u32,
        client: u32,
    },
    /// A client sends a call again.
    Resend(CallKey),
    /// The time of an attempt has come.
    Job {
        cluster: u32,
        job: JobKey,
    },
    /// A client sends the next chunk of a body.
    Chunk(ExchangeKey),
    /// A deadline of a request may have come.
    Deadline(ExchangeKey),
    /// A plugin's call times out.
    CalloutDeadline(CalloutKey),
    Fault {
        number: u32,
        begins: bool,
    },
    Update(usize),
    Mark(usize),
}

/// A part that goes to the host after what came before it has settled.
struct Feed {
    exchange: ExchangeKey,
    part: Part,
    /// Towards the upstream, or else towards the client.
    upwards: bool,
}

/// How long after the end of the traffic requests may still take: a little longer than Envoy's
/// default for a silent stream.
const GRACE: Span = Span::from_ms(360_000);

impl World {
    /// A world before its first moment.
    ///
    /// # Errors
    ///
    /// A placeholder in a request that means nothing.
    pub fn new(plan: Plan, host: Host) -> Result<World, BadPlaceholder> {
        let seed = Seed(plan.seed);
        let names: Vec<String> = plan.clusters.iter().map(|(name, _)| name.clone()).collect();
        let mut sources = Vec::new();
        for (place, traffic) in plan.traffic.iter().enumerate() {
            sources.push(Source::new(place, traffic, plan.duration, seed)?);
        }
        let mut clusters = Vec::new();
        for (number, (name, spec)) in plan.clusters.iter().enumerate() {
            let mut place = Place::new(name, spec, seed);
            if let Some(calls) = &spec.calls {
                place.source = Some(sources.len());
                sources.push(Source::service(number, name, calls, seed)?);
            }
            clusters.push(place);
        }
        let mut world = World {
            host,
            record: Record::new(shown_names(&plan), plan.duration),
            now: Time::ZERO,
            duration: Time::ZERO + plan.duration,
            queue: Queue::default(),
            routes: Routes::new(&plan.routes, &names),
            clusters,
            include_attempt_count: plan.include_attempt_count,
            suppress_envoy_headers: plan.suppress_envoy_headers,
            names,
            sources,
            faults: plan.faults,
            updates: Vec::new(),
            calls: SlotMap::with_key(),
            exchanges: SlotMap::with_key(),
            by_stream: HashMap::new(),
            callouts: SlotMap::with_key(),
            by_call: HashMap::new(),
            feeds: VecDeque::new(),
            texts: Texts::default(),
            workers: plan.workers.max(1) as u64,
            worker_draws: seed.split("workers"),
            backoff_draws: seed.split("router/backoff"),
            requests: 0,
            wakes: Wakes::new(),
            heard: None,
        };
        world.prepare(plan.updates, &plan.marks);
        Ok(world)
    }

    /// From now on keeps all that comes out. It grows with the run.
    pub fn listen(&mut self) {
        self.heard = Some(Heard::default());
    }

    /// What was kept since [`World::listen`].
    pub fn heard(&self) -> Heard {
        self.heard.clone().unwrap_or_default()
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Lets time run to its end: until the traffic has stopped and every call has ended.
    ///
    /// # Errors
    ///
    /// When the plugin asks for what the host does not model.
    pub fn run(&mut self, watcher: &mut dyn Watcher) -> Result<(), Stopped> {
        self.settle();
        while let Some(next) = self.next_at() {
            // What services still ask of each other belongs to no call, once its client is gone.
            let idle = self.calls.is_empty() && self.exchanges.is_empty();
            let over = next > self.duration && idle;
            if over || next > self.duration + GRACE {
                break;
            }
            self.now = next;
            self.host.advance_to(next);
            watcher.progress(next);
            match self.queue.next_at() {
                Some(at) if at <= next => self.step(watcher),
                _ => self.host.run_timers(),
            }
            self.settle();
            if let Some(fault) = self.host.unmodelled() {
                let why = fault.to_string();
                return Err(Stopped { at: next, why });
            }
        }
        Ok(())
    }

    /// Requests that are still on their way.
    pub fn unfinished(&self) -> usize {
        self.exchanges.len()
    }

    fn prepare(&mut self, updates: Vec<(Time, Vec<u8>)>, marks: &[Time]) {
        for (number, at) in marks.iter().enumerate() {
            self.queue.push(*at, Event::Mark(number));
        }
        for (number, fault) in self.faults.iter().enumerate() {
            let number = number as u32;
            let (from, begins) = (Time::ZERO + fault.from, true);
            self.queue.push(from, Event::Fault { number, begins });
            if let Some(to) = fault.to {
                let begins = false;
                self.queue
                    .push(Time::ZERO + to, Event::Fault { number, begins });
            }
        }
        for (number, (at, configuration)) in updates.into_iter().enumerate() {
            self.queue.push(at, Event::Update(number));
            self.updates.push(configuration);
        }
        for name in &self.names {
            self.host.cluster(name, ClusterState::Ready);
        }
        for source in 0..self.sources.len() {
            self.prepare_routes(source);
            self.prepare_arrivals(source);
        }
    }

    /// Requests that are all alike take the same route, which is looked up once.
    fn prepare_routes(&mut self, source: usize) {
        for kind in &mut self.sources[source].kinds {
            let headers = kind.template.constant();
            kind.picked = headers.map(|headers| self.routes.pick(headers, &self.names));
        }
    }

    fn prepare_arrivals(&mut self, source: usize) {
        let number = source as u32;
        let Some(it) = self.sources.get_mut(source) else {
            return;
        };
        match it.kind {
            Kind::Open(_) => {
                if let Some(at) = it.next_arrival() {
                    self.queue.push(at, Event::Arrival { source });
                }
            }
            Kind::Closed { clients, .. } => {
                for client in 0..clients {
                    // Nobody starts in step: the first thought is already one.
                    let at = it.from + it.think();
                    self.queue.push(
                        at,
                        Event::Thought {
                            source: number,
                            client,
                        },
                    );
                }
            }
            Kind::Service => {}
        }
    }

    fn next_at(&self) -> Option<Time> {
        match (self.queue.next_at(), self.host.next_timer()) {
            (Some(event), Some(timer)) => Some(event.min(timer)),
            (event, timer) => event.or(timer),
        }
    }

    fn step(&mut self, watcher: &mut dyn Watcher) {
        let Some((_, event)) = self.queue.pop() else {
            return;
        };
        match event {
            Event::Arrival { source } => self.arrive(source),
            Event::Thought { source, client } => self.begin_call(source as usize, Some(client)),
            Event::Resend(call) => self.send(call),
            Event::Job { cluster, job } => self.wake_job(cluster as usize, job),
            Event::Chunk(exchange) => self.send_chunk(exchange),
            Event::Deadline(exchange) => self.meet_deadline(exchange),
            Event::CalloutDeadline(callout) => self.time_out_callout(callout),
            Event::Fault { number, begins } => self.change_fault(number as usize, begins),
            Event::Update(number) => self.update(number),
            Event::Mark(number) => watcher.mark(number, self),
        }
    }

    /// Takes effects out, and hands in what was to follow, until nothing moves any more.
    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.host.next_effect() {
                self.apply(effect);
            }
            match self.feeds.pop_front() {
                Some(feed) => self.feed(feed),
                None => break,
            }
        }
        for line in self.host.take_log() {
            if let Some(heard) = &mut self.heard {
                heard.log.push(line.text.clone());
            }
            self.record.log(line);
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::ToUpstream {
                stream,
                part,
                rerouted,
            } => {
                if let Some(key) = self.by_stream.get(&stream) {
                    self.reach_router(*key, part, rerouted);
                }
            }
            Effect::ToClient { stream, part } => {
                if let Some(heard) = &mut self.heard {
                    heard.answer.push(part.clone());
                }
                if let Some(key) = self.by_stream.get(&stream) {
                    self.reach_client(*key, &part);
                }
            }
            Effect::CancelUpstream { stream } => {
                if let Some(key) = self.by_stream.get(&stream) {
                    self.overrule(*key);
                }
            }
            Effect::ResetClient { stream, .. } => {
                if let Some(heard) = &mut self.heard {
                    heard.broken = true;
                }
                if let Some(key) = self.by_stream.get(&stream) {
                    self.break_off(*key);
                }
            }
            Effect::Call(call) => self.begin_callout(call),
            // What upstreams answer does not depend on what they are told.
            Effect::SendMessage { .. } => {}
            Effect::CancelCall { call } => self.cancel_callout(call),
        }
    }

    fn feed(&mut self, feed: Feed) {
        self.touch(feed.exchange);
        let Some(exchange) = self.exchanges.get_mut(feed.exchange) else {
            return;
        };
        exchange.sent |= feed.upwards && feed.part.is_end();
        // What was to follow an answer that the filter has replaced is not wanted.
        if exchange.phase == Phase::Overruled {
            return;
        }
        let stream = exchange.stream;
        if feed.upwards {
            return self.host.request(stream, feed.part);
        }
        let complete_at = exchange.complete_at;
        if feed.part.is_end()
            && let Some(info) = self.host.info_mut(stream)
            && info.details == self.texts.via_upstream
        {
            // Envoy stops an upload that was answered early, and measures from there.
            let took = complete_at.map_or(Span::ZERO, |from| Span::between(from, self.now));
            info.backend_latency = Some(Duration::from_nanos(took.as_ns()));
        }
        self.host.response(stream, feed.part);
    }

    fn wake_job(&mut self, cluster: usize, job: JobKey) {
        let Some(place) = self.clusters.get_mut(cluster) else {
            return;
        };
        if let Some(came_with) = place.upstream.call(job) {
            return self.call_on(cluster, job, &came_with);
        }
        let told = place.upstream.wake(job, self.now, &mut self.wakes);
        self.flush_wakes(cluster);
        match told {
            Some((Owner::Exchange(key), reply)) => self.hear(key, cluster, reply),
            Some((Owner::Callout(key), reply)) => self.end_callout(key, reply),
            None => {}
        }
    }

    /// Puts the wake-ups that a cluster asked for into the queue.
    fn flush_wakes(&mut self, cluster: usize) {
        let number = cluster as u32;
        for (at, job) in self.wakes.drain(..) {
            self.queue.push(
                at,
                Event::Job {
                    cluster: number,
                    job,
                },
            );
        }
        if let Some(place) = self.clusters.get(cluster) {
            let (serving, line) = place.upstream.load();
            self.record
                .count(self.now, |tally| tally.load(cluster, serving, line));
        }
    }

    fn change_fault(&mut self, number: usize, begins: bool) {
        let Some(fault) = self.faults.get(number) else {
            return;
        };
        let what = What::Fault {
            number: number as u16,
            begins,
        };
        self.record.note(self.now, what);
        let Some(cluster) = self.names.iter().position(|name| *name == fault.cluster) else {
            return;
        };
        let upstream = &mut self.clusters[cluster].upstream;
        match begins {
            true => upstream.faults.begin(number, fault),
            false => upstream.faults.end(number),
        }
        upstream.refresh(self.now, &mut self.wakes);
        let unreachable = upstream.faults.unhealthy() || upstream.faults.unresolved();
        let state = match unreachable {
            true => ClusterState::Refusing,
            false => ClusterState::Ready,
        };
        self.host.cluster(&self.names[cluster], state);
        self.flush_wakes(cluster);
    }

    fn update(&mut self, number: usize) {
        let Some(configuration) = self.updates.get_mut(number) else {
            return;
        };
        let accepted = self.host.update(std::mem::take(configuration)).is_ok();
        self.record.note(self.now, What::Update { accepted });
        self.record.updates.push((self.now, accepted));
    }
}

fn shown_names(plan: &Plan) -> Names {
    let kind = |request: &spec::Request| format!("{} {}", request.method, request.path);
    let kinds = |traffic: &spec::Traffic| traffic.requests.iter().map(kind).collect();
    let clients = plan.traffic.iter().map(|it| (it.name.clone(), kinds(it)));
    let calls = |(name, spec): &(String, spec::Cluster)| {
        let calls = spec.calls.as_ref()?;
        Some((name.clone(), vec![kind(&calls.into())]))
    };
    let services = plan.clusters.iter().filter_map(calls);
    let (sources, kinds) = clients.chain(services).unzip();
    Names {
        clusters: plan.clusters.iter().map(|(name, _)| name.clone()).collect(),
        sources,
        kinds,
        faults: plan.faults.iter().map(spec::Fault::name).collect(),
    }
}

#[cfg(test)]
mod tests;
