//! The scripted probe: logs every callback and runs the script of its phase.
//!
//! The configuration is the script of the root context and of every stream. The request header
//! `x-probe` adds phases for its stream, or replaces them.
//!
//! Root phases: `configure tick queue call grpc done`. Stream phases: `rqh rqb rqt rsh rsb rst call
//! grpc log done`.

use std::rc::Rc;

use log::info;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::Kind;
use crate::host;
use crate::script::{Script, Wish};

const REQUEST_HEADERS: u32 = 0;

/// The root context.
pub struct Probe {
    id: u32,
    script: Rc<Script>,
}

impl Probe {
    pub fn new(id: u32, configuration: &str) -> Probe {
        Probe {
            id,
            script: Rc::new(Script::parse(configuration)),
        }
    }

    fn run(&self, phase: &str) -> Option<Wish> {
        self.script.run(self.id, phase)
    }
}

impl Kind for Probe {
    fn stream(&self, id: u32) -> Box<dyn HttpContext> {
        Box::new(Stream {
            id,
            script: (*self.script).clone(),
        })
    }

    fn on_configure(&mut self) -> bool {
        info!("probe: {} configure", self.id);
        self.run("configure") != Some(Wish::Refuse)
    }

    fn on_tick(&mut self) {
        info!("probe: {} tick", self.id);
        self.run("tick");
    }

    fn on_queue_ready(&mut self, queue: u32) {
        info!("probe: {} queue {queue}", self.id);
        self.run("queue");
    }

    fn on_done(&mut self) -> bool {
        info!("probe: {} done", self.id);
        self.run("done") != Some(Wish::Refuse)
    }

    fn on_call(&mut self, token: u32, headers: usize, body: usize, trailers: usize) {
        info!(
            "probe: {} call {token} {headers} {body} {trailers}",
            self.id
        );
        self.run("call");
    }

    fn on_grpc(&mut self, token: u32, status: u32, size: usize) {
        info!("probe: {} grpc {token} {status} {size}", self.id);
        self.run("grpc");
    }
}

struct Stream {
    id: u32,
    script: Script,
}

impl Stream {
    fn phase(&mut self, phase: &str, details: std::fmt::Arguments<'_>) -> Action {
        info!("probe: {} {phase} {details}", self.id);
        match self.script.run(self.id, phase) {
            Some(_) => Action::Pause,
            None => Action::Continue,
        }
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, trailers: usize) {
        self.phase("call", format_args!("{token} {headers} {body} {trailers}"));
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, size: usize) {
        self.phase("grpc", format_args!("{token} {status} {size}"));
    }

    fn on_done(&mut self) -> bool {
        self.phase("done", format_args!("")) == Action::Continue
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, count: usize, end: bool) -> Action {
        let (status, text) = host::header(REQUEST_HEADERS, "x-probe");
        if status == 0 {
            self.script
                .extend(Script::parse(&String::from_utf8_lossy(&text)));
        }
        self.phase("rqh", format_args!("{count} {end}"))
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.phase("rqb", format_args!("{size} {end}"))
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        self.phase("rqt", format_args!("{count}"))
    }

    fn on_http_response_headers(&mut self, count: usize, end: bool) -> Action {
        self.phase("rsh", format_args!("{count} {end}"))
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        self.phase("rsb", format_args!("{size} {end}"))
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        self.phase("rst", format_args!("{count}"))
    }

    fn on_log(&mut self) {
        self.phase("log", format_args!(""));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        info!("probe: {} delete", self.id);
    }
}
