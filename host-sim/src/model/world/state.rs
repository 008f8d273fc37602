//! The state of a world, and its first events.

use std::collections::VecDeque;
use std::rc::Rc;

use hashbrown::HashMap;
use slotmap::{SecondaryMap, SlotMap};

use crate::model::cause::Details;
use crate::model::client::{ArrivalMode, Source};
use crate::model::exchange::Exchange;
use crate::model::keys::{CallKey, CalloutKey, ExchangeKey};
use crate::model::parts::ResponseParts;
use crate::model::route::Routes;
use crate::model::spec;
use crate::model::template::BadPlaceholder;
use crate::model::upstream::{JobKey, Upstream, Wakes};
use crate::model::world::call::{Call, Callout};
use crate::model::world::event::{Event, Feed, Owner};
use crate::model::world::plan::Plan;
use crate::proxy::{CallId, ClusterState, Host, Part, StreamId};
use crate::record::Record;
use crate::sim::clock::Time;
use crate::sim::queue::Queue;
use crate::sim::rng::{Rng, Seed};

/// The responses and log lines of a run, verbatim, to compare them with those of a real proxy.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// The body of the last request that a service got, as far as it read it. `None` before the
    /// first.
    pub request: Option<Vec<u8>>,
    /// The parts of the responses that clients received, in order.
    pub response: Vec<Part>,
    /// Whether a response was reset.
    pub reset: bool,
    /// The plugin's log lines.
    pub log: Vec<String>,
}

/// Clients, router and upstreams, and the host between them.
pub struct World {
    pub host: Host,
    pub record: Record,
    pub(super) now: Time,
    /// When traffic stops.
    pub(super) duration: Time,
    pub(super) queue: Queue<Event>,
    pub(super) clusters: Vec<Backend>,
    pub(super) names: Vec<String>,
    pub(super) routes: Routes,
    /// The groups of clients, followed by the services that call others.
    pub(super) sources: Vec<Source>,
    pub(super) include_attempt_count: bool,
    pub(super) suppress_envoy_headers: bool,
    pub(super) faults: Vec<spec::Fault>,
    pub(super) updates: Vec<Vec<u8>>,
    pub(super) calls: SlotMap<CallKey, Call>,
    pub(super) exchanges: SlotMap<ExchangeKey, Exchange>,
    pub(super) by_stream: HashMap<StreamId, ExchangeKey>,
    pub(super) callouts: SlotMap<CalloutKey, Callout>,
    pub(super) by_call: HashMap<CallId, CalloutKey>,
    pub(super) feeds: VecDeque<Feed>,
    pub(super) texts: Details,
    pub(super) workers: u64,
    pub(super) worker_draws: Rng,
    pub(super) backoff_draws: Rng,
    pub(super) requests: u64,
    pub(super) wakes: Wakes,
    pub(super) transcript: Option<Transcript>,
}

/// One cluster.
pub(super) struct Backend {
    pub(super) upstream: Upstream<Owner>,
    pub(super) parts: ResponseParts,
    pub(super) address: Rc<str>,
    /// Index of its source, if the service calls others.
    pub(super) source: Option<usize>,
    /// The calls that its jobs wait for.
    pub(super) nested: SecondaryMap<JobKey, ExchangeKey>,
}

impl Backend {
    fn new(name: &str, spec: &spec::Cluster, faults: &[spec::Fault], seed: Seed) -> Backend {
        Backend {
            parts: ResponseParts::new(name, &spec.answer, faults),
            address: spec.address.as_str().into(),
            upstream: Upstream::new(spec.clone(), seed.split(&format!("cluster/{name}"))),
            source: None,
            nested: SecondaryMap::new(),
        }
    }
}

impl World {
    /// Creates a world at time zero.
    ///
    /// # Errors
    ///
    /// If a request has an unknown placeholder.
    pub fn new(plan: Plan, host: Host) -> Result<World, BadPlaceholder> {
        let seed = Seed(plan.seed);
        let names: Vec<String> = plan.clusters.iter().map(|(name, _)| name.clone()).collect();
        let mut sources = Vec::new();
        for (number, traffic) in plan.traffic.iter().enumerate() {
            sources.push(Source::new(number, traffic, plan.duration, seed)?);
        }
        let mut clusters = Vec::new();
        for (number, (name, spec)) in plan.clusters.iter().enumerate() {
            let mut backend = Backend::new(name, spec, &plan.faults, seed);
            if let Some(calls) = &spec.calls {
                backend.source = Some(sources.len());
                sources.push(Source::service(number, name, calls, seed)?);
            }
            clusters.push(backend);
        }
        let mut world = World {
            host,
            record: Record::new(plan.names(), plan.duration),
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
            texts: Details::default(),
            workers: plan.workers.max(1) as u64,
            worker_draws: seed.split("workers"),
            backoff_draws: seed.split("router/backoff"),
            requests: 0,
            wakes: Wakes::new(),
            transcript: None,
        };
        world.prepare(plan.updates, &plan.marks);
        Ok(world)
    }

    /// Starts a transcript. It grows with the run.
    pub fn record_transcript(&mut self) {
        self.transcript = Some(Transcript::default());
    }

    /// Returns the transcript since [`World::record_transcript`].
    pub fn transcript(&self) -> Transcript {
        self.transcript.clone().unwrap_or_default()
    }

    /// Returns the current time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Returns the number of requests in flight.
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

    /// Looks up the route of constant requests once.
    fn prepare_routes(&mut self, source: usize) {
        for kind in &mut self.sources[source].kinds {
            let headers = kind.template.constant();
            kind.picked = headers.map(|headers| self.routes.pick(headers, &self.names));
        }
    }

    pub(super) fn prepare_arrivals(&mut self, source: usize) {
        let number = source as u32;
        let Some(it) = self.sources.get_mut(source) else {
            return;
        };
        match it.mode {
            ArrivalMode::Open(_) | ArrivalMode::Recorded { .. } => {
                if let Some(at) = it.next_arrival() {
                    self.queue.push(at, Event::Arrival { source });
                }
            }
            ArrivalMode::Closed { clients, .. } => {
                for client in 0..clients {
                    // Clients begin with their think time, so they do not start in step.
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
            ArrivalMode::Service => {}
        }
    }
}
