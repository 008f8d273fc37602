//! The event queue.
//!
//! Events are ordered by time. Events at the same time keep the order in which they were added,
//! so that a run does not depend on the layout of the heap. An event cannot be removed: if it
//! is no longer wanted, its handler ignores it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::sim::clock::Time;

/// Events in the order (time, turn).
pub struct Queue<E> {
    heap: BinaryHeap<Entry<E>>,
    next_turn: u64,
}

struct Entry<E> {
    at: Time,
    turn: u64,
    event: E,
}

impl<E> Queue<E> {
    /// Adds an event at time `at`.
    pub fn push(&mut self, at: Time, event: E) {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.heap.push(Entry { at, turn, event });
    }

    /// Returns the number of events.
    pub fn count(&self) -> usize {
        self.heap.len()
    }

    /// Returns the time of the next event.
    pub fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue {
            heap: BinaryHeap::new(),
            next_turn: 0,
        }
    }
}

// Reversed, since the heap of the standard library returns the greatest entry first.
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.turn).cmp(&(self.at, self.turn))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_at_the_same_time_keep_their_order() {
        let mut queue = Queue::default();
        for event in 0..100 {
            queue.push(Time::from_ms(5), event);
        }
        queue.push(Time::from_ms(1), 100);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order[0], (Time::from_ms(1), 100));
        let rest: Vec<_> = order[1..].iter().map(|(_, event)| *event).collect();
        assert_eq!(rest, (0..100).collect::<Vec<_>>());
    }
}
