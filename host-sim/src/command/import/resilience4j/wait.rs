//! How long Resilience4j waits between attempts.
//!
//! Only the filter's own retries can wait so: the router waits as the route tells it. The library
//! reads how the wait changes from the instance or config that sets the wait itself, or from those
//! that it inherits from.

use std::time::Duration;

use super::effective::{Effective, is_on, without};
use crate::command::import::context::Import;
use crate::command::import::draft::Policy;
use crate::command::import::engine::{self, BACKOFF, ROUTER_WAITS};
use crate::command::import::values::{self, MS};

const WAIT: &str = "waitduration";
const GROWS: &str = "enableexponentialbackoff";
const MULTIPLIER: &str = "exponentialbackoffmultiplier";
const LONGEST: &str = "exponentialmaxwaitduration";
const SPREADS: &str = "enablerandomizedwait";
const FACTOR: &str = "randomizedwaitfactor";
const FUNCTION: &str = "intervalbifunction";

/// The library's wait unless another is given.
const DEFAULT: Duration = Duration::from_millis(500);

/// The filter's waits are random from 0 on.
const RANDOM: &str = "the most of a wait, which is random, where Resilience4j waits so long";

/// Sets the waits of a policy if the filter makes the retries.
pub(super) fn import(import: &mut Import, policy: &mut Policy, settings: &Effective) {
    if !import.by_filter {
        let names = [WAIT, GROWS, MULTIPLIER, LONGEST, SPREADS, FACTOR, FUNCTION];
        return without(import, settings, &names.map(|name| (name, ROUTER_WAITS)));
    }
    let beside = settings.beside(&[WAIT], true);
    let mut base = DEFAULT;
    policy.set(engine::BACKOFF_BASE, values::write(base));
    if let Some(node) = beside.get(&[WAIT])
        && let Some(mut read) = import.duration(node, MS)
    {
        read.differs.push(RANDOM.to_owned());
        base = read.value.clamp(*BACKOFF.start(), *BACKOFF.end());
        import.set_duration(policy, engine::BACKOFF_BASE, node, read, &BACKOFF);
    }
    let grows = is_on(import, &beside, GROWS, engine::BACKOFF_MAX, &[]);
    let longest = if grows { *BACKOFF.end() } else { base };
    policy.set(engine::BACKOFF_MAX, values::write(longest));
    if grows {
        growth(import, policy, &beside, base);
    }
    is_on(import, &beside, SPREADS, "waits are always random", &[]);
    let unused = [MULTIPLIER, LONGEST].map(|name| (name, "no wait of this policy grows"));
    if !grows {
        without(import, &beside, &unused);
    }
    let random = "waits are random from 0 on";
    without(import, &beside, &[(FACTOR, random)]);
    let code = "it is code: say by retry.backoff what it does";
    without(import, settings, &[(FUNCTION, code)]);
    let beside_wait = "Resilience4j reads it only where waitDuration is set, too";
    let others = [GROWS, MULTIPLIER, LONGEST, SPREADS, FACTOR];
    if beside.get(&[WAIT]).is_none() {
        without(import, settings, &others.map(|name| (name, beside_wait)));
    }
}

fn growth(import: &mut Import, policy: &mut Policy, beside: &Effective, base: Duration) {
    if let Some(node) = beside.get(&[MULTIPLIER])
        && let Some(mut read) = import.number(node)
    {
        if read.value != 2.0 {
            let differs = format!(
                "it doubles with each retry, and does not grow by {}",
                read.value
            );
            read.differs.push(differs);
        }
        import.report.became(node, "retry.backoff", &read.differs);
    }
    if let Some(node) = beside.get(&[LONGEST])
        && let Some(read) = import.duration(node, MS)
    {
        let range = base..=*BACKOFF.end();
        import.set_duration(policy, engine::BACKOFF_MAX, node, read, &range);
    }
}
