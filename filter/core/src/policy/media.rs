//! Forms in which a fixed response can be written.

/// Forms in which an answer can be written, the first of which is for programs.
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
    /// What `content-type` says.
    pub fn content_type(self) -> &'static str {
        match self {
            Media::Json => "application/json",
            Media::Html => "text/html; charset=utf-8",
            Media::Plain => "text/plain; charset=utf-8",
        }
    }
}
