//! The command line of `host-sim request`.

use std::path::PathBuf;

use crate::sim::span::Span;
use crate::trial::file::Level;

/// The request, what surrounds it, and what to show.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Method of the request, or its path for a GET
    #[arg(value_name = "METHOD")]
    pub method: Option<String>,
    /// Path of the request, or its URL such as http://host/path
    #[arg(value_name = "PATH")]
    pub path: Option<String>,
    /// A .wasm file. Several make a chain, from the client to the upstream [default: the
    /// spillway.wasm of this build]
    #[arg(long, value_name = "FILE", env = "SPILLWAY_WASM")]
    pub module: Vec<PathBuf>,
    /// The file with the configuration of each module
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// A header of the request, `name: value`
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// Body of the request: a text, or @ and the name of a file
    #[arg(long, value_name = "TEXT")]
    pub body: Option<String>,
    /// Number of parts in which the body arrives
    #[arg(long, value_name = "N")]
    pub chunks: Option<usize>,
    /// A trailer of the request, `name: value`
    #[arg(long = "trailer", value_name = "TRAILER")]
    pub trailers: Vec<String>,
    /// What the upstream answers: a status, or fields such as '{status: 200, body: "@file"}'
    #[arg(long, value_name = "ANSWER")]
    pub upstream: Option<String>,
    /// What a cluster answers to calls: CLUSTER=ANSWER. CLUSTER/PATH=ANSWER is for one path, and
    /// CLUSTER#2=ANSWER for the second call
    #[arg(long = "mock", value_name = "MOCK")]
    pub mocks: Vec<String>,
    /// Takes plugins, mocks and all else that is not given here from a plugin test; without
    /// METHOD and PATH, its requests too
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Time that passes before the request
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<Span>,
    /// The wall clock at the start, such as 2026-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// A property: PATH=VALUE, with dots in the path; numbers and true or false have their type
    #[arg(long = "property", value_name = "PROPERTY")]
    pub properties: Vec<String>,
    /// An environment variable of the VMs, NAME=VALUE
    #[arg(long = "env", value_name = "VARIABLE")]
    pub environment: Vec<String>,
    /// Result of a hostcall that is not modelled, NAME=STATUS
    #[arg(long = "stub", value_name = "STUB")]
    pub stubs: Vec<String>,
    /// Number of worker threads
    #[arg(long, value_name = "N")]
    pub workers: Option<u32>,
    /// Limit of one callback, in wasm instructions
    #[arg(long, value_name = "N")]
    pub fuel: Option<u64>,
    /// How much of a message a pause may buffer; 0 is no limit [default: 1048576, as in Envoy]
    #[arg(long, value_name = "BYTES")]
    pub per_connection_buffer_limit_bytes: Option<u32>,
    /// Seed of all random numbers
    #[arg(long)]
    pub seed: Option<u64>,
    /// Lowest level of log lines [default: trace]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<Level>,
    /// Also show hostcalls with their arguments
    #[arg(short, long)]
    pub verbose: bool,
    /// Print everything as JSON
    #[arg(long)]
    pub json: bool,
}
