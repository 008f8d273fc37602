//! Plugins that decide who gets in.

use std::time::{Duration, UNIX_EPOCH};

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::Kind;

/// Admits requests until the second since 1970 that their token names.
pub struct Expiry;

impl Context for Expiry {}

impl HttpContext for Expiry {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let token = self.get_http_request_header("x-expires");
        let expires = token.and_then(|text| text.parse().ok());
        let now = self.get_current_time().duration_since(UNIX_EPOCH);
        if expires.is_some_and(|expires| Duration::from_secs(expires) > now.unwrap_or_default()) {
            return Action::Continue;
        }
        log::info!("the token has expired");
        self.send_http_response(401, vec![], Some(b"expired"));
        Action::Pause
    }
}

/// Asks for one password.
pub struct Basic;

impl Context for Basic {}

impl HttpContext for Basic {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let given = self.get_http_request_header("authorization");
        if given.as_deref() == Some("Basic YW5uOnNlY3JldA==") {
            self.set_http_request_header("authorization", None);
            return Action::Continue;
        }
        let headers = vec![("www-authenticate", "Basic realm=\"x\"")];
        self.send_http_response(401, headers, None);
        Action::Pause
    }
}

/// Refuses a configuration without a key, and says so at every level.
pub struct Strict {
    pub argument: String,
}

impl Kind for Strict {
    fn stream(&self, _id: u32) -> Box<dyn HttpContext> {
        Box::new(super::responses::Cookies)
    }

    fn on_configure(&mut self) -> bool {
        log::debug!("the argument is {:?}", self.argument);
        if self.argument.starts_with("key=") {
            return true;
        }
        log::error!("the argument has no key");
        false
    }
}

/// Asks one cluster, and another one if that fails.
pub struct SecondChance {
    pub clusters: Vec<String>,
}

impl SecondChance {
    fn ask(&mut self) -> Action {
        let headers = vec![
            (":method", "GET"),
            (":path", "/check"),
            (":authority", "auth"),
        ];
        let timeout = Duration::from_millis(500);
        while let Some(cluster) = self.clusters.pop() {
            let call = self.dispatch_http_call(&cluster, headers.clone(), None, vec![], timeout);
            if call.is_ok() {
                return Action::Pause;
            }
        }
        self.send_http_response(403, vec![], None);
        Action::Pause
    }
}

impl Context for SecondChance {
    fn on_http_call_response(&mut self, _token: u32, headers: usize, _: usize, _: usize) {
        let status = match headers {
            0 => None,
            _ => self.get_http_call_response_header(":status"),
        };
        if status.as_deref() == Some("200") {
            self.resume_http_request();
        } else {
            self.ask();
        }
    }
}

impl HttpContext for SecondChance {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.ask()
    }
}
