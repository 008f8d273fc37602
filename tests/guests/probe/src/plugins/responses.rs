//! Plugins that answer by themselves, or change headers and trailers.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

/// Adds two cookies to each response.
pub struct Cookies;

impl Context for Cookies {}

impl HttpContext for Cookies {
    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.add_http_response_header("set-cookie", "a=1; Path=/");
        self.add_http_response_header("set-cookie", "b=2; Path=/");
        Action::Continue
    }
}

/// Sends clients to another host.
pub struct Redirect {
    pub host: String,
}

impl Context for Redirect {}

impl HttpContext for Redirect {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        let location = format!("https://{}{path}", self.host);
        self.send_http_response(301, vec![("location", &location)], None);
        Action::Pause
    }
}

/// Answers preflight requests, and lets every origin read responses.
pub struct Cors;

const ALLOW: (&str, &str) = ("access-control-allow-origin", "*");

impl Context for Cors {}

impl HttpContext for Cors {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        if self.get_http_request_header(":method").as_deref() != Some("OPTIONS") {
            return Action::Continue;
        }
        let headers = vec![("access-control-allow-methods", "GET, POST")];
        self.send_http_response(204, headers, None);
        Action::Pause
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.set_http_response_header(ALLOW.0, Some(ALLOW.1));
        Action::Continue
    }
}

/// Logs a trailer of the request and adds one to the response.
pub struct Trailers;

impl Context for Trailers {}

impl HttpContext for Trailers {
    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        let sum = self.get_http_request_trailer("x-sum").unwrap_or_default();
        log::info!("the sum is {sum}");
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        self.set_http_response_trailer("x-checked", Some("yes"));
        Action::Continue
    }
}

/// Moves requests with a header to other paths.
pub struct Canary;

impl Context for Canary {}

impl HttpContext for Canary {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        if self.get_http_request_header("x-canary").is_some() {
            let path = self.get_http_request_header(":path").unwrap_or_default();
            self.set_http_request_header(":path", Some(&format!("/canary{path}")));
        }
        Action::Continue
    }
}
