//! Name, mode, match, key and outcome of a policy.

pub(super) const WORDS: &[(&str, &str)] = &[
    (
        "policies[]",
        "One named policy: the requests that it matches, and what happens to them.",
    ),
    (
        "policies[].name",
        "Unique in the file. It appears in metrics, log lines and responses.",
    ),
    (
        "policies[].mode",
        "enforce applies decisions. shadow runs and reports the whole state machine, but affects \
         no request. disabled has the same effect as no policy. forced_open rejects every \
         request. forced_closed lets every request pass and counts it in no window; retries and \
         fallbacks stay.",
    ),
    (
        "policies[].enforce_percent",
        "Percentage of requests to which decisions are applied, including forced ones. All of \
         them share the same circuit. A request that would have been rejected but was let through \
         is not counted in any window.",
    ),
    (
        "policies[].label",
        "Whether responses made by the filter carry x-circuit-fallback and x-circuit-state.",
    ),
    (
        "policies[].timeout",
        "How long the upstream may take, retries included: from the end of the request to the end \
         of the response. Replaces the timeout of the route, also if it is longer. 0s leaves the \
         route's.",
    ),
    (
        "policies[].match",
        "The requests that the policy matches. All conditions must hold. Within one list of \
         clusters, routes, authorities, paths or methods, one match is enough. A missing \
         condition always holds.",
    ),
    (
        "policies[].match.clusters",
        "Names of the proxy's clusters. In Istio, such as \
         outbound|8080||checkout.shop.svc.cluster.local. * stands for any run of characters other \
         than |, as in outbound|*||checkout.*.",
    ),
    ("policies[].match.routes", "Names of the proxy's routes."),
    (
        "policies[].match.authorities",
        "Host names, in any case. A name without a port matches every port. *.example.com \
         matches every name with this suffix.",
    ),
    (
        "policies[].match.paths",
        "Patterns for the path without its query. The first pattern that matches is the value of \
         \"path\" in a key.",
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
        "Compared segment by segment. {name} matches any single non-empty segment, as in \
         /users/{id}/orders.",
    ),
    (
        "policies[].match.methods",
        "HTTP methods, compared case-sensitively.",
    ),
    (
        "policies[].match.headers",
        "Conditions on request headers. Unlike in the other lists, all of them must hold.",
    ),
    (
        "policies[].match.headers[]",
        "One condition: a name, and either exact or present.",
    ),
    (
        "policies[].match.headers[].name",
        "The name of the header, in any case.",
    ),
    (
        "policies[].match.headers[].exact",
        "Holds if one of the header's values equals this.",
    ),
    (
        "policies[].match.headers[].present",
        "Holds if the header is present (true) or missing (false).",
    ),
    (
        "policies[].key",
        "Every distinct tuple of these parts has its own circuit. \"path\" is the pattern that \
         matched, never the raw path, and needs match.paths. An empty list means one circuit for \
         the whole policy.",
    ),
    (
        "policies[].key[]",
        "One part of the tuple: a word, or {\"header\": NAME} for the first value of that request \
         header.",
    ),
    (
        "policies[].key[].header",
        "The name of the request header, in any case.",
    ),
    (
        "policies[].outcome",
        "Which responses are failures. Connect and DNS failures, resets, timeouts of the proxy and \
         a cluster without healthy hosts always are. Never counted are responses that the proxy \
         or another filter made without an attempt, deadlines of the caller, and uploads that the \
         upstream cut off.",
    ),
    (
        "policies[].outcome.failure_status",
        "HTTP statuses that are failures.",
    ),
    (
        "policies[].outcome.failure_status[]",
        "A status (\"503\"), a class (\"5xx\") or an inclusive range (\"500-504\").",
    ),
    (
        "policies[].outcome.ignore_status",
        "HTTP statuses that are not counted. They take precedence over failure_status.",
    ),
    (
        "policies[].outcome.ignore_status[]",
        "A status (\"503\"), a class (\"5xx\") or an inclusive range (\"500-504\").",
    ),
    (
        "policies[].outcome.failure_grpc_status",
        "gRPC codes that are failures, if the content-type of the request is application/grpc \
         and the response is gRPC, too. CANCELLED is always ignored.",
    ),
    (
        "policies[].outcome.judge_at",
        "When the outcome of a request is decided: at its end, or at the response headers, \
         whatever happens to the response later. Use headers for services that stream.",
    ),
    (
        "policies[].outcome.overflow",
        "Outcome of a request that the cluster's own connection or request limits rejected.",
    ),
];
