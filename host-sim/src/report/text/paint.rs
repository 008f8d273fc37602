//! Colours for terminals.

use anstyle::{AnsiColor, Color, Style};

use crate::record::State;

/// Adds colours if they are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

/// The meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hue {
    Good,
    Warn,
    Bad,
    Calm,
    Faint,
}

impl Paint {
    /// Never adds colours.
    pub const OFF: Paint = Paint { on: false };

    /// Adds colours if `on`.
    pub const fn new(on: bool) -> Paint {
        Paint { on }
    }

    /// Returns `text` in bold.
    pub fn bold(self, text: &str) -> String {
        self.styled(Style::new().bold(), text)
    }

    /// Returns `text` in the colour of a meaning.
    pub fn hue(self, hue: Hue, text: &str) -> String {
        let colour = match hue {
            Hue::Good => AnsiColor::Green,
            Hue::Warn => AnsiColor::Yellow,
            Hue::Bad => AnsiColor::Red,
            Hue::Calm => AnsiColor::Cyan,
            Hue::Faint => AnsiColor::BrightBlack,
        };
        self.styled(Style::new().fg_color(Some(Color::Ansi(colour))), text)
    }

    /// Returns `text` in the colour of a state.
    pub fn state(self, state: State, text: &str) -> String {
        self.hue(
            match state {
                State::Closed => Hue::Good,
                State::Recovering => Hue::Calm,
                State::HalfOpen => Hue::Warn,
                State::Open => Hue::Bad,
            },
            text,
        )
    }

    fn styled(self, style: Style, text: &str) -> String {
        match self.on {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }
}
