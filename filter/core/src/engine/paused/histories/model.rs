//! A naive model of one paused stream: what must become of it, without how.

/// A kind of pause: what the policy may still do, and which side is paused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub name: &'static str,
    /// The fields of the policy.
    pub fields: &'static str,
    /// Whether the request is rejected, so that its side is paused.
    pub rejected: bool,
    /// Whether the request's body is still to come.
    pub body_comes: bool,
    /// Whether the response that is paused has no body.
    pub bodiless: bool,
    pub retries: u32,
    pub clusters: u32,
    /// What ends the pause when nothing is left to ask.
    pub last: End,
}

/// How a pause ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Resumed,
    /// Resumed to another route.
    Diverted,
    /// Resumed with the headers of a call's response.
    Replaced,
    /// The response to a call is the local reply.
    Delivered,
    /// A fallback is the local reply.
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Until the next tick.
    Backoff,
    /// For so many more ticks.
    Body(u32),
    /// Whether the call is a retry.
    Call(bool),
    Ended(End),
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub phase: Phase,
    kind: Kind,
    retries: u32,
    clusters: u32,
    /// Bytes of the paused side's body so far.
    body: usize,
    pub body_ended: bool,
    pub evicted: bool,
}

/// The most that a paused side may hold with more to come, and that a copy may hold.
const OPEN_MAX: usize = super::BUFFER_BYTES - 16_384;
const COPY_MAX: usize = super::COPY_BYTES;

impl Model {
    pub(super) fn new(kind: Kind) -> Model {
        let mut model = Model {
            phase: Phase::Backoff,
            kind,
            retries: kind.retries,
            clusters: kind.clusters,
            body: 0,
            body_ended: kind.bodiless || kind.rejected && !kind.body_comes,
            evicted: false,
        };
        if kind.body_comes {
            model.phase = Phase::Body(super::BODY_TICKS);
        } else if kind.retries == 0 {
            model.ask_next();
        } else {
            model.retries -= 1;
        }
        model
    }

    fn ask_next(&mut self) {
        self.phase = match self.clusters {
            0 => Phase::Ended(self.kind.last),
            _ => Phase::Call(false),
        };
        self.clusters = self.clusters.saturating_sub(1);
    }

    fn give_up(&mut self) {
        self.phase = Phase::Ended(self.kind.last);
    }

    pub(super) fn body_bytes(&self) -> usize {
        self.body
    }

    pub(super) fn tick(&mut self) {
        match self.phase {
            Phase::Backoff => self.phase = Phase::Call(true),
            Phase::Body(1) => self.give_up(),
            Phase::Body(ticks) => self.phase = Phase::Body(ticks - 1),
            Phase::Call(_) | Phase::Ended(_) => {}
        }
    }

    pub(super) fn answered(&mut self) {
        if let Phase::Call(_) = self.phase {
            self.phase = Phase::Ended(if self.kind.bodiless {
                End::Replaced
            } else {
                End::Delivered
            });
        }
    }

    pub(super) fn failed(&mut self) {
        match self.phase {
            Phase::Call(true) if self.retries > 0 => {
                self.retries -= 1;
                self.phase = Phase::Backoff;
            }
            Phase::Call(_) => self.ask_next(),
            _ => {}
        }
    }

    /// A chunk of the paused side's body, the last one if it `ends`.
    pub(super) fn chunk(&mut self, size: usize, ends: bool) {
        self.body += size;
        self.body_ended = ends;
        if let Phase::Ended(_) = self.phase {
            return;
        }
        let Phase::Body(_) = self.phase else {
            // A response's: a request without its whole body only waits for that.
            if !ends && self.body > OPEN_MAX {
                self.give_up();
            }
            return;
        };
        let stays = self.kind.last == End::Diverted;
        let fits = if stays && !ends {
            self.body <= OPEN_MAX
        } else {
            self.body <= COPY_MAX
        };
        if self.evicted || !fits {
            self.give_up();
        } else if ends {
            self.ask_next();
        }
    }

    pub(super) fn trailers(&mut self) {
        self.body_ended = true;
        if let Phase::Body(_) = self.phase {
            self.give_up();
        }
    }
}
