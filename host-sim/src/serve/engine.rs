//! Runs the host in real time: every event goes in with the present time, and effects go to the
//! tasks that they concern.
//!
//! All tasks run on one thread, which owns the host. An effect waits in the mailbox of its stream
//! until the stream's task takes it, so no effect is handled within another.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep_until;

use super::clock::Clock;
use crate::proxy::stream::half::Side;
use crate::proxy::stream::info::StreamInfo;
use crate::proxy::{Effect, Halt, Host, Listener, LogLine, StreamId};
use crate::sim::clock::Time;

/// The host, and what runs it.
pub(super) struct Engine {
    host: RefCell<Host>,
    clock: Clock,
    mailboxes: RefCell<HashMap<StreamId, Rc<Mailbox>>>,
    /// Takes what plugins' calls need.
    calls: UnboundedSender<Effect>,
    /// The time for which the timer task waits.
    armed: Cell<Option<Time>>,
    rearm: Notify,
    stop: Notify,
}

/// The effects of one stream that its task has not taken yet.
#[derive(Default)]
pub(super) struct Mailbox {
    effects: RefCell<VecDeque<Effect>>,
    waker: Cell<Option<Waker>>,
}

impl Mailbox {
    /// Takes the next effect.
    pub(super) fn take(&self) -> Option<Effect> {
        self.effects.borrow_mut().pop_front()
    }

    /// Waits until there is an effect.
    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.effects.borrow().is_empty() {
            return Poll::Ready(());
        }
        self.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn put(&self, effect: Effect) {
        self.effects.borrow_mut().push_back(effect);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Engine {
    /// Takes a host that has started at time 0 of `clock`. Effects
    /// of plugins' calls go to `calls`.
    pub(super) fn new(host: Host, clock: Clock, calls: UnboundedSender<Effect>) -> Rc<Engine> {
        Rc::new(Engine {
            host: RefCell::new(host),
            clock,
            mailboxes: RefCell::default(),
            calls,
            armed: Cell::new(None),
            rearm: Notify::new(),
            stop: Notify::new(),
        })
    }

    /// Returns the present time.
    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Returns a time as tokio's timers take it.
    pub(super) fn instant(&self, at: Time) -> tokio::time::Instant {
        self.clock.instant(at)
    }

    /// Passes an event to the host at the present time, and sends its effects on their way.
    pub(super) fn enter<T>(&self, act: impl FnOnce(&mut Host) -> T) -> T {
        let mut host = self.host.borrow_mut();
        host.advance_to(self.clock.now());
        let result = act(&mut host);
        let effects: Vec<_> = std::iter::from_fn(|| host.next_effect()).collect();
        print(&host.take_log());
        let timer = host.next_timer();
        let halted = host.halt().is_some();
        drop(host);
        for effect in effects {
            self.deliver(effect);
        }
        if timer.is_some_and(|at| self.armed.get().is_none_or(|armed| at < armed)) {
            self.rearm.notify_one();
        }
        if halted {
            self.stop.notify_one();
        }
        result
    }

    /// Opens a stream, and returns it with its mailbox.
    pub(super) fn open(&self, listener: Listener, info: StreamInfo) -> (StreamId, Rc<Mailbox>) {
        let stream = self.enter(|host| host.open_on(listener, info));
        let mailbox = Rc::<Mailbox>::default();
        self.mailboxes.borrow_mut().insert(stream, mailbox.clone());
        (stream, mailbox)
    }

    /// Closes a stream.
    pub(super) fn close(&self, stream: StreamId) {
        self.mailboxes.borrow_mut().remove(&stream);
        self.enter(|host| host.close(stream));
    }

    /// Returns what a pause buffers, as [`Host::buffered`].
    pub(super) fn buffered(&self, stream: StreamId, side: Side) -> (usize, bool) {
        self.host.borrow().buffered(stream, side)
    }

    fn deliver(&self, effect: Effect) {
        match effect {
            Effect::ToUpstream { stream, .. }
            | Effect::ToClient { stream, .. }
            | Effect::CancelUpstream { stream }
            | Effect::ResetClient { stream, .. } => {
                if let Some(mailbox) = self.mailboxes.borrow().get(&stream) {
                    mailbox.put(effect);
                }
            }
            Effect::Call(_) | Effect::SendMessage { .. } | Effect::CancelCall { .. } => {
                // The receiver ends with the proxy.
                let _ = self.calls.send(effect);
            }
        }
    }

    /// Runs the timers of the host as they become due.
    pub(super) async fn run_timers(self: Rc<Self>) {
        loop {
            let next = self.host.borrow().next_timer();
            self.armed.set(next);
            let due = async {
                match next {
                    Some(at) => sleep_until(self.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.enter(Host::run_timers),
                () = self.rearm.notified() => {}
            }
        }
    }

    /// Waits until a plugin does what ends the run, and returns it.
    pub(super) async fn halted(&self) -> Halt {
        loop {
            self.stop.notified().await;
            if let Some(halt) = self.host.borrow().halt() {
                return halt.clone();
            }
        }
    }
}

/// Prints lines of the plugin's log.
pub(super) fn print(lines: &[LogLine]) {
    if lines.is_empty() {
        return;
    }
    let mut out = std::io::stderr().lock();
    for line in lines {
        // Without stderr, the proxy still serves.
        let _ = writeln!(out, "[{}] {}", line.level.name(), line.text.trim_end());
    }
}
