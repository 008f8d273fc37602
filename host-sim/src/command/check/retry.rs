//! Retries that are never made, and budgets that limit nothing.

use spillway_core::policy::{RetryConfig, RetryEngine, WHOLE_BP};

use super::Finding;
use super::view::{PolicyView, show_percent, show_span};

/// The lints of `retry`.
pub fn lint(view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    let Some(config) = &view.policy.retry else {
        return;
    };
    findings.extend(none_at_all(view, config));
    findings.extend(empty_budget(view, config));
    findings.extend(no_limit(view, config));
    findings.extend(try_beyond_timeout(view, config));
    findings.extend(replay_unused(view, config));
}

fn none_at_all(view: &PolicyView<'_>, config: &RetryConfig) -> Option<Finding> {
    (config.max_retries == 0).then(|| {
        Finding::note(
            "retry-off",
            view.path("retry.max_retries"),
            "no request is sent again, and what else stands in retry has no effect".into(),
            "raise it, unless the retries of routes are to be switched off".into(),
        )
    })
}

fn empty_budget(view: &PolicyView<'_>, config: &RetryConfig) -> Option<Finding> {
    let budget = &config.budget;
    let earns = budget.percent_bp > 0;
    (!earns && budget.minimum() == 0 && config.max_retries > 0).then(|| {
        Finding::warning(
            "retry-budget-empty",
            view.path("retry.budget"),
            "nothing is ever earned and there is no minimum rate, so that no retry is granted"
                .into(),
            "raise percent or min_retry_rate, or set max_retries to 0, which says the same".into(),
        )
    })
}

fn no_limit(view: &PolicyView<'_>, config: &RetryConfig) -> Option<Finding> {
    let percent = config.budget.percent_bp;
    let most = config.max_retries.saturating_mul(WHOLE_BP);
    (percent >= most && config.max_retries > 0).then(|| {
        Finding::note(
            "retry-budget-wide",
            view.path("retry.budget.percent"),
            format!(
                "{} % of successes pay for as many retries as max_retries allows while half of \
                 all requests fail",
                show_percent(percent)
            ),
            "20 is what most services need".into(),
        )
    })
}

fn try_beyond_timeout(view: &PolicyView<'_>, config: &RetryConfig) -> Option<Finding> {
    let each = config.per_try_timeout?;
    (config.engine == RetryEngine::Filter && each >= config.timeout).then(|| {
        Finding::warning(
            "retry-try-beyond-timeout",
            view.path("retry.per_try_timeout"),
            format!(
                "a request and all its retries end after timeout ({}), before one attempt would",
                show_span(config.timeout)
            ),
            "shorten it, or lengthen timeout".into(),
        )
    })
}

fn replay_unused(view: &PolicyView<'_>, config: &RetryConfig) -> Option<Finding> {
    (config.engine == RetryEngine::Router && view.says("retry.replay")).then(|| {
        Finding::note(
            "retry-replay-unused",
            view.path("retry.replay"),
            "with engine router the proxy sends requests again, and the filter none".into(),
            "drop it, or set engine to filter".into(),
        )
    })
}
