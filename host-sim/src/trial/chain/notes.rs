//! From the tape of a host to entries of a transcript: what happens in a callback is put into it.

use crate::proxy::{TapeEvent, Taped};
use crate::trial::transcript::{Entry, Inside, What};

/// Returns the entries of a tape of the plugin with this index.
pub(super) fn entries(plugin: usize, tape: impl IntoIterator<Item = Taped>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    // Callbacks do not call each other: at most one is open, and it is the last entry.
    let mut is_open = false;
    for Taped { at, worker, event } in tape {
        let what = match event {
            TapeEvent::Called {
                callback,
                arguments,
            } => {
                is_open = true;
                What::Callback {
                    plugin,
                    worker,
                    callback,
                    arguments,
                    result: None,
                    inside: Vec::new(),
                }
            }
            TapeEvent::Returned { result, .. } => {
                is_open = false;
                if let Some(What::Callback { result: last, .. }) = last(&mut entries) {
                    *last = result;
                }
                continue;
            }
            TapeEvent::Hostcall(hostcall) => {
                if let Some(What::Callback { inside, .. }) = last(&mut entries) {
                    inside.push(Inside::Hostcall(hostcall));
                }
                continue;
            }
            TapeEvent::Logged { level, text } => match last(&mut entries) {
                Some(What::Callback { inside, .. }) if is_open => {
                    inside.push(Inside::Line { level, text });
                    continue;
                }
                _ => What::Line {
                    plugin,
                    level,
                    text,
                },
            },
        };
        entries.push(Entry { at, what });
    }
    entries
}

fn last(entries: &mut [Entry]) -> Option<&mut What> {
    entries.last_mut().map(|entry| &mut entry.what)
}
