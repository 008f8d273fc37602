//! The `auth` plugin over gRPC.

use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

pub struct GrpcAuth {
    pub cluster: String,
}

impl Context for GrpcAuth {
    fn on_grpc_call_response(&mut self, _token: u32, status: u32, size: usize) {
        if status == 0 {
            let user = self
                .get_grpc_call_response_body(0, size)
                .unwrap_or_default();
            self.set_http_request_header_bytes("x-user", Some(&user));
            self.resume_http_request();
        } else {
            let (code, message) = self.get_grpc_status();
            let text = format!("{code} {}", message.unwrap_or_default());
            self.send_http_response(403, Vec::new(), Some(text.as_bytes()));
        }
    }
}

impl HttpContext for GrpcAuth {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let timeout = Duration::from_millis(500);
        let call = self.dispatch_grpc_call(
            &self.cluster,
            "auth.Check",
            "Ask",
            vec![("x-asked-by", b"probe")],
            Some(b"who"),
            timeout,
        );
        match call {
            Ok(_) => Action::Pause,
            Err(_) => Action::Continue,
        }
    }
}
