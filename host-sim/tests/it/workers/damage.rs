//! Invalid records. Anything that writes shared data is in the same process, but may be another
//! plugin, another version, or faulty.

use std::hash::{DefaultHasher, Hasher};

use host_sim::sim::clock::Time;

use super::{Workers, policy};

const BREAKER: &str = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
    "open": {"duration": "20s", "jitter": 0}}"#;

const DIRECTORY: &str = "spillway/4/plugin";
const CENSUS: &str = "spillway/4/plugin/p";

/// Length of the checksum that ends a record.
const CHECKSUM_BYTES: usize = 8;
const VERSION_AT: usize = 3;
const KIND_AT: usize = 4;

impl Workers {
    fn record(&self, name: &str) -> Vec<u8> {
        let data = self.proxy.host.shared_data();
        data.value(b"", name.as_bytes()).unwrap().0.to_vec()
    }

    fn overwrite(&mut self, name: &str, record: &[u8]) {
        let data = self.proxy.host.shared_data_mut();
        assert!(data.set(b"", name.as_bytes(), record, 0));
    }

    fn discarded(&self) -> u64 {
        let metrics = self.proxy.host.metrics();
        metrics.value("spillway.records_discarded_total")
    }

    /// Name of the only slot with a circuit.
    fn slot(&self) -> String {
        let records = self.records().into_iter().map(|(name, _)| name);
        let mut slots = records.filter(|name| name.starts_with("spillway/4/plugin/p/"));
        slots.next().unwrap()
    }
}

/// Replaces one byte of a record and corrects its checksum.
fn resealed(record: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut body = record[..record.len() - CHECKSUM_BYTES].to_vec();
    body[at] = byte;
    let sum = checksum(&body);
    [&body[..], &sum].concat()
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish().to_le_bytes()
}

/// Invalid records, with labels.
fn rows(whole: &[u8], other: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let flipped = |at: usize| {
        let mut record = whole.to_vec();
        record[at] ^= 0x10;
        record
    };
    let body = whole.len() - CHECKSUM_BYTES;
    assert_eq!(whole[body..], checksum(&whole[..body]));
    vec![
        ("nothing", Vec::new()),
        ("a text", b"another plugin's".to_vec()),
        ("cut off", whole[..whole.len() - 1].to_vec()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("too long", [whole, &[0]].concat()),
        ("a bit in its head", flipped(0)),
        ("a bit in its middle", flipped(whole.len() / 2)),
        ("a bit in its checksum", flipped(whole.len() - 1)),
        ("newer", resealed(whole, VERSION_AT, 5)),
        ("of another kind", other.to_vec()),
        ("of no kind", resealed(whole, KIND_AT, 77)),
        ("without fields", {
            let head = &whole[..5];
            [head, &checksum(head)].concat()
        }),
        ("huge", vec![0x73; 1 << 20]),
    ]
}

/// A proxy whose circuit is closed and has counted a failure.
fn counting() -> Workers {
    let mut proxy = Workers::new(2, &policy(BREAKER));
    proxy.fail(0, 1);
    proxy.run_to(Time::from_ms(1_000));
    proxy
}

#[test]
fn an_invalid_slot_is_discarded_counted_and_created_again() {
    let sample = counting();
    let whole = sample.record(&sample.slot());
    for (what, record) in rows(&whole, &sample.record(CENSUS)) {
        // Worker 0 knows the circuit already; worker 1 looks it up.
        for worker in 0..2 {
            let mut proxy = counting();
            let slot = proxy.slot();
            proxy.overwrite(&slot, &record);
            assert!(proxy.serve(worker, "503"), "{what}");
            assert_eq!(proxy.discarded(), 1, "{what}");
            assert_eq!(proxy.slot(), slot, "{what}");
            assert!(
                proxy.record(&slot).starts_with(b"spw\x04\x03\x01"),
                "{what}"
            );
            // The new record does not contain the earlier failure.
            proxy.run_to(Time::from_ms(2_000));
            proxy.fail(1 - worker, 3);
            proxy.run_to(Time::from_ms(3_000));
            assert_eq!(proxy.history(), [""; 0], "{what}");
            proxy.fail(worker, 1);
            assert_eq!(proxy.history().len(), 1, "{what}");
            assert_eq!(proxy.discarded(), 1, "{what}");
            assert_eq!(proxy.gauges(), (1, 1));
        }
    }
}

#[test]
fn an_open_circuit_with_a_damaged_record_starts_again_closed() {
    let mut proxy = counting();
    proxy.fail(0, 4);
    assert_eq!(
        (proxy.history().len(), proxy.metric("open_circuits")),
        (1, 1)
    );
    let slot = proxy.slot();
    proxy.overwrite(&slot, b"?");
    proxy.run_to(Time::from_ms(1_100));
    for worker in 0..2 {
        assert!(proxy.serve(worker, "200"), "{worker}");
    }
    assert_eq!((proxy.discarded(), proxy.metric("open_circuits")), (1, 0));
}

#[test]
fn a_damaged_census_is_counted_again() {
    let sample = counting();
    for (what, record) in rows(&sample.record(CENSUS), &sample.record(DIRECTORY)) {
        let mut proxy = counting();
        proxy.overwrite(CENSUS, &record);
        proxy.fail(0, 4);
        assert_eq!(proxy.history().len(), 1, "{what}");
        assert_eq!(proxy.discarded(), 1, "{what}");
        assert_eq!(proxy.gauges(), (1, 1), "{what}");
        assert!(proxy.record(CENSUS).starts_with(b"spw\x04\x02"), "{what}");
    }
}

#[test]
fn an_update_replaces_a_damaged_directory() {
    let sample = counting();
    for (what, record) in rows(&sample.record(DIRECTORY), &sample.record(CENSUS)) {
        let mut proxy = counting();
        proxy.overwrite(DIRECTORY, &record);
        assert!(proxy.serve(0, "200"), "{what}");
        let next = BREAKER.replace("20s", "10s");
        proxy.proxy.host.update(policy(&next).into()).unwrap();
        assert_eq!(proxy.discarded(), 1, "{what}");
        assert!(
            proxy.record(DIRECTORY).starts_with(b"spw\x04\x01"),
            "{what}"
        );
        (0..2).for_each(|worker| assert!(proxy.serve(worker, "200")));
        proxy.fail(0, 5);
        assert!(proxy.ask(1).is_none() || proxy.ask(0).is_none(), "{what}");
    }
}

#[test]
fn a_vm_that_finds_a_damaged_directory_still_shares_circuits() {
    let mut proxy = super::traps::reloading(2, &policy(BREAKER));
    (0..2).for_each(|worker| assert!(proxy.serve(worker, "200")));
    proxy.overwrite(DIRECTORY, b"?");
    proxy.trap(0);
    proxy.fail(0, 5);
    proxy.run_to(Time::from_ms(3_000));
    assert!(proxy.rejects(0) && proxy.rejects(1));
}
