//! Admission: who may pass in which state.

use super::names::{Permit, Refusal, StepContext, Why};
use super::probes::Probes;
use super::state::State;
use super::{Breaker, ramp};
use crate::time::Span;

impl Breaker {
    /// Admits or rejects a request if that changes no state, else returns `None`. `complete`
    /// says that the client has sent the whole request.
    #[inline]
    pub(crate) fn decide(
        &self,
        complete: bool,
        context: &mut StepContext<'_>,
    ) -> Option<Result<Permit, Refusal>> {
        let wait = match &self.state {
            // A breaker that was just disabled admits at once; `catch_up` resets it later.
            _ if !context.config.enabled => None,
            State::Closed => None,
            State::Recovering if ramp::is_done(self.since, context) => return None,
            State::Recovering => (!ramp::admits(self.since, context)).then_some(Span::ZERO),
            State::Open { until } if context.now >= *until => return None,
            State::Open { until } => Some(until.since(context.now)),
            State::HalfOpen(probes) => {
                let full = probes.is_full(complete, context.config, context.now);
                Some(full.then_some(Span::ZERO)?)
            }
        };
        Some(match wait {
            None => Ok(self.permit(None)),
            Some(retry_after) => Err(self.refusal(retry_after)),
        })
    }

    /// Admits or rejects a request, and changes the state if that is due. `complete` says that
    /// the client has sent the whole request.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if the state or the ramp's draw rejects the request.
    pub(crate) fn try_acquire(
        &mut self,
        complete: bool,
        context: &mut StepContext<'_>,
    ) -> Result<Permit, Refusal> {
        self.catch_up(context);
        if let State::Open { until } = self.state
            && context.now >= until
        {
            let probes = State::HalfOpen(Probes::default());
            self.change(probes, Why::OpenElapsed, context);
        }
        if let State::HalfOpen(probes) = &mut self.state {
            return match probes.start(complete, context) {
                Some(number) => Ok(self.permit(Some(number))),
                None => Err(self.refusal(Span::ZERO)),
            };
        }
        let rejected = Err(self.refusal(Span::ZERO));
        self.decide(complete, context).unwrap_or(rejected)
    }

    /// Admits a request if the breaker is closed.
    #[inline]
    pub(crate) fn admit_closed(&self) -> Option<Permit> {
        matches!(self.state, State::Closed).then(|| self.permit(None))
    }

    /// Admits a request from this copy alone, unless it is open: the shared breaker could not be
    /// reached.
    pub(crate) fn admit_untracked(&self) -> Option<Permit> {
        (!self.is_open()).then(|| self.permit(None))
    }

    #[inline]
    fn permit(&self, probe: Option<u32>) -> Permit {
        let generation = self.generation;
        Permit { generation, probe }
    }

    fn refusal(&self, retry_after: Span) -> Refusal {
        Refusal {
            state: self.state(),
            retry_after,
        }
    }
}
