//! How many slots for keys each policy has, so that all policies together have a bounded
//! number of them.
//!
//! A host deletes no name, and each slot that once held a key is one. `limits.keys` bounds
//! them per policy, which is nothing where there are thousands of policies whose keys a
//! client can invent. These share a total. A policy whose keys the configuration names is
//! not among them: it has as many as it names.

use crate::policy::{Authority, Config, KeyPart, Mode, Policy};
use crate::shared::slots::WAYS;

/// Slots of the proxy for each key that one worker may hold: workers of one proxy serve
/// different clients.
const SLOTS_PER_KEY: u32 = 8;

/// How many slots a policy has.
pub(super) struct SlotShare {
    keys: u32,
    shared: u32,
}

impl SlotShare {
    /// The shares of the policies of this configuration.
    pub(super) fn of(config: &Config) -> SlotShare {
        let there = config.policies.iter();
        let open = there.filter(|it| it.mode != Mode::Disabled && has_open_keys(it));
        let open = u32::try_from(open.count()).unwrap_or(u32::MAX);
        let keys = config.limits.keys;
        let total = config.limits.keys_total.saturating_mul(SLOTS_PER_KEY);
        let share = total.checked_div(open).unwrap_or(keys);
        let shared = match share {
            share if share >= keys => keys,
            // A power of two: one policy more must not move the circuits of all others.
            share => (1 << share.checked_ilog2().unwrap_or(0)).max(WAYS.min(keys)),
        };
        SlotShare { keys, shared }
    }

    /// The slots of a policy.
    pub(super) fn of_policy(&self, policy: &Policy) -> u32 {
        match has_open_keys(policy) {
            true => self.shared,
            false => self.keys,
        }
    }
}

/// Whether requests can bring more keys than the policy names.
fn has_open_keys(policy: &Policy) -> bool {
    let matcher = &policy.matcher;
    let exact = |authority: &Authority| matches!(authority, Authority::Exact(_));
    let is_open = |part: &KeyPart| match part {
        KeyPart::Cluster => matcher.clusters.is_empty(),
        KeyPart::Route => matcher.routes.is_empty(),
        KeyPart::Authority => {
            matcher.authorities.is_empty() || !matcher.authorities.iter().all(exact)
        }
        KeyPart::Method => matcher.methods.is_empty(),
        KeyPart::Path => false,
        // A second value of the header may match while the first one is the key.
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
    fn keys_are_open_where_the_configuration_does_not_name_them() {
        let rows = [
            ("", true),
            (r#""match": {"clusters": ["a"]}"#, false),
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
    fn policies_with_open_keys_share_the_slots_of_the_proxy() {
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
