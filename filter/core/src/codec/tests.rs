//! Every record reads back as it was written, and invalid ones are rejected.

use alloc::vec::Vec;

use super::*;
use crate::circuit::breaker::{Breaker, StepContext, Transition};
use crate::circuit::window::Window;
use crate::circuit::{Circuit, Force, Forced};
use crate::outcome::classify::Verdict;
use crate::policy::{BreakerConfig, Outcome};
use crate::random::Random;
use crate::shared::slots::{Slot, write_slot};
use crate::testing::{Memory, at_ms, breaker};

/// Policies whose circuits soon reach every state and every kind of window.
const SHAPES: [&str; 3] = [
    r#""minimum_requests": 2, "open": {"duration": "1s"}, "recovery": {"duration": "2s"}"#,
    r#""minimum_requests": 2, "open": {"duration": "1s"},
       "half_open": {"permits": 4, "lease": "1s"}"#,
    r#""window": {"type": "count", "size": 7}, "minimum_requests": 5, "open": {"duration": "1s"}"#,
];

/// Drives a circuit with random requests and calls `each` after every step.
fn life(config: &BreakerConfig, seed: u64, mut each: impl FnMut(&Circuit)) {
    let mut random = Random::new(seed);
    let mut now = at_ms(5_000);
    let mut circuit = Circuit::new(config, None, now, now);
    let mut permits = Vec::new();
    for _ in 0..100 {
        now = now.after(Span::from_ms(random.between(0, 600)));
        let mut transitions: Vec<Transition> = Vec::new();
        let mut words = Random::new(random.word());
        let mut context = StepContext {
            config,
            now,
            random: &mut words,
            transitions: &mut transitions,
        };
        let breaker: &mut Breaker = &mut circuit.breaker;
        match random.between(0, 4) {
            0 => permits.extend(breaker.try_acquire(random.chance(7_000), &mut context)),
            4 => {
                if let Some(permit) = permits.last() {
                    breaker.wait(permit, now, 1);
                    breaker.mark_probe_slow(permit, &mut context);
                }
            }
            1 => {
                let verdict = Verdict {
                    slow: random.chance(3_000),
                    hint: random.chance(2_000).then_some(Span::from_ms(7)),
                    ..Verdict::of(Outcome::Failure)
                };
                if let Some(permit) = permits.last() {
                    breaker.request_complete(permit, now);
                    breaker.headers_arrived(permit, verdict, &context);
                }
            }
            _ => {
                if let Some(permit) = permits.pop() {
                    let failed = random.chance(6_000);
                    let outcome = if failed {
                        Outcome::Failure
                    } else {
                        Outcome::Success
                    };
                    breaker.settle(permit, Verdict::of(outcome), &mut context);
                }
            }
        }
        let to = if random.chance(5_000) {
            Forced::Open
        } else {
            Forced::Closed
        };
        let until = now.after(Span::from_secs(60));
        circuit.set_force(random.chance(1_000).then_some(Force { to, until }));
        circuit.used_at = now;
        each(&circuit);
    }
}

fn record(circuit: &Circuit) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_slot(Some((b"a key", circuit)), &mut bytes);
    bytes
}

/// Reads a slot that has these bytes.
fn read(bytes: &[u8]) -> Slot {
    let mut memory = Memory::default();
    memory.overwrite("p/0", bytes);
    Slot::read(&mut memory, "p", 0)
}

#[test]
fn every_circuit_decodes_to_the_same_circuit() {
    let mut states = alloc::collections::BTreeSet::new();
    for shape in SHAPES {
        let config = breaker(shape);
        for seed in 0..50 {
            life(&config, seed, |circuit| {
                states.insert(circuit.breaker.state());
                let Slot::Taken(taken) = read(&record(circuit)) else {
                    panic!("not read: {circuit:?}");
                };
                assert_eq!((&*taken.key, &taken.circuit), (&b"a key"[..], circuit));
            });
        }
    }
    assert_eq!(states.len(), 4, "{states:?}");
}

#[test]
fn a_record_with_one_wrong_byte_is_rejected() {
    life(&breaker(SHAPES[1]), 3, |circuit| {
        let whole = record(circuit);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] = bytes[at].wrapping_add(1);
            assert!(matches!(read(&bytes), Slot::Damaged(_)), "{at}");
        }
    });
}

#[test]
fn a_shortened_or_extended_record_is_rejected() {
    life(&breaker(SHAPES[0]), 3, |circuit| {
        let mut whole = record(circuit);
        for len in 0..whole.len() {
            assert!(matches!(read(&whole[..len]), Slot::Damaged(_)), "{len}");
        }
        whole.push(0);
        assert!(matches!(read(&whole), Slot::Damaged(_)));
    });
}

