//! Fields of `circuit_breaker`.

pub(super) const WORDS: &[(&str, &str)] = &[
    (
        "policies[].circuit_breaker",
        "When the circuit opens, and how it closes again. If missing, every request passes and \
         none is counted, whatever state an earlier configuration left. {} enables it with its \
         defaults.",
    ),
    (
        "policies[].circuit_breaker.window",
        "The outcomes from which rates are computed. It does not contain ignored outcomes.",
    ),
    (
        "policies[].circuit_breaker.window.type",
        "time: the outcomes of the last duration, in ten buckets. count: the last size outcomes.",
    ),
    (
        "policies[].circuit_breaker.window.duration",
        "Length of a time window.",
    ),
    (
        "policies[].circuit_breaker.window.size",
        "Number of outcomes in a count window.",
    ),
    (
        "policies[].circuit_breaker.minimum_requests",
        "Minimum number of outcomes in the window before a rate can open the circuit. For a count \
         window it is at most the window's size.",
    ),
    (
        "policies[].circuit_breaker.failure_rate_threshold",
        "Percentage of failures at which the circuit opens. 0 disables the rule.",
    ),
    (
        "policies[].circuit_breaker.failure_count_threshold",
        "Number of failures in the window at which the circuit opens, regardless of their share \
         and of minimum_requests. 0 disables the rule.",
    ),
    (
        "policies[].circuit_breaker.slow_threshold",
        "A response that takes strictly longer, from the end of the request to the response \
         headers, is slow. A request that is still waiting counts as slow at that moment. If \
         missing, nothing is slow.",
    ),
    (
        "policies[].circuit_breaker.slow_until",
        "Where the time for slow_threshold ends: at the response headers, or at the end of the \
         response.",
    ),
    (
        "policies[].circuit_breaker.slow_rate_threshold",
        "Percentage of slow outcomes at which the circuit opens. 0 disables the rule. It has no \
         effect without slow_threshold.",
    ),
    (
        "policies[].circuit_breaker.consecutive_failures",
        "Number of consecutive failures at which the circuit opens, regardless of \
         minimum_requests. 0 disables the rule.",
    ),
    (
        "policies[].circuit_breaker.open",
        "How long the circuit stays open.",
    ),
    (
        "policies[].circuit_breaker.open.duration",
        "The first open time.",
    ),
    (
        "policies[].circuit_breaker.open.multiplier",
        "Factor from one open time to the next. The open time starts again at duration once the \
         circuit has stayed closed for as long as it was last open.",
    ),
    (
        "policies[].circuit_breaker.open.max_duration",
        "The longest open time, before retry-after hints. Defaults to duration if duration is \
         longer than the default.",
    ),
    (
        "policies[].circuit_breaker.open.jitter",
        "Random deviation of the open time in either direction, in percent, so that proxies do not \
         probe at the same time.",
    ),
    (
        "policies[].circuit_breaker.open.retry_after_max",
        "The longest retry-after or grpc-retry-pushback-ms that is honoured, if the failure that \
         opened the circuit carries one. 0s ignores them.",
    ),
    (
        "policies[].circuit_breaker.half_open",
        "How the circuit probes whether the service has recovered.",
    ),
    (
        "policies[].circuit_breaker.half_open.permits",
        "Number of requests admitted as probes. The circuit opens again once failed or slow \
         probes reach their threshold's share of this number, and closes once neither can.",
    ),
    (
        "policies[].circuit_breaker.half_open.lease",
        "How long a probe may take. After it, the probe returns its permit if its client was \
         still sending, and is a failure otherwise. A complete request takes over the permit of \
         an incomplete one earlier. Response headers settle a probe a quarter of open.duration \
         after they arrived.",
    ),
    (
        "policies[].circuit_breaker.recovery",
        "How traffic returns after successful probes.",
    ),
    (
        "policies[].circuit_breaker.recovery.duration",
        "Time in which the admitted share rises linearly to 100 %. 0s closes the circuit at once.",
    ),
    (
        "policies[].circuit_breaker.recovery.start_percent",
        "Percentage of requests admitted at the beginning of the recovery.",
    ),
];
