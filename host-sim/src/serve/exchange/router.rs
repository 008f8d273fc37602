//! The router: it picks a route, sends attempts, and retries them.

use std::rc::Rc;

use http::HeaderValue;
use hyper::body::Body;

use super::Exchange;
use super::state::{Attempt, Phase};
use crate::grpc;
use crate::headers::HeaderMap;
use crate::model::cause::LocalCause;
use crate::model::exchange::NEVER;
use crate::model::outgoing::Unwritable;
use crate::model::parts::RouterReply;
use crate::model::retry::{HEADERS, Reset};
use crate::model::timeouts::StreamLimits;
use crate::proxy::Part;
use crate::proxy::stream::info::flag;
use crate::serve::messages;
use crate::serve::upstream::{Failed, Upstream};
use crate::sim::span::Span;

impl Exchange {
    fn upstream(&self) -> Option<Rc<Upstream>> {
        let picked = self.router.picked.as_ref()?;
        picked.cluster.and(self.site.upstream.clone())
    }

    /// Picks the route of a request with these headers.
    pub(super) fn pick_route(&mut self, headers: &HeaderMap) {
        let picked = self.site.routes.pick(headers, &self.site.names);
        let info = picked.as_ref().map(|picked| picked.info.clone());
        self.inform(|stream| stream.route = info);
        let route = picked.as_ref().map(|picked| picked.route);
        let route = route.and_then(|route| self.site.routes.at(route));
        if let Some(route) = route {
            let limits = StreamLimits::new(route.spec(), headers);
            self.limit_stream(limits);
        }
        self.router.picked = picked;
    }

    /// Receives a part of the request from the filter.
    pub(super) fn forward(&mut self, part: Part, rerouted: bool) {
        let end = part.is_end();
        match (self.router.phase, part) {
            (Phase::Filter, Part::Headers { map, .. }) => {
                if rerouted {
                    self.pick_route(&map);
                }
                self.begin_request(map, end);
            }
            (Phase::Trying | Phase::BackingOff | Phase::Streaming, part) => {
                self.upload(part);
            }
            _ => {}
        }
    }

    fn begin_request(&mut self, mut map: HeaderMap, end: bool) {
        self.router.phase = Phase::Trying;
        self.router.is_grpc = grpc::is_request(&map);
        let route = self.router.picked.as_ref().map(|picked| picked.route);
        let Some(route) = route.and_then(|route| self.site.routes.at(route)) else {
            return self.reply_locally(LocalCause::NoRoute);
        };
        let plan = route.plan(&map);
        if plan.had_headers {
            let stream = self.stream;
            self.engine
                .enter(|host| host.remove_request_headers(stream, &HEADERS));
            for name in HEADERS {
                map.remove(name.as_bytes());
            }
        }
        if !plan.retries_any() {
            self.router.kept.forget();
        }
        self.router.plan = Some(plan);
        self.router.kept.add(&Part::Headers {
            map: HeaderMap::default(),
            end,
        });
        self.router.headers = map;
        if end {
            self.complete_request();
        }
        self.attempt();
    }

    /// Passes a part of the body on, and keeps it for a retry.
    fn upload(&mut self, part: Part) {
        let end = part.is_end();
        // Between two attempts the next one needs the parts. The client waits, see `is_full`.
        if !self.router.kept.add(&part)
            && !self.router.kept.waits
            && let Some(plan) = &mut self.router.plan
        {
            plan.abandon();
            self.router.kept.forget();
        }
        if let Some(upload) = &self.router.upload {
            match part {
                Part::Headers { .. } => {}
                Part::Body { data, .. } => upload.push(data),
                Part::Trailers { map } if self.router.http2_request => {
                    upload.trailers(messages::to_trailers(&map));
                }
                Part::Trailers { .. } => {}
            }
            if end {
                upload.end();
            }
        }
        if end {
            self.complete_request();
        }
    }

    /// The router has the whole request: the route's timeout begins.
    fn complete_request(&mut self) {
        let now = self.engine.now();
        self.router.complete_at = Some(now);
        let Some(plan) = &self.router.plan else {
            return;
        };
        if plan.timeout > Span::ZERO {
            self.deadlines.route = now + plan.timeout;
        }
        if self.router.phase == Phase::Trying && plan.per_try > Span::ZERO {
            self.deadlines.per_try = now + plan.per_try;
        }
    }

