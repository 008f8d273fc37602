//! The operators' listener: the filter's page and API for the circuits of the traffic, and its
//! metrics.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

use super::engine::{Engine, print};
use super::pipe::{PipeBody, whole};
use crate::prometheus;
use crate::proxy::{Host, Listener, Module, Plugin};

/// A listener of the shipped filter that serves operators alone.
const CONFIGURATION: &str = r#"{"policies": [], "admin": {"path_prefix": "/spillway"}}"#;
const PAGE: &str = "/spillway/";

/// Returns the plugin of the operators' listener, with the VM id and the name of the traffic's.
pub(super) fn plugin(traffic: &Plugin, has_operators: bool) -> Option<Plugin> {
    has_operators.then(|| Plugin {
        configuration: CONFIGURATION.into(),
        ..traffic.clone()
    })
}

/// Adds the listener. `None` if the module has no operators' page, whose log lines are dropped.
pub(super) fn listen(host: &mut Host, plugin: Plugin) -> Option<Listener> {
    let log = host.take_log();
    print(&log);
    let listener = host.listen(plugin, 1);
    match listener {
        Ok(listener) => Some(listener),
        Err(_) => {
            host.take_log();
            None
        }
    }
}

/// Replaces the module of the listener.
pub(super) fn reload(host: &mut Host, old: Listener, traffic: &Plugin, module: Module) -> Listener {
    let plugin = Plugin {
        module,
        configuration: CONFIGURATION.into(),
        ..traffic.clone()
    };
    // A module without the page leaves the page of the old one.
    host.replace(old, plugin).unwrap_or(old)
}

/// Returns the responses that are not the filter's. `has_page`: the filter has a page.
pub(super) fn answer(engine: &Engine, has_page: bool, path: &str) -> Option<Response<PipeBody>> {
    match path {
        "/metrics" => Some(metrics(engine)),
        "/" if has_page => {
            let mut response = text(StatusCode::FOUND, "");
            let location = HeaderValue::from_static(PAGE);
            response.headers_mut().insert("location", location);
            Some(response)
        }
        _ if !has_page => Some(text(
            StatusCode::NOT_FOUND,
            "this module has no operators' page\n",
        )),
        _ => None,
    }
}

/// Returns the response to a client of another computer.
pub(super) fn not_from_here() -> Response<PipeBody> {
    let why = "operators connect from this computer only\n";
    text(StatusCode::FORBIDDEN, why)
}

/// Returns the metrics as Envoy shows them, for any method like Envoy.
fn metrics(engine: &Engine) -> Response<PipeBody> {
    let page = engine.enter(|host| prometheus::page(host.metrics()));
    let mut response = Response::new(whole(page.into()));
    for (name, value) in [
        ("content-type", "text/plain; charset=UTF-8"),
        ("cache-control", "no-cache, max-age=0"),
        ("x-content-type-options", "nosniff"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<PipeBody> {
    let mut response = Response::new(whole(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert("content-type", plain);
    response
}
