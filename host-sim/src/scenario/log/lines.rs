//! Lines of a limited length.

use std::io::{self, BufRead};

/// The longest line. Longer ones are skipped without being held in memory.
pub(super) const LINE_MAX: usize = 1024 * 1024;

/// The lines of a log.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    line: Vec<u8>,
    /// Number of lines read.
    pub number: u64,
}

/// A line, without its end.
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    TooLong,
}

impl Lines {
    /// Creates the lines of a stream.
    pub(super) fn new(source: Box<dyn BufRead>) -> Lines {
        Lines {
            source,
            line: Vec::new(),
            number: 0,
        }
    }

    /// Returns the next line. `None` at the end.
    ///
    /// # Errors
    ///
    /// If the stream cannot be read, for instance since it is cut off.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let (mut too_long, mut any) = (false, false);
        loop {
            let part = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                part => part?,
            };
            if part.is_empty() {
                break;
            }
            any = true;
            let end = part.iter().position(|byte| *byte == b'\n');
            let text = &part[..end.unwrap_or(part.len())];
            too_long |= self.line.len() + text.len() > LINE_MAX;
            if !too_long {
                self.line.extend_from_slice(text);
            }
            let used = end.map_or(part.len(), |end| end + 1);
            self.source.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.number += u64::from(any);
        Ok(match (any, too_long) {
            (false, _) => None,
            (true, true) => Some(Line::TooLong),
            (true, false) => Some(Line::Whole(self.line.trim_ascii())),
        })
    }
}
