//! stub
use crate::scenario::play::Run;
/// The page.
pub fn page(_run: &Run) -> String {
    String::new()
}
