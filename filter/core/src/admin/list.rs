//! The circuits as JSON.
//!
//! Not by derived serializers, which would be several kilobytes of the module for
//! this one answer: a template, into which serde_json puts what needs escaping.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;

use super::{CircuitView, Circuits, Clocks};
use crate::time::Instant;

/// How many circuits an answer shows: more are no list for eyes, and every worker
/// holds the whole answer in its memory.
const CIRCUITS_MAX: usize = 1_000;

/// The circuits of `policies`, which are those asked for.
pub(super) fn write(policies: &[&str], clocks: Clocks, circuits: &mut impl Circuits) -> Vec<u8> {
    let mut list = String::from("{\"circuits\":[");
    let mut room = CIRCUITS_MAX;
    let mut more = false;
    'all: for policy in policies {
        // One more than there is room for tells whether there are more.
        for view in circuits.circuits(policy, room.saturating_add(1)) {
            more = room == 0;
            if more {
                break 'all;
            }
            if room < CIRCUITS_MAX {
                list.push(',');
            }
            room = room.saturating_sub(1);
            list.push_str(&circuit(policy, &view, clocks));
        }
    }
    list.push_str(if more {
        "],\"more\":true}"
    } else {
        "],\"more\":false}"
    });
    list.into()
}

fn circuit(policy: &str, view: &CircuitView, clocks: Clocks) -> String {
    let force = view.force.filter(|force| force.until > clocks.now);
    let state = force.map_or(view.automatic, |force| force.to.state());
    let parts = view
        .key
        .iter()
        .map(|part| part.as_deref().map(String::from_utf8_lossy));
    let key: Vec<Option<Cow<'_, str>>> = parts.collect();
    // Texts cannot fail to be written. What stands between quotes below are names
    // that need no escaping.
    let key = serde_json::to_string(&key).unwrap_or_default();
    let forced = match force {
        None => String::from("null"),
        Some(force) => format!(
            "{{\"state\":\"{}\",\"until_unix_ms\":{}}}",
            force.to.name(),
            unix_ms(Some(force.until), clocks)
        ),
    };
    format!(
        "{{\"policy\":\"{policy}\",\"mode\":\"{}\",\"id\":\"{:016x}\",\"key\":{key},\
         \"state\":\"{}\",\"automatic_state\":\"{}\",\
         \"since_unix_ms\":{},\"until_unix_ms\":{},\"forced\":{forced},\
         \"window\":{{\"requests\":{},\"failures\":{},\"slow\":{}}},\
         \"consecutive_failures\":{},\"opens\":{},\"probes\":{},\"retry_budget\":{}}}",
        view.mode.name(),
        view.id,
        state.name(),
        view.automatic.name(),
        unix_ms(Some(view.since), clocks),
        unix_ms(view.until, clocks),
        view.counts.requests,
        view.counts.failures,
        view.counts.slow,
        view.consecutive,
        view.opens,
        view.probes_out,
        or_null(view.retry_budget),
    )
}

fn unix_ms(moment: Option<Instant>, clocks: Clocks) -> String {
    or_null(moment.map(|moment| clocks.unix_ms_at(moment)))
}

fn or_null(number: Option<impl Display>) -> String {
    number.map_or_else(|| String::from("null"), |number| format!("{number}"))
}
