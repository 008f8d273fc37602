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
            let words: Vec<&str> = step.words.iter().map(String::as_str).collect();
            if words == ["pause"] {
                self.paused = true;
                continue;
            }
            let said = act::run(&words);
            log::info!(
                "witness {row} {} {} -> {said}",
                phase.word(),
                words.join(" ")
            );
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
