//! Admits a fixed number of requests across all workers, counted by compare-and-swap.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, Status};

pub struct Limiter {
    pub limit: u64,
}

const KEY: &str = "count";
const TRIES: usize = 10;

impl Context for Limiter {}

impl Limiter {
    fn admit(&self) -> bool {
        for _ in 0..TRIES {
            let (value, cas) = self.get_shared_data(KEY);
            let bytes = value.and_then(|value| value.try_into().ok());
            let count = bytes.map_or(0, u64::from_le_bytes);
            if count >= self.limit {
                return false;
            }
            let next = (count + 1).to_le_bytes();
            match self.set_shared_data(KEY, Some(&next), cas) {
                Ok(()) => return true,
                Err(Status::CasMismatch) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

impl HttpContext for Limiter {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        if self.admit() {
            return Action::Continue;
        }
        self.send_http_response(429, Vec::new(), Some(b"too many"));
        Action::Pause
    }
}
