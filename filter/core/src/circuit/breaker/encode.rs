//! Binary layout of a breaker.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Breaker;
use super::names::{Opened, Why};
use super::probes::Probes;
use super::state::State;
use crate::circuit::window::{Counts, Window};
use crate::codec::{Encode, Reader};
use crate::time::{Instant, Span};

const CLOSED: u8 = 0;
const OPEN: u8 = 1;
const HALF_OPEN: u8 = 2;
const RECOVERING: u8 = 3;

impl Encode for Breaker {
    fn write(&self, out: &mut Vec<u8>) {
        match &self.state {
            State::Closed => CLOSED.write(out),
            State::Open { until } => {
                OPEN.write(out);
                until.write(out);
            }
            State::HalfOpen(probes) => {
                HALF_OPEN.write(out);
                probes.write(out);
            }
            State::Recovering => RECOVERING.write(out),
        }
        self.generation.write(out);
        self.since.write(out);
        self.healthy_since.write(out);
        self.opens.write(out);
        self.last_open.write(out);
        self.opened.as_deref().copied().write(out);
        self.consecutive.write(out);
        self.window.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Breaker> {
        Some(Breaker {
            state: match u8::read(from)? {
                CLOSED => State::Closed,
                OPEN => State::Open {
                    until: Instant::read(from)?,
                },
                HALF_OPEN => State::HalfOpen(Probes::read(from)?),
                RECOVERING => State::Recovering,
                _ => return None,
            },
            generation: u64::read(from)?,
            since: Instant::read(from)?,
            healthy_since: Instant::read(from)?,
            opens: u32::read(from)?,
            last_open: Span::read(from)?,
            opened: Option::read(from)?.map(Box::new),
            consecutive: u32::read(from)?,
            window: Window::read(from)?,
        })
    }
}

impl Encode for Opened {
    fn write(&self, out: &mut Vec<u8>) {
        self.at.write(out);
        out.push(self.why as u8);
        self.counts.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Opened> {
        Some(Opened {
            at: Instant::read(from)?,
            why: Why::at(u8::read(from)?)?,
            counts: Counts::read(from)?,
        })
    }
}
