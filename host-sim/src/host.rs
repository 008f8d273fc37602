//! A proxy's worker threads with a plugin in them: events in, effects out.
//!
//! The host has no input or output and no clock of its own. Whoever plays the world
//! moves the time, hands in what clients, the router and called clusters do, and
//! takes the effects out. It knows streams, virtual machines, shared data, queues
//! and metrics; it does not know upstreams, routes or clients.
//!
//! Effects come out in the order in which they happened; they are complete once the
//! method that caused them has returned.

mod counts;
mod effect;
mod log;
mod metrics;
mod setup;
mod shared_data;

use std::collections::VecDeque;

pub use counts::{Callback, Counts, Hostcall};
pub use effect::{Call, CallId, CallKind, CallOutcome, Effect, Part, StreamId};
pub use log::{LogLevel, LogLine};
pub use metrics::{MetricKind, Metrics};
pub use setup::{ClusterState, FailurePolicy, Fault, Plugin, Setup, StartError};
pub use shared_data::SharedData;

use crate::sim::clock::Time;
use crate::stream::info::StreamInfo;
use std::collections::BTreeMap;

/// The host: one proxy process.
pub struct Host {
    now: Time,
    next_stream: u64,
    streams: BTreeMap<StreamId, StreamInfo>,
    effects: VecDeque<Effect>,
    metrics: Metrics,
    shared_data: SharedData,
    counts: Counts,
    log: Vec<LogLine>,
}

impl Host {
    /// Starts the workers at `now`.
    ///
    /// # Errors
    ///
    /// Where Envoy would refuse the plugin, with Envoy's own words.
    pub fn start(setup: Setup, now: Time) -> Result<Host, StartError> {
        let _ = setup;
        Ok(Host {
            now,
            next_stream: 1,
            streams: BTreeMap::new(),
            effects: VecDeque::new(),
            metrics: Metrics::default(),
            shared_data: SharedData::default(),
            counts: Counts::default(),
            log: Vec::new(),
        })
    }

    /// Moves the clock; it never goes back. Timers that are due by then wait for
    /// [`Host::run_timers`].
    pub fn advance_to(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// The time of the next timer.
    pub fn next_timer(&self) -> Option<Time> {
        None
    }

    /// Runs the timers that are due: ticks, and messages for queues.
    pub fn run_timers(&mut self) {}

    /// Tells what the clusters that plugins may call are like; one that was never
    /// told of is unknown.
    pub fn cluster(&mut self, name: &str, state: ClusterState) {
        let _ = (name, state);
    }

    /// A new stream, before its first headers.
    pub fn open(&mut self, info: StreamInfo) -> StreamId {
        let id = StreamId::new(self.next_stream);
        self.next_stream += 1;
        self.streams.insert(id, info);
        id
    }

    /// The client sends `part`.
    pub fn request(&mut self, stream: StreamId, part: Part) {
        if self.streams.contains_key(&stream) {
            let rerouted = false;
            self.effects.push_back(Effect::ToUpstream {
                stream,
                part,
                rerouted,
            });
        }
    }

    /// The router hands `part` towards the client: an upstream's answer, or one of
    /// its own.
    pub fn response(&mut self, stream: StreamId, part: Part) {
        if self.streams.contains_key(&stream) {
            self.effects.push_back(Effect::ToClient { stream, part });
        }
    }

    /// The upstream's answer breaks off after its headers.
    pub fn upstream_reset_after_headers(&mut self, stream: StreamId) {
        if let Some(info) = self.streams.get(&stream) {
            let details = info.details.clone();
            self.effects
                .push_back(Effect::ResetClient { stream, details });
        }
    }

    /// What is known about a stream.
    pub fn info(&self, stream: StreamId) -> Option<&StreamInfo> {
        self.streams.get(&stream)
    }

    /// The same, to be written.
    pub fn info_mut(&mut self, stream: StreamId) -> Option<&mut StreamInfo> {
        self.streams.get_mut(&stream)
    }

    /// The stream is over, however it ended. Gives back what was known about it.
    pub fn close(&mut self, stream: StreamId) -> Option<StreamInfo> {
        self.streams.remove(&stream)
    }

    /// An answer to a call, or its failure.
    pub fn answer_call(&mut self, call: CallId, outcome: CallOutcome) {
        let _ = (call, outcome);
    }

    /// A new configuration of the plugin, as a discovery service would bring it.
    /// Streams that began under the old one end under it.
    ///
    /// # Errors
    ///
    /// Where Envoy would refuse the update; the old configuration goes on then.
    pub fn update(&mut self, configuration: Vec<u8>) -> Result<(), StartError> {
        let _ = configuration;
        Ok(())
    }

    /// Takes the next effect.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The metrics that plugins defined.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The data that workers share.
    pub fn shared_data(&self) -> &SharedData {
        &self.shared_data
    }

    /// What was logged since the last call.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.log)
    }

    /// What the plugin cost.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What the host does not model, once the plugin has asked for it: the run is
    /// worth nothing from there on.
    pub fn fault(&self) -> Option<&Fault> {
        None
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::headers::HeaderMap;

    #[test]
    fn without_a_plugin_everything_passes() {
        let mut host = Host::start(Setup::default(), Time::ZERO).unwrap();
        let stream = host.open(StreamInfo::default());
        let map = HeaderMap::from([(":path", "/")]);
        let headers = Part::Headers { map, end: false };
        let body = Part::Body {
            data: Bytes::from_static(b"x"),
            end: true,
        };
        host.request(stream, headers.clone());
        host.request(stream, body.clone());
        host.response(stream, headers.clone());
        let rerouted = false;
        let expected = [
            Effect::ToUpstream {
                stream,
                part: headers.clone(),
                rerouted,
            },
            Effect::ToUpstream {
                stream,
                part: body,
                rerouted,
            },
            Effect::ToClient {
                stream,
                part: headers,
            },
        ];
        let seen: Vec<_> = std::iter::from_fn(|| host.next_effect()).collect();
        assert_eq!(seen, expected);
    }
}
