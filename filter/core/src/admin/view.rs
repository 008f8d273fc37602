//! What the endpoint shows and what can be done to it: circuits, actions, responses.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::circuit::breaker::{Standing, StateName};
use crate::circuit::{Force, Forced};
use crate::policy::Mode;
use crate::shared::history::Past;
use crate::time::{Instant, Span};

/// What the endpoint shows and moves.
pub trait Circuits {
    /// Names of the policies, whichever listener they are configured on.
    fn policies(&mut self) -> Vec<Box<str>>;

    /// The circuits of these policies, at most `most` of them: first of all those that are not
    /// closed, whichever policy they are of. Their order does not change while they stay.
    fn circuits(&mut self, policies: &[&str], most: usize) -> Listing;

    /// The last transitions of the proxy, oldest first.
    fn transitions(&mut self) -> Vec<Past>;

    /// Does `action` to the circuit of this id, or to all of the policy that are
    /// there, and says to how many.
    ///
    /// # Errors
    ///
    /// [`Busy`] where other workers came first too often.
    fn control(&mut self, policy: &str, id: Option<u64>, action: Action) -> Result<usize, Busy>;
}

/// Circuits that are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The circuits, by policy.
    pub circuits: Vec<CircuitView>,
    /// Whether there are more.
    pub more: bool,
}

/// One circuit as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitView {
    /// Its policy.
    pub policy: Box<str>,
    /// What tells it from the other circuits of its policy.
    pub id: u64,
    /// The parts of its key tuple; absent ones are those that requests did not have.
    pub key: Vec<Option<Box<[u8]>>>,
    /// The mode of its policy: in some nothing takes effect, or everything is rejected.
    pub mode: Mode,
    /// How the breaker stands by its own rules, whatever is forced.
    pub automatic: Standing,
    /// What an operator put over it, unless that is over.
    pub force: Option<Force>,
    /// Number of retries that the budget can grant, or `None` without a budget.
    pub retry_budget: Option<u32>,
}

impl CircuitView {
    /// The state in which requests find it.
    pub fn state(&self) -> StateName {
        let forced = self.force.map(|force| force.to.state());
        forced.unwrap_or(self.automatic.state)
    }
}

/// What can be done to a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Puts a state over the breaker's own, for this long.
    Force(Forced, Span),
    /// Closes the circuit, with an empty window and nothing forced.
    Reset,
    /// Ends a force: the circuit goes on in the breaker's own state.
    Automatic,
}

impl Action {
    /// The word for it in requests and logs.
    pub fn name(self) -> &'static str {
        match self {
            Action::Force(Forced::Open, _) => "force_open",
            Action::Force(Forced::Closed, _) => "force_closed",
            Action::Reset => "reset",
            Action::Automatic => "automatic",
        }
    }
}

/// Other workers came first too often; the caller may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// One moment on two clocks. Circuits know the monotonic one, operators the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The host's monotonic time.
    pub now: Instant,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl Clocks {
    /// The milliseconds since 1970 at another moment.
    pub(crate) fn unix_ms_at(self, moment: Instant) -> u64 {
        let ahead = moment.since(self.now).as_ms();
        let behind = self.now.since(moment).as_ms();
        self.unix_ms.saturating_add(ahead).saturating_sub(behind)
    }
}

/// An answer of the endpoint. To a HEAD it has the body of the GET, which hosts
/// leave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, each once, and values without control characters.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, which may be empty.
    pub body: Vec<u8>,
}
