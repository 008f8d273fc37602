//! `outcome`: which responses are failures, and when a request is judged.

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The upstream succeeded.
    Success,
    /// The upstream failed or was unreachable.
    Failure,
    /// The request says nothing about the upstream.
    Ignored,
}

impl Outcome {
    /// Returns its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Ignored => "ignored",
        }
    }
}

/// Which responses are failures.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeRules {
    /// HTTP statuses that are failures.
    pub failure_status: StatusSet,
    /// HTTP statuses that are ignored, even if they are failures too.
    pub ignore_status: StatusSet,
    /// gRPC codes that are failures, as a bit set.
    pub failure_grpc: u32,
    /// When a request is judged.
    pub judge_at: JudgeAt,
    /// Outcome of a request that the cluster's own limits rejected: ignored, or a failure.
    pub overflow: Outcome,
}

/// When a request is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgeAt {
    /// When it ends.
    End,
    /// When the response's headers arrive, whatever happens to the response later.
    Headers,
}

/// Names of the gRPC codes, by number.
pub(crate) const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A set of HTTP statuses, 0 to 999.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusSet([u64; 16]);

impl StatusSet {
    /// Adds the statuses from `low` to `high`, inclusive.
    pub fn insert(&mut self, low: u16, high: u16) {
        for (first, word) in (0..).step_by(64).zip(&mut self.0) {
            let last: u16 = first | 63;
            if low <= last && first <= high {
                let above = u64::MAX << (low.max(first) % 64);
                *word |= above & u64::MAX >> 63_u16.saturating_sub(high.min(last) % 64);
            }
        }
    }

    /// Whether `status` is in the set.
    #[inline]
    pub fn contains(&self, status: u16) -> bool {
        self.0
            .get(usize::from(status / 64))
            .is_some_and(|word| word & (1 << (status % 64)) != 0)
    }
}
