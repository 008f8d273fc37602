//! The account, by example, against exact lists, and through an outage.

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

/// A share of all successes of ten seconds, and so many retries a second besides.
fn config(percent: u32, min_per_second: u32) -> BudgetConfig {
    BudgetConfig {
        percent_bp: percent * 100,
        interval: Span::from_secs(10),
        min_count: min_per_second,
        min_interval: Span::from_secs(1),
        lease: Span::from_secs(15),
    }
}

/// How many retries so many successes pay for.
fn paid(percent: u32, min_per_second: u32, successes: u32) -> u32 {
    let config = config(percent, min_per_second);
    let mut account = Account::new(&config);
    let now = at_ms(60_000);
    (0..successes).for_each(|_| account.deposit(now));
    account.balance(now)
}

#[test]
fn a_share_is_exact_to_the_last_retry() {
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
        // The minimum rate is there without any success, and added to what is earned.
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

/// Finagle's `RetryBudget` counts deposits as tokens that leak away after its ttl, by
/// default 10 s, 20 percent, and 10 retries a second besides. Where its terms and ours
/// are the same, so is what can be retried.
#[test]
fn with_finagles_terms_it_gives_what_finagle_gives() {
    // A client that has just begun has the minimum rate of a whole ttl.
    assert_eq!(paid(20, 10, 0), 10 * 10);
    assert_eq!(paid(20, 10, 100), 10 * 10 + 20);
    // A deposit is worth nothing once the ttl is over.
    let config = config(20, 0);
    let mut account = Account::new(&config);
    (0..10).for_each(|_| account.deposit(at_ms(5_000)));
    assert_eq!(account.balance(at_ms(5_000)), 2);
    assert_eq!(account.balance(at_ms(15_000)), 0);
    // Without a share and without a minimum there is never a retry.
    assert_eq!(paid(0, 0, 1_000_000), 0);
}

#[test]
fn a_pledge_weighs_fully_until_it_is_settled_and_then_as_it_was_used() {
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
fn a_pledge_that_nobody_settles_ends_with_its_lease_and_not_before() {
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
        // Whoever settles it after that still tells what was used.
        account.settle(grant, 2, rounded);
        assert_eq!(account.balance(rounded), 8);
        account = Account::new(&config);
    }
}

/// An exact account: every success, every retry and every pledge, with its time.
#[derive(Default)]
struct Exact {
    successes: VecDeque<Instant>,
    retries: VecDeque<Instant>,
    pledged: u64,
}

impl Exact {
    /// Credit and debit of the last interval, in units.
    fn sides(&mut self, config: &BudgetConfig, now: Instant) -> (u64, u64) {
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
fn at_every_grant_what_was_retried_and_pledged_is_below_the_credit_of_the_interval() {
    let (mut grants, mut refusals) = (0, 0);
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let config = BudgetConfig {
            percent_bp: random.between(0, 15_000) as u32,
            interval: Span::from_ms(random.between(100, 20_000)),
            min_count: random.between(0, 20) as u32,
            min_interval: Span::from_ms(random.between(100, 5_000)),
            // Nothing is under way for longer.
            lease: Span::from_secs(3_600),
        };
        let (mut account, mut exact) = (Account::new(&config), Exact::default());
        let mut now = at_ms(random.between(0, 1_000_000));
        let mut under_way: Vec<Grant> = Vec::new();
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
                    refusals += u64::from(granted == 0);
                    under_way.push(grant);
                }
                _ if under_way.is_empty() => {}
                _ => {
                    let last = under_way.len() as u64 - 1;
                    let grant = under_way.swap_remove(random.between(0, last) as usize);
                    let granted = grant.retries();
                    let used = random.between(0, u64::from(granted)) as u32;
                    exact.pledged -= u64::from(granted);
                    exact.retries.extend((0..used).map(|_| now));
                    account.settle(grant, used, now);
                }
            }
        }
    }
    assert!(grants > 10_000 && refusals > 10_000, "{grants} {refusals}");
}

