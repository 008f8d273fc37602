//! What clients and upstreams saw in the recording, in the form of a run.
//!
//! Its record is filled without a world: a request is counted when it begins and when it ends, so
//! its columns and plots stand beside those of a replay.

use super::entry::Entry;
use super::fate::Meaning;
use super::reading::{Log, LogError};
use super::survey::Survey;
use crate::record::{Outcome, Reasons, Record};
use crate::scenario::play::Run;
use crate::sim::clock::Time;
use crate::sim::queue::Queue;
use crate::sim::span::Span;

/// A request that has begun.
struct Begun {
    outcome: Outcome,
    took: Span,
}

/// Reads a log that `survey` has read before.
///
/// # Errors
///
/// If it cannot be opened.
pub fn recorded(log: &Log, survey: &Survey, workers: usize, seed: u64) -> Result<Run, LogError> {
    let scenario = survey.scenario(None, workers, seed);
    let mut record = Record::new(scenario.plan.names(), survey.duration);
    let mut ends: Queue<Begun> = Queue::default();
    for (entry, meaning) in log.requests(survey.lines)? {
        let Some(cluster) = survey.clusters.index(&entry.cluster) else {
            continue;
        };
        if meaning != Meaning::Elsewhere {
            let at = Time::from_ns(entry.start_ns - survey.origin_ns);
            end_until(&mut record, &mut ends, at);
            begin(&mut record, &entry, meaning, at, cluster);
            let (outcome, took) = (meaning.outcome(&entry), entry.duration);
            ends.push(at + took, Begun { outcome, took });
        }
    }
    end_until(&mut record, &mut ends, Time::ZERO + survey.duration);
    Ok(Run {
        name: scenario.name,
        description: scenario.description,
        seed,
        workers,
        duration: survey.duration,
        record,
        verdicts: Vec::new(),
        metrics: Vec::new(),
        faults: Vec::new(),
        unfinished: 0,
    })
}

fn begin(record: &mut Record, entry: &Entry, meaning: Meaning, at: Time, cluster: usize) {
    let reached = !matches!(meaning, Meaning::KeptAway);
    let outcome = meaning.outcome(entry);
    let failed = matches!(meaning, Meaning::Replaced(_))
        || matches!(outcome, Outcome::Error | Outcome::Broken);
    record.count(at, |tally| {
        tally.calls += 1;
        tally.requests += 1;
        tally.clusters[cluster].attempts += u64::from(reached);
        tally.clusters[cluster].failures += u64::from(reached && failed);
    });
    let code = (entry.status > 0).then_some(entry.status);
    let flags = Reasons::flags(&entry.flags);
    record
        .reasons
        .count(code.map(u32::from), flags, &entry.details.as_str().into());
    if let Some(recorded) = meaning.fate(entry).map(|fate| fate.verdict()) {
        record.effects.count(recorded, outcome);
    }
}

/// Counts the requests that end until `now`.
fn end_until(record: &mut Record, ends: &mut Queue<Begun>, now: Time) {
    while ends.next_at().is_some_and(|at| at <= now)
        && let Some((at, Begun { outcome, took })) = ends.pop()
    {
        record.end = at;
        record.count(at, |tally| {
            tally.outcomes[outcome as usize] += 1;
            tally.end_call(outcome.is_good(), took);
        });
    }
}
