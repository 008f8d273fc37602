//! The setting of an Envoy before it starts.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};

use super::bootstrap::{cluster, overwrite};
use super::{Envoy, Refusal};

/// Name of the cluster that every Envoy of the tests has.
pub const UPSTREAM: &str = "upstream";

/// Name of the listener that every Envoy of the tests has.
pub const INGRESS: &str = "ingress";

/// Name of the listener that [`Setting::admin_listener`] adds.
pub const ADMIN: &str = "admin";

/// An Envoy that has not started yet.
#[derive(Clone, Debug)]
pub struct Setting {
    pub(super) clusters: Vec<Value>,
    pub(super) routes: Vec<Value>,
    pub(super) route_timeout: Duration,
    pub(super) before: Vec<Value>,
    pub(super) after: Vec<Value>,
    /// The plugin configuration as Envoy receives it. `None` leaves the filter out.
    pub(super) policy: Option<String>,
    pub(super) plugin: Value,
    pub(super) manager: Value,
    pub(super) router: Value,
    pub(super) virtual_host: Value,
    /// Headers that the proxy removes from requests before routing.
    pub(super) internal_headers: Vec<String>,
    pub(super) concurrency: usize,
    /// Whether each new connection goes to the worker with the fewest.
    pub(super) balanced: bool,
    /// Limit on the buffered bytes of a message; Envoy's default is 1 MiB.
    pub(super) buffer_limit: Option<u32>,
    pub(super) listener_on_disk: bool,
    /// Callback in which the filter traps.
    pub(super) trap_in: Option<String>,
    /// Whether the lite module may take the place of the full one.
    pub(super) suits_lite: bool,
    /// Further listeners, each with its setting.
    pub(super) listeners: Vec<(String, Setting)>,
    refused: Vec<Arc<TcpSocket>>,
    silent: Vec<Arc<Silent>>,
}

impl Setting {
    pub(super) fn new(upstream: SocketAddr) -> Self {
        Self {
            clusters: vec![cluster(UPSTREAM, upstream, false)],
            routes: Vec::new(),
            route_timeout: Duration::from_secs(15),
            before: Vec::new(),
            after: Vec::new(),
            policy: None,
            plugin: json!({}),
            manager: json!({}),
            router: json!({}),
            virtual_host: json!({}),
            internal_headers: Vec::new(),
            concurrency: 1,
            balanced: false,
            buffer_limit: None,
            listener_on_disk: false,
            trap_in: None,
            suits_lite: true,
            listeners: Vec::new(),
            refused: Vec::new(),
            silent: Vec::new(),
        }
    }

    /// Adds Spillway to the chain with this policy.
    pub fn policy(self, policy: Value) -> Self {
        self.policy_text(&policy.to_string())
    }

    /// Adds Spillway to the chain with arbitrary text as its policy.
    pub fn policy_text(mut self, text: &str) -> Self {
        self.policy = Some(text.to_owned());
        self
    }

    /// Changes fields of the plugin's configuration, such as `failure_policy`.
    pub fn plugin(mut self, fields: Value) -> Self {
        self.plugin = fields;
        self
    }

    /// Makes Spillway trap in one of its callbacks, such as `proxy_on_response_trailers`.
    pub fn trap_in(mut self, callback: &str) -> Self {
        self.trap_in = Some(callback.to_owned());
        self
    }

    /// Uses the full module even where tests run with the lite one, for a promise that the lite one
    /// does not make.
    pub fn full_module(mut self) -> Self {
        self.suits_lite = false;
        self
    }

    /// Adds a filter before Spillway.
    pub fn before(mut self, filter: Value) -> Self {
        self.before.push(filter);
        self
    }

    /// Adds a filter between Spillway and the router.
    pub fn after(mut self, filter: Value) -> Self {
        self.after.push(filter);
        self
    }

    /// Speaks HTTP/2 to the cluster `upstream`, as gRPC needs.
    pub fn http2_upstream(mut self) -> Self {
        let address = self.clusters[0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]
            ["endpoint"]["address"]["socket_address"]
            .clone();
        let port = address["port_value"].as_u64().expect("a port") as u16;
        self.clusters[0] = cluster(UPSTREAM, SocketAddr::from(([127, 0, 0, 1], port)), true);
        self
    }

    /// Adds a cluster and a route NAME to it, for requests with `x-to: NAME`.
    pub fn cluster(mut self, name: &str, address: SocketAddr) -> Self {
        self.clusters.push(cluster(name, address, false));
        self.route(json!({
            "name": name,
            "match": {"prefix": "/", "headers": [{"name": "x-to", "string_match": {"exact": name}}]},
            "route": {"cluster": name},
        }))
    }

    /// Adds a cluster of any kind, without a route.
    pub fn clusters(mut self, cluster: Value) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// Adds a cluster whose port refuses connections, with a route as [`Setting::cluster`] adds it.
    pub fn refused_cluster(mut self, name: &str) -> Self {
        let (address, socket) = refused_port();
        self.refused.push(socket);
        self.cluster(name, address)
    }

