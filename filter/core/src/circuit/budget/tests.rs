//! The account: examples, comparison with exact lists, and an outage.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::*;
use crate::random::Random;
use crate::testing::at_ms;

impl Account {
    fn deposit(&mut self, now: Instant) {
        self.ledger.deposit(now);
    }

    fn settle(&mut self, grant: Grant, used: u32, now: Instant) {
        self.ledger.turn_to(now);
        self.ledger.redeem(grant.retries, grant.ends);
        self.ledger.spend(used);
    }
}

/// A share of the successes of ten seconds, plus a minimum rate of retries.
pub(in crate::circuit) fn config(percent: u32, min_per_second: u32) -> BudgetConfig {
    BudgetConfig {
        percent_bp: percent * 100,
        interval: Span::from_secs(10),
        min_count: min_per_second,
        min_interval: Span::from_secs(1),
        lease: Span::from_secs(15),
    }
}

/// Returns the number of retries that `successes` pay for.
fn paid(percent: u32, min_per_second: u32, successes: u32) -> u32 {
    let config = config(percent, min_per_second);
    let mut account = Account::new(&config);
    let now = at_ms(60_000);
    (0..successes).for_each(|_| account.deposit(now));
    account.balance(now)
}

#[test]
fn a_share_is_exact() {
    let rows = [
        (20, 0, 4, 0),
        (20, 0, 5, 1),
        (20, 0, 1_000, 200),
        (70, 0, 10, 7),
        (70, 0, 1_000, 700),
        (30, 0, 10, 3),
        (33, 0, 100, 33),
        (51, 0, 100, 51),
        (99, 0, 100, 99),
        (100, 0, 7, 7),
        (0, 0, 1_000, 0),
        // The minimum rate needs no success, and is added to what is earned.
        (0, 10, 0, 100),
        (20, 10, 0, 100),
        (20, 10, 50, 110),
        (20, 3, 4, 30),
    ];
    for (percent, minimum, successes, retries) in rows {
        let found = paid(percent, minimum, successes);
        assert_eq!(found, retries, "{percent} % + {minimum}/s of {successes}");
    }
}

/// Finagle's `RetryBudget` counts deposits as tokens that expire after its ttl: 10 s by
/// default, with 20 percent and a minimum of 10 retries a second. With the same settings this
/// budget must grant the same retries.
#[test]
fn with_finagles_defaults_it_grants_what_finagle_grants() {
    // A new client has the minimum rate of a whole ttl.
    assert_eq!(paid(20, 10, 0), 10 * 10);
    assert_eq!(paid(20, 10, 100), 10 * 10 + 20);
    // A deposit expires with the ttl.
    let config = config(20, 0);
    let mut account = Account::new(&config);
    (0..10).for_each(|_| account.deposit(at_ms(5_000)));
    assert_eq!(account.balance(at_ms(5_000)), 2);
    assert_eq!(account.balance(at_ms(15_000)), 0);
    // Without a share and without a minimum there is never a retry.
    assert_eq!(paid(0, 0, 1_000_000), 0);
}

#[test]
fn a_pledge_counts_in_full_until_it_is_settled_and_then_as_used() {
    let config = config(100, 0);
    let mut account = Account::new(&config);
    let now = at_ms(60_000);
    (0..10).for_each(|_| account.deposit(now));
    let grant = account.pledge(3, now);
    assert_eq!((grant.retries(), account.balance(now)), (3, 7));
    account.settle(grant, 1, now);
    assert_eq!(account.balance(now), 9);
    let all = account.pledge(100, now);
    assert_eq!((all.retries(), account.balance(now)), (9, 0));
    let none = account.pledge(1, now);
    assert_eq!(none.retries(), 0);
    account.settle(none, 0, now);
    account.settle(all, 0, now);
    assert_eq!(account.balance(now), 9);
}

#[test]
fn an_unsettled_pledge_ends_with_its_lease_and_not_before() {
    let config = config(0, 1);
    let mut account = Account::new(&config);
    for start_ms in [60_000, 60_001, 61_499, 100_750] {
        let now = at_ms(start_ms);
        let grant = account.pledge(10, now);
        assert_eq!(grant.retries(), 10, "{start_ms}");
        let lease_ends = now.after(config.lease);
        assert_eq!(account.balance(Instant::from_ns(lease_ends.as_ns() - 1)), 0);
        let rounded = lease_ends.after(Span::from_ms(1_500));
        assert_eq!(account.balance(rounded), 10, "{start_ms}");
        // A later settlement still counts the retries that were made.
        account.settle(grant, 2, rounded);
        assert_eq!(account.balance(rounded), 8);
        account = Account::new(&config);
    }
}

/// An exact account: the time of every success and every retry, and all pledges.
#[derive(Default)]
pub(in crate::circuit) struct Exact {
    pub(in crate::circuit) successes: VecDeque<Instant>,
    pub(in crate::circuit) retries: VecDeque<Instant>,
    pub(in crate::circuit) pledged: u64,
}

