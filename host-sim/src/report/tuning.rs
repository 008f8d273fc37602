//! The trade between good requests kept away and errors let through, over settings of a policy.

use crate::record::Effects;
use crate::sim::span::Span;

/// The results of all settings that were tried.
pub struct Tuning {
    /// The policy whose settings are shown. Others of the file are scaled alike.
    pub policy: String,
    /// The first is the policy as given.
    pub cells: Vec<Cell>,
}

/// The result of one setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub settings: Settings,
    /// Requests with a good upstream that the filter rejected or answered itself.
    pub kept_away: u64,
    /// Failures of upstreams that reached a client.
    pub let_through: u64,
    /// How often a circuit opened.
    pub opened: u64,
}

/// The settings that `--tune` varies.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub failure_rate_threshold: f64,
    pub minimum_requests: u32,
    pub open: Span,
    /// The duration or the size of the window.
    pub window: String,
}

/// How the best setting is chosen.
pub const RULE: &str =
    "the fewest good requests kept away plus errors let through; if equal, the earlier row";

impl Cell {
    /// Creates the result of a run.
    pub fn new(settings: Settings, effects: &Effects, opened: u64) -> Cell {
        Cell {
            settings,
            kept_away: effects.good_kept_away(),
            let_through: effects.errors_let_through(),
            opened,
        }
    }

    fn cost(&self) -> u64 {
        self.kept_away + self.let_through
    }
}

impl Tuning {
    /// Returns the index of the best setting, by [`RULE`].
    pub fn best(&self) -> usize {
        let cells = self.cells.iter().enumerate();
        let best = cells.min_by_key(|(at, cell)| (cell.cost(), *at));
        best.map_or(0, |(at, _)| at)
    }

    /// Returns whether no other setting is better in one number and no worse in the other (the
    /// Pareto front).
    pub fn is_on_front(&self, cell: &Cell) -> bool {
        !self.cells.iter().any(|other| {
            other.kept_away <= cell.kept_away
                && other.let_through <= cell.let_through
                && (other.kept_away, other.let_through) != (cell.kept_away, cell.let_through)
        })
    }

    /// Returns the marks of a row: whether it is the given one, on the front, or the best.
    pub fn marks(&self, at: usize) -> String {
        let on_front = self.cells.get(at).is_some_and(|it| self.is_on_front(it));
        let marks = [
            (at == 0, "given"),
            (on_front, "front"),
            (at == self.best(), "best"),
        ];
        let words = marks.iter().filter(|(set, _)| *set).map(|(_, word)| *word);
        words.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
impl Tuning {
    /// Returns settings that differ only in what they keep away and let through.
    pub(crate) fn of_costs(costs: &[(u64, u64)]) -> Tuning {
        let cell = |(kept_away, let_through): &(u64, u64)| Cell {
            settings: Settings {
                failure_rate_threshold: 50.0,
                minimum_requests: 20,
                open: Span::from_ms(5_000),
                window: "10s".into(),
            },
            kept_away: *kept_away,
            let_through: *let_through,
            opened: 0,
        };
        Tuning {
            policy: "p".into(),
            cells: costs.iter().map(cell).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_has_what_nothing_beats_and_the_best_has_the_lowest_sum() {
        let tuning = Tuning::of_costs(&[(10, 10), (5, 9), (0, 30), (20, 0), (9, 5), (0, 31)]);
        let marks: Vec<_> = (0..6).map(|at| tuning.marks(at)).collect();
        assert_eq!(
            marks,
            ["given", "front, best", "front", "front", "front", ""]
        );
    }

    #[test]
    fn the_given_policy_is_best_unless_another_is_better() {
        let tuning = Tuning::of_costs(&[(5, 5), (5, 5), (4, 6)]);
        assert_eq!(tuning.best(), 0);
        assert_eq!(tuning.marks(0), "given, front, best");
    }
}
