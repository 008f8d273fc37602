//! Stores good responses, and answers with them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::event::Counter;
use crate::exchange::{Request, Response};
use crate::fallback::{FallbackResponse, Occasion, Skip};
use crate::headers::Headers;
use crate::http_value::is_grpc;
use crate::outcome::classify;
use crate::policy::{Outcome, StaleConfig};
use crate::shared::records::Records;
use crate::stale::{CacheScope, NotStored, Purpose, Terms};
use crate::time::{Instant, Span};

use super::needs::StaleNeeds;
use super::policy_state::PolicyState;
use super::ticket::{Storing, Ticket};
use super::workspace::Workspace;

/// How often an unchanged response is stored again within its `max_age`. More often would write
/// without need. Less often would shorten the time in which it can be used.
const RENEWALS: u64 = 16;

/// Longest time until an unchanged response is stored again: not every change shows in a
/// validator.
const RENEWAL_MAX: Span = Span::from_secs(30);

impl PolicyState {
    /// Looks at the headers of a good response, `complete` if they are all of it. If the
    /// response may be stored, [`Ticket::is_keeping`] says that its body is wanted. `unix_secs`
    /// is the time since 1970.
    pub(super) fn keep<R: Records>(
        &self,
        ws: &mut Workspace<R>,
        ticket: &mut Ticket,
        headers: &Headers,
        complete: bool,
        (unix_secs, now): (u64, Instant),
    ) {
        let (Some(stale), Some(handle)) = (&mut ws.stale, ticket.stale.handle()) else {
            return;
        };
        let ages = self.policy.stale().map(|entry| entry.max_age);
        let terms = Terms {
            vouched: self.policy.stale().any(|entry| entry.shared),
            unix_secs,
            lifetime: ages.clone().max().unwrap_or_default(),
            renewal: ages
                .min()
                .unwrap_or_default()
                .scale(1, RENEWALS)
                .min(RENEWAL_MAX),
            now,
        };
        if headers.first(":status") == Some(b"304") {
            let stored = stale.refresh(&mut ws.records, handle, headers, terms, &mut ws.buffer);
            ws.count_stored(self.index, stored);
        } else {
            match stale.begin(&mut ws.records, handle, headers, terms) {
                Ok(true) => ticket.stale = Storing::Recording(handle),
                Ok(false) => {}
                Err(not_stored) => ws.count_stored(self.index, Err(not_stored)),
            }
            if complete {
                ws.put(ticket, now);
            }
        }
        ws.count_dropped();
    }
}

impl<R: Records> Workspace<R> {
    /// Notes what a request has to do with stored responses. Its key is in `self.key`; `needs`
    /// says what its policy does with them, and `ignored` which query parameters it ignores.
    ///
    /// A request that changes a resource does so whatever its own policy is, or that policy's
    /// mode: the responses may be stored under another policy. A request that neither stores nor
    /// gets a response costs as little as possible.
    #[inline(never)]
    pub(super) fn ask_stale(
        &mut self,
        ticket: &mut Ticket,
        needs: Option<StaleNeeds>,
        ignored: &[Box<str>],
        request: &impl Request,
        now: Instant,
    ) {
        let Some(stale) = &mut self.stale else {
            return;
        };
        if ticket.timing.grpc {
            return;
        }
        let outline = stale.outline(request, ignored);
        let Some(purpose) = outline.purpose() else {
            return;
        };
        if purpose == Purpose::Change {
            let uri = outline.uri(request.cluster(), self.hash_seed);
            ticket.stale = Storing::Change(uri);
            ticket.watches.response = true;
            return;
        }
        let Some(StaleNeeds {
            policy,
            gives_later,
        }) = needs
        else {
            return;
        };
        let scope = CacheScope {
            policy,
            key: &self.key,
        };
        if !stale.set_request(request, &outline, scope) {
            return;
        }
        let stores = purpose == Purpose::Get && stale.may_be_due(now);
        if !(stores || gives_later) {
            return;
        }
        // Like a HEAD, it may get a response only.
        let purpose = if stores { purpose } else { Purpose::Head };
        let handle = stale.insert(ticket.policy, purpose, request.copy_headers(), now);
        if let Some(handle) = handle {
            ticket.stale = Storing::CacheRequest(handle, purpose);
            ticket.watches.response |= stores;
        }
        self.count_dropped();
    }

    /// The URI that a request without a policy changes, if it changes one.
    #[cold]
    pub(super) fn changed_uri(&self, request: &impl Request) -> Option<u64> {
        let outline = self.stale.as_ref()?.outline(request, &[]);
        let changes = outline.purpose() == Some(Purpose::Change);
        if !changes || is_grpc(request.header("content-type")) {
            return None;
        }
        Some(outline.uri(request.cluster(), self.hash_seed))
    }

    /// The stored response that an entry may give for a request.
    pub(super) fn stored_response(
        &mut self,
        ticket: &Ticket,
        config: &StaleConfig,
        occasion: &Occasion<'_>,
        now: Instant,
    ) -> Result<FallbackResponse, Skip> {
        let handle = ticket.stale.handle().filter(|_| ticket.is_bodiless());
        let (handle, stale) = handle.zip(self.stale.as_ref()).ok_or(Skip::NotKept)?;
        stale
            .lookup(&mut self.records, handle, now, &mut self.buffer)
            .filter(|(stored, _)| stored.is_usable(config, now))
            .map(|(stored, request)| stored.into_response(request, occasion, now))
            .ok_or(Skip::NotKept)
    }

