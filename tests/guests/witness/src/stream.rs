//! The stream context: logs every callback and runs its steps.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::raw;
use crate::script::{Phase, Runner};

#[derive(Default)]
pub struct Stream {
    runner: Runner,
}

impl Stream {
    fn enter(&mut self, phase: Phase, about: &str) -> Action {
        self.runner.enter(phase, about);
        if self.runner.paused {
            Action::Pause
        } else {
            Action::Continue
        }
    }
}

impl Context for Stream {
    fn on_done(&mut self) -> bool {
        self.runner.enter(Phase::Done, "");
        true
    }

    fn on_grpc_call_response(&mut self, _token: u32, status: u32, size: usize) {
        let about = format!("status={status} size={size}");
        self.runner.enter(Phase::Grpc, &about);
    }

    fn on_http_call_response(&mut self, _token: u32, headers: usize, body: usize, trailers: usize) {
        let about = format!("headers={} body={body} trailers={trailers}", headers.min(1));
        self.runner.enter(Phase::Call, &about);
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        let header = |name| {
            let value = raw::header(0, name).1.unwrap_or_default();
            String::from_utf8_lossy(&value).into_owned()
        };
        self.runner = Runner::new(&header("x-row"), &header("x-witness"));
        self.enter(Phase::RequestHeaders, &format!("end={end}"))
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.enter(Phase::RequestBody, &format!("size={size} end={end}"))
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        self.enter(Phase::RequestTrailers, &format!("count={count}"))
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        self.enter(Phase::ResponseHeaders, &format!("end={end}"))
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        self.enter(Phase::ResponseBody, &format!("size={size} end={end}"))
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        self.enter(Phase::ResponseTrailers, &format!("count={count}"))
    }

    fn on_log(&mut self) {
        self.runner.enter(Phase::Log, "");
    }
}
