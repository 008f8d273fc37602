//! Calls that plugins make to clusters.

use std::time::Duration;

use bytes::Bytes;

use crate::grpc::{UNAVAILABLE, failure, status_of_plain};
use crate::headers::HeaderMap;
use crate::model::cause::LocalCause;
use crate::model::keys::CalloutKey;
use crate::model::outgoing::Unwritable;
use crate::model::response::{Response, UpstreamEvent};
use crate::model::upstream::{Attempt, Refusal};
use crate::model::world::call::Callout;
use crate::model::world::event::{Event, Owner};
use crate::model::world::state::World;
use crate::proxy::{self, CallId, CallKind, CallOutcome, Part};
use crate::record::What;

impl World {
    pub(super) fn begin_callout(&mut self, call: proxy::Call) {
        let proxy::Call {
            call: id,
            kind,
            cluster,
            headers,
            timeout,
            ..
        } = call;
        let Some(place) = self.names.iter().position(|name| **name == *cluster) else {
            // Unreachable: the host knows the same clusters.
            let failed = self.failed(kind, LocalCause::Refused);
            self.host.answer_call(id, failed);
            return;
        };
        self.record.note(
            self.now,
            What::Callout {
                cluster: place as u16,
            },
        );
        self.record.count(self.now, |tally| {
            tally.clusters[place].attempts += 1;
            tally.clusters[place].callouts += 1;
        });
        let (cluster, job, begun) = (place, None, None);
        let is_head = headers.text(":method") == Some("HEAD");
        let unwritable = Unwritable::find(&headers);
        let writable = unwritable.is_none();
        let key = self.callouts.insert(Callout {
            call: id,
            kind,
            cluster,
            job,
            is_head,
            unwritable,
            begun,
        });
        self.by_call.insert(id, key);
        let attempt = Attempt {
            owner: Owner::Callout(key),
            grpc: kind != CallKind::Http,
            whole: true,
            writable,
            headers: Some(headers),
            ending: None,
        };
        let upstream = &mut self.clusters[place].upstream;
        let job = upstream.begin(attempt, self.now, &mut self.wakes);
        self.flush_wakes(place);
        match job {
            Ok(job) => {
                if let Some(callout) = self.callouts.get_mut(key) {
                    callout.job = Some(job);
                }
                if let Some(timeout) = timeout.filter(|timeout| *timeout > Duration::ZERO) {
                    self.queue
                        .push(self.now + timeout, Event::CalloutDeadline(key));
                }
            }
            Err(refusal) => {
                let cause = match refusal {
                    Refusal::NoHealthyHost => LocalCause::NoHealthyHost,
                    Refusal::Overflow | Refusal::PendingOverflow => LocalCause::Overflow,
                };
                self.close_callout(key, 503, self.failed(kind, cause));
            }
        }
    }

    pub(super) fn cancel_callout(&mut self, call: CallId) {
        if let Some(key) = self.by_call.remove(&call)
            && let Some(callout) = self.callouts.remove(key)
        {
            self.cancel_job(&callout);
        }
    }

    pub(super) fn time_out_callout(&mut self, key: CalloutKey) {
        let Some(callout) = self.callouts.get(key) else {
            return;
        };
        let outcome = match callout.kind {
            CallKind::Http => CallOutcome::timed_out(),
            CallKind::Grpc | CallKind::GrpcStream => self.local(LocalCause::RouteTimeout),
        };
        self.close_callout(key, 504, outcome);
    }

