//! Asks a cluster about each request and pauses the request until the response arrives.

use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

pub struct Auth {
    pub cluster: String,
}

impl Context for Auth {
    fn on_http_call_response(&mut self, _token: u32, headers: usize, size: usize, _: usize) {
        let status = match headers {
            0 => None,
            _ => self.get_http_call_response_header(":status"),
        };
        if status.as_deref() == Some("200") {
            let user = self
                .get_http_call_response_body(0, size)
                .unwrap_or_default();
            self.set_http_request_header_bytes("x-user", Some(&user));
            self.resume_http_request();
        } else {
            self.send_http_response(403, vec![("x-auth", "denied")], Some(b"go away"));
        }
    }
}

impl HttpContext for Auth {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let headers = vec![
            (":method", "GET"),
            (":path", "/check"),
            (":authority", "auth"),
        ];
        let timeout = Duration::from_millis(500);
        match self.dispatch_http_call(&self.cluster, headers, None, Vec::new(), timeout) {
            Ok(_) => Action::Pause,
            Err(_) => {
                self.send_http_response(500, Vec::new(), Some(b"no auth"));
                Action::Pause
            }
        }
    }
}
