//! Sends each request's path through a queue to the thread that listens.

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::Kind;

#[derive(Default)]
pub struct Queue {
    id: u32,
}

impl Kind for Queue {
    fn stream(&self, _id: u32) -> Box<dyn HttpContext> {
        Box::new(Stream { queue: self.id })
    }

    fn on_configure(&mut self) -> bool {
        match hostcalls::register_shared_queue("paths") {
            Ok(id) => self.id = id,
            Err(_) => return false,
        }
        true
    }

    fn on_queue_ready(&mut self, queue: u32) {
        while let Ok(Some(path)) = hostcalls::dequeue_shared_queue(queue) {
            log::info!("queue: {}", String::from_utf8_lossy(&path));
        }
    }
}

struct Stream {
    queue: u32,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let path = self
            .get_http_request_header_bytes(":path")
            .unwrap_or_default();
        if self.enqueue_shared_queue(self.queue, Some(&path)).is_err() {
            log::warn!("no queue");
        }
        Action::Continue
    }
}
