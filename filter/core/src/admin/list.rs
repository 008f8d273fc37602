//! The circuits and the last transitions as JSON.
//!
//! Derived serializers would add several kilobytes to the module for this one response.
//! Instead the JSON is formatted by hand, and serde_json escapes only the strings that need it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::view::{CircuitView, Circuits, Clocks, Search};
use crate::circuit::breaker::Opened;
use crate::circuit::window::Counts;
use crate::shared::history::Past;
use crate::shared::key;
use crate::time::Instant;

/// Maximum number of circuits in a response. Nobody reads a longer list, and the worker holds
/// the whole response in memory.
const CIRCUITS_MAX: usize = 1_000;

/// What a list is to contain.
pub(super) struct Wanted<'a> {
    /// The names of all policies.
    pub known: &'a [&'a str],
    /// The names of the policies whose circuits are listed.
    pub names: &'a [&'a str],
    /// The policy whose transitions are listed. `None` stands for all, removed ones included.
    pub only: Option<&'a [u8]>,
    /// A text that the circuits' names contain.
    pub contains: &'a [u8],
}

/// Returns the wanted circuits, and the last transitions, newest first.
pub(super) fn write(wanted: &Wanted<'_>, clocks: Clocks, circuits: &mut impl Circuits) -> Vec<u8> {
    let search = Search {
        most: CIRCUITS_MAX,
        contains: wanted.contains,
    };
    let listing = circuits.circuits(wanted.names, search);
    let mut list = format!(
        "{{\"now_unix_ms\":{},\"total\":{},\"policies\":",
        clocks.unix_ms, listing.total
    );
    let mut names = wanted.known.iter().map(|name| format!("\"{name}\""));
    array(&mut list, &mut names);
    list.push_str(",\"circuits\":");
    let mut listed = listing.circuits.iter().map(|view| circuit(view, clocks));
    array(&mut list, &mut listed);
    list.push_str(if listing.more {
        ",\"more\":true,\"transitions\":"
    } else {
        ",\"more\":false,\"transitions\":"
    });
    let past = circuits.transitions();
    let of_policy = |past: &&Past| wanted.only.is_none_or(|it| *it == *past.policy.as_bytes());
    let past = past.iter().rev().filter(of_policy);
    array(&mut list, &mut past.map(|past| transition(past, clocks)));
    list.push('}');
    list.into()
}

fn array(list: &mut String, items: &mut dyn Iterator<Item = String>) {
    list.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            list.push(',');
        }
        list.push_str(&item);
    }
    list.push(']');
}

fn circuit(view: &CircuitView, clocks: Clocks) -> String {
    let automatic = &view.automatic;
    let forced = match view.force {
        None => String::from("null"),
        Some(force) => format!(
            "{{\"state\":\"{}\",\"until_unix_ms\":{}}}",
            force.to.name(),
            unix_ms(Some(force.until), clocks)
        ),
    };
    // Every string between quotes is a name that needs no escaping.
    format!(
        "{{\"policy\":\"{}\",\"mode\":\"{}\",\"id\":\"{:016x}\",\"key\":{},\
         \"state\":\"{}\",\"automatic_state\":\"{}\",\
         \"since_unix_ms\":{},\"until_unix_ms\":{},\"forced\":{forced},\
         \"window\":{{{}}},\
         \"consecutive_failures\":{},\"opens\":{},\"opened\":{},\"probes\":{},\
         \"retry_budget\":{}}}",
        view.policy,
        view.mode.name(),
        view.id,
        key(&view.key),
        view.state().name(),
        automatic.state.name(),
        unix_ms(Some(automatic.since), clocks),
        unix_ms(automatic.until, clocks),
        counts(automatic.counts),
        automatic.consecutive,
        automatic.opens,
        opened(automatic.opened, clocks),
        automatic.probes_out,
        or_null(view.retry_budget.map(u64::from)),
    )
}

/// Returns the fields of counts, without braces.
fn counts(counts: Counts) -> String {
    format!(
        "\"requests\":{},\"failures\":{},\"slow\":{}",
        counts.requests, counts.failures, counts.slow
    )
}

fn opened(last: Option<Opened>, clocks: Clocks) -> String {
    let Some(it) = last else {
        return String::from("null");
    };
    format!(
        "{{\"at_unix_ms\":{},\"why\":\"{}\",{}}}",
        clocks.unix_ms_at(it.at),
        it.why.name(),
        counts(it.counts),
    )
}

fn transition(past: &Past, clocks: Clocks) -> String {
    let it = &past.transition;
    format!(
        "{{\"at_unix_ms\":{},\"policy\":\"{}\",\"key\":{},\
         \"from\":\"{}\",\"to\":\"{}\",\"why\":\"{}\",\
         {},\"opens\":{},\"lasted_ms\":{},\"open_ms\":{}}}",
        clocks.unix_ms_at(past.at),
        past.policy,
        key(&key::decode(&past.key)),
        it.from.name(),
        it.to.name(),
        it.why.name(),
        counts(it.counts),
        it.opens,
        it.lasted.as_ms(),
        it.open_for.as_ms(),
    )
}

fn key(parts: &[Option<Box<[u8]>>]) -> String {
    let parts = parts.iter().map(|part| part.as_deref());
    let texts: Vec<Option<Cow<'_, str>>> = parts
        .map(|part| part.map(String::from_utf8_lossy))
        .collect();
    // Serializing strings cannot fail.
    serde_json::to_string(&texts).unwrap_or_default()
}

fn unix_ms(moment: Option<Instant>, clocks: Clocks) -> String {
    or_null(moment.map(|moment| clocks.unix_ms_at(moment)))
}

fn or_null(number: Option<u64>) -> String {
    number.map_or_else(|| String::from("null"), |number| format!("{number}"))
}
