//! Media types in which a fixed response can be written.

/// Media type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`
    Json,
    /// `text/html`
    Html,
    /// `text/plain`
    Plain,
}

impl Media {
    /// Returns the value of `content-type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Media::Json => "application/json",
            Media::Html => "text/html; charset=utf-8",
            Media::Plain => "text/plain; charset=utf-8",
        }
    }
}
