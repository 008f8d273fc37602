//! The faults of a cluster that are in effect.

use crate::model::distribution::Distribution;
use crate::model::response::{GrpcPlace, Response, UpstreamEvent};
use crate::model::spec::{self, FaultKind};
use crate::sim::rng::Rng;
use crate::sim::span::Span;

/// The faults in effect, in the order of the scenario.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Active>);

#[derive(Clone, Debug)]
struct Active {
    /// Its index in the scenario.
    number: usize,
    share_bp: u32,
    effect: Effect,
    has_headers: bool,
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
    /// Begins the scenario's fault `number`.
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
                has_headers: !fault.headers.is_empty(),
            },
        );
    }

    /// Ends the scenario's fault `number`.
    pub fn end(&mut self, number: usize) {
        self.0.retain(|active| active.number != number);
    }

    /// Returns whether the cluster has no healthy endpoint.
    pub fn unhealthy(&self) -> bool {
        let unhealthy = |active: &Active| matches!(active.effect, Effect::Unhealthy);
        self.0.iter().any(unhealthy)
    }

    /// Returns whether the host name cannot be resolved.
    pub fn unresolved(&self) -> bool {
        let unresolved = |active: &Active| matches!(active.effect, Effect::Unresolved);
        self.0.iter().any(unresolved)
    }

    /// Returns the lowest capacity that a fault sets, if any does.
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

    /// Draws whether a connection attempt times out.
    pub fn unreachable(&self, rng: &mut Rng) -> bool {
        self.draws(rng, |effect| matches!(effect, Effect::Unreachable))
    }

    /// Draws whether an upload is cut.
    pub fn cuts_upload(&self, rng: &mut Rng) -> bool {
        self.draws(rng, |effect| matches!(effect, Effect::CutUpload))
    }

    fn draws(&self, rng: &mut Rng, wanted: impl Fn(Effect) -> bool) -> bool {
        let mut active = self.0.iter().filter(|active| wanted(active.effect));
        active.any(|active| active.applies(rng))
    }

    /// Draws the latency of a request: `usual`, changed by the faults.
    pub fn latency(&self, usual: Distribution, rng: &mut Rng) -> Span {
        let mut distribution = usual;
        let mut factor = 1.0;
        for active in &self.0 {
            match active.effect {
                Effect::Latency(other) if active.applies(rng) => distribution = other,
                Effect::Slower(times) if active.applies(rng) => factor *= times,
                _ => {}
            }
        }
        let span = distribution.draw(rng);
        match factor == 1.0 {
            true => span,
            false => Span::from_ns((span.as_ns() as f64 * factor) as u64),
        }
    }

    /// Draws the first event of a request. `usual` is the response of a healthy service.
    /// `None` if the request hangs.
    pub fn event(
        &self,
        usual: &spec::Response,
        grpc: bool,
        rng: &mut Rng,
    ) -> Option<UpstreamEvent> {
        for active in &self.0 {
            if let Effect::Fail(failure) = active.effect
                && active.applies(rng)
            {
                let headers = active.has_headers.then_some(active.number);
                return failure.event(usual, grpc, headers);
            }
        }
        Some(UpstreamEvent::Response(Response {
            status: usual.status,
            grpc: grpc.then_some((usual.grpc_status, GrpcPlace::Trailers)),
            complete: usual.body_time == Span::ZERO,
            healthy: true,
            fault: None,
        }))
    }
}

impl Active {
    fn applies(&self, rng: &mut Rng) -> bool {
        self.share_bp >= 10_000 || rng.below(10_000) < u64::from(self.share_bp)
    }
}

impl Failure {
    fn event(
        self,
        usual: &spec::Response,
        grpc: bool,
        fault: Option<usize>,
    ) -> Option<UpstreamEvent> {
        let response = |status, grpc, complete| {
            UpstreamEvent::Response(Response {
                status,
                grpc,
                complete,
                healthy: false,
                fault,
            })
        };
        Some(match self {
            Failure::Status(status) => response(status, None, true),
            Failure::Grpc(status, place) => response(200, Some((status, place)), true),
            Failure::Reset => UpstreamEvent::Reset,
            Failure::Break => {
                let status = grpc.then_some((usual.grpc_status, GrpcPlace::Trailers));
                response(usual.status, status, false)
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
