//! Local replies of the router.

use std::rc::Rc;

use crate::model::cause::LocalCause;
use crate::model::exchange::Phase;
use crate::model::keys::ExchangeKey;
use crate::model::parts::RouterReply;
use crate::model::world::event::Feed;
use crate::model::world::state::World;
use crate::proxy::stream::info::flag;

impl World {
    pub(super) fn reply_directly(&mut self, key: ExchangeKey, status: u16, body: &str) {
        let details = self.texts.direct.clone();
        let reply = RouterReply {
            status,
            body: body.as_bytes(),
            overloaded: false,
        };
        self.send_local_reply(key, &reply, 0, details);
    }

    /// Sends a response without a body in the name of the service.
    pub(super) fn reply_from_service(&mut self, key: ExchangeKey, status: u16) {
        let details = self.texts.via_upstream.clone();
        let reply = RouterReply {
            status,
            body: b"",
            overloaded: false,
        };
        self.send_local_reply(key, &reply, 0, details);
    }

    pub(super) fn reply_locally(&mut self, key: ExchangeKey, cause: LocalCause) {
        let Some(exchange) = self.exchanges.get(key) else {
            return;
        };
        let status = cause.status(exchange.complete_at.is_some());
        let (flags, details) = self.texts.flags_and_details(cause);
        if cause == LocalCause::Refused
            && let Some(info) = self.host.info_mut(exchange.stream)
        {
            info.transport_failure = Some(self.texts.refused_transport.clone());
        }
        let body = cause.body(exchange.attempts > 1);
        let reply = RouterReply {
            status,
            body: body.as_bytes(),
            overloaded: cause == LocalCause::Overflow,
        };
        self.send_local_reply(key, &reply, flags, details);
    }

    /// Replies to a request that the codec does not write.
    pub(super) fn reply_unwritable(&mut self, key: ExchangeKey) {
        let exchange = self.exchanges.get(key);
        let Some(why) = exchange.and_then(|exchange| exchange.unwritable.clone()) else {
            return;
        };
        let reply = RouterReply {
            status: 503,
            body: &why.message,
            overloaded: false,
        };
        self.send_local_reply(key, &reply, flag::DOWNSTREAM_PROTOCOL_ERROR, why.details());
    }

    fn send_local_reply(
        &mut self,
        key: ExchangeKey,
        reply: &RouterReply<'_>,
        flags: u64,
        details: Rc<str>,
    ) {
        let Some(exchange) = self.set_response_info(key, reply.status, flags, details) else {
            return;
        };
        exchange.phase = Phase::Done;
        exchange.deadlines.drop_router();
        let (headers, body) = reply.parts(exchange.claims_grpc, exchange.head);
        let stream = exchange.stream;
        if let Some(part) = body {
            let exchange = key;
            self.feeds.push_back(Feed {
                exchange,
                part,
                upwards: false,
            });
        }
        self.host.response(stream, headers);
    }
}
