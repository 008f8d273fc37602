//! `outcome`: which responses are failures.

use alloc::vec::Vec;

use serde_json::json;

use crate::policy::parse::forms;
use crate::policy::parse::read::{Object, Place};
use crate::policy::{GRPC_CODES, JudgeAt, Outcome, OutcomeRules, StatusSet};

/// UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS: what a caller cannot have
/// caused.
const DEFAULT_GRPC_FAILURES: u32 = 1 << 2 | 1 << 4 | 1 << 13 | 1 << 14 | 1 << 15;

pub(super) fn outcome(o: &mut Object<'_>) -> OutcomeRules {
    let mut server_errors = StatusSet::default();
    server_errors.insert(500, 599);
    let (failure, ignore) = (o.at("failure_status"), o.at("ignore_status"));
    failure.schema(|| json!({"default": ["5xx"]}));
    ignore.schema(|| json!({"default": []}));
    let moments = [("end", JudgeAt::End), ("headers", JudgeAt::Headers)];
    let overflows = [("ignore", Outcome::Ignored), ("failure", Outcome::Failure)];
    OutcomeRules {
        failure_status: statuses(&failure).unwrap_or(server_errors),
        ignore_status: statuses(&ignore).unwrap_or_default(),
        failure_grpc: grpc_statuses(&o.at("failure_grpc_status")),
        judge_at: o.at("judge_at").choice_or_first(&moments, JudgeAt::End),
        overflow: o
            .at("overflow")
            .choice_or_first(&overflows, Outcome::Ignored),
    }
}

fn statuses(place: &Place<'_>) -> Option<StatusSet> {
    let mut set = StatusSet::default();
    let allowed = "\"5xx\", \"503\" or \"500-504\", from 100 to 599";
    place.any_list(|item| {
        item.schema(|| json!({"pattern": forms::STATUS_PATTERN}));
        let (low, high) = item.text(allowed, forms::status_range)?;
        set.insert(low, high);
        Some(())
    })?;
    Some(set)
}

fn grpc_statuses(place: &Place<'_>) -> u32 {
    let allowed = "the name of a gRPC code other than OK and CANCELLED";
    place.schema(|| {
        let failures = GRPC_CODES.iter().enumerate();
        let failures = failures.filter(|(code, _)| DEFAULT_GRPC_FAILURES >> code & 1 != 0);
        json!({"default": failures.map(|(_, name)| *name).collect::<Vec<_>>()})
    });
    let codes = place.any_list(|item| {
        item.schema(|| json!({"enum": GRPC_CODES.iter().skip(2).collect::<Vec<_>>()}));
        item.text(allowed, |text| {
            let code = GRPC_CODES.iter().position(|name| *name == text)?;
            (code > 1).then_some(1_u32.wrapping_shl(u32::try_from(code).ok()?))
        })
    });
    codes.map_or(DEFAULT_GRPC_FAILURES, |codes| {
        codes.into_iter().fold(0, |set, code| set | code)
    })
}
