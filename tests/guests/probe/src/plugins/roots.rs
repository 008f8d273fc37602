//! Plugins that work beside requests.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MetricType};

use crate::Kind;

/// Counts seconds, in a metric and in a header of responses.
#[derive(Default)]
pub struct Ticks {
    metric: u32,
    count: Rc<Cell<u64>>,
}

impl Kind for Ticks {
    fn stream(&self, _id: u32) -> Box<dyn HttpContext> {
        let value = self.count.get().to_string();
        Box::new(AddHeader { value })
    }

    fn on_configure(&mut self) -> bool {
        let metric = hostcalls::define_metric(MetricType::Counter, "ticks_total");
        self.metric = metric.unwrap_or_default();
        hostcalls::set_tick_period(Duration::from_secs(1)).is_ok()
    }

    fn on_tick(&mut self) {
        self.count.set(self.count.get() + 1);
        if hostcalls::increment_metric(self.metric, 1).is_err() {
            log::warn!("no metric");
        }
    }
}

/// Fetches keys once, when it starts.
pub struct Keys {
    pub cluster: String,
    pub keys: Rc<RefCell<String>>,
}

impl Kind for Keys {
    fn stream(&self, _id: u32) -> Box<dyn HttpContext> {
        let value = self.keys.borrow().clone();
        Box::new(AddHeader { value })
    }

    fn on_configure(&mut self) -> bool {
        hostcalls::set_tick_period(Duration::from_millis(100)).is_ok()
    }

    fn on_tick(&mut self) {
        let headers = vec![
            (":method", "GET"),
            (":path", "/keys"),
            (":authority", "keys"),
        ];
        let timeout = Duration::from_millis(500);
        let call = hostcalls::dispatch_http_call(&self.cluster, headers, None, vec![], timeout);
        if call.is_ok() {
            // A failure here only means one more request for the keys.
            let _ = hostcalls::set_tick_period(Duration::ZERO);
        }
    }

    fn on_call(&mut self, _token: u32, _headers: usize, size: usize, _trailers: usize) {
        let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, size);
        let body = body.ok().flatten().unwrap_or_default();
        self.keys.replace(String::from_utf8_lossy(&body).into_owned());
        log::info!("got the keys");
    }
}

/// Adds a value to each response.
pub struct AddHeader {
    pub value: String,
}

impl Context for AddHeader {}

impl HttpContext for AddHeader {
    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.set_http_response_header("x-value", Some(&self.value));
        Action::Continue
    }
}

/// Sends a copy of each request to another cluster, and does not wait for it.
pub struct Mirror {
    pub cluster: String,
}

impl Context for Mirror {}

impl HttpContext for Mirror {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let path = self.get_http_request_header(":path").unwrap_or_default();
        let headers = vec![
            (":method", "GET"),
            (":path", path.as_str()),
            (":authority", "mirror"),
        ];
        let timeout = Duration::from_secs(1);
        let call = self.dispatch_http_call(&self.cluster, headers, None, vec![], timeout);
        if call.is_err() {
            log::warn!("no mirror");
        }
        Action::Continue
    }
}

/// Tells what surrounds it.
pub struct Facts;

impl Context for Facts {}

impl HttpContext for Facts {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let mode = std::env::var("MODE").unwrap_or_default();
        self.set_http_request_header("x-mode", Some(&mode));
        let path = vec!["metadata", "filter_metadata", "app", "tier"];
        let tier = self.get_property(path).unwrap_or_default();
        self.set_http_request_header_bytes("x-tier", Some(&tier));
        Action::Continue
    }
}
