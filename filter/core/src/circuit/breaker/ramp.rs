//! The recovery ramp: the share of requests that a recovering circuit admits.

use super::names::StepContext;
use crate::policy::WHOLE_BP;
use crate::time::{Instant, Span};

/// Whether the ramp that began at `since` has ended.
pub(super) fn is_done(since: Instant, context: &StepContext<'_>) -> bool {
    context.now.since(since) >= context.config.recovery.duration
}

/// Draws whether the ramp admits a request. The admitted share rises linearly to 100 %.
pub(super) fn admits(since: Instant, context: &mut StepContext<'_>) -> bool {
    let recovery = &context.config.recovery;
    let rise = u64::from(WHOLE_BP.saturating_sub(recovery.start_bp));
    let elapsed = context.now.since(since);
    let risen = Span::from_ns(rise).scale(elapsed.as_ns(), recovery.duration.as_ns());
    let risen_bp = u32::try_from(risen.as_ns()).unwrap_or(WHOLE_BP);
    context
        .random
        .chance(recovery.start_bp.saturating_add(risen_bp))
}