    /// Begins an attempt: the first one, or a retry after its backoff.
    pub(super) fn attempt(&mut self) {
        self.router.phase = Phase::Trying;
        self.deadlines.backoff = NEVER;
        let Some(upstream) = self.upstream() else {
            return self.reply_locally(LocalCause::NoCluster);
        };
        self.router.attempts += 1;
        let (attempts, address) = (self.router.attempts.into(), upstream.authority().into());
        self.inform(|info| {
            info.attempts = Some(attempts);
            info.upstream_address = Some(address);
        });
        let Some(permit) = upstream.permit() else {
            return self.fail_attempt(Reset::Overflow);
        };
        if let Some(why) = Unwritable::find(&self.router.headers) {
            return self.refuse_request(&why);
        }
        let http2 = upstream.speaks_http2(self.router.is_grpc);
        let (upload, body) = self.router.kept.body(http2);
        self.router.kept.waits = false;
        let mut request =
            messages::to_upstream(&self.router.headers, upstream.authority(), http2, body);
        let has_length = request.headers().contains_key("content-length");
        if !http2 && !has_length && !request.body().is_end_stream() {
            // Otherwise hyper sends no body with a GET.
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().insert("transfer-encoding", chunked);
        }
        if let Some(ms) = self.expected_ms() {
            let headers = request.headers_mut();
            headers.insert("x-envoy-expected-rq-timeout-ms", HeaderValue::from(ms));
        }
        self.router.http2_request = http2;
        self.router.upload = Some(upload);
        self.router.permit = Some(permit);
        let per_try = self.router.plan.as_ref().map(|plan| plan.per_try);
        if let Some(per_try) = per_try.filter(|per_try| *per_try > Span::ZERO)
            && self.router.complete_at.is_some()
        {
            self.deadlines.per_try = self.engine.now() + per_try;
        }
        let answer = async move { upstream.send(request).await };
        self.router.attempt = Attempt::Waiting(Box::pin(answer));
    }

    /// Returns how long the upstream has for its response, if that is limited.
    fn expected_ms(&self) -> Option<u64> {
        let plan = self.router.plan.as_ref()?;
        let limits = [plan.per_try, plan.timeout];
        let limit = limits.into_iter().find(|limit| *limit > Span::ZERO);
        limit.map(Span::as_ms)
    }

    /// An attempt has ended without a response.
    pub(super) fn fail(&mut self, failed: Failed) {
        match failed {
            Failed::Reset(reset) => self.fail_attempt(reset),
            Failed::Unknown => {
                self.inform(|info| info.upstream_address = None);
                self.reply_locally(LocalCause::NoHealthyHost);
            }
        }
    }

    pub(super) fn fail_attempt(&mut self, reset: Reset) {
        self.drop_attempt();
        let plan = self.router.plan.as_ref();
        let wanted = plan.is_some_and(|plan| plan.retries_reset(reset));
        if !self.schedule_retry(wanted) {
            self.reply_locally(reset.into());
        }
    }

    /// Schedules a retry if one is `wanted` and allowed. Returns whether it did. If a wanted retry
    /// is not allowed, the response flags say why.
    pub(super) fn schedule_retry(&mut self, wanted: bool) -> bool {
        self.router.retry = None;
        let Some(plan) = self.router.plan.as_mut().filter(|_| wanted) else {
            return false;
        };
        let denied = if plan.take() {
            self.router.retry = self.site.upstream.as_ref().and_then(Upstream::retry_permit);
            flag::UPSTREAM_OVERFLOW
        } else {
            flag::RETRY_LIMIT_EXCEEDED
        };
        if self.router.retry.is_none() {
            self.inform(|info| info.flags |= denied);
            return false;
        }
        let wait = plan.backoff(&mut self.site.draws.borrow_mut());
        self.drop_attempt();
        self.router.phase = Phase::BackingOff;
        self.router.kept.waits = true;
        self.deadlines.backoff = self.engine.now() + wait;
        true
    }

    fn drop_attempt(&mut self) {
        self.deadlines.drop_attempt();
        self.router.attempt = Attempt::None;
        self.router.upload = None;
        self.router.permit = None;
    }

    /// Ends the router's work for the request.
    pub(super) fn abandon_request(&mut self) {
        self.router.retry = None;
        self.drop_attempt();
    }

    /// The router has nothing more to do.
    pub(super) fn end_request(&mut self) {
        self.deadlines.drop_router();
        self.router.retry = None;
        self.router.attempt = Attempt::None;
        self.router.permit = None;
    }

    /// The filter has sent a response of its own, or the client is gone.
    pub(super) fn cancel_request(&mut self) {
        self.abandon_request();
        self.router.phase = Phase::Done;
        self.deadlines.drop_router();
    }

    /// Sends a local reply of the router.
    pub(super) fn reply_locally(&mut self, cause: LocalCause) {
        let status = cause.status(self.router.complete_at.is_some());
        let texts = &self.site.texts;
        let (flags, details) = texts.flags_and_details(cause);
        let refused = (cause == LocalCause::Refused).then(|| texts.refused_transport.clone());
        self.inform(|info| info.transport_failure = refused.or(info.transport_failure.take()));
        let body = cause.body(self.router.attempts > 1);
        let reply = RouterReply {
            status,
            body: body.as_bytes(),
            overloaded: cause == LocalCause::Overflow,
        };
        self.reply(&reply, flags, details);
    }

    /// The codec does not write the request. The router does not retry it.
    fn refuse_request(&mut self, why: &Unwritable) {
        let reply = RouterReply {
            status: 503,
            body: &why.message,
            overloaded: false,
        };
        self.reply(&reply, flag::DOWNSTREAM_PROTOCOL_ERROR, why.details());
    }

    fn reply(&mut self, reply: &RouterReply<'_>, flags: u64, details: Rc<str>) {
        self.inform(|info| {
            info.code = Some(reply.status.into());
            info.flags |= flags;
            info.details = details;
        });
        self.router.phase = Phase::Done;
        self.abandon_request();
        self.deadlines.drop_router();
        let (headers, body) = reply.parts(self.router.is_grpc, self.router.is_head);
        self.pass_response(headers);
        if let Some(part) = body {
            self.pass_response(part);
        }
    }
}
