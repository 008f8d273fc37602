//! A plugin that runs a script and logs what the host returned.
//!
//! A script is a list of steps separated by `;`, each `PHASE ACTION ARGUMENT...`. A stream's script
//! is its request header `x-witness`; the root context's is the plugin configuration. `PHASE@2`
//! runs only the second time that the phase is reached. Every callback and every action's status is
//! logged as `witness ROW ...`, where ROW is the request header `x-row`, or `root`. In an action's
//! arguments, `%0a` is an ASCII character in hexadecimal digits, and `%` alone is an empty text.

mod act;
mod edges;
mod raw;
mod script;
mod stream;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

use script::{Phase, Runner};
use stream::Stream;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

/// The root context.
#[derive(Default)]
struct Root {
    runner: Runner,
}

impl Context for Root {
    fn on_done(&mut self) -> bool {
        self.runner.enter(Phase::Done, "");
        true
    }
}

impl RootContext for Root {
    fn on_vm_start(&mut self, size: usize) -> bool {
        self.runner = Runner::new("root", "");
        self.runner.enter(Phase::VmStart, &format!("size={size}"));
        true
    }

    fn on_configure(&mut self, size: usize) -> bool {
        let script = raw::buffer(7, 0, size).1.unwrap_or_default();
        self.runner = Runner::new("root", &String::from_utf8_lossy(&script));
        self.runner.enter(Phase::Configure, &format!("size={size}"));
        !self.runner.paused
    }

    fn on_tick(&mut self) {
        self.runner.enter(Phase::Tick, "");
    }

    fn on_queue_ready(&mut self, queue: u32) {
        self.runner.enter(Phase::Queue, &format!("id={queue}"));
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::default()))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
