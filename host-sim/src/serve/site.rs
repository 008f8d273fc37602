//! A listener: its place in the host, its routes and its connections.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::net::SocketAddr;
use std::rc::Rc;

use super::engine::Engine;
use super::upstream::Upstream;
use crate::model::cause::Details;
use crate::model::route::Routes;
use crate::model::spec;
use crate::proxy::Listener;
use crate::sim::rng::{Rng, Seed};

/// Name of the only cluster that requests go to.
pub(super) const UPSTREAM: &str = "upstream";

/// A listener.
pub(super) struct Site {
    pub engine: Rc<Engine>,
    pub listener: Cell<Listener>,
    pub routes: Routes,
    /// Names of the clusters in the routes.
    pub names: Vec<String>,
    /// Where requests go. Without one, no route leads anywhere.
    pub upstream: Option<Rc<Upstream>>,
    pub texts: Details,
    pub draws: RefCell<Rng>,
    connections: Cell<u64>,
}

/// A connection of a client.
pub(super) struct Connection {
    pub site: Rc<Site>,
    pub id: u64,
    pub peer: Rc<str>,
    pub local: Rc<str>,
}

impl Site {
    /// Creates a listener whose requests go to `upstream`.
    pub(super) fn new(
        engine: &Rc<Engine>,
        listener: Listener,
        upstream: Option<Rc<Upstream>>,
        seed: u64,
    ) -> Rc<Site> {
        let route = spec::Route {
            name: "default".into(),
            cluster: Some(UPSTREAM.into()),
            ..spec::Route::default()
        };
        let routes: Vec<_> = upstream.iter().map(|_| route.clone()).collect();
        let names = vec![UPSTREAM.into()];
        Rc::new(Site {
            engine: engine.clone(),
            listener: Cell::new(listener),
            routes: Routes::new(&routes, &names),
            names,
            upstream,
            texts: Details::default(),
            draws: RefCell::new(Seed(seed).split("serve")),
            connections: Cell::new(0),
        })
    }

    /// Notes a new connection.
    pub(super) fn connect(self: &Rc<Self>, peer: SocketAddr, local: SocketAddr) -> Connection {
        let id = self.connections.get() + 1;
        self.connections.set(id);
        Connection {
            site: self.clone(),
            id,
            peer: peer.to_string().into(),
            local: local.to_string().into(),
        }
    }

    /// Makes an id for a request: a random UUID.
    pub(super) fn request_id(&self) -> String {
        let mut draws = self.draws.borrow_mut();
        let (high, low) = (draws.word(), draws.word());
        let high = high & !0xf000 | 0x4000;
        let low = low & !(0b11 << 62) | 0b10 << 62;
        let mut text = String::with_capacity(36);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        );
        text
    }
}
