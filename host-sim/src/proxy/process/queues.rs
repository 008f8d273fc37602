//! Queues that all VMs of a process share.

use std::collections::{BTreeMap, VecDeque};

use crate::proxy::ids::Thread;

/// Queues by id. They are unbounded, as in Envoy.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    /// Ids by VM id and name.
    names: BTreeMap<Name, u32>,
    queues: Vec<Queue>,
}

type Name = (Box<[u8]>, Box<[u8]>);

#[derive(Debug)]
struct Queue {
    owner: Owner,
    messages: VecDeque<Vec<u8>>,
}

/// The root context that is notified of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub thread: Thread,
    pub root: u32,
}

impl Queues {
    /// Returns the id of a queue, and creates it if necessary. The last to register a queue is
    /// notified of its messages. Registering keeps the messages in the queue.
    pub(crate) fn register(&mut self, vm_id: &[u8], name: &[u8], owner: Owner) -> u32 {
        let new = u32::try_from(self.queues.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let id = *self.names.entry((vm_id.into(), name.into())).or_insert(new);
        match self.queue_mut(id) {
            Some(queue) => queue.owner = owner,
            None => self.queues.push(Queue {
                owner,
                messages: VecDeque::new(),
            }),
        }
        id
    }

    /// Returns the id of a registered queue.
    pub(crate) fn resolve(&self, vm_id: &[u8], name: &[u8]) -> Option<u32> {
        self.names.get(&(vm_id.into(), name.into())).copied()
    }

    /// Adds a message. Returns the owner to notify, or `None` if there is no such queue.
    pub(crate) fn enqueue(&mut self, id: u32, message: &[u8]) -> Option<Owner> {
        let queue = self.queue_mut(id)?;
        queue.messages.push_back(message.into());
        Some(queue.owner)
    }

    /// Takes the oldest message. The outer `None` means that there is no such queue.
    pub(crate) fn dequeue(&mut self, id: u32) -> Option<Option<Vec<u8>>> {
        Some(self.queue_mut(id)?.messages.pop_front())
    }

    fn queue_mut(&mut self, id: u32) -> Option<&mut Queue> {
        let place = usize::try_from(id.checked_sub(1)?).ok()?;
        self.queues.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_register_is_notified() {
        let mut queues = Queues::default();
        let [first, last] = [Some(0), Some(1)].map(|thread| Owner { thread, root: 1 });
        let id = queues.register(b"", b"q", first);
        queues.enqueue(id, b"kept");
        assert_eq!(queues.register(b"", b"q", last), id);
        assert_eq!(queues.enqueue(id, b"new"), Some(last));
        assert_eq!(queues.dequeue(id), Some(Some(b"kept".to_vec())));
    }

    #[test]
    fn an_empty_queue_differs_from_a_missing_one() {
        let mut queues = Queues::default();
        let id = queues.register(
            b"",
            b"q",
            Owner {
                thread: None,
                root: 1,
            },
        );
        assert_eq!(queues.dequeue(id), Some(None));
        assert_eq!(queues.dequeue(id + 1), None);
        assert_eq!(queues.dequeue(0), None);
        assert_eq!(queues.resolve(b"other", b"q"), None);
    }
}
