//! Fields of `retry`.

pub(super) const WORDS: &[(&str, &str)] = &[
    (
        "policies[].retry",
        "How failed requests are retried. If present, the budget also limits the proxy's own \
         retries of these requests, whatever their route says. If missing, retries are not \
         changed.",
    ),
    (
        "policies[].retry.engine",
        "router: the proxy's router makes the retries, as many as were granted at the request \
         headers. filter: the filter sends the request again if a response is a reason to. The \
         router always makes the retries of gRPC requests.",
    ),
    (
        "policies[].retry.replay",
        "With engine filter, requests are sent again as the filter received them, without the \
         route's rewrites and headers. as_received confirms that none of them matter.",
    ),
    (
        "policies[].retry.max_retries",
        "Maximum number of retries of one request. 0 disables all retries, including those of the \
         route.",
    ),
    (
        "policies[].retry.retry_on",
        "Conditions of retries, named as in Envoy's retry_on. The conditions of a route apply in \
         addition.",
    ),
    ("policies[].retry.retry_on[]", "One condition."),
    (
        "policies[].retry.grpc_retry_on",
        "Conditions of retries of gRPC requests, named as in Envoy's x-envoy-retry-grpc-on: the \
         status in the response headers.",
    ),
    ("policies[].retry.grpc_retry_on[]", "One gRPC status."),
    (
        "policies[].retry.methods",
        "Methods whose requests may be sent twice. For gRPC requests, only grpc_retry_on matters.",
    ),
    (
        "policies[].retry.methods[]",
        "One method, compared case-sensitively.",
    ),
    (
        "policies[].retry.idempotency_header",
        "A request with this header may be sent twice, whatever its method.",
    ),
    (
        "policies[].retry.nested",
        "Whether to retry a request that is already a retry, according to x-envoy-attempt-count \
         or grpc-previous-rpc-attempts. Such retries multiply along a chain of services.",
    ),
    (
        "policies[].retry.per_try_timeout",
        "Timeout of one attempt of a request that was granted retries. 0s means no such limit.",
    ),
    (
        "policies[].retry.timeout",
        "With engine filter, how long a request and all its retries may take. With engine router, \
         how long a grant counts against the budget if the end of its request is not reported.",
    ),
    (
        "policies[].retry.backoff",
        "Wait before a retry with engine filter: a random time below a bound that doubles with \
         each retry. A retry-after extends it.",
    ),
    (
        "policies[].retry.backoff.base_interval",
        "Upper bound of the first wait.",
    ),
    (
        "policies[].retry.backoff.max_interval",
        "Highest bound of a wait. Defaults to ten times base_interval.",
    ),
    (
        "policies[].retry.budget",
        "Number of retries allowed, per key and proxy: what successes deposit and a minimum rate, \
         less the retries made and those granted to requests in flight.",
    ),
    (
        "policies[].retry.budget.percent",
        "Retries allowed, as a percentage of the successes of the last interval.",
    ),
    (
        "policies[].retry.budget.interval",
        "How long successes and retries count.",
    ),
    (
        "policies[].retry.budget.min_retry_rate",
        "Retries allowed without any deposit, so that a service with little traffic has retries, \
         too.",
    ),
    (
        "policies[].retry.budget.min_retry_rate.count",
        "Number of retries in each interval of the rate.",
    ),
    (
        "policies[].retry.budget.min_retry_rate.interval",
        "The interval of the count.",
    ),
];
