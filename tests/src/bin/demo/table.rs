//! The table with one row per second.

use crate::tally::Counts;

pub(crate) const HEADINGS: &str =
    "second  upstream   sent |  200  fallback  errors | reached  circuit
                        |      callers got         | upstream";

pub(crate) struct Row<'a> {
    pub second: u32,
    pub failing: bool,
    pub counts: Counts,
    pub hits: usize,
    /// The state at the start of the second and those entered during it.
    pub states: &'a [String],
}

impl Row<'_> {
    pub(crate) fn text(&self, coloured: bool) -> String {
        let Counts {
            sent,
            good,
            fallback,
            errors,
        } = self.counts;
        let upstream = if self.failing { "failing" } else { "healthy" };
        let row = format!(
            "{:>6}  {upstream:<9} {sent:>5} | {good:>4} {fallback:>9} {errors:>7} | {:>7}  {}",
            self.second,
            self.hits,
            self.states.join(" > "),
        );
        if coloured {
            paint(&row, self.colour())
        } else {
            row
        }
    }

    fn colour(&self) -> &'static str {
        match self.states.last().map(String::as_str) {
            Some("open") => RED,
            Some("half_open" | "recovering") => YELLOW,
            _ => GREEN,
        }
    }
}

const RED: &str = "31";
const YELLOW: &str = "33";
const GREEN: &str = "32";

fn paint(text: &str, colour: &str) -> String {
    format!("\x1b[{colour}m{text}\x1b[0m")
}
