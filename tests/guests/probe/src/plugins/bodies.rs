//! Plugins that read and write bodies.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use serde_json::{Value, json};

/// Removes the field `secret` of a JSON response and adds the field `via`.
pub struct Json;

impl Context for Json {}

impl HttpContext for Json {
    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.set_http_response_header("content-length", None);
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, size).unwrap_or_default();
        match serde_json::from_slice::<Value>(&body) {
            Ok(Value::Object(mut object)) => {
                object.remove("secret");
                object.insert("via".to_owned(), json!("json"));
                let text = Value::Object(object).to_string();
                self.set_http_response_body(0, size, text.as_bytes());
            }
            _ => log::warn!("the body is no object"),
        }
        Action::Continue
    }
}

/// Puts a script into a page. Without `fixes_length` it forgets the `content-length`, as many do.
pub struct Html {
    pub fixes_length: bool,
}

const SCRIPT: &[u8] = b"<script src=/a.js></script>";

impl Context for Html {}

impl HttpContext for Html {
    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        if self.fixes_length {
            self.set_http_response_header("content-length", None);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, size).unwrap_or_default();
        if let Some(at) = body.windows(7).position(|part| part == b"</body>") {
            let (front, rest) = body.split_at(at);
            let page = [front, SCRIPT, rest].concat();
            self.set_http_response_body(0, size, &page);
        }
        Action::Continue
    }
}

/// Replaces the digits of a response, part by part.
pub struct Mask;

impl Context for Mask {}

impl HttpContext for Mask {
    fn on_http_response_body(&mut self, size: usize, _end: bool) -> Action {
        let mut body = self.get_http_response_body(0, size).unwrap_or_default();
        for byte in body.iter_mut().filter(|byte| byte.is_ascii_digit()) {
            *byte = b'#';
        }
        self.set_http_response_body(0, size, &body);
        Action::Continue
    }
}

/// Rejects requests with a larger body.
pub struct Limit {
    pub bytes: usize,
}

impl Context for Limit {}

impl HttpContext for Limit {
    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if size > self.bytes {
            self.send_http_response(413, vec![], Some(b"too large"));
            return Action::Pause;
        }
        match end {
            true => Action::Continue,
            false => Action::Pause,
        }
    }
}
