//! Keys of what a world tracks.

use slotmap::new_key_type;

new_key_type! {
    /// One call of a client, with all its retries.
    pub struct CallKey;
    /// One request through the proxy.
    pub struct ExchangeKey;
    /// One call that a plugin makes.
    pub struct CalloutKey;
}
