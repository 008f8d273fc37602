//! Edits request and response headers.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

#[derive(Default)]
pub struct Headers {
    path: String,
}

impl Context for Headers {}

impl HttpContext for Headers {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.path = self.get_http_request_header(":path").unwrap_or_default();
        self.set_http_request_header("x-secret", None);
        self.add_http_request_header("x-seen-by", "probe");
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        let mut headers = self.get_http_response_headers();
        headers.retain(|(name, _)| name != "server");
        headers.push(("x-path".to_owned(), self.path.clone()));
        let headers = headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        self.set_http_response_headers(headers);
        Action::Continue
    }
}
