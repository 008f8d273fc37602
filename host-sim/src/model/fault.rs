//! What is wrong with a cluster at the moment.

use crate::model::distribution::Distribution;
use crate::model::spec::{self, FaultKind};
use crate::model::upstream::{Answer, GrpcPlace, Reply};
use crate::sim::rng::Rng;
use crate::sim::span::Span;

/// The faults that hold now, in the order of the scenario.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Active>);

#[derive(Clone, Debug)]
struct Active {
    /// Its place in the scenario.
    number: usize,
    share_bp: u32,
    effect: Effect,
}

#[derive(Clone, Copy, Debug)]
enum Effect {
    Refuse,
    Unreachable,
    Unresolved,
    CutUpload,
    Unhealthy,
    Capacity(u32),
    Latency(Distribution),
    Slower(f64),
    Fail(Failure),
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    Status(u16),
    Grpc(u32, GrpcPlace),
    Reset,
    Break,
    Hang,
}

impl Faults {
    /// The scenario's fault `number` begins.
    pub fn begin(&mut self, number: usize, fault: &spec::Fault) {
        let share_bp = fault.share.as_bp();
        let effect = Effect::from(&fault.fault);
        let place = self.0.partition_point(|active| active.number < number);
        self.0.insert(
            place,
            Active {
                number,
                share_bp,
                effect,
            },
        );
    }

    /// The scenario's fault `number` is over.
    pub fn end(&mut self, number: usize) {
        self.0.retain(|active| active.number != number);
    }

    /// Whether there is no healthy endpoint.
    pub fn unhealthy(&self) -> bool {
        let unhealthy = |active: &Active| matches!(active.effect, Effect::Unhealthy);
        self.0.iter().any(unhealthy)
    }

    /// Whether its name cannot be resolved.
    pub fn unresolved(&self) -> bool {
        let unresolved = |active: &Active| matches!(active.effect, Effect::Unresolved);
        self.0.iter().any(unresolved)
    }

    /// How many requests it works on at once, where a fault says so.
    pub fn capacity(&self) -> Option<u32> {
        let limit = |active: &Active| match active.effect {
            Effect::Capacity(limit) => Some(limit),
            _ => None,
        };
        self.0.iter().filter_map(limit).min()
    }

    /// Draws whether a connection is refused.
    pub fn refuses(&self, rng: &mut Rng) -> bool {
        self.draws(rng, |effect| matches!(effect, Effect::Refuse))
    }

    /// Draws whether no connection is made.
    pub fn unreachable(&self, rng: &mut Rng) -> bool {
        self.draws(rng, |effect| matches!(effect, Effect::Unreachable))
    }

    /// Draws whether an upload is cut.
    pub fn cuts_upload(&self, rng: &mut Rng) -> bool {
        self.draws(rng, |effect| matches!(effect, Effect::CutUpload))
    }

    fn draws(&self, rng: &mut Rng, wanted: impl Fn(Effect) -> bool) -> bool {
        let mut active = self.0.iter().filter(|active| wanted(active.effect));
        active.any(|active| active.befalls(rng))
    }

    /// Draws how long a request takes; `usual` without a fault.
    pub fn latency(&self, usual: Distribution, rng: &mut Rng) -> Span {
        let mut distribution = usual;
        let mut factor = 1.0;
        for active in &self.0 {
            match active.effect {
                Effect::Latency(other) if active.befalls(rng) => distribution = other,
                Effect::Slower(times) if active.befalls(rng) => factor *= times,
                _ => {}
            }
        }
        let span = distribution.draw(rng);
        match factor == 1.0 {
            true => span,
            false => Span::from_ns((span.as_ns() as f64 * factor) as u64),
        }
    }

    /// Draws how a request ends, `usual` being the answer of a healthy service; none if it
    /// never does.
    pub fn reply(&self, usual: &spec::Answer, grpc: bool, rng: &mut Rng) -> Option<Reply> {
        for active in &self.0 {
            if let Effect::Fail(failure) = active.effect
                && active.befalls(rng)
            {
                return failure.reply(usual, grpc);
            }
        }
        Some(Reply::Answer(Answer {
            status: usual.status,
            grpc: grpc.then_some((usual.grpc_status, GrpcPlace::Trailers)),
            complete: usual.body_time == Span::ZERO,
            healthy: true,
        }))
    }
}

impl Active {
    fn befalls(&self, rng: &mut Rng) -> bool {
        self.share_bp >= 10_000 || rng.below(10_000) < u64::from(self.share_bp)
    }
}

impl Failure {
    fn reply(self, usual: &spec::Answer, grpc: bool) -> Option<Reply> {
        let answer = |status, grpc, complete| {
            Reply::Answer(Answer {
                status,
                grpc,
                complete,
                healthy: false,
            })
        };
        Some(match self {
            Failure::Status(status) => answer(status, None, true),
            Failure::Grpc(status, place) => answer(200, Some((status, place)), true),
            Failure::Reset => Reply::Reset,
            Failure::Break => {
                let status = grpc.then_some((usual.grpc_status, GrpcPlace::Trailers));
                answer(usual.status, status, false)
            }
            Failure::Hang => return None,
        })
    }
}

impl From<&FaultKind> for Effect {
    fn from(kind: &FaultKind) -> Effect {
        match *kind {
            FaultKind::Status(status) => Effect::Fail(Failure::Status(status)),
            FaultKind::GrpcStatus(status) => {
                Effect::Fail(Failure::Grpc(status, GrpcPlace::Headers))
            }
            FaultKind::GrpcStatusInTrailers(status) => {
                Effect::Fail(Failure::Grpc(status, GrpcPlace::Trailers))
            }
            FaultKind::Reset => Effect::Fail(Failure::Reset),
            FaultKind::ResetAfterHeaders => Effect::Fail(Failure::Break),
            FaultKind::Hang => Effect::Fail(Failure::Hang),
            FaultKind::Refused => Effect::Refuse,
            FaultKind::Unreachable => Effect::Unreachable,
            FaultKind::Unresolved => Effect::Unresolved,
            FaultKind::CutUpload => Effect::CutUpload,
            FaultKind::Unhealthy => Effect::Unhealthy,
            FaultKind::Latency(latency) => Effect::Latency(latency.into()),
            FaultKind::Slower(times) => Effect::Slower(times),
            FaultKind::Capacity(limit) => Effect::Capacity(limit),
        }
    }
}
