//! Divides a total number of key slots among the policies.
//!
//! Each slot in use is a name in the host's shared data, and a host never deletes names.
//! `limits.keys` bounds the slots of one policy only. Thousands of policies whose keys clients can
//! invent would still fill the host. So these policies share a total. Policies whose keys are all
//! named in the configuration are excluded, since a client cannot add keys to them.

use crate::policy::{Authority, Config, KeyPart, Mode, Policy};
use crate::shared::slots::WAYS;

/// Slots of the proxy for each key that one worker may hold. The workers of a proxy serve
/// different clients, so they hold different keys.
const SLOTS_PER_KEY: u32 = 8;

/// Number of slots of each policy.
pub(super) struct SlotShare {
    keys: u32,
    shared: u32,
}

impl SlotShare {
    /// Computes the shares of a configuration's policies.
    pub(super) fn of(config: &Config) -> SlotShare {
        let policies = config.policies.iter();
        let open = policies.filter(|it| it.mode != Mode::Disabled && has_open_keys(it));
        let open = u32::try_from(open.count()).unwrap_or(u32::MAX);
        let keys = config.limits.keys;
        let total = config.limits.keys_total.saturating_mul(SLOTS_PER_KEY);
        let share = total.checked_div(open).unwrap_or(keys);
        let shared = match share {
            share if share >= keys => keys,
            // Rounded down to a power of two, so that one more policy seldom changes the shares
            // of all others, which would move their circuits to other slots.
            share => (1 << share.checked_ilog2().unwrap_or(0)).max(WAYS.min(keys)),
        };
        SlotShare { keys, shared }
    }

    /// Returns the number of slots of a policy.
    pub(super) fn of_policy(&self, policy: &Policy) -> u32 {
        match has_open_keys(policy) {
            true => self.shared,
            false => self.keys,
        }
    }
}

/// Returns whether requests can bring keys that the policy does not name.
fn has_open_keys(policy: &Policy) -> bool {
    let matcher = &policy.matcher;
    let exact = |authority: &Authority| matches!(authority, Authority::Exact(_));
    let is_open = |part: &KeyPart| match part {
        KeyPart::Cluster => !matcher.names_clusters(),
        KeyPart::Route => matcher.routes.is_empty(),
        KeyPart::Authority => {
            matcher.authorities.is_empty() || !matcher.authorities.iter().all(exact)
        }
        KeyPart::Method => matcher.methods.is_empty(),
        KeyPart::Path => false,
        // The key is the first value of a header, but any of its values can match the policy.
        KeyPart::Header(_) => true,
    };
    policy.key.iter().any(is_open)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;
    use crate::testing::{config, policy};

    #[test]
    fn a_policy_has_open_keys_unless_it_names_them_all() {
        let rows = [
            ("", true),
            (r#""match": {"clusters": ["a"]}"#, false),
            (r#""match": {"clusters": ["a", "b*"]}"#, true),
            (r#""match": {"routes": ["a"]}"#, true),
            (r#""match": {"routes": ["a"]}, "key": ["route"]"#, false),
            (
                r#""match": {"authorities": ["a"]}, "key": ["authority"]"#,
                false,
            ),
            (
                r#""match": {"authorities": ["a", "*.b"]}, "key": ["authority"]"#,
                true,
            ),
            (r#""key": ["authority"]"#, true),
            (r#""match": {"methods": ["GET"]}, "key": ["method"]"#, false),
            (r#""key": ["method"]"#, true),
            (
                r#""match": {"paths": [{"prefix": "/"}]}, "key": ["path"]"#,
                false,
            ),
            (r#""key": []"#, false),
            (
                r#""match": {"headers": [{"name": "a", "exact": "b"}]}, "key": [{"header": "a"}]"#,
                true,
            ),
            (
                r#""match": {"clusters": ["a"]}, "key": ["cluster", "method"]"#,
                true,
            ),
        ];
        for (fields, open) in rows {
            assert_eq!(has_open_keys(&policy(fields)), open, "{fields}");
        }
    }

    #[test]
    fn policies_with_open_keys_share_the_total_of_slots() {
        let rows = [
            (1, 100_000, 16_384, 100_000),
            (131, 1_000, 16_384, 1_000),
            (132, 1_000, 16_384, 512),
            (255, 1_000, 16_384, 512),
            (1_500, 1_000, 16_384, 64),
            (9_000, 1_000, 16_384, 16),
            (9_000, 10, 16_384, 10),
            (1, 1_000, 1, 16),
        ];
        for (policies, keys, total, expected) in rows {
            let list: Vec<String> = (0..policies)
                .map(|n| format!(r#"{{"name": "p{n}", "key": ["method"]}}"#))
                .collect();
            let json = format!(
                r#"{{"policies": [{}, {{"name": "own", "match": {{"clusters": ["a"]}}}}],
                    "limits": {{"keys": {keys}, "keys_total": {total}}}}}"#,
                list.join(",")
            );
            let config = config(&json);
            let slots = SlotShare::of(&config);
            assert_eq!(
                slots.of_policy(&config.policies[0]),
                expected,
                "{policies} {keys}"
            );
            assert_eq!(slots.of_policy(&config.policies[policies]), keys);
        }
    }
}
