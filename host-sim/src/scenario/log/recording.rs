//! A log as the recording that a world replays.

use super::entry::Entry;
use super::reading::{Log, LogError, Requests};
use super::survey::{Clusters, Survey};
use crate::headers::HeaderMap;
use crate::model::recorded::{Fate, RecordedRequest, Recording};
use crate::sim::clock::Time;

/// The requests of a log that are replayed.
pub struct LogRecording {
    requests: Requests,
    origin_ns: u64,
    clusters: Clusters,
}

impl LogRecording {
    /// Reads a log that `survey` has read before.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn new(log: &Log, survey: &Survey) -> Result<LogRecording, LogError> {
        Ok(LogRecording {
            requests: log.requests(survey.lines)?,
            origin_ns: survey.origin_ns,
            clusters: survey.clusters.clone(),
        })
    }
}

impl Recording for LogRecording {
    fn next_request(&mut self) -> Option<RecordedRequest> {
        for (entry, meaning) in self.requests.by_ref() {
            let cluster = self.clusters.index(&entry.cluster);
            if let (Some(fate), Some(cluster)) = (meaning.fate(&entry), cluster) {
                let at = Time::from_ns(entry.start_ns.saturating_sub(self.origin_ns));
                return Some(request(&entry, at, cluster, fate));
            }
        }
        None
    }
}

fn request(entry: &Entry, at: Time, cluster: usize, fate: Fate) -> RecordedRequest {
    let grpc = entry.grpc_status.is_some();
    let pairs = [
        (":authority", entry.authority.as_str()),
        (":path", &entry.path),
        (":method", &entry.method),
        (":scheme", "http"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", &entry.request_id),
    ];
    let of_grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    let of_grpc = of_grpc.into_iter().filter(|_| grpc);
    let headers: HeaderMap = pairs.into_iter().chain(of_grpc).collect();
    RecordedRequest {
        at,
        headers,
        cluster,
        grpc,
        head: entry.method == "HEAD",
        fate,
    }
}
