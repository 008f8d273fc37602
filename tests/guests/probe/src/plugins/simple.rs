//! Plugins that do all their work in the callbacks of a stream.

use proxy_wasm::traits::HttpContext;

use crate::Kind;

struct PerStream<F>(F);

/// Returns a plugin whose streams `make` creates.
pub fn per_stream<S: HttpContext + 'static>(make: impl Fn() -> S + 'static) -> Box<dyn Kind> {
    Box::new(PerStream(make))
}

impl<S: HttpContext + 'static, F: Fn() -> S> Kind for PerStream<F> {
    fn stream(&self, _id: u32) -> Box<dyn HttpContext> {
        Box::new((self.0)())
    }
}
