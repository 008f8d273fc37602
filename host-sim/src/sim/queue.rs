//! What is to happen when.
//!
//! Ordered by time, and among equal times by the order in which it was put in, so
//! that a run does not depend on how the heap happens to lie. Nothing is ever taken
//! out early: who puts an event in and loses interest lets it come and ignores it.

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
    /// Puts in what is to happen at `at`.
    pub fn push(&mut self, at: Time, event: E) {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.heap.push(Entry { at, turn, event });
    }

    /// When the next event is.
    pub fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes out the next event.
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

// Turned round, since the heap of the standard library gives out the greatest.
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
    fn equal_times_keep_the_order_of_arrival() {
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
