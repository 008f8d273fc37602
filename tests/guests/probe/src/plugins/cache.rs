//! Fetches a value every second and adds it to all responses.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType};

use crate::Kind;

pub struct Cache {
    cluster: String,
    value: Rc<RefCell<Vec<u8>>>,
}

impl Cache {
    pub fn new(cluster: String) -> Cache {
        Cache {
            cluster,
            value: Rc::default(),
        }
    }
}

impl Kind for Cache {
    fn stream(&self, _id: u32) -> Box<dyn HttpContext> {
        Box::new(Stream {
            value: self.value.clone(),
        })
    }

    fn on_configure(&mut self) -> bool {
        hostcalls::set_tick_period(Duration::from_secs(1)).is_ok()
    }

    fn on_tick(&mut self) {
        let headers = vec![
            (":method", "GET"),
            (":path", "/value"),
            (":authority", "config"),
        ];
        let timeout = Duration::from_millis(100);
        let call = hostcalls::dispatch_http_call(&self.cluster, headers, None, Vec::new(), timeout);
        if call.is_err() {
            log::warn!("the value cannot be fetched");
        }
    }

    fn on_call(&mut self, _token: u32, _headers: usize, size: usize, _trailers: usize) {
        let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, size);
        if let Ok(Some(body)) = body {
            self.value.replace(body);
        }
    }
}

struct Stream {
    value: Rc<RefCell<Vec<u8>>>,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.add_http_response_header_bytes("x-value", &self.value.borrow());
        Action::Continue
    }
}
