//! Scripts: the actions of each phase.

use crate::act;

/// The callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    VmStart,
    Configure,
    Tick,
    Queue,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    Call,
    Grpc,
    Log,
    Done,
}

impl Phase {
    /// The name of the phase in scripts and logs.
    pub fn word(self) -> &'static str {
        match self {
            Phase::VmStart => "vm_start",
            Phase::Configure => "configure",
            Phase::Tick => "tick",
            Phase::Queue => "queue",
            Phase::RequestHeaders => "reqh",
            Phase::RequestBody => "reqb",
            Phase::RequestTrailers => "reqt",
            Phase::ResponseHeaders => "resh",
            Phase::ResponseBody => "resb",
            Phase::ResponseTrailers => "rest",
            Phase::Call => "call",
            Phase::Grpc => "grpc",
            Phase::Log => "log",
            Phase::Done => "done",
        }
    }
}

/// A running script.
#[derive(Default)]
pub struct Runner {
    row: String,
    steps: Vec<Step>,
    /// Whether a step of the current phase said `pause`.
    pub paused: bool,
}

struct Step {
    phase: String,
    /// Number of times the phase must still be reached before the step runs; `None` for every time.
    after: Option<u32>,
    words: Vec<String>,
}

impl Runner {
    /// Parses the script of a row. Invalid steps are skipped.
    pub fn new(row: &str, script: &str) -> Runner {
        let steps = script.split(';').filter_map(Step::parse).collect();
        Runner {
            row: row.into(),
            steps,
            paused: false,
        }
    }

    /// Logs the phase, then runs its steps.
    pub fn enter(&mut self, phase: Phase, about: &str) {
        let row = &self.row;
        log::info!("witness {row} {} {about}", phase.word());
        self.paused = false;
        for step in &mut self.steps {
            if step.phase != phase.word() || !step.is_due() {
                continue;
            }
            if step.words == ["pause"] {
                self.paused = true;
                continue;
            }
            let words: Vec<_> = step.words.iter().map(|word| unescaped(word)).collect();
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let said = act::run(&words);
            let action = step.words.join(" ");
            log::info!("witness {row} {} {action} -> {said}", phase.word());
        }
    }
}

impl Step {
    fn parse(text: &str) -> Option<Step> {
        let mut words = text.split_whitespace().map(String::from);
        let phase = words.next()?;
        let (phase, after) = match phase.split_once('@') {
            None => (phase, None),
            Some((phase, time)) => (phase.into(), time.parse().ok()),
        };
        Some(Step {
            phase,
            after,
            words: words.collect(),
        })
    }

    fn is_due(&mut self) -> bool {
        match &mut self.after {
            None => true,
            Some(0) => false,
            Some(times) => {
                *times -= 1;
                *times == 0
            }
        }
    }
}

/// Returns a word without escapes: `%` and two hexadecimal digits, or `%` alone for nothing.
fn unescaped(word: &str) -> String {
    if word == "%" {
        return String::new();
    }
    let mut parts = word.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        let byte = u8::from_str_radix(digits, 16).unwrap_or(b'?');
        text.push(char::from(byte));
        text.push_str(rest);
    }
    text
}