/// The checksum is not a secret, so invalid fields can come with a correct one.
#[test]
fn invalid_fields_are_rejected_without_a_panic() {
    let mut random = Random::new(5);
    let (mut read_as_records, mut damaged) = (0, 0);
    life(&breaker(SHAPES[2]), 4, |circuit| {
        let whole = record(circuit);
        let fields = &whole[5..whole.len() - CHECKSUM_BYTES];
        for _ in 0..200 {
            let mut fields = fields.to_vec();
            for _ in 0..random.between(1, 4) {
                let at = random.between(0, fields.len() as u64 - 1) as usize;
                fields[at] = random.word() as u8;
            }
            fields.truncate(random.between(0, 3 * fields.len() as u64) as usize);
            let mut bytes = Vec::new();
            seal(Kind::Circuit, &mut bytes, |out| {
                out.extend_from_slice(&fields);
            });
            match read(&bytes) {
                Slot::Taken(taken) => {
                    // Whatever was read must be usable.
                    let mut circuit = taken.circuit;
                    let config = breaker(SHAPES[2]);
                    let now = at_ms(9_000);
                    let mut context = StepContext {
                        config: &config,
                        now,
                        random: &mut Random::new(1),
                        transitions: &mut Vec::new(),
                    };
                    circuit.breaker.catch_up(&mut context);
                    if let Ok(permit) = circuit.breaker.try_acquire(true, &mut context) {
                        let verdict = Verdict::of(Outcome::Failure);
                        circuit.breaker.settle(permit, verdict, &mut context);
                    }
                    read_as_records += 1;
                }
                _ => damaged += 1,
            }
        }
    });
    assert!(read_as_records > 1_000 && damaged > 1_000);
}

#[test]
fn a_record_of_another_kind_or_version_is_rejected() {
    let circuit = record(&Circuit::new(&breaker(""), None, at_ms(1), at_ms(1)));
    assert!(open(Kind::Circuit, &circuit).is_some());
    assert!(open(Kind::Census, &circuit).is_none());
    let mut newer = circuit[..circuit.len() - CHECKSUM_BYTES].to_vec();
    newer[3] = VERSION + 1;
    checksum(&newer).write(&mut newer);
    assert!(open(Kind::Circuit, &newer).is_none());
}

/// The layout is a contract with modules that are already loaded: a change needs a new version.
#[test]
fn the_layout_of_this_version_does_not_change() {
    let now = at_ms(2);
    let budget = crate::testing::policy(r#""retry": {}"#).budget().copied();
    let mut circuit = Circuit::new(&breaker(""), budget.as_ref(), now, at_ms(1));
    circuit.set_force(Some(Force {
        to: Forced::Open,
        until: at_ms(3),
    }));
    let bytes = record(&circuit);
    let fields = &bytes[..bytes.len() - CHECKSUM_BYTES];
    let ms = |ms: u64| (ms * 1_000_000).to_le_bytes();
    let mut expected = b"spw\x04\x03\x01\x05\x00a key".to_vec();
    for part in [ms(2), ms(1)] {
        expected.extend(part);
    }
    expected.extend([1, 1]);
    expected.extend(ms(3));
    // An account: percent, interval, minimum and its interval, lease; three rings, each
    // with its head.
    expected.push(1);
    expected.extend(2_000_u32.to_le_bytes());
    expected.extend(ms(10_000));
    expected.extend(10_u32.to_le_bytes());
    expected.extend(ms(1_000));
    expected.extend(ms(15_000));
    expected.extend([0; 3 * (8 + 12 * 4)]);
    // Closed; generation, since, healthy since; opens, last open, never opened, consecutive.
    expected.push(0);
    for part in [ms(2), ms(2), ms(2)] {
        expected.extend(part);
    }
    expected.extend([0; 4 + 8 + 1 + 4]);
    // A time window of ten seconds: its head and ten buckets. Then the head of the waiting
    // requests, and that there are none.
    expected.push(0);
    expected.extend(ms(10_000));
    expected.extend([0; 8 + 10 * 12 + 8 + 1]);
    assert_eq!(fields, expected);
}

#[test]
fn an_inconsistent_count_window_is_rejected() {
    let rows: &[(u32, u32, u32, usize, bool)] = &[
        (7, 0, 0, 0, true),
        (7, 3, 3, 1, true),
        (7, 7, 5, 2, true),
        (7, 3, 2, 1, false),
        (7, 8, 1, 2, false),
        (7, 7, 7, 2, false),
        (0, 0, 0, 0, false),
        (10_001, 0, 0, 0, false),
        (7, 3, 3, 0, false),
    ];
    for &(size, requests, next, len, good) in rows {
        let mut bytes = Vec::from([1]);
        [size, requests, next]
            .iter()
            .for_each(|n| n.write(&mut bytes));
        bytes.extend(alloc::vec![0; len]);
        // No waiting requests.
        bytes.extend([0; 8 + 1]);
        let mut reader = Reader(&bytes);
        let window = Window::read(&mut reader).and_then(|window| reader.end(window));
        assert_eq!(window.is_some(), good, "{size} {requests} {next} {len}");
    }
}
