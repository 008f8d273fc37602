//! How an engine keeps good answers, and gives them.

use alloc::boxed::Box;

use crate::classify::{Outcome, Response, Verdict};
use crate::event::Counter;
use crate::fallback::{Answer, Occasion, Skip};
use crate::headers::Headers;
use crate::policy::StaleConfig;
use crate::records::Records;
use crate::select::Request;
use crate::stale::{Asked, Collection, Purpose, Under, Unkept};
use crate::time::Instant;

use super::Engine;
use super::ticket::Ticket;

impl<R: Records> Engine<R> {
    /// Notes what a request has to do with kept answers; its key stands in `self.key`.
    #[inline(never)]
    pub(super) fn ask(
        &self,
        ticket: &mut Ticket,
        key_make: u64,
        request: &impl Request,
        now: Instant,
    ) {
        let Some(policy) = self.policies.get(ticket.policy) else {
            return;
        };
        if ticket.course.grpc {
            return;
        }
        let under = Under {
            policy: &policy.name,
            key_make,
            key: &self.key,
        };
        let asked = Asked::new(request, under, self.hash_seed, now);
        ticket.watches_response |= asked
            .as_ref()
            .is_some_and(|asked| asked.purpose() != Purpose::Head);
        ticket.asked = asked.map(Box::new);
    }

    /// The kept answer for a request that an entry may give.
    pub(super) fn kept(
        &mut self,
        asked: Option<&Asked>,
        config: &StaleConfig,
        occasion: &Occasion<'_>,
        now: Instant,
    ) -> Result<Answer, Skip> {
        let asked = asked.filter(|asked| asked.may_get()).ok_or(Skip::NotKept)?;
        let shelf = self.shelf.as_ref().ok_or(Skip::NotKept)?;
        shelf
            .find(&mut self.records, asked, now, &mut self.buffer)
            .filter(|kept| kept.may_be_given(config, now))
            .map(|kept| kept.answer(asked, occasion, now))
            .ok_or(Skip::NotKept)
    }

    /// Forgets what is kept of something that a request has changed (RFC 9111, 4.4).
    #[inline(never)]
    pub(super) fn forget(&mut self, ticket: &Ticket, response: &impl Response, verdict: Verdict) {
        let asked = ticket.asked.as_deref();
        let changes = |asked: &&Asked| asked.purpose() == Purpose::Change;
        if let (Some(asked), Some(shelf)) = (asked.filter(changes), &mut self.shelf)
            && verdict.outcome == Outcome::Success
            && response.status().is_some_and(|status| status < 400)
        {
            shelf.forget(&mut self.records, asked, &mut self.buffer);
        }
    }

    /// Looks at the headers of a good answer, `complete` if they are all of it: where it may
    /// be kept, [`Ticket::is_keeping`] says that its body is wanted. `unix_secs` is the time
    /// since 1970.
    pub fn keep(
        &mut self,
        ticket: &mut Ticket,
        headers: &Headers,
        complete: bool,
        unix_secs: u64,
        now: Instant,
    ) {
        let (Some(policy), Some(asked)) = (self.policies.get(ticket.policy), &ticket.asked) else {
            return;
        };
        let vouched = policy.stale().any(|entry| entry.shared);
        let (Some(shelf), Some(mut collection)) = (
            &mut self.shelf,
            Collection::new(asked, headers, vouched, unix_secs, self.hash_seed),
        ) else {
            return;
        };
        match shelf.begin(&mut collection, now) {
            Ok(true) => ticket.keeping = Some(Box::new(collection)),
            Ok(false) => {}
            Err(unkept) => self.unkept(ticket.policy, unkept),
        }
        if complete {
            self.put(ticket, now);
        }
    }

    /// Whether the next `len` bytes of an answer are wanted. One that has no room is let go
    /// before they are looked at.
    pub fn expects(&mut self, ticket: &mut Ticket, len: usize) -> bool {
        let (Some(collection), Some(shelf)) = (&ticket.keeping, &self.shelf) else {
            return false;
        };
        let fits = shelf.fits(collection, len);
        if !fits {
            self.drop_collection(ticket);
            self.unkept(ticket.policy, Unkept::TooLarge);
        }
        fits
    }

    /// Takes a piece of an answer's body, the last one if it `ends` there.
    pub fn collect(&mut self, ticket: &mut Ticket, piece: &[u8], ends: bool, now: Instant) {
        let (Some(collection), Some(shelf)) = (&mut ticket.keeping, &mut self.shelf) else {
            return;
        };
        match shelf.push(collection, piece) {
            Ok(()) if ends => self.put(ticket, now),
            Ok(()) => {}
            Err(unkept) => {
                self.drop_collection(ticket);
                self.unkept(ticket.policy, unkept);
            }
        }
    }

    /// Keeps an answer that is complete.
    fn put(&mut self, ticket: &mut Ticket, now: Instant) {
        if let (Some(collection), Some(shelf)) = (&ticket.keeping, &mut self.shelf)
            && collection.is_whole()
        {
            match shelf.put(&mut self.records, collection, now, &mut self.buffer) {
                Ok(evicted) => {
                    self.count(ticket.policy, Counter::StaleKept);
                    self.count_many(ticket.policy, Counter::StaleEvicted, evicted);
                }
                Err(unkept) => self.unkept(ticket.policy, unkept),
            }
        }
        self.drop_collection(ticket);
    }

    /// Lets go of what was taken down of an answer: some of it cannot be read.
    pub fn drop_collection(&mut self, ticket: &mut Ticket) {
        if let (Some(collection), Some(shelf)) = (ticket.keeping.take(), &mut self.shelf) {
            shelf.drop_collection(&collection);
        }
    }

    fn unkept(&mut self, policy: usize, unkept: Unkept) {
        match unkept {
            Unkept::TooLarge => self.count(policy, Counter::StaleTooLarge),
            // Those who came first have kept others.
            Unkept::GivenUp => {}
        }
    }
}