    /// Handles what comes back from the upstream.
    pub(super) fn handle_callout_event(&mut self, key: CalloutKey, event: UpstreamEvent) {
        let Some(callout) = self.callouts.get_mut(key) else {
            return;
        };
        let kind = callout.kind;
        if let UpstreamEvent::Chunk(_) = event {
            return;
        }
        let response = match (event, callout.begun) {
            (UpstreamEvent::Response(response), _) if !response.complete => {
                callout.begun = Some(response);
                return;
            }
            (UpstreamEvent::Response(response), _) | (UpstreamEvent::Rest, Some(response)) => {
                Some(response)
            }
            _ => None,
        };
        callout.job = None;
        match (response, event) {
            (Some(response), _) => self.answer_callout(key, response),
            (None, UpstreamEvent::Unwritable) => {
                let outcome = callout.unwritable.take().map(|why| why.outcome(kind));
                let refused = || self.failed(kind, LocalCause::Refused);
                let outcome = outcome.unwrap_or_else(refused);
                self.close_callout(key, 503, outcome);
            }
            (None, UpstreamEvent::Break) if kind == CallKind::Http => {
                self.close_callout(key, 0, CallOutcome::Reset);
            }
            (None, UpstreamEvent::Reset | UpstreamEvent::Break) => {
                self.close_callout(key, 503, self.failed(kind, LocalCause::Reset));
            }
            (None, _) => self.close_callout(key, 503, self.failed(kind, LocalCause::Refused)),
        }
    }

    fn answer_callout(&mut self, key: CalloutKey, response: Response) {
        let Some(callout) = self.callouts.get(key) else {
            return;
        };
        let (kind, cluster, id) = (callout.kind, callout.cluster, callout.call);
        let is_head = callout.is_head;
        let parts = &mut self.clusters[cluster].parts;
        let body = match is_head {
            true => Bytes::new(),
            false => parts.body().clone(),
        };
        let Part::Headers { map, .. } = parts.headers(&response, Some(0), false) else {
            return;
        };
        if kind == CallKind::Http {
            let (headers, trailers) = (map, HeaderMap::default());
            let outcome = CallOutcome::Response {
                headers,
                body,
                trailers,
            };
            return self.close_callout(key, response.status, outcome);
        }
        let status = match response.grpc {
            Some((status, _)) => status,
            None => status_of_plain(response.status, &body),
        };
        if status == 0 {
            let stream = kind == CallKind::GrpcStream;
            if stream {
                self.host.answer_call(id, CallOutcome::InitialMetadata(map));
            }
            self.host.answer_call(id, CallOutcome::Message(body));
            if !stream {
                return self.forget_callout(key, response.status);
            }
            let trailers = HeaderMap::from([("grpc-status", "0")]);
            self.host
                .answer_call(id, CallOutcome::TrailingMetadata(trailers));
        }
        let message = self.texts.via_upstream.clone();
        self.close_callout(
            key,
            response.status,
            CallOutcome::Closed { status, message },
        );
    }

    /// Returns what a call gets that ends before an answer.
    fn failed(&self, kind: CallKind, cause: LocalCause) -> CallOutcome {
        match (kind, cause) {
            (CallKind::Http, LocalCause::Reset) => CallOutcome::terminated(),
            (CallKind::Http, _) => CallOutcome::refused(),
            (CallKind::Grpc | CallKind::GrpcStream, cause) => self.local(cause),
        }
    }

    /// Returns the local reply to a gRPC call.
    fn local(&self, cause: LocalCause) -> CallOutcome {
        let (_, details) = self.texts.flags_and_details(cause);
        let message = failure(&cause.body(false), &details).into();
        let status = UNAVAILABLE;
        CallOutcome::Closed { status, message }
    }

    fn close_callout(&mut self, key: CalloutKey, status: u16, outcome: CallOutcome) {
        if let Some(id) = self.callouts.get(key).map(|callout| callout.call) {
            self.forget_callout(key, status);
            self.host.answer_call(id, outcome);
        }
    }

    fn forget_callout(&mut self, key: CalloutKey, status: u16) {
        let Some(callout) = self.callouts.remove(key) else {
            return;
        };
        self.by_call.remove(&callout.call);
        self.cancel_job(&callout);
        let cluster = callout.cluster as u16;
        self.record
            .note(self.now, What::CalloutEnded { cluster, status });
        if status == 0 || status >= 500 {
            let place = callout.cluster;
            self.record
                .count(self.now, |tally| tally.clusters[place].failures += 1);
        }
    }

    fn cancel_job(&mut self, callout: &Callout) {
        if let Some(job) = callout.job {
            let upstream = &mut self.clusters[callout.cluster].upstream;
            upstream.cancel(job, self.now, &mut self.wakes);
            self.flush_wakes(callout.cluster);
            self.cancel_service_call(callout.cluster, job);
        }
    }
}
