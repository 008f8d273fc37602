//! The circuits and the last transitions as JSON.
//!
//! Derived serializers would add several kilobytes to the module for this one response.
//! Instead the JSON is formatted by hand, and serde_json escapes only the strings that need it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;

use super::view::{CircuitView, Circuits, Clocks};
use crate::shared::history::Past;
use crate::shared::key;
use crate::time::Instant;

/// Maximum number of circuits in a response. Nobody reads a longer list, and the worker holds
/// the whole response in memory.
const CIRCUITS_MAX: usize = 1_000;

/// Returns the circuits of `policies`, and the last transitions, newest first. The transitions
/// are those of the policy `only`, or of all policies, removed ones included.
pub(super) fn write(
    policies: &[&str],
    only: Option<&[u8]>,
    clocks: Clocks,
    circuits: &mut impl Circuits,
) -> Vec<u8> {
    let listing = circuits.circuits(policies, CIRCUITS_MAX);
    let mut list = String::from("{\"circuits\":");
    array(&mut list, listing.circuits.iter(), |view| {
        circuit(view, clocks)
    });
    list.push_str(if listing.more {
        ",\"more\":true,\"transitions\":"
    } else {
        ",\"more\":false,\"transitions\":"
    });
    let past = circuits.transitions();
    let past = past.iter().rev();
    let past = past.filter(|it| only.is_none_or(|only| *only == *it.policy.as_bytes()));
    array(&mut list, past, |past| transition(past, clocks));
    list.push('}');
    list.into()
}

fn array<T>(list: &mut String, items: impl Iterator<Item = T>, show: impl Fn(T) -> String) {
    list.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            list.push(',');
        }
        list.push_str(&show(item));
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
         \"window\":{{\"requests\":{},\"failures\":{},\"slow\":{}}},\
         \"consecutive_failures\":{},\"opens\":{},\"probes\":{},\"retry_budget\":{}}}",
        view.policy,
        view.mode.name(),
        view.id,
        key(&view.key),
        view.state().name(),
        automatic.state.name(),
        unix_ms(Some(automatic.since), clocks),
        unix_ms(automatic.until, clocks),
        automatic.counts.requests,
        automatic.counts.failures,
        automatic.counts.slow,
        automatic.consecutive,
        automatic.opens,
        automatic.probes_out,
        or_null(view.retry_budget),
    )
}

fn transition(past: &Past, clocks: Clocks) -> String {
    let it = &past.transition;
    format!(
        "{{\"at_unix_ms\":{},\"policy\":\"{}\",\"key\":{},\
         \"from\":\"{}\",\"to\":\"{}\",\"why\":\"{}\",\
         \"requests\":{},\"failures\":{},\"slow\":{},\
         \"opens\":{},\"lasted_ms\":{},\"open_ms\":{}}}",
        clocks.unix_ms_at(past.at),
        past.policy,
        key(&key::decode(&past.key)),
        it.from.name(),
        it.to.name(),
        it.why.name(),
        it.counts.requests,
        it.counts.failures,
        it.counts.slow,
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

fn or_null(number: Option<impl Display>) -> String {
    number.map_or_else(|| String::from("null"), |number| format!("{number}"))
}
