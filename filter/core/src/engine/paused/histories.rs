//! Every history of up to seven events of a paused stream, each compared with a naive model.
//!
//! What goes wrong with paused streams goes wrong in a few events in an unlucky order: a tick
//! that finds a stream gone, a response to a call whose stream was answered meanwhile, a chunk
//! behind an evicted copy. The host here is as small as can be: it counts what it was told, and
//! checks after each event that every stream is where the model has it, that every pause will
//! end, and that nothing of a stream that is gone is left.

use alloc::vec::Vec;

use crate::time::Span;

mod host;
mod kinds;
mod model;

use host::Host;
use kinds::{KINDS, STEPS, Step};
use model::Kind;

const STEPS_MAX: usize = 7;
const TICK: Span = Span::from_secs(1);
/// Time that a request's body has, as the cluster of the policies below.
const BODY_TICKS: u32 = 2;
/// The third chunk has no room, neither in the host's buffer nor in a copy.
const CHUNK_BYTES: usize = 12_000;
const BUFFER_BYTES: usize = 50_000;
const COPY_BYTES: usize = 30_000;

/// Takes the events that are chosen, and the first that can happen where no choice is left.
/// Returns each choice with the number of events that could have happened.
fn run(host: &mut Host, chosen: &[usize]) -> Vec<(usize, usize)> {
    let mut history = Vec::new();
    let mut choices = Vec::new();
    host.now = host.now.after(TICK).after(TICK);
    host.begin(0);
    host.check(&history);
    for at in 0..STEPS_MAX {
        let possible: Vec<Step> = STEPS.into_iter().filter(|step| host.can(*step)).collect();
        let choice = chosen.get(at).copied().unwrap_or_default();
        assert!(
            choice < possible.len(),
            "{history:?}: {possible:?} {choice}"
        );
        choices.push((choice, possible.len()));
        history.push(possible[choice]);
        host.take(possible[choice]);
        host.check(&history);
    }
    host.finish(&history);
    choices
}

/// Runs every history of a kind, and returns how many there are.
fn explore(kind: Kind) -> u32 {
    let mut host = Host::new(kind);
    let (mut chosen, mut histories) = (Vec::new(), 0);
    loop {
        let mut choices = run(&mut host, &chosen);
        histories += 1;
        while choices
            .pop_if(|(choice, possible)| *choice + 1 == *possible)
            .is_some()
        {}
        let Some((last, _)) = choices.last_mut() else {
            return histories;
        };
        *last += 1;
        chosen = choices.into_iter().map(|(choice, _)| choice).collect();
    }
}

#[test]
fn every_history_of_a_paused_stream_ends_as_the_model_says() {
    for kind in KINDS {
        let histories = explore(kind);
        assert!(histories > 5_000, "{}: {histories}", kind.name);
    }
}