/// 1,000 requests a second that take 50 ms; then all of them fail after five seconds.
#[test]
fn the_onset_of_an_outage_makes_no_more_retries_than_had_been_earned() {
    let config = config(20, 10);
    let mut account = Account::new(&config);
    let mut under_way: VecDeque<(u64, bool, Grant)> = VecDeque::new();
    let mut retries_in_outage = 0;
    let onset_ms = 60_000;
    for ms in 0..onset_ms + 30_000 {
        let now = at_ms(ms);
        while under_way.front().is_some_and(|(end, ..)| *end <= ms) {
            let (_, good, grant) = under_way.pop_front().expect("a request");
            // Who fails uses all it was granted, each try as long as the first.
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
        let at = under_way.partition_point(|(end, ..)| *end <= ms + took);
        under_way.insert(at, (ms + took, good, grant));
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
fn nothing_leaks_over_ten_million_requests() {
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
fn an_account_comes_back_from_its_bytes() {
    let config = config(20, 10);
    let mut account = Account::new(&config);
    account.deposit(at_ms(1_000));
    let _ = account.pledge(2, at_ms(2_000));
    let mut bytes = Vec::new();
    account.write(&mut bytes);
    assert_eq!(Account::read(&mut Reader::new(&bytes)), Some(account));
}

/// One worker: what it holds, and what it has let out.
#[derive(Default)]
struct Worker {
    purse: Allowance,
    under_way: Vec<Grant>,
}

/// Workers that grant out of purses of their own, over one account: at every grant all
/// that was retried, pledged to requests and held in purses is below the credit.
#[test]
fn the_purses_of_many_workers_never_spend_more_than_the_account_has() {
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
                    worker.purse.deposit(&account, now);
                    exact.successes.push_back(now);
                }
                2 => {
                    worker.purse.ask(2);
                    let mut grant = worker.purse.grant(2, 4, &account, now);
                    if grant.is_none() {
                        worker.purse = worker.purse.visit(&mut account, 2, now);
                        visits += 1;
                        grant = worker.purse.grant(2, 4, &account, now);
                    }
                    let Some(grant) = grant else {
                        denied += 1;
                        assert!(worker.purse.is_dry(Span::from_ms(100), now));
                        continue;
                    };
                    grants += 1;
                    exact.pledged += u64::from(grant.retries());
                    worker.under_way.push(grant);
                    let (credit, debit) = exact.sides(&config, now);
                    assert!(debit <= credit, "seed {seed}: {debit} of {credit}");
                }
                3 if !worker.under_way.is_empty() => {
                    let last = worker.under_way.len() as u64 - 1;
                    let grant = worker
                        .under_way
                        .swap_remove(random.between(0, last) as usize);
                    let used = random.between(0, u64::from(grant.retries())) as u32;
                    exact.pledged -= u64::from(grant.retries());
                    exact.retries.extend((0..used).map(|_| now));
                    worker.purse.settle(grant, used, &account, now);
                }
                _ => {
                    worker.purse = worker.purse.visit(&mut account, 2, now);
                }
            }
        }
        // All is given back once all is told.
        for worker in &mut workers {
            for grant in worker.under_way.drain(..) {
                worker.purse.settle(grant, 0, &account, now);
            }
            worker.purse = worker.purse.visit(&mut account, 2, now);
            worker.purse = worker.purse.visit(&mut account, 2, now);
            assert!(!worker.purse.has_business());
        }
        account.ledger.turn_to(now);
        assert_eq!(account.ledger.pledges.sum(), 0, "seed {seed}");
    }
    assert!(
        grants > 10_000 && denied > 5_000 && visits > 10_000,
        "{grants} {denied} {visits}"
    );
}

#[test]
fn a_purse_leaves_half_for_others_and_gives_back_what_it_does_not_need() {
    let config = config(0, 10);
    let now = at_ms(60_000);
    let mut account = Account::new(&config);
    let mut purse = Allowance::default();
    purse.ask(80);
    let mut purse = purse.visit(&mut account, 2, now);
    assert_eq!(account.balance(now), 50);
    let grant = purse.grant(2, 10, &account, now).expect("a grant");
    assert_eq!(grant.retries(), 2);
    // The next look finds nothing asked for: all but what was granted goes back.
    let mut purse = purse.visit(&mut account, 2, now);
    assert_eq!(account.balance(now), 98);
    purse.settle(grant, 1, &account, now);
    let purse = purse.visit(&mut account, 2, now);
    assert_eq!(account.balance(now), 99);
    assert!(!purse.has_business());
}

#[test]
fn a_grant_is_as_large_as_every_request_under_way_could_have_and_one_at_least() {
    let config = config(0, 10);
    let now = at_ms(60_000);
    for (in_flight, wanted, retries) in [(1, 3, 3), (40, 3, 2), (50, 3, 2), (60, 3, 1), (900, 3, 1)]
    {
        let mut account = Account::new(&config);
        let mut purse = Allowance::default();
        purse.ask(wanted);
        let mut purse = purse.visit(&mut account, wanted, now);
        let grant = purse
            .grant(wanted, in_flight, &account, now)
            .expect("a grant");
        assert_eq!(grant.retries(), retries, "{in_flight}");
    }
}

#[test]
fn what_is_held_for_too_long_would_not_last_for_a_request_and_is_not_granted() {
    let config = config(0, 10);
    let now = at_ms(60_000);
    let mut account = Account::new(&config);
    let mut purse = Allowance::default();
    purse.ask(2);
    let mut purse = purse.visit(&mut account, 2, now);
    let later = now.after(Span::from_secs(3));
    assert_eq!(purse.grant(2, 1, &account, later), None);
    purse.ask(2);
    let mut purse = purse.visit(&mut account, 2, later);
    assert!(purse.grant(2, 1, &account, later).is_some());
}
