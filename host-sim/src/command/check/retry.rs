//! Lints of retries that are never made, and of budgets that limit nothing.

use spillway_core::policy::{RetryConfig, RetryEngine, WHOLE_BP};

use crate::command::check::finding::Finding;
use crate::command::check::view::{PolicyView, show_percent, show_span};

/// Runs the lints of `retry`.
pub(super) fn lint(view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
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
            "no request is retried, and the other fields of retry have no effect".into(),
            "raise it, unless you want to disable the retries of routes".into(),
        )
    })
}

fn empty_budget(view: &PolicyView<'_>, config: &RetryConfig) -> Option<Finding> {
    let budget = &config.budget;
    let has_deposits = budget.percent_bp > 0;
    (!has_deposits && budget.minimum() == 0 && config.max_retries > 0).then(|| {
        Finding::warning(
            "retry-budget-empty",
            view.path("retry.budget"),
            "there are no deposits and no minimum rate, so no retry is granted".into(),
            "raise percent or min_retry_rate, or set max_retries to 0, which has the same effect"
                .into(),
        )
    })
}

fn no_limit(view: &PolicyView<'_>, config: &RetryConfig) -> Option<Finding> {
    let percent = config.budget.percent_bp;
    let percent_max = config.max_retries.saturating_mul(WHOLE_BP);
    (percent >= percent_max && config.max_retries > 0).then(|| {
        Finding::note(
            "retry-budget-wide",
            view.path("retry.budget.percent"),
            format!(
                "while half of all requests fail, {} % of successes allow as many retries as \
                 max_retries",
                show_percent(percent)
            ),
            "20 is enough for most services".into(),
        )
    })
}

fn try_beyond_timeout(view: &PolicyView<'_>, config: &RetryConfig) -> Option<Finding> {
    let each = config.per_try_timeout?;
    // The router ignores retry.timeout.
    let own = (config.engine == RetryEngine::Filter).then_some(config.timeout);
    let whole = own.into_iter().chain(view.policy.timeout).min()?;
    (each >= whole).then(|| {
        Finding::warning(
            "retry-try-beyond-timeout",
            view.path("retry.per_try_timeout"),
            format!(
                "a request with all its retries ends after timeout ({}), before this one can",
                show_span(whole)
            ),
            "lower it, or raise timeout".into(),
        )
    })
}

fn replay_unused(view: &PolicyView<'_>, config: &RetryConfig) -> Option<Finding> {
    (config.engine == RetryEngine::Router && view.says("retry.replay")).then(|| {
        Finding::note(
            "retry-replay-unused",
            view.path("retry.replay"),
            "with engine router, the proxy makes the retries, and the filter none".into(),
            "remove it, or set engine to filter".into(),
        )
    })
}
