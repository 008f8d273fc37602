//! Allowances of one and of many workers.

use alloc::vec::Vec;

use super::*;
use crate::circuit::budget::tests::{Exact, config};
use crate::policy::BudgetConfig;
use crate::random::Random;
use crate::testing::at_ms;

/// One worker: its allowance, and its unsettled grants.
#[derive(Default)]
struct Worker {
    allowance: Allowance,
    in_flight: Vec<Grant>,
}

impl Worker {
    /// Asks for two retries, with a visit to the account if the allowance has none. Returns the
    /// grant, and whether there was a visit.
    fn ask(&mut self, account: &mut Account, now: Instant) -> (Option<u32>, bool) {
        self.allowance.demand(2);
        let mut grant = self.allowance.grant(2, 4, account, now);
        let visits = grant.is_none();
        if visits {
            self.visit(account, now);
            grant = self.allowance.grant(2, 4, account, now);
        }
        let retries = grant.as_ref().map(Grant::retries);
        self.in_flight.extend(grant);
        (retries, visits)
    }

    fn visit(&mut self, account: &mut Account, now: Instant) {
        self.allowance = self.allowance.visit(account, 2, now);
    }
}

/// Many workers grant retries out of their allowances, over one account. At every grant all
/// retries that were made, pledged to requests or held in allowances are covered by the credit.
#[test]
fn the_allowances_of_many_workers_never_exceed_the_account() {
    let (mut grants, mut denied, mut visits) = (0, 0, 0);
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let config = BudgetConfig {
            lease: Span::from_secs(3_600),
            ..config(random.between(1, 100) as u32, random.between(0, 5) as u32)
        };
        let (mut account, mut exact) = (Account::new(&config), Exact::default());
        let mut workers: Vec<Worker> = (0..random.between(1, 16))
            .map(|_| Worker::default())
            .collect();
        let last_worker = workers.len() as u64 - 1;
        let mut now = at_ms(random.between(0, 1_000_000));
        for _ in 0..4_000 {
            now = now.after(Span::from_ns(random.between(0, 5_000_000)));
            let worker = &mut workers[random.between(0, last_worker) as usize];
            match random.between(0, 4) {
                0 | 1 => {
                    worker.allowance.deposit(&account, now);
                    exact.successes.push_back(now);
                }
                2 => {
                    let (granted, visited) = worker.ask(&mut account, now);
                    visits += u64::from(visited);
                    let Some(retries) = granted else {
                        denied += 1;
                        assert!(worker.allowance.is_dry(Span::from_ms(100), now));
                        continue;
                    };
                    grants += 1;
                    exact.pledged += u64::from(retries);
                    let (credit, debit) = exact.sides(&config, now);
                    assert!(debit <= credit, "seed {seed}: {debit} of {credit}");
                }
                3 if !worker.in_flight.is_empty() => {
                    let last = worker.in_flight.len() as u64 - 1;
                    let at = random.between(0, last) as usize;
                    let grant = worker.in_flight.swap_remove(at);
                    let used = random.between(0, u64::from(grant.retries())) as u32;
                    exact.pledged -= u64::from(grant.retries());
                    exact.retries.extend((0..used).map(|_| now));
                    worker.allowance.settle(grant, used, &account, now);
                }
                _ => worker.visit(&mut account, now),
            }
        }
        assert_all_is_returned(&mut workers, &mut account, now, seed);
    }
    assert!(
        grants > 10_000 && denied > 5_000 && visits > 10_000,
        "{grants} {denied} {visits}"
    );
}

/// After all grants are settled and reported, the account has no pledges.
fn assert_all_is_returned(workers: &mut [Worker], account: &mut Account, now: Instant, seed: u64) {
    for worker in workers {
        for grant in worker.in_flight.drain(..) {
            worker.allowance.settle(grant, 0, account, now);
        }
        worker.visit(account, now);
        worker.visit(account, now);
        assert!(!worker.allowance.needs_visit());
    }
    account.ledger.turn_to(now);
    assert_eq!(account.ledger.pledges.sum(), 0, "seed {seed}");
}

#[test]
fn a_visit_leaves_half_for_other_workers_and_returns_what_is_not_needed() {
    let config = config(0, 10);
    let now = at_ms(60_000);
    let mut account = Account::new(&config);
    let mut allowance = Allowance::default();
    allowance.demand(80);
    let mut allowance = allowance.visit(&mut account, 2, now);
    assert_eq!(account.balance(now), 50);
    let grant = allowance.grant(2, 10, &account, now).expect("a grant");
    assert_eq!(grant.retries(), 2);
    // The next visit has no demand and returns everything that was not granted.
    let mut allowance = allowance.visit(&mut account, 2, now);
    assert_eq!(account.balance(now), 98);
    allowance.settle(grant, 1, &account, now);
    let allowance = allowance.visit(&mut account, 2, now);
    assert_eq!(account.balance(now), 99);
    assert!(!allowance.needs_visit());
}

#[test]
fn a_grant_is_an_equal_share_for_each_request_in_flight_and_at_least_one() {
    let config = config(0, 10);
    let now = at_ms(60_000);
    for (in_flight, wanted, retries) in [(1, 3, 3), (40, 3, 2), (50, 3, 2), (60, 3, 1), (900, 3, 1)]
    {
        let mut account = Account::new(&config);
        let mut allowance = Allowance::default();
        allowance.demand(wanted);
        let mut allowance = allowance.visit(&mut account, wanted, now);
        let grant = allowance
            .grant(wanted, in_flight, &account, now)
            .expect("a grant");
        assert_eq!(grant.retries(), retries, "{in_flight}");
    }
}

#[test]
fn retries_held_for_too_long_are_not_granted_because_they_would_not_outlast_a_request() {
    let config = config(0, 10);
    let now = at_ms(60_000);
    let mut account = Account::new(&config);
    let mut allowance = Allowance::default();
    allowance.demand(2);
    let mut allowance = allowance.visit(&mut account, 2, now);
    let later = now.after(Span::from_secs(3));
    assert_eq!(allowance.grant(2, 1, &account, later), None);
    allowance.demand(2);
    let mut allowance = allowance.visit(&mut account, 2, later);
    assert!(allowance.grant(2, 1, &account, later).is_some());
}
