//! Small plugins as people write them, using only the SDK.

mod access;
mod auth;
mod bodies;
mod cache;
mod grpc_auth;
mod headers;
mod limiter;
mod queue;
mod responses;
mod rewrite;
mod roots;
mod simple;

use std::rc::Rc;

use crate::Kind;
use simple::per_stream;

/// Creates the plugin that a configuration names, with its argument.
pub fn by_line(line: &str) -> Option<Box<dyn Kind>> {
    let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
    let argument = argument.to_owned();
    if let Some(kind) = stateless(name) {
        return Some(kind);
    }
    Some(match name {
        "auth" => per_stream(move || auth::Auth {
            cluster: argument.clone(),
        }),
        "cache" => Box::new(cache::Cache::new(argument)),
        "grpc_auth" => per_stream(move || grpc_auth::GrpcAuth {
            cluster: argument.clone(),
        }),
        "keys" => Box::new(roots::Keys {
            cluster: argument,
            keys: Rc::default(),
        }),
        "limit" => {
            let bytes = argument.parse().ok()?;
            per_stream(move || bodies::Limit { bytes })
        }
        "limiter" => {
            let limit = argument.parse().ok()?;
            per_stream(move || limiter::Limiter { limit })
        }
        "mirror" => per_stream(move || roots::Mirror {
            cluster: argument.clone(),
        }),
        "queue" => Box::new(queue::Queue::default()),
        "redirect" => per_stream(move || responses::Redirect {
            host: argument.clone(),
        }),
        "second_chance" => per_stream(move || access::SecondChance {
            clusters: argument.split(' ').rev().map(str::to_owned).collect(),
        }),
        "strict" => Box::new(access::Strict { argument }),
        "ticks" => Box::new(roots::Ticks::default()),
        _ => return None,
    })
}

/// Creates a plugin that keeps nothing, neither its argument nor anything between requests.
fn stateless(name: &str) -> Option<Box<dyn Kind>> {
    Some(match name {
        "basic" => per_stream(|| access::Basic),
        "canary" => per_stream(|| responses::Canary),
        "cookies" => per_stream(|| responses::Cookies),
        "cors" => per_stream(|| responses::Cors),
        "expiry" => per_stream(|| access::Expiry),
        "facts" => per_stream(|| roots::Facts),
        "headers" => per_stream(headers::Headers::default),
        "html" => per_stream(|| bodies::Html { fixes_length: true }),
        "html_wrong" => per_stream(|| bodies::Html {
            fixes_length: false,
        }),
        "json" => per_stream(|| bodies::Json),
        "mask" => per_stream(|| bodies::Mask),
        "rewrite" => per_stream(|| rewrite::Rewrite),
        "trailers" => per_stream(|| responses::Trailers),
        _ => return None,
    })
}
