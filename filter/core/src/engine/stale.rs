//! How an engine stores good responses, and gives them.

use alloc::boxed::Box;

use crate::event::Counter;
use crate::fallback::{Answer, Occasion, Skip};
use crate::headers::Headers;
use crate::outcome::classify::{self, Outcome, Response};
use crate::policy::StaleConfig;
use crate::select::Request;
use crate::shared::records::Records;
use crate::stale::{CacheScope, NotStored, Outline, Purpose, Terms};
use crate::time::Instant;

use super::Engine;
use super::needs::Stores;
use super::ticket::{Admission, Storing, Ticket};

impl<R: Records> Engine<R> {
    /// Notes what a request has to do with stored responses. Its key stands in `self.key`;
    /// `storing` says what its policy does with them, if anything.
    ///
    /// A request that changes something does so whatever its own policy is, or what mode that
    /// has: the responses may be stored under another. Of all others as little as possible is
    /// done on the way of a request that neither stores nor gets anything.
    #[inline(never)]
    pub(super) fn ask(
        &mut self,
        ticket: &mut Ticket,
        storing: Option<Stores>,
        request: &impl Request,
        now: Instant,
    ) {
        let Some(shelf) = &mut self.shelf else {
            return;
        };
        if ticket.course.grpc {
            return;
        }
        let outline = Outline::of(request);
        let Some(purpose) = outline.purpose() else {
            return;
        };
        if purpose == Purpose::Change {
            let uri = outline.uri(request.cluster(), self.hash_seed);
            ticket.storing = Storing::Change(uri);
            ticket.watches_response = true;
            return;
        }
        let Some(Stores {
            policy,
            gives_later,
        }) = storing
        else {
            return;
        };
        let under = CacheScope {
            policy,
            key: &self.key,
        };
        if !shelf.ask(request, &outline, under) {
            return;
        }
        let stores = purpose == Purpose::Get && shelf.may_be_due(request, now);
        if !(stores || gives_later) {
            return;
        }
        let handle = shelf.enter(ticket.policy, purpose, request.copy_headers(), now);
        if let Some(handle) = handle {
            ticket.storing = Storing::CacheRequest(handle, purpose);
            ticket.watches_response |= stores;
        }
        self.count_dropped();
    }

    /// The stored response for a request that an entry may give.
    pub(super) fn kept(
        &mut self,
        ticket: &Ticket,
        config: &StaleConfig,
        occasion: &Occasion<'_>,
        now: Instant,
    ) -> Result<Answer, Skip> {
        let handle = ticket.storing.handle().filter(|_| ticket.is_bodiless());
        let (handle, shelf) = handle.zip(self.shelf.as_ref()).ok_or(Skip::NotKept)?;
        shelf
            .find(&mut self.records, handle, now, &mut self.buffer)
            .filter(|(kept, _)| kept.may_be_given(config, now))
            .map(|(kept, asked)| kept.answer(asked, occasion, now))
            .ok_or(Skip::NotKept)
    }

    /// A request that no policy is for. It may still change what is stored.
    #[cold]
    pub(super) fn unmatched(
        &self,
        request: &impl Request,
        complete: bool,
        now: Instant,
    ) -> Admission {
        let change = |outline: &Outline<'_>| outline.purpose() == Some(Purpose::Change);
        let grpc = || classify::is_grpc(request.header("content-type"));
        let outline = self.shelf.as_ref().map(|_| Outline::of(request));
        let Some(outline) = outline.filter(change).filter(|_| !grpc()) else {
            return Admission::Unmatched;
        };
        let uri = outline.uri(request.cluster(), self.hash_seed);
        Admission::Pass(Box::new(Ticket::of_change(uri, complete, now)))
    }

    /// Forgets what is stored of something that a request has changed (RFC 9111, 4.4). What
    /// the policy counts as a failure, or does not count, is a change all the same.
    pub(super) fn forget(&mut self, ticket: &Ticket, response: &impl Response) {
        if let (Storing::Change(uri), Some(shelf)) = (ticket.storing, &mut self.shelf)
            && response.status().is_some_and(|status| status < 400)
            && classify::is_answered(response)
        {
            shelf.forget(&mut self.records, uri, &mut self.buffer);
        }
    }

    /// Whether [`Engine::keep`] wants the headers of a response that is handed on: not where
    /// the same was stored just now.
    pub fn wants_headers(&self, ticket: &Ticket, now: Instant) -> bool {
        let (Storing::CacheRequest(handle, Purpose::Get), Some(shelf)) =
            (ticket.storing, &self.shelf)
        else {
            return false;
        };
        let seen = ticket.seen.map(|seen| seen.outcome);
        seen == Some(Outcome::Success)
            && ticket.trouble.is_none()
            && ticket.is_bodiless()
            && shelf.is_due(handle, now)
    }

