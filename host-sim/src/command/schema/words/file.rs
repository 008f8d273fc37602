//! Fields of the file outside of policies.

pub(super) const WORDS: &[(&str, &str)] = &[
    (
        "",
        "Circuit breaking, retry budgets and fallback responses: the plugin configuration of the \
         Spillway filter.",
    ),
    ("$schema", "Location of this schema, for editors."),
    (
        "policies",
        "Tried in order. The first policy whose match holds is the policy of the request. A \
         request without a policy is not changed. The list may be empty in a file with admin.",
    ),
    ("limits", "Bounds on the filter's memory and keys."),
    (
        "limits.keys",
        "Maximum number of key tuples with their own circuit, per policy and proxy. If all are in \
         use or not closed, new tuples share a circuit that counts but never rejects.",
    ),
    (
        "limits.keys_total",
        "Maximum number of key tuples in one worker, over all policies. The least recently used \
         tuples are evicted first. If all are in use, new ones share a circuit that counts but \
         never rejects. The proxy has eight times as many slots. If policies with keys that \
         callers can choose would need more according to limits.keys, they share the slots \
         evenly, with at least 16 for each.",
    ),
    (
        "limits.replay_body_bytes",
        "Largest request body that the filter saves, to send the request again or to another \
         cluster.",
    ),
    (
        "limits.copies_bytes",
        "Total bytes of saved requests, with their headers, per worker and over all policies. \
         Above it, the oldest saved requests are dropped: they are sent neither again nor to \
         another cluster, and are counted. The total includes the bodies of paused responses and \
         responses that are being delivered. It also includes bodies that wait to replace failed \
         ones: above the total they are sent at once, and skip the filters between this one and \
         the client.",
    ),
    (
        "limits.replay_answer_bytes",
        "Largest response that the filter delivers for a request that it sent again, or to \
         another cluster. A larger response is dropped.",
    ),
    (
        "limits.stale_bytes",
        "Total bytes of stored stale responses, for the whole proxy. The responses that are asked \
         for the least are evicted first. The largest response is an eighth of it, or 32 KiB if \
         that is more.",
    ),
    (
        "limits.recording_bytes",
        "Total bytes of responses being recorded for the stale cache, and of the saved parts of \
         their requests, per VM and over all policies. When it is used up, the recordings that \
         have been idle for longest are dropped.",
    ),
    (
        "host",
        "Properties of the host that the filter cannot detect.",
    ),
    (
        "host.headers_stop_iteration",
        "Whether the plugin has allow_on_headers_stop_iteration (Envoy 1.35 and later, not in \
         Istio's WasmPlugin), so that the body of a request arrives while the request is paused. A \
         fallback of type cluster then also handles requests with a body on open. Set it only if \
         the plugin has the option: otherwise such a request waits for the whole timeout.",
    ),
    (
        "host.buffer_limit_bytes",
        "The listener's per_connection_buffer_limit_bytes, by default 1 MiB in Envoy. With \
         headers_stop_iteration, a larger failed response is not paused, nor is a larger request \
         that a fallback of type route may still reroute: Envoy would respond with 500 or 413.",
    ),
    (
        "sync",
        "How the workers of a proxy share the state of their circuits.",
    ),
    (
        "sync.interval",
        "Maximum age of a worker's view of a circuit, and minimum time between two merges of its \
         counts into the record that all workers share.",
    ),
    ("metrics", "Metrics beyond those that every file has."),
    (
        "metrics.circuits",
        "Number of circuits that have a series for each of the states open, half_open and \
         recovering: the first ones of the proxy that leave closed. A circuit keeps its series \
         until the proxy restarts, so later circuits may have none.",
    ),
    (
        "events",
        "Sends changes of state and operators' actions to an OpenTelemetry collector, as log \
         records by OTLP/HTTP with JSON. If missing, they are only in the proxy's log. Needs \
         spillway.wasm.",
    ),
    (
        "events.cluster",
        "The proxy's cluster of the collector. The filter can only call clusters that exist.",
    ),
    (
        "events.path",
        "The path of the collector's receiver of logs.",
    ),
    (
        "admin",
        "Shows and forces circuits, on every listener whose file has this field. If missing, it is \
         off. Anyone who can reach its path can use it, and nothing else protects it: use a \
         separate loopback listener with the same vm_id and the same plugin name.",
    ),
    ("admin.path_prefix", "The path of the admin endpoint."),
];