    /// Forgets what is stored of a resource that a request has changed (RFC 9111, 4.4). A
    /// response that the policy counts as a failure, or ignores, confirms the change all the
    /// same.
    pub(super) fn forget(&mut self, ticket: &Ticket, response: &impl Response) {
        if let (Storing::Change(uri), Some(stale)) = (ticket.stale, &mut self.stale)
            && response.status().is_some_and(|status| status < 400)
            && classify::is_answered(response)
        {
            stale.invalidate(&mut self.records, uri, &mut self.buffer);
        }
    }

    /// Whether the headers of a response may make it one to store, unless the same was stored
    /// just now.
    pub(super) fn wants_headers(&self, ticket: &Ticket, now: Instant) -> bool {
        let (Storing::CacheRequest(handle, Purpose::Get), Some(stale)) =
            (ticket.stale, &self.stale)
        else {
            return false;
        };
        let seen = ticket.judged.seen.map(|seen| seen.outcome);
        seen == Some(Outcome::Success)
            && ticket.fallback.progress.is_none()
            && ticket.is_bodiless()
            && stale.is_due(handle, now)
    }

    /// Records `len` more bytes of a response's body if they are wanted, the last ones if the
    /// body `ends` there. Only then are they read.
    pub(super) fn response_body(
        &mut self,
        ticket: &mut Ticket,
        (len, ends): (usize, bool),
        read: impl FnOnce() -> Option<Vec<u8>>,
        now: Instant,
    ) {
        if !self.expects(ticket, len, now) {
            return;
        }
        let chunk = if len == 0 { Some(Vec::new()) } else { read() };
        match chunk.filter(|chunk| chunk.len() == len) {
            Some(chunk) => self.collect(ticket, &chunk, ends, now),
            None => self.drop_recording(ticket),
        }
    }

    /// Whether the next `len` bytes of a response are wanted. A response without room is
    /// dropped before its bytes are read.
    pub(super) fn expects(&mut self, ticket: &mut Ticket, len: usize, now: Instant) -> bool {
        let (Storing::Recording(handle), Some(stale)) = (ticket.stale, &mut self.stale) else {
            return false;
        };
        match stale.fits(handle, len) {
            Some(true) => return true,
            Some(false) => {
                stale.discard_too_large(handle, now);
                self.count_stored(ticket.policy, Err(NotStored::TooLarge));
            }
            None => {}
        }
        self.drop_recording(ticket);
        false
    }

    /// Records a chunk of a response's body, the last one if the body `ends` there.
    pub(super) fn collect(&mut self, ticket: &mut Ticket, chunk: &[u8], ends: bool, now: Instant) {
        let (Storing::Recording(handle), Some(stale)) = (ticket.stale, &mut self.stale) else {
            return;
        };
        match stale.push(handle, chunk) {
            Ok(()) if ends => self.put(ticket, now),
            Ok(()) => {}
            Err(not_stored) => {
                self.drop_recording(ticket);
                self.count_stored(ticket.policy, Err(not_stored));
            }
        }
        self.count_dropped();
    }

    /// Stores a response that is complete.
    fn put(&mut self, ticket: &mut Ticket, now: Instant) {
        if let (Storing::Recording(handle), Some(stale)) = (ticket.stale, &mut self.stale) {
            let stored = stale.finish(&mut self.records, handle, now, &mut self.buffer);
            self.count_stored(ticket.policy, stored);
        }
        self.drop_recording(ticket);
    }

    /// Stops recording a response.
    pub(super) fn drop_recording(&mut self, ticket: &mut Ticket) {
        if let (Storing::Recording(handle), Some(stale)) = (ticket.stale, &mut self.stale) {
            stale.discard(handle);
            ticket.stale = Storing::CacheRequest(handle, Purpose::Get);
        }
    }

    /// Forgets a request that has ended.
    pub(super) fn forget_request(&mut self, ticket: &mut Ticket) {
        if let (Some(handle), Some(stale)) = (ticket.stale.handle(), &mut self.stale) {
            stale.remove(handle);
            ticket.stale = Storing::None;
        }
    }

    /// Counts the result of storing a response.
    fn count_stored(&mut self, policy: usize, stored: Result<Option<u32>, NotStored>) {
        match stored {
            Ok(Some(evicted)) => {
                self.count(policy, Counter::StaleStored);
                self.count_many(policy, Counter::StaleEvicted, evicted);
            }
            Err(NotStored::TooLarge) => self.count(policy, Counter::StaleTooLarge),
            Err(NotStored::Full) => self.count(policy, Counter::StaleOverflowed),
            // Other writers have stored theirs.
            Ok(None) | Err(NotStored::GivenUp) => {}
        }
    }

    fn count_dropped(&mut self) {
        while let Some(policy) = self.stale.as_mut().and_then(|it| it.next_dropped()) {
            self.count(policy, Counter::StaleOverflowed);
        }
    }
}