    /// Looks at the headers of a good response, `complete` if they are all of it: if it may be
    /// stored, [`Ticket::is_keeping`] says that its body is wanted. `unix_secs` is the time
    /// since 1970.
    pub fn keep(
        &mut self,
        ticket: &mut Ticket,
        headers: &Headers,
        complete: bool,
        unix_secs: u64,
        now: Instant,
    ) {
        let (Some(policy), Some(handle)) =
            (self.policies.get(ticket.policy), ticket.storing.handle())
        else {
            return;
        };
        let Some(shelf) = &mut self.shelf else {
            return;
        };
        let terms = Terms {
            vouched: policy.stale().any(|entry| entry.shared),
            unix_secs,
            now,
        };
        if headers.first(":status") == Some(b"304") {
            let (records, buffer) = (&mut self.records, &mut self.buffer);
            let stored = shelf.refresh(records, handle, headers, terms, buffer);
            self.stored(ticket.policy, stored);
        } else {
            match shelf.begin(handle, headers, terms) {
                Ok(true) => ticket.storing = Storing::Recording(handle),
                Ok(false) => {}
                Err(unkept) => self.stored(ticket.policy, Err(unkept)),
            }
            if complete {
                self.put(ticket, now);
            }
        }
        self.count_dropped();
    }

    /// Whether the next `len` bytes of a response are wanted. One that has no room is dropped
    /// before they are looked at.
    pub fn expects(&mut self, ticket: &mut Ticket, len: usize, now: Instant) -> bool {
        let (Storing::Recording(handle), Some(shelf)) = (ticket.storing, &mut self.shelf) else {
            return false;
        };
        match shelf.fits(handle, len) {
            Some(true) => return true,
            Some(false) => {
                shelf.outgrown(handle, now);
                self.stored(ticket.policy, Err(NotStored::TooLarge));
            }
            None => {}
        }
        self.drop_collection(ticket);
        false
    }

    /// Takes a chunk of a response's body, the last one if it `ends` there.
    pub fn collect(&mut self, ticket: &mut Ticket, chunk: &[u8], ends: bool, now: Instant) {
        let (Storing::Recording(handle), Some(shelf)) = (ticket.storing, &mut self.shelf) else {
            return;
        };
        match shelf.push(handle, chunk) {
            Ok(()) if ends => self.put(ticket, now),
            Ok(()) => {}
            Err(unkept) => {
                self.drop_collection(ticket);
                self.stored(ticket.policy, Err(unkept));
            }
        }
        self.count_dropped();
    }

    /// Stores a response that is complete.
    fn put(&mut self, ticket: &mut Ticket, now: Instant) {
        if let (Storing::Recording(handle), Some(shelf)) = (ticket.storing, &mut self.shelf) {
            let stored = shelf.put(&mut self.records, handle, now, &mut self.buffer);
            self.stored(ticket.policy, stored);
        }
        self.drop_collection(ticket);
    }

    /// Drops what is recorded of a response: some of it cannot be read.
    pub fn drop_collection(&mut self, ticket: &mut Ticket) {
        if let (Storing::Recording(handle), Some(shelf)) = (ticket.storing, &mut self.shelf) {
            shelf.stop(handle);
            ticket.storing = Storing::CacheRequest(handle, Purpose::Get);
        }
    }

    /// A request is over.
    pub(super) fn forget_request(&mut self, ticket: &mut Ticket) {
        if let (Some(handle), Some(shelf)) = (ticket.storing.handle(), &mut self.shelf) {
            shelf.leave(handle);
            ticket.storing = Storing::None;
        }
    }

    /// Counts what came of storing a response.
    fn stored(&mut self, policy: usize, stored: Result<Option<u32>, NotStored>) {
        match stored {
            Ok(Some(evicted)) => {
                self.count(policy, Counter::StaleKept);
                self.count_many(policy, Counter::StaleEvicted, evicted);
            }
            Err(NotStored::TooLarge) => self.count(policy, Counter::StaleTooLarge),
            Err(NotStored::Full) => self.count(policy, Counter::StaleOverflowed),
            // The first writers have stored others.
            Ok(None) | Err(NotStored::GivenUp) => {}
        }
    }

    fn count_dropped(&mut self) {
        while let Some(policy) = self.shelf.as_mut().and_then(|it| it.next_dropped()) {
            self.count(policy, Counter::StaleOverflowed);
        }
    }
}
