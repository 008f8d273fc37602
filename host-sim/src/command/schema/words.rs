//! What each field of a policy means, by its path.
//!
//! Every field has a line here and every line is of a field; a test holds both.
//! Ranges and defaults are not repeated: the parser says them.

/// The description of the place at `path`.
pub(super) fn describe(path: &str) -> Option<&'static str> {
    if path.ends_with(".description") || path == "description" {
        return Some("For the reader; JSON has no comments.");
    }
    let found = WORDS.iter().find(|(known, _)| *known == path);
    found.map(|(_, words)| *words)
}

/// Paths and descriptions, in the order in which a policy is usually written.
pub(super) const WORDS: &[(&str, &str)] = &[
    (
        "",
        "Circuit breaking, retry budgets and fallback responses, as the Spillway filter takes \
         them for its plugin configuration.",
    ),
    ("$schema", "Where an editor finds this schema."),
    (
        "policies",
        "Tried in order; the first whose match holds is the request's policy. A request without \
         a policy is left alone. The list may be empty in a file with admin.",
    ),
    (
        "policies[]",
        "One named policy: which requests it is for, and what becomes of them.",
    ),
    (
        "policies[].name",
        "Unique in the file; it stands in metrics, logs and answers.",
    ),
    (
        "policies[].mode",
        "enforce applies decisions; shadow runs and reports the whole state machine and touches \
         no request; disabled is as if the policy were absent; forced_open rejects every \
         request.",
    ),
    (
        "policies[].enforce_percent",
        "Share of requests, in percent, to which decisions are applied, forced ones included. \
         The circuit is the same for all of them; one that would have been rejected but was let \
         through is counted in no window.",
    ),
    (
        "policies[].label",
        "Whether answers made by the filter carry x-circuit-fallback and x-circuit-state.",
    ),
    (
        "policies[].match",
        "Which requests the policy is for. All conditions must hold; within one list of \
         clusters, routes, authorities, paths or methods one is enough; an absent condition \
         holds.",
    ),
    (
        "policies[].match.clusters",
        "Names of the proxy's clusters; in Istio such as \
         outbound|8080||checkout.shop.svc.cluster.local.",
    ),
    ("policies[].match.routes", "Names of the proxy's routes."),
    (
        "policies[].match.authorities",
        "Host names, whatever their case. Without a port a name holds for every port; \
         *.example.com holds for every name that ends so.",
    ),
    (
        "policies[].match.paths",
        "Patterns over the path without its query. The first that holds is what \"path\" in a \
         key stands for.",
    ),
    (
        "policies[].match.paths[]",
        "One pattern, of exactly one kind.",
    ),
    ("policies[].match.paths[].exact", "The whole path."),
    (
        "policies[].match.paths[].prefix",
        "The beginning of the path.",
    ),
    (
        "policies[].match.paths[].template",
        "Segment by segment: {name} stands for any one segment that is not empty, as in \
         /users/{id}/orders.",
    ),
    (
        "policies[].match.methods",
        "HTTP methods, compared as they are written.",
    ),
    (
        "policies[].match.headers",
        "Conditions on request headers; unlike the other lists, all of these must hold.",
    ),
    (
        "policies[].match.headers[]",
        "One condition: a name, and either exact or present.",
    ),
    (
        "policies[].match.headers[].name",
        "The header's name, whatever its case.",
    ),
    (
        "policies[].match.headers[].exact",
        "Holds where one of the header's values is this.",
    ),
    (
        "policies[].match.headers[].present",
        "Holds where the header is there (true) or is not (false).",
    ),
    (
        "policies[].key",
        "What has a circuit of its own: every distinct tuple of these. \"path\" is the pattern \
         that matched, never the raw path, and needs match.paths. An empty list is one circuit \
         for the whole policy.",
    ),
    (
        "policies[].key[]",
        "A part of the tuple: a word, or {\"header\": NAME} for the first value of that request \
         header.",
    ),
    (
        "policies[].key[].header",
        "The request header's name, whatever its case.",
    ),
    (
        "policies[].outcome",
        "Which responses are failures. Connect and DNS failures, resets, the proxy's timeouts and \
         a cluster without healthy hosts always are. Responses that the proxy or another filter \
         gave without trying the upstream, deadlines of the caller, and uploads that the upstream \
         cut off never count.",
    ),
    (
        "policies[].outcome.failure_status",
        "HTTP statuses that are failures.",
    ),
    (
        "policies[].outcome.failure_status[]",
        "A status (\"503\"), a class (\"5xx\") or a range with both ends (\"500-504\").",
    ),
    (
        "policies[].outcome.ignore_status",
        "HTTP statuses that count as nothing at all; they win over failure_status.",
    ),
    (
        "policies[].outcome.ignore_status[]",
        "A status (\"503\"), a class (\"5xx\") or a range with both ends (\"500-504\").",
    ),
    (
        "policies[].outcome.failure_grpc_status",
        "gRPC codes that are failures, if the content-type of the request is application/grpc \
         and the response is gRPC too. CANCELLED is always ignored.",
    ),
    (
        "policies[].outcome.judge_at",
        "When a request is judged: at its end, or at the response's headers, whatever happens to \
         the response later. Use headers for services that stream.",
    ),
    (
        "policies[].outcome.overflow",
        "What a request counts as that the cluster's own connection or request limits turned \
         away.",
    ),
    (
        "policies[].circuit_breaker",
        "When the circuit opens, and how it closes again. Absent: every request passes and \
         none is counted, whatever state an earlier configuration left. {} switches it on with \
         its defaults.",
    ),
    (
        "policies[].circuit_breaker.window",
        "What the rates are taken over. Ignored outcomes are not in it.",
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
        "Outcomes in a count window.",
    ),
    (
        "policies[].circuit_breaker.minimum_requests",
        "Outcomes that must be in the window before a rate can open the circuit. With a count \
         window at most its size counts.",
    ),
    (
        "policies[].circuit_breaker.failure_rate_threshold",
        "Share of failures, in percent, at which the circuit opens. 0 switches the rule off.",
    ),
    (
        "policies[].circuit_breaker.slow_threshold",
        "An answer that takes strictly longer, from the end of the request to the response's \
         headers, is slow. A request that still waits counts as slow at that moment. Absent: \
         nothing is slow.",
    ),
    (
        "policies[].circuit_breaker.slow_until",
        "Where the clock for slowness stops: at the response's headers or at its end.",
    ),
    (
        "policies[].circuit_breaker.slow_rate_threshold",
        "Share of slow outcomes, in percent, at which the circuit opens. 0 switches the rule \
         off; without slow_threshold it says nothing.",
    ),
    (
        "policies[].circuit_breaker.consecutive_failures",
        "Failures in a row at which the circuit opens, whatever the volume. 0 switches the rule \
         off.",
    ),
    (
        "policies[].circuit_breaker.open",
        "How long the circuit stays open.",
    ),
    (
        "policies[].circuit_breaker.open.duration",
        "The time of the first opening.",
    ),
    (
        "policies[].circuit_breaker.open.multiplier",
        "Growth of the time from one opening to the next; it starts again once the circuit has \
         stayed closed for as long as it was last open.",
    ),
    (
        "policies[].circuit_breaker.open.max_duration",
        "The longest time, before hints. Where duration is longer than the default, the default \
         is duration.",
    ),
    (
        "policies[].circuit_breaker.open.jitter",
        "Spread around the time, in percent of it to either side, so that a fleet of proxies \
         does not probe in step.",
    ),
    (
        "policies[].circuit_breaker.open.retry_after_max",
        "The longest retry-after or grpc-retry-pushback-ms that is obeyed, where the failure \
         that opened the circuit carries one. 0s ignores them.",
    ),
    (
        "policies[].circuit_breaker.half_open",
        "How recovery is tried.",
    ),
    (
        "policies[].circuit_breaker.half_open.permits",
        "Requests let through as probes. The verdict is bad once failed or slow ones reach \
         their threshold's share of this, good once neither can.",
    ),
    (
        "policies[].circuit_breaker.half_open.lease",
        "How long a probe may take. Then it returns its permit if its client was still sending, \
         and is a failure otherwise. A complete request takes the permit of an incomplete one \
         earlier, and response headers decide a quarter of open.duration after they came.",
    ),
    (
        "policies[].circuit_breaker.recovery",
        "How traffic returns after a good verdict.",
    ),
    (
        "policies[].circuit_breaker.recovery.duration",
        "Length of the ramp over which the admitted share rises evenly to all. 0s closes the \
         circuit at once.",
    ),
    (
        "policies[].circuit_breaker.recovery.start_percent",
        "Share of requests admitted at the ramp's start, in percent.",
    ),
    (
        "policies[].retry",
        "How requests that failed are sent again. Present: on, and the proxy's own retries of \
         these requests are at most what the budget grants, whatever their route says. Absent: \
         retries are left as they are.",
    ),
    (
        "policies[].retry.engine",
        "router: the proxy's own router makes the retries, as many as were granted at the \
         request's headers. filter: the filter sends the request again, when an answer is a \
         reason to; gRPC is the router's all the same.",
    ),
    (
        "policies[].retry.replay",
        "With engine filter: requests are sent again as the filter got them, without rewrites \
         and headers of the route. Who writes as_received says that none of them matter.",
    ),
    (
        "policies[].retry.max_retries",
        "Most retries of one request. 0 switches all off, those of the route too.",
    ),
    (
        "policies[].retry.retry_on",
        "What is retried, in the words of Envoy's retry_on. The conditions of a route stay what \
         they are beside these.",
    ),
    ("policies[].retry.retry_on[]", "One condition."),
    (
        "policies[].retry.grpc_retry_on",
        "What is retried of gRPC, in the words of Envoy's x-envoy-retry-grpc-on: by the status \
         in an answer's headers.",
    ),
    ("policies[].retry.grpc_retry_on[]", "One gRPC status."),
    (
        "policies[].retry.methods",
        "Methods whose requests may be sent twice. Those of gRPC go by grpc_retry_on alone.",
    ),
    (
        "policies[].retry.methods[]",
        "One method, compared as it is.",
    ),
    (
        "policies[].retry.idempotency_header",
        "A request with this header may be sent twice, whatever its method.",
    ),
    (
        "policies[].retry.nested",
        "Whether a request is retried that is a retry already, by x-envoy-attempt-count or \
         grpc-previous-rpc-attempts: over a chain of services retries multiply.",
    ),
    (
        "policies[].retry.per_try_timeout",
        "How long one attempt of a request may take that was granted retries; 0s for no such \
         limit.",
    ),
    (
        "policies[].retry.timeout",
        "With engine filter how long a request and all its retries may take. With engine router \
         how long a grant weighs on the budget if nobody says that its request has ended.",
    ),
    (
        "policies[].retry.backoff",
        "With engine filter how long it waits: a random time up to a limit that doubles with \
         each retry. A retry-after lengthens it.",
    ),
    (
        "policies[].retry.backoff.base_interval",
        "The limit of the first wait.",
    ),
    (
        "policies[].retry.backoff.max_interval",
        "The highest limit. Absent: ten times base_interval.",
    ),
    (
        "policies[].retry.budget",
        "How many retries there are, per key and proxy: what successes earn and a minimum rate, \
         less what was retried and what is granted to requests under way.",
    ),
    (
        "policies[].retry.budget.percent",
        "Retries that the successes of the last interval pay for, in percent of them.",
    ),
    (
        "policies[].retry.budget.interval",
        "How long successes and retries count.",
    ),
    (
        "policies[].retry.budget.min_retry_rate",
        "Retries that nobody has to earn, so that a service with little traffic is retried too.",
    ),
    (
        "policies[].retry.budget.min_retry_rate.count",
        "How many, in each interval of the rate.",
    ),
    (
        "policies[].retry.budget.min_retry_rate.interval",
        "What the count is per.",
    ),
    (
        "policies[].fallback",
        "Answers in place of the upstream's. Of the entries that are meant for the occasion each \
         has its turn, in order, until one can answer. If none does, a rejected request gets 503 \
         with retry-after, or UNAVAILABLE for gRPC, and a failed one the upstream's own answer.",
    ),
    ("policies[].fallback[]", "One answer, and what it is for."),
    (
        "policies[].fallback[].type",
        "respond: a fixed answer. stale: the last good answer to the same request. cluster: the \
         answer of another cluster. route: the request goes elsewhere, by a header that the \
         proxy's route table goes by.",
    ),
    (
        "policies[].fallback[].on",
        "open: the circuit or the mode rejected the request. failure: the final answer is a \
         failure, timeouts included. timeout: the proxy gave up waiting. Once response headers \
         were forwarded it is too late. A route answers on open alone.",
    ),
    (
        "policies[].fallback[].status",
        "respond: the answer's HTTP status; 204, 205 and 304 allow no body. gRPC requests get \
         grpc_status.",
    ),
    (
        "policies[].fallback[].headers",
        "respond: the answer's headers; their values may hold placeholders, as body may. Those \
         that frame a message or belong to one connection are the proxy's own. content-type \
         follows from the body where it is not set, and may hold no placeholder.",
    ),
    ("policies[].fallback[].headers{}", "One value."),
    (
        "policies[].fallback[].body",
        "respond: the answer's body as a text. The placeholders {policy}, {retry_after}, {path} \
         and {request_id} are escaped for the content-type: as a string of JSON or JavaScript, \
         for HTML and XML as numeric references, for other types but text/plain \
         percent-encoded.",
    ),
    (
        "policies[].fallback[].json",
        "respond: the answer's body as JSON, in place of body, with the same placeholders in its \
         texts; at most 65536 bytes.",
    ),
    (
        "policies[].fallback[].variants",
        "respond: bodies of which the request's accept header chooses one, in place of body and \
         json: one at least of json, html and plain. Among those that are wanted alike, and where \
         none is wanted, they go in this order.",
    ),
    (
        "policies[].fallback[].variants.json",
        "For application/json; at most 65536 bytes.",
    ),
    ("policies[].fallback[].variants.html", "For text/html."),
    ("policies[].fallback[].variants.plain", "For text/plain."),
    (
        "policies[].fallback[].grpc_status",
        "respond: the status of an answer to a gRPC request, which has details in \
         grpc-status-details-bin: an ErrorInfo and, on open, a RetryInfo.",
    ),
    (
        "policies[].fallback[].grpc_message",
        "respond: the message of an answer to a gRPC request, with placeholders.",
    ),
    (
        "policies[].fallback[].max_age",
        "stale: how old an answer may be, the time it had spent in caches before included. What \
         the answer itself says by stale-if-error or s-maxage can only shorten it.",
    ),
    (
        "policies[].fallback[].shared",
        "stale: whether you vouch that answers do not depend on who asks, so that they are kept \
         without saying public or s-maxage. What says no-store, no-cache, private, \
         must-revalidate or set-cookie is not kept all the same, nor the answer to a request with \
         authorization, cookie or range.",
    ),
    (
        "policies[].fallback[].cluster",
        "cluster: the proxy's cluster that is asked. 5xx, no answer in time or one that cannot be \
         handed on leave it to the next entry.",
    ),
    (
        "policies[].fallback[].path",
        "cluster: a path in place of the request's. The request's query stays, unless this has \
         one.",
    ),
    (
        "policies[].fallback[].timeout",
        "cluster: how long its answer may take.",
    ),
    (
        "policies[].fallback[].header",
        "route: the header that the request gets. A client's own header of this name is taken off \
         every request that the filter sees.",
    ),
    (
        "policies[].fallback[].header.name",
        "Its name; not one that frames messages.",
    ),
    ("policies[].fallback[].header.value", "Its value."),
    ("limits", "Bounds on what the filter may hold."),
    (
        "limits.keys",
        "Key tuples with a circuit of their own, per policy and proxy. When all are in use or \
         not closed, new tuples share a circuit that counts and never rejects.",
    ),
    (
        "limits.keys_total",
        "Key tuples that one worker holds, over all policies. Beyond that the ones that were not \
         used lately go, and where all are in use new ones share a circuit that counts and never \
         rejects. The proxy has eight times as many slots: where policies whose keys callers can \
         invent would have more by limits.keys, they share these evenly, but have at least 16 \
         each.",
    ),
    (
        "limits.replay_body_bytes",
        "Largest request body of which the filter keeps a copy, to send the request again or to \
         another cluster.",
    ),
    (
        "limits.copies_bytes",
        "What saved requests, with their headers, may take together in each worker, over all \
         policies. Beyond that the oldest copies are dropped: their requests are neither sent \
         again nor to another cluster, which is counted. The bodies of paused responses, and \
         responses while they are handed on, are in this total too. So are bodies that wait to \
         take the place of failed ones: beyond it they are sent at once, past the filters in front.",
    ),
    (
        "limits.replay_answer_bytes",
        "Largest answer to a request that was sent again, or to another cluster, which the \
         filter hands on. A larger one is dropped.",
    ),
    (
        "limits.stale_bytes",
        "What kept answers may take, for the whole proxy. Those that were not asked for the \
         longest go first. From 2 MiB on it is divided into up to 16 parts of equal size, each \
         for answers up to that size.",
    ),
    (
        "limits.recording_bytes",
        "What responses may take while they are recorded for the stale cache, and what is held of \
         their requests for that, per VM and over all policies. When it is used up, the requests \
         that were quiet the longest are no longer recorded.",
    ),
    ("host", "What the filter cannot find out of its host."),
    (
        "host.headers_stop_iteration",
        "Whether the plugin has allow_on_headers_stop_iteration (Envoy 1.35 and later, not in \
         Istio's WasmPlugin), so that the body of a request comes while the request is held \
         back. Then a fallback of type cluster answers requests with a body on open, too. Say it \
         only where it is so: elsewhere such a request waits for the whole timeout.",
    ),
    (
        "host.buffer_limit_bytes",
        "The listener's per_connection_buffer_limit_bytes, 1 MiB in Envoy unless it is set. With \
         headers_stop_iteration, a failed response that is larger is not paused, nor is a request \
         that a fallback of type route may yet send elsewhere: Envoy would answer 500 or 413.",
    ),
    (
        "sync",
        "How the workers of a proxy share what they know of their circuits.",
    ),
    (
        "sync.interval",
        "How old a worker's view of a circuit may get, and how often at most it merges what it \
         counted into the record that all workers share.",
    ),
    (
        "admin",
        "Shows and forces circuits, on every listener whose file has this. Absent: off. Whoever \
         reaches its path may use it, and nothing else protects it: put it on a loopback \
         listener of its own, with the same vm_id and the same plugin name.",
    ),
    ("admin.path_prefix", "The path under which it answers."),
];