    /// Adds a cluster whose port never completes a connection attempt, so that `connect_timeout`
    /// ends it, with a route as [`Setting::cluster`] adds it.
    pub fn silent_cluster(mut self, name: &str, connect_timeout: &str) -> Self {
        let silent = Silent::new();
        let address = silent.listener.local_addr().expect("a bound port");
        self.silent.push(Arc::new(silent));
        self.cluster(name, address)
            .cluster_fields(name, json!({"connect_timeout": connect_timeout}))
    }

    /// Changes fields of a cluster, such as its limits or its endpoints.
    ///
    /// # Panics
    ///
    /// Panics if no cluster has that name.
    pub fn cluster_fields(mut self, name: &str, fields: Value) -> Self {
        let mut clusters = self.clusters.iter_mut();
        let cluster = clusters.find(|cluster| cluster["name"] == name);
        overwrite(cluster.expect("a cluster of that name"), &fields);
        self
    }

    /// Changes fields of the connection manager, such as its timeouts.
    pub fn manager(mut self, fields: Value) -> Self {
        self.manager = fields;
        self
    }

    /// Changes fields of the router, such as `suppress_envoy_headers`.
    pub fn router(mut self, fields: Value) -> Self {
        self.router = fields;
        self
    }

    /// Changes fields of the virtual host, such as its per-filter configuration.
    pub fn virtual_host(mut self, fields: Value) -> Self {
        self.virtual_host = fields;
        self
    }

    /// Makes the proxy remove a header from external requests before routing.
    pub fn internal_header(mut self, name: &str) -> Self {
        self.internal_headers.push(name.to_owned());
        self
    }

    /// Adds a route before the default one.
    pub fn route(mut self, route: Value) -> Self {
        self.routes.push(route);
        self
    }

    /// Sets the timeout of the default route.
    pub fn route_timeout(mut self, timeout: Duration) -> Self {
        self.route_timeout = timeout;
        self
    }

    /// Sets the number of worker threads.
    pub fn concurrency(mut self, workers: usize) -> Self {
        self.concurrency = workers;
        self
    }

    /// Gives each new connection to the worker with the fewest, so that long-lived connections
    /// spread evenly; see [`Envoy::client_per_worker`].
    pub fn balanced(mut self) -> Self {
        self.balanced = true;
        self
    }

    /// Sets the listener's `per_connection_buffer_limit_bytes`.
    pub fn buffer_limit(mut self, bytes: u32) -> Self {
        self.buffer_limit = Some(bytes);
        self
    }

    /// Adds a listener: a copy of the first one as it is now, with changes. Only listener settings
    /// count; all listeners share clusters and workers.
    pub fn listener(mut self, name: &str, change: impl FnOnce(Setting) -> Setting) -> Self {
        let beginning = Setting {
            listeners: Vec::new(),
            ..self.clone()
        };
        self.listeners.push((name.to_owned(), change(beginning)));
        self
    }

    /// Adds a listener named [`ADMIN`] whose Spillway has its own configuration: the same plugin in
    /// the same VMs, without an upstream behind it.
    pub fn admin_listener(self, configuration: Value) -> Self {
        let nothing = json!({
            "name": "nothing",
            "match": {"prefix": "/"},
            "direct_response": {"status": 404},
        });
        self.listener(ADMIN, |setting| {
            setting.policy(configuration).route(nothing)
        })
    }

    /// Loads the listeners from a file, so that [`Envoy::update`] can replace them.
    pub fn listener_on_disk(mut self) -> Self {
        self.listener_on_disk = true;
        self
    }

    /// Starts Envoy and waits until it accepts requests.
    ///
    /// # Panics
    ///
    /// Panics with Envoy's log if it does not start.
    pub async fn start(self) -> Envoy {
        match self.try_start().await {
            Ok(envoy) => envoy,
            Err(refusal) => panic!("Envoy did not start:\n{}", refusal.log),
        }
    }

    /// Starts Envoy. `Err` has its output if it rejected its configuration.
    pub async fn try_start(self) -> Result<Envoy, Refusal> {
        Envoy::launch(self).await
    }
}

/// A port whose accept queue is full, so that the kernel drops further connection attempts.
#[derive(Debug)]
struct Silent {
    listener: TcpListener,
    _queue: Vec<TcpStream>,
}

/// More connections than an accept queue of length one takes.
const QUEUE: usize = 4;

/// How long a connection attempt may take unless it is dropped.
const CONNECT: Duration = Duration::from_millis(50);

impl Silent {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .expect("a free port");
        let listener = socket.listen(0).expect("a listening port");
        let address = listener.local_addr().expect("a bound port");
        let connect = |_| TcpStream::connect_timeout(&address, CONNECT).ok();
        let queue = (0..QUEUE).filter_map(connect).collect();
        Self {
            listener,
            _queue: queue,
        }
    }
}

/// A bound port that nobody listens on: it refuses connections, and the kernel gives it to no other
/// test meanwhile.
fn refused_port() -> (SocketAddr, Arc<TcpSocket>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .expect("a free port");
    (socket.local_addr().expect("a bound port"), Arc::new(socket))
}
