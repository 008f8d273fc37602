//! Exceptions of Java as outcomes of requests.

/// What an exception stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Statuses of responses, as policies write them.
    Status(&'static str),
    /// A connection that was refused or reset.
    Connection,
    /// A response that took too long.
    Timeout,
    /// Everything, as `Exception` and `Throwable` do.
    Any,
    /// A class of the application.
    Other,
}

/// Simple names of classes. A nested class stands for one status of its outer class.
const CLASSES: [(&str, Meaning); 36] = [
    ("HttpServerErrorException", Meaning::Status("5xx")),
    ("FeignServerException", Meaning::Status("5xx")),
    ("ServerErrorException", Meaning::Status("5xx")),
    ("InternalServerErrorException", Meaning::Status("500")),
    ("InternalServerError", Meaning::Status("500")),
    ("NotImplemented", Meaning::Status("501")),
    ("BadGateway", Meaning::Status("502")),
    ("ServiceUnavailable", Meaning::Status("503")),
    ("ServiceUnavailableException", Meaning::Status("503")),
    ("GatewayTimeout", Meaning::Status("504")),
    ("HttpClientErrorException", Meaning::Status("4xx")),
    ("FeignClientException", Meaning::Status("4xx")),
    ("BadRequest", Meaning::Status("400")),
    ("Unauthorized", Meaning::Status("401")),
    ("Forbidden", Meaning::Status("403")),
    ("NotFound", Meaning::Status("404")),
    ("MethodNotAllowed", Meaning::Status("405")),
    ("Conflict", Meaning::Status("409")),
    ("Gone", Meaning::Status("410")),
    ("UnprocessableEntity", Meaning::Status("422")),
    ("TooManyRequests", Meaning::Status("429")),
    ("IOException", Meaning::Connection),
    ("UncheckedIOException", Meaning::Connection),
    ("ConnectException", Meaning::Connection),
    ("SocketException", Meaning::Connection),
    ("UnknownHostException", Meaning::Connection),
    ("ResourceAccessException", Meaning::Connection),
    ("WebClientRequestException", Meaning::Connection),
    ("RetryableException", Meaning::Connection),
    ("TimeoutException", Meaning::Timeout),
    ("SocketTimeoutException", Meaning::Timeout),
    ("HttpTimeoutException", Meaning::Timeout),
    ("ReadTimeoutException", Meaning::Timeout),
    ("Exception", Meaning::Any),
    ("RuntimeException", Meaning::Any),
    ("Throwable", Meaning::Any),
];

/// Returns what a class stands for, by its name with its package.
pub(super) fn meaning(class: &str) -> Meaning {
    let is_ours = |part: &str| part.chars().next().is_some_and(char::is_lowercase);
    let simple = class.rsplit(['.', '$']).next().unwrap_or(class);
    // A class of the application may have the name of a known one.
    let known = [
        "java.",
        "javax.",
        "jakarta.",
        "org.springframework.",
        "feign.",
        "io.netty.",
        "reactor.",
    ];
    let is_library = known.iter().any(|package| class.starts_with(package));
    if !is_library && class.split('.').next().is_some_and(is_ours) && class.contains('.') {
        return Meaning::Other;
    }
    let mut classes = CLASSES.iter();
    classes
        .find(|(name, _)| *name == simple)
        .map_or(Meaning::Other, |(_, meaning)| *meaning)
}

/// Returns the statuses among the classes, without duplicates.
pub(super) fn statuses(classes: &[&str]) -> Vec<&'static str> {
    let mut statuses = Vec::new();
    for class in classes {
        if let Meaning::Status(status) = meaning(class)
            && !statuses.contains(&status)
        {
            statuses.push(status);
        }
    }
    statuses
}

/// Returns the classes of the application, which have no outcome, for a message.
pub(super) fn others(classes: &[&str]) -> Option<String> {
    let others = classes
        .iter()
        .filter(|class| meaning(class) == Meaning::Other);
    let others: Vec<&str> = others.copied().collect();
    (!others.is_empty()).then(|| others.join(", "))
}
