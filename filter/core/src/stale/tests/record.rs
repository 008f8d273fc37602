//! Recording, and the record of a stored response.

use super::*;

#[test]
fn a_record_reads_back_as_written_and_damaged_ones_are_rejected() {
    let response = [
        "cache-control: public, stale-if-error=5",
        "vary: a",
        "x-own: 1",
    ];
    let stored = stored_for(&["a: 1"], &response, false).expect("stored");
    let request = cache_request(&["a: 1"]).expect("a GET");
    let recorder = Recorder::new(&request, &headers(&response), facts(false));
    let mut recording = Recording::new(
        recorder.expect("a response to store"),
        Span::from_secs(60),
        4_096,
    );
    recording.push(b"bo");
    recording.push(b"dy");
    let record = recording.end().expect("a complete response");
    assert_eq!(StoredResponse::open(&record, &request), Some(stored));
    for at in 0..record.len() {
        let mut damaged = record.clone();
        damaged[at] ^= 0x40;
        assert_eq!(StoredResponse::open(&damaged, &request), None, "byte {at}");
        assert_eq!(
            StoredResponse::open(&record[..at], &request),
            None,
            "cut at {at}"
        );
    }
    let others = self::cache_request(&["a: 2"]).expect("a GET");
    assert_eq!(StoredResponse::open(&record, &others), None);
}

#[test]
fn a_response_of_another_length_than_declared_is_not_stored() {
    let rows: [(&[&str], bool); 4] = [
        (&["content-length: 4"], true),
        (&["content-length: 5"], false),
        (&["content-length: x"], true),
        (&[], true),
    ];
    for (response, complete) in rows {
        let request = cache_request(&[]).expect("a GET");
        let recorder = Recorder::new(&request, &headers(response), facts(true));
        let mut recording = Recording::new(
            recorder.expect("a response to store"),
            Span::from_secs(60),
            4_096,
        );
        recording.push(&[0; 4]);
        assert_eq!(recording.end().is_some(), complete, "{response:?}");
    }
}
