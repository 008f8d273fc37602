//! Fields of `fallback`.

pub(super) const WORDS: &[(&str, &str)] = &[
    (
        "policies[].fallback",
        "Responses in place of the upstream's. The entries for the occasion are tried in order \
         until one has a response. If none does, a rejected request gets 503 with retry-after, or \
         UNAVAILABLE for gRPC, and a failed request keeps the upstream's response.",
    ),
    (
        "policies[].fallback[]",
        "One response, and the occasions for it.",
    ),
    (
        "policies[].fallback[].type",
        "respond: a fixed response. stale: the last usable response to the same request. cluster: \
         the response of another cluster. route: the request takes another route, by a header \
         that the proxy's route table matches.",
    ),
    (
        "policies[].fallback[].on",
        "open: the circuit or the mode rejected the request. failure: the final response is a \
         failure, including timeouts. timeout: the proxy timed out. Once response headers have \
         been forwarded, it is too late for a fallback. A route only applies on open.",
    ),
    (
        "policies[].fallback[].status",
        "respond: the HTTP status of the response. 204, 205 and 304 allow no body. gRPC requests \
         get grpc_status.",
    ),
    (
        "policies[].fallback[].headers",
        "respond: the headers of the response. Their values may contain the same placeholders as \
         body. Headers that frame a message or belong to one connection are not allowed. \
         content-type is derived from the body if it is not set, and must not contain \
         placeholders.",
    ),
    ("policies[].fallback[].headers{}", "One value."),
    (
        "policies[].fallback[].body",
        "respond: the body of the response as text. The placeholders {policy}, {retry_after}, \
         {path} and {request_id} are escaped for the content-type: as a string for JSON and \
         JavaScript, as numeric references for HTML and XML, and percent-encoded for all other \
         types except text/plain.",
    ),
    (
        "policies[].fallback[].json",
        "respond: the body of the response as JSON, in place of body, with the same placeholders \
         in its strings. At most 65536 bytes.",
    ),
    (
        "policies[].fallback[].variants",
        "respond: bodies from which the accept header of the request selects one, in place of \
         body and json. At least one of json, html and plain. This is also the order of \
         preference between variants that are equally acceptable, or if none is acceptable.",
    ),
    (
        "policies[].fallback[].variants.json",
        "For application/json. At most 65536 bytes.",
    ),
    ("policies[].fallback[].variants.html", "For text/html."),
    ("policies[].fallback[].variants.plain", "For text/plain."),
    (
        "policies[].fallback[].grpc_status",
        "respond: the status of the response to a gRPC request. Its details are in \
         grpc-status-details-bin: an ErrorInfo and, on open, a RetryInfo.",
    ),
    (
        "policies[].fallback[].grpc_message",
        "respond: the message of the response to a gRPC request, with placeholders.",
    ),
    (
        "policies[].fallback[].max_age",
        "stale: maximum age of a response, including its time in other caches. stale-if-error or \
         s-maxage of the response can only shorten it.",
    ),
    (
        "policies[].fallback[].shared",
        "stale: confirms that responses do not depend on the caller, so that they are stored even \
         without public or s-maxage. Responses with no-store, no-cache, private, must-revalidate \
         or set-cookie are never stored, nor are responses to requests with authorization, cookie \
         or range.",
    ),
    (
        "policies[].fallback[].ignore_query",
        "stale: query parameters that make no difference to the response. A name that ends with * \
         stands for all names with that beginning. Names are compared as sent. All stale entries \
         of a policy use the same stored responses, so they need the same list; otherwise no \
         parameter is ignored.",
    ),
    (
        "policies[].fallback[].ignore_query[]",
        "The name of a parameter, such as gclid or utm_*.",
    ),
    (
        "policies[].fallback[].cluster",
        "cluster: the cluster to call. If it responds with 5xx, does not respond in time, or its \
         response cannot be delivered, the next entry is tried.",
    ),
    (
        "policies[].fallback[].path",
        "cluster: a path in place of the request's path. The query of the request is kept, unless \
         this path has one.",
    ),
    (
        "policies[].fallback[].authority",
        "cluster: a host that replaces the request's :authority, which is the host header in \
         HTTP/1.1.",
    ),
    (
        "policies[].fallback[].timeout",
        "cluster: how long the call may take.",
    ),
    (
        "policies[].fallback[].header",
        "route: the header to add to the request. The filter removes this header from every \
         client request that it sees.",
    ),
    (
        "policies[].fallback[].header.name",
        "The name of the header. Headers that frame messages are not allowed.",
    ),
    (
        "policies[].fallback[].header.value",
        "The value of the header.",
    ),
];
