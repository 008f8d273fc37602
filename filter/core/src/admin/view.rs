//! The types of the admin endpoint: circuits, actions and responses.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::circuit::breaker::{Standing, StateName};
use crate::circuit::{Force, Forced};
use crate::policy::Mode;
use crate::shared::history::Past;
use crate::time::{Instant, Span};

/// The circuits of a proxy, as the endpoint reads and changes them.
pub trait Circuits {
    /// Returns the names of all policies of the proxy, on any listener.
    fn policies(&mut self) -> Vec<Box<str>>;

    /// Returns the circuits of these policies that a search finds, in a stable order. If there
    /// are too many, those that are not closed are preferred, in whichever policy.
    fn circuits(&mut self, policies: &[&str], search: Search<'_>) -> Listing;

    /// Returns the last transitions of the proxy, oldest first.
    fn transitions(&mut self) -> Vec<Past>;

    /// Applies `action` to the circuit with this id, or to all circuits of the policy. Returns
    /// the number of circuits it was applied to.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] if too many writes lost against other workers.
    fn control(&mut self, policy: &str, id: Option<u64>, action: Action) -> Result<usize, Busy>;
}

/// Which circuits to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search<'a> {
    /// Maximum number of circuits.
    pub most: usize,
    /// A text that the name of the policy or a part of the key contains. Upper and lower case
    /// are the same in ASCII. Every name contains the empty text.
    pub contains: &'a [u8],
}

/// A list of circuits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The circuits, by policy.
    pub circuits: Vec<CircuitView>,
    /// Whether the list may be incomplete.
    pub more: bool,
    /// Number of circuits that the policies have, found or not.
    pub total: u32,
}

/// The current state of one circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitView {
    /// Name of the policy.
    pub policy: Box<str>,
    /// Identifies the circuit within its policy.
    pub id: u64,
    /// The parts of the key. A part is `None` if the requests did not have it.
    pub key: Vec<Option<Box<[u8]>>>,
    /// The mode of the policy. In some modes the circuit's state has no effect.
    pub mode: Mode,
    /// The breaker's own state, without the force.
    pub automatic: Standing,
    /// The forced state, or `None` if none is in effect.
    pub force: Option<Force>,
    /// Number of retries that the budget can grant, or `None` without a budget.
    pub retry_budget: Option<u32>,
}

impl Search<'_> {
    /// Whether it finds a circuit.
    #[inline(never)]
    pub(crate) fn finds(&self, view: &CircuitView) -> bool {
        let parts = view.key.iter().flatten().map(|part| &**part);
        let mut names = parts.chain([view.policy.as_bytes()]);
        let is_here = |place: &[u8]| place.eq_ignore_ascii_case(self.contains);
        self.contains.is_empty() || names.any(|name| name.windows(self.contains.len()).any(is_here))
    }
}

impl CircuitView {
    /// Returns the state that applies to requests.
    pub fn state(&self) -> StateName {
        let forced = self.force.map(|force| force.to.state());
        forced.unwrap_or(self.automatic.state)
    }
}

/// An operator's command to a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Overrides the breaker's state for this long.
    Force(Forced, Span),
    /// Closes the circuit, empties its window and ends a force.
    Reset,
    /// Ends a force. The circuit continues in the breaker's own state.
    Automatic,
}

impl Action {
    /// Returns its name in requests and logs.
    pub fn name(self) -> &'static str {
        match self {
            Action::Force(Forced::Open, _) => "force_open",
            Action::Force(Forced::Closed, _) => "force_closed",
            Action::Reset => "reset",
            Action::Automatic => "automatic",
        }
    }
}

/// Too many writes lost against other workers. The caller may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// The current time on two clocks. Circuits use monotonic time, operators use wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The host's monotonic time.
    pub now: Instant,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl Clocks {
    /// Converts a monotonic time to milliseconds since 1970.
    pub(crate) fn unix_ms_at(self, moment: Instant) -> u64 {
        let ahead = moment.since(self.now).as_ms();
        let behind = self.now.since(moment).as_ms();
        self.unix_ms.saturating_add(ahead).saturating_sub(behind)
    }
}

/// A response of the endpoint. The response to a HEAD has the body of the GET, which hosts do
/// not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminResponse {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, each once, and values without control characters.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, which may be empty.
    pub body: Vec<u8>,
}
