//! A log, and what came of reading it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::fate::Meaning;
use super::field::FieldMap;
use super::format::Format;
use super::input::Input;
use super::lines::{LINE_MAX, Line, Lines};
use super::order::Order;
use crate::sim::span::Span;

/// How to read a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// `None` to find out.
    pub format: Option<Format>,
    pub fields: Vec<FieldMap>,
    /// How much earlier than the newest line a request may have begun.
    pub window: Span,
}

/// A log that can be read several times.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    input: Input,
    options: Options,
    pub format: Format,
}

/// Why a log cannot be replayed: `path:line: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    pub path: PathBuf,
    pub line: Option<u64>,
    pub what: String,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(line) = self.line else {
            return write!(f, "{}: {}", self.path.display(), self.what);
        };
        write!(f, "{}:{line}: {}", self.path.display(), self.what)
    }
}

impl std::error::Error for LogError {}

impl LogError {
    fn new(path: &Path, line: Option<u64>, what: String) -> LogError {
        LogError {
            path: path.to_owned(),
            line,
            what,
        }
    }

    fn unreadable(path: &Path, error: &io::Error) -> LogError {
        LogError::new(path, None, format!("cannot be read: {error}"))
    }
}

/// Counts of one pass over a log.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Lines that are not empty.
    pub lines: u64,
    pub unreadable: u64,
    /// The first of them: the number of the line, and what is wrong with it.
    pub examples: Vec<(u64, String)>,
    /// Requests that came too late for the order.
    pub late: u64,
    /// Why the log ended early, for instance within a compressed block.
    pub cut_off: Option<String>,
}

/// Enough to see what is wrong.
const EXAMPLES_MAX: usize = 5;

/// Number of lines from which the format is found out.
const SAMPLE: usize = 20;

impl Log {
    /// Opens a log and finds out its format.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or its first lines are in no known format.
    pub fn open(path: &Path, options: Options) -> Result<Log, LogError> {
        let input = Input::open(path).map_err(|error| LogError::unreadable(path, &error))?;
        let format = match options.format {
            Some(format) => format,
            None => detect(path, &input, &options.fields)?,
        };
        Ok(Log {
            path: path.to_owned(),
            input,
            options,
            format,
        })
    }

    /// Returns an error about a line of this log.
    pub fn error(&self, line: Option<u64>, what: String) -> LogError {
        LogError::new(&self.path, line, what)
    }

    /// Returns how much earlier than the newest line a request may have begun.
    pub fn window(&self) -> Span {
        self.options.window
    }

    /// Reads the log from its beginning, for at most `lines` lines.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn requests(&self, lines: u64) -> Result<Requests, LogError> {
        let reader = self.input.reader();
        let reader = reader.map_err(|error| LogError::unreadable(&self.path, &error))?;
        Ok(Requests {
            lines: Lines::new(reader),
            lines_max: lines,
            format: self.format,
            fields: self.options.fields.clone(),
            order: Order::new(self.options.window),
            ended: false,
            reading: Reading::default(),
        })
    }
}

/// Returns the format that fits most of the first lines.
fn detect(path: &Path, input: &Input, fields: &[FieldMap]) -> Result<Format, LogError> {
    let unreadable = |error: io::Error| LogError::unreadable(path, &error);
    let mut lines = Lines::new(input.reader().map_err(unreadable)?);
    let mut fitting = [0_u32; Format::ALL.len()];
    let (mut seen, mut first) = (0, None);
    while seen < SAMPLE {
        let number = lines.number + 1;
        let line = match lines.next_line() {
            Ok(Some(Line::Whole([]))) => continue,
            Ok(Some(Line::Whole(line))) => line,
            Ok(Some(Line::TooLong)) => b"",
            Ok(None) => break,
            Err(_) if seen > 0 => break,
            Err(error) => return Err(unreadable(error)),
        };
        seen += 1;
        for (count, format) in fitting.iter_mut().zip(Format::ALL) {
            match format.read(line, fields).and_then(Entry::new) {
                Ok(_) => *count += 1,
                // A JSON object with missing fields is still JSON, so its error is the useful one.
                Err(why) if format == Format::Json && first.is_none() => {
                    first = Some((number, why));
                }
                Err(_) => {}
            }
        }
    }
    let best = fitting.iter().copied().max().unwrap_or(0);
    let place = fitting.iter().position(|it| *it == best && best > 0);
    place.map(|at| Format::ALL[at]).ok_or_else(|| {
        let names: Vec<_> = Format::ALL.iter().map(|it| it.name()).collect();
        let allowed = format!("allowed lines of the formats {}", names.join(", "));
        match first {
            Some((line, why)) => LogError::new(path, Some(line), format!("{why}; {allowed}")),
            None => LogError::new(path, None, format!("is empty, {allowed}")),
        }
    })
}

/// The requests of a log in the order of their start.
pub struct Requests {
    lines: Lines,
    lines_max: u64,
    format: Format,
    fields: Vec<FieldMap>,
    order: Order,
    ended: bool,
    pub reading: Reading,
}

impl Requests {
    /// Returns the number of lines read so far.
    pub fn line(&self) -> u64 {
        self.lines.number
    }

    /// Reads one more line. Returns false at the end.
    fn read_line(&mut self) -> bool {
        if self.lines.number >= self.lines_max {
            return false;
        }
        let read = match self.lines.next_line() {
            Ok(None) => return false,
            Ok(Some(Line::Whole([]))) => return true,
            Ok(Some(Line::Whole(line))) => {
                self.format.read(line, &self.fields).and_then(Entry::new)
            }
            Ok(Some(Line::TooLong)) => Err(format!("is longer than {LINE_MAX} bytes")),
            Err(error) => {
                self.reading.cut_off = Some(error.to_string());
                return false;
            }
        };
        self.reading.lines += 1;
        match read {
            Ok(entry) => self.reading.late += u64::from(!self.order.add(entry)),
            Err(why) => {
                self.reading.unreadable += 1;
                if self.reading.examples.len() < EXAMPLES_MAX {
                    self.reading.examples.push((self.lines.number, why));
                }
            }
        }
        true
    }
}

impl Iterator for Requests {
    type Item = (Entry, Meaning);

    fn next(&mut self) -> Option<(Entry, Meaning)> {
        loop {
            if let Some(entry) = self.order.take(self.ended) {
                let meaning = Meaning::of(&entry);
                return Some((entry, meaning));
            }
            if self.ended {
                return None;
            }
            self.ended = !self.read_line();
        }
    }
}
