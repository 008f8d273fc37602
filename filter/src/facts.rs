//! The current request and its response, read from the host only when the core asks.

use std::cell::{Cell, OnceCell};

use spillway_core::Headers;
use spillway_core::number;
use spillway_core::{Request, Response};

use crate::host::pairs::Pairs;
use crate::host::{self, Map};

/// The property names that this host uses for a request's cluster and route.
///
/// Envoy before 1.33 has no `xds.` prefix. The first property that the host returns decides
/// which form is used, so later requests need one read instead of two.
#[derive(Default)]
pub(crate) struct Dialect {
    cluster: Cell<Option<&'static str>>,
    route: Cell<Option<&'static str>>,
}

const CLUSTER_NAMES: [&str; 2] = ["xds\0cluster_name", "cluster_name"];
const ROUTE_NAMES: [&str; 2] = ["xds\0route_name", "route_name"];

fn routed(known: &Cell<Option<&'static str>>, names: [&'static str; 2]) -> Option<Box<[u8]>> {
    let read = |name| host::property(name).ok().filter(|value| !value.is_empty());
    if let Some(name) = known.get() {
        return read(name);
    }
    let found = names.into_iter().find_map(|name| Some((name, read(name)?)));
    found.map(|(name, value)| {
        known.set(Some(name));
        value
    })
}

/// A request in its header phase.
pub(crate) struct LiveRequest<'a> {
    dialect: &'a Dialect,
    cluster: OnceCell<Option<Box<[u8]>>>,
    route: OnceCell<Option<Box<[u8]>>>,
    // Reading all headers costs less than reading two of them one by one.
    all: OnceCell<Pairs>,
}

impl<'a> LiveRequest<'a> {
    /// Returns a view of the current request. Nothing is read yet.
    pub(crate) fn new(dialect: &'a Dialect) -> LiveRequest<'a> {
        LiveRequest {
            dialect,
            cluster: OnceCell::new(),
            route: OnceCell::new(),
            all: OnceCell::new(),
        }
    }

    /// Returns all headers, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.all().iter()
    }

    /// Removes the headers in `names` from the request. `names` must be sorted.
    ///
    /// Removing a header can make the host select another route, so the result is a new view.
    pub(crate) fn without(self, names: &[Box<str>]) -> LiveRequest<'a> {
        let mut removed = false;
        // Iterates over the request's few headers, since thousands of policies may have
        // thousands of names.
        for (sent, _) in self.pairs() {
            let found = names.binary_search_by(|name| name.as_bytes().cmp(sent));
            if let Some(name) = found.ok().and_then(|at| names.get(at)) {
                // If the host refuses, the header stays.
                let _ = host::remove_header(Map::RequestHeaders, name);
                removed = true;
            }
        }
        if removed {
            LiveRequest::new(self.dialect)
        } else {
            self
        }
    }

    fn all(&self) -> &Pairs {
        self.all
            .get_or_init(|| Pairs::new(host::header_pairs(Map::RequestHeaders).unwrap_or_default()))
    }
}

impl Request for LiveRequest<'_> {
    fn cluster(&self) -> Option<&[u8]> {
        let read = || routed(&self.dialect.cluster, CLUSTER_NAMES);
        self.cluster.get_or_init(read).as_deref()
    }

    fn route(&self) -> Option<&[u8]> {
        let read = || routed(&self.dialect.route, ROUTE_NAMES);
        self.route.get_or_init(read).as_deref()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut pairs = self.all().iter();
        pairs
            .find(|(other, _)| *other == name.as_bytes())
            .map(|(_, value)| value)
    }

    fn headers<const N: usize>(&self, names: &[&str; N]) -> [Option<&[u8]>; N] {
        self.all().firsts(names)
    }

    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.all()
            .iter()
            .any(|(other, value)| other == name.as_bytes() && test(value))
    }

    fn each_header<'r>(&'r self, mut look: impl FnMut(&'r [u8], &'r [u8])) {
        for (name, value) in self.all().iter() {
            look(name, value);
        }
    }

    fn copy_headers(&self) -> Pairs {
        self.all().clone()
    }
}

/// The response to the current request, at one stage of the stream.
#[derive(Clone, Copy)]
pub(crate) enum LiveResponse {
    /// The response headers have arrived.
    Begun,
    /// The stream has ended.
    Ended,
    /// The result of a call in which the filter sent the request again.
    Replayed {
        /// False if the call failed without a response.
        answered: bool,
    },
}

fn response_header(name: &str) -> Option<Box<[u8]>> {
    host::header(Map::ResponseHeaders, name).ok()
}

fn header_or_trailer(name: &str) -> Option<Box<[u8]>> {
    response_header(name).or_else(|| host::header(Map::ResponseTrailers, name).ok())
}

/// Envoy's response flag `UR` and the response code details of an upstream reset. A call that
/// fails gets both, since the host reports no reason for it.
const RESET_FLAG: u64 = 0x10;
const RESET_DETAILS: &str = "upstream_reset_before_response_started";

impl LiveResponse {
    fn only_header(self, name: &str) -> Option<Box<[u8]>> {
        match self {
            LiveResponse::Begun | LiveResponse::Ended => response_header(name),
            LiveResponse::Replayed { .. } => host::header(Map::CallResponseHeaders, name).ok(),
        }
    }
}

fn header_number(value: Option<Box<[u8]>>) -> Option<u64> {
    number(&value?)
}

impl Response for LiveResponse {
    fn status(&self) -> Option<u16> {
        let status = header_number(self.only_header(":status"))?;
        u16::try_from(status).ok()
    }

    fn details(&self) -> Option<impl AsRef<[u8]>> {
        let details = match self {
            LiveResponse::Replayed { answered: true } => None,
            LiveResponse::Replayed { answered: false } => Some(RESET_DETAILS.as_bytes().into()),
            LiveResponse::Begun | LiveResponse::Ended => {
                host::property("response\0code_details").ok()
            }
        };
        details.filter(|details| !details.is_empty())
    }

    fn flags(&self) -> u64 {
        match self {
            LiveResponse::Replayed { answered: true } => 0,
            LiveResponse::Replayed { answered: false } => RESET_FLAG,
            LiveResponse::Begun | LiveResponse::Ended => {
                host::property_u64("response\0flags").unwrap_or(0)
            }
        }
    }

    fn attempts(&self) -> Option<u64> {
        match self {
            LiveResponse::Replayed { .. } => None,
            LiveResponse::Begun | LiveResponse::Ended => {
                host::property_u64("upstream\0request_attempt_count")
            }
        }
    }

    fn grpc_status(&self) -> Option<u32> {
        // Envoy's property is UNKNOWN until the call ends. Before that, only a status in the
        // headers counts.
        let status = match self {
            LiveResponse::Begun | LiveResponse::Replayed { .. } => {
                header_number(self.only_header("grpc-status"))
            }
            LiveResponse::Ended => host::property_u64("response\0grpc_status")
                .or_else(|| header_number(header_or_trailer("grpc-status"))),
        };
        u32::try_from(status?).ok()
    }

    fn header(&self, name: &str) -> Option<impl AsRef<[u8]>> {
        match self {
            LiveResponse::Ended => header_or_trailer(name),
            LiveResponse::Begun | LiveResponse::Replayed { .. } => self.only_header(name),
        }
    }

    fn unix_secs(&self) -> u64 {
        host::wall_time().map_or(u64::MAX, |since_1970| since_1970.as_ms() / 1_000)
    }

    fn copy_headers(&self) -> Headers {
        Pairs::new(host::header_pairs(Map::ResponseHeaders).unwrap_or_default()).to_headers()
    }
}
