//! A guest for tests, built with the official SDK.
//!
//! The configuration selects the behaviour. `plugin NAME ..` on the first line runs a small plugin
//! of the kind that people write: see [`plugins`]. Anything else is a script: the guest then logs
//! every callback and makes the hostcalls that the script names: see [`script`].

mod host;
mod plugins;
mod probe;
mod script;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|id| Box::new(Root { id, kind: None }));
}}

/// The behaviour that a configuration selects.
trait Kind {
    fn stream(&self, id: u32) -> Box<dyn HttpContext>;
    fn on_configure(&mut self) -> bool {
        true
    }
    fn on_tick(&mut self) {}
    fn on_queue_ready(&mut self, _queue: u32) {}
    fn on_done(&mut self) -> bool {
        true
    }
    fn on_call(&mut self, _token: u32, _headers: usize, _body: usize, _trailers: usize) {}
    fn on_grpc(&mut self, _token: u32, _status: u32, _size: usize) {}
}

struct Root {
    id: u32,
    kind: Option<Box<dyn Kind>>,
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, trailers: usize) {
        if let Some(kind) = &mut self.kind {
            kind.on_call(token, headers, body, trailers);
        }
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, size: usize) {
        if let Some(kind) = &mut self.kind {
            kind.on_grpc(token, status, size);
        }
    }

    fn on_done(&mut self) -> bool {
        self.kind.as_mut().is_none_or(|kind| kind.on_done())
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        let mut kind = match text.strip_prefix("plugin ") {
            Some(line) => match plugins::by_line(line.trim()) {
                Some(kind) => kind,
                None => return false,
            },
            None => Box::new(probe::Probe::new(self.id, &text)),
        };
        let accepted = kind.on_configure();
        self.kind = Some(kind);
        accepted
    }

    fn on_tick(&mut self) {
        if let Some(kind) = &mut self.kind {
            kind.on_tick();
        }
    }

    fn on_queue_ready(&mut self, queue: u32) {
        if let Some(kind) = &mut self.kind {
            kind.on_queue_ready(queue);
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        self.kind.as_ref().map(|kind| kind.stream(id))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