impl Exact {
    /// Returns credit and debit of the last interval, in units.
    pub(in crate::circuit) fn sides(&mut self, config: &BudgetConfig, now: Instant) -> (u64, u64) {
        let old = |at: &Instant| now.since(*at) >= config.interval;
        while self.successes.front().is_some_and(old) {
            self.successes.pop_front();
        }
        while self.retries.front().is_some_and(old) {
            self.retries.pop_front();
        }
        let credit = self.successes.len() as u64 * u64::from(config.percent_bp)
            + config.minimum() * RETRY_COST;
        let debit = (self.retries.len() as u64 + self.pledged) * RETRY_COST;
        (credit, debit)
    }
}

#[test]
fn retries_and_pledges_never_exceed_the_credit_of_the_interval() {
    let (mut grants, mut denials) = (0, 0);
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let config = BudgetConfig {
            percent_bp: random.between(0, 15_000) as u32,
            interval: Span::from_ms(random.between(100, 20_000)),
            min_count: random.between(0, 20) as u32,
            min_interval: Span::from_ms(random.between(100, 5_000)),
            // No request takes longer.
            lease: Span::from_secs(3_600),
        };
        let (mut account, mut exact) = (Account::new(&config), Exact::default());
        let mut now = at_ms(random.between(0, 1_000_000));
        let mut in_flight: Vec<Grant> = Vec::new();
        for _ in 0..2_000 {
            now = now.after(Span::from_ns(random.between(0, 20_000_000)));
            match random.between(0, 3) {
                0 | 1 => {
                    account.deposit(now);
                    exact.successes.push_back(now);
                }
                2 => {
                    let wanted = random.between(1, 3) as u32;
                    let grant = account.pledge(wanted, now);
                    let granted = u64::from(grant.retries());
                    exact.pledged += granted;
                    let (credit, debit) = exact.sides(&config, now);
                    assert!(granted == 0 || debit <= credit, "seed {seed}");
                    grants += granted;
                    denials += u64::from(granted == 0);
                    in_flight.push(grant);
                }
                _ if in_flight.is_empty() => {}
                _ => {
                    let last = in_flight.len() as u64 - 1;
                    let grant = in_flight.swap_remove(random.between(0, last) as usize);
                    let granted = grant.retries();
                    let used = random.between(0, u64::from(granted)) as u32;
                    exact.pledged -= u64::from(granted);
                    exact.retries.extend((0..used).map(|_| now));
                    account.settle(grant, used, now);
                }
            }
        }
    }
    assert!(grants > 10_000 && denials > 10_000, "{grants} {denials}");
}

/// 1,000 requests a second take 50 ms each. Then all of them fail after five seconds.
#[test]
fn an_outage_causes_no_more_retries_than_were_earned_before() {
    let config = config(20, 10);
    let mut account = Account::new(&config);
    let mut in_flight: VecDeque<(u64, bool, Grant)> = VecDeque::new();
    let mut retries_in_outage = 0;
    let onset_ms = 60_000;
    for ms in 0..onset_ms + 30_000 {
        let now = at_ms(ms);
        while in_flight.front().is_some_and(|(end, ..)| *end <= ms) {
            let (_, good, grant) = in_flight.pop_front().expect("a request");
            // A failing request uses its whole grant, and each try takes as long as the first.
            let used = if good { 0 } else { grant.retries() };
            if good {
                account.deposit(now);
            } else {
                retries_in_outage += used;
            }
            account.settle(grant, used, now);
        }
        let good = ms < onset_ms;
        let grant = account.pledge(1, now);
        let tries = 1 + u64::from(grant.retries());
        let took = if good { 50 } else { 5_000 * tries };
        let at = in_flight.partition_point(|(end, ..)| *end <= ms + took);
        in_flight.insert(at, (ms + took, good, grant));
    }
    let credit_at_onset = 10_000 / 5 + 10 * 10;
    let minimum_since = 10 * 30;
    assert!(retries_in_outage > 1_000, "{retries_in_outage}");
    assert!(
        retries_in_outage <= credit_at_onset + minimum_since,
        "{retries_in_outage}"
    );
}

#[test]
fn ten_million_requests_leave_no_residue() {
    let config = config(20, 10);
    let mut account = Account::new(&config);
    let mut random = Random::new(1);
    let mut now = at_ms(0);
    for _ in 0..10_000_000_u32 {
        now = now.after(Span::from_ns(random.between(0, 2_000_000)));
        let grant = account.pledge(2, now);
        let used = grant.retries().min(u32::from(random.chance(100)));
        account.settle(grant, used, now);
        account.deposit(now);
    }
    let later = now.after(Span::from_secs(60));
    assert_eq!(account.balance(later), 100);
    assert_eq!(account.ledger.debit() + account.ledger.successes.sum(), 0);
}

#[test]
fn an_encoded_account_decodes_to_the_same_account() {
    let config = config(20, 10);
    let mut account = Account::new(&config);
    account.deposit(at_ms(1_000));
    let _ = account.pledge(2, at_ms(2_000));
    let mut bytes = Vec::new();
    account.write(&mut bytes);
    assert_eq!(Account::read(&mut Reader::new(&bytes)), Some(account));
}
