//! Small plugins as people write them, using only the SDK.

mod auth;
mod cache;
mod grpc_auth;
mod headers;
mod limiter;
mod queue;
mod rewrite;

use crate::Kind;

/// Creates the plugin that a configuration names, with its argument.
pub fn by_line(line: &str) -> Option<Box<dyn Kind>> {
    let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
    let argument = argument.to_owned();
    Some(match name {
        "auth" => Box::new(auth::Auth { cluster: argument }),
        "cache" => Box::new(cache::Cache::new(argument)),
        "grpc_auth" => Box::new(grpc_auth::GrpcAuth { cluster: argument }),
        "headers" => Box::new(headers::Headers),
        "limiter" => Box::new(limiter::Limiter {
            limit: argument.parse().ok()?,
        }),
        "queue" => Box::new(queue::Queue::default()),
        "rewrite" => Box::new(rewrite::Rewrite),
        _ => return None,
    })
}
