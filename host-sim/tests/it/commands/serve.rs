//! `host-sim serve`, with clients and upstreams that misbehave.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// How long anything may take.
const LONGEST: Duration = Duration::from_secs(30);

/// How long a sender waits before it counts as stopped.
const STOPPED: Duration = Duration::from_millis(500);

/// A body that no buffer on the way holds.
const LARGE: usize = 96 << 20;

/// More than the system buffers on the way.
const BUFFERED: usize = 48 << 20;

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

/// A running proxy. Dropping it kills the process.
struct Serve {
    process: Child,
    traffic: String,
    operators: String,
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Serve {
    fn start(upstream: &str, arguments: &[&str]) -> Serve {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host-sim"));
        command.args(["serve", "--upstream", upstream, "--workers", "1"]);
        command.args(["--listen", "127.0.0.1:0", "--operators", "127.0.0.1:0"]);
        command.args(arguments).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut address = |name: &str| {
            let line = lines.next().expect("an address").unwrap();
            let address = line.strip_prefix(name).expect("an address");
            address.trim_end_matches('/').to_owned()
        };
        Serve {
            traffic: address("listening on http://"),
            operators: address("operators on http://"),
            process,
        }
    }

    /// The most memory that it had so far, in bytes.
    fn peak(&self) -> usize {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<usize>().unwrap() << 10
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONGEST)).unwrap();
    stream.set_write_timeout(Some(LONGEST)).unwrap();
    stream
}

/// Sends a request and returns everything until the end of the connection.
fn ask(address: &str, request: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A connection may also end with a reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Starts an upstream. `serve` gets each connection after the headers of its first request.
fn upstream(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || {
                let mut stream = stream;
                let mut last = [0; 4];
                while last != *b"\r\n\r\n" {
                    last.rotate_left(1);
                    if stream.read_exact(&mut last[3..]).is_err() {
                        return;
                    }
                }
                serve(stream);
            });
        }
    });
    format!("http://{address}")
}

/// An upstream that responds `ok`.
fn healthy() -> String {
    upstream(|mut stream| {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        stream.write_all(answer.as_bytes()).unwrap();
    })
}

/// A module whose request callback runs `code`.
fn module(folder: &Path, code: &str) -> String {
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) i32.const 1024)
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {code}))"#
    );
    let path = folder.join("plugin.wasm");
    fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    path.display().to_string()
}

const CONTINUE: &str = "i32.const 0";

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn clients_that_break_the_protocol_harm_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(&healthy(), &["--module", &module(folder.path(), CONTINUE)]);
    let long = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}", "y".repeat(62_000));
    let many = "x: y\r\n".repeat(101);
    let many = format!("GET / HTTP/1.1\r\nhost: h\r\n{many}\r\n");
    let rows: [(&str, &[u8], &str); 10] = [
        ("nonsense", b"\x16\x03\x01\x02\x00\r\n\r\n", "400"),
        ("long headers", long.as_bytes(), "431"),
        ("many headers", many.as_bytes(), "431"),
        ("an old version", b"GET / HTTP/1.0\r\n\r\n", "426"),
        (
            "no host",
            b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
            "400",
        ),
        (
            "a length that is none",
            b"GET / HTTP/1.1\r\nhost: h\r\ncontent-length: x\r\n\r\n",
            "400",
        ),
        (
            "two lengths",
            b"GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "400",
        ),
        (
            "a broken chunk",
            b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "",
        ),
        (
            "a broken frame of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            "",
        ),
        (
            "a tunnel",
            b"CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\nconnection: close\r\n\r\n",
            "403",
        ),
    ];
    for (name, request, expected) in rows {
        let answer = ask(&serve.traffic, request);
        assert!(status(&answer).starts_with(expected), "{name}: {answer}");
        assert!(
            ask(&serve.traffic, GET.as_bytes()).ends_with("\r\n\r\nok"),
            "{name}"
        );
    }
}

/// Writes `LARGE` bytes. Tells how many were written when the reader first stopped, then waits.
fn pour(mut stream: TcpStream, stopped: &Sender<usize>) {
    stream.set_write_timeout(Some(STOPPED)).unwrap();
    let chunk = vec![b'.'; 1 << 16];
    let (mut written, mut told) = (0, false);
    while written < LARGE {
        match stream.write(&chunk[..chunk.len().min(LARGE - written)]) {
            Ok(len) => written += len,
            Err(_) if told => panic!("the reader does not go on"),
            Err(_) => {
                stopped.send(written).unwrap();
                told = true;
                stream.set_write_timeout(Some(LONGEST)).unwrap();
            }
        }
    }
    // A reader that took everything at once is none of interest.
    let _ = stopped.send(written);
}

fn drain(mut stream: impl Read) -> usize {
    let mut chunk = vec![0; 1 << 16];
    let mut read = 0;
    while read < LARGE {
        match stream.read(&mut chunk).unwrap() {
            0 => break,
            len => read += len,
        }
    }
    read
}

#[test]
fn a_slow_client_slows_down_the_upstream() {
    let (stopped, stops) = channel();
    let upstream = upstream(move |mut stream| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        pour(stream, &stopped);
    });
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(&upstream, &["--module", &module(folder.path(), CONTINUE)]);
    let before = serve.peak();
    let mut stream = connect(&serve.traffic);
    stream.write_all(GET.as_bytes()).unwrap();
    let written = stops.recv_timeout(LONGEST).unwrap();
    assert!(written < BUFFERED, "{written}");
    // The headers count, too.
    assert!(drain(stream) >= LARGE);
    let grown = serve.peak() - before;
    assert!(grown < 16 << 20, "{grown}");
}

#[test]
fn a_slow_upstream_slows_down_the_client() {
    let (go, goes) = channel::<()>();
    let goes = std::sync::Arc::new(std::sync::Mutex::new(goes));
    let upstream = upstream(move |mut stream| {
        goes.lock().unwrap().recv_timeout(LONGEST).unwrap();
        let read = drain(&stream).to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{read}",
            read.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(&upstream, &["--module", &module(folder.path(), CONTINUE)]);
    let before = serve.peak();
    let mut stream = connect(&serve.traffic);
    let head = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {LARGE}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (stopped, stops) = channel();
    let sending = stream.try_clone().unwrap();
    let sender = thread::spawn(move || pour(sending, &stopped));
    let written = stops.recv_timeout(LONGEST).unwrap();
    assert!(written < BUFFERED, "{written}");
    go.send(()).unwrap();
    sender.join().unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with(&format!("\r\n\r\n{LARGE}")), "{answer}");
    let grown = serve.peak() - before;
    assert!(grown < 16 << 20, "{grown}");
}

#[test]
fn a_plugin_that_traps_fails_as_its_policy_says() {
    let folder = tempfile::tempdir().unwrap();
    let trap = module(folder.path(), "unreachable");
    let upstream = healthy();
    for (policy, expected) in [
        ("closed", ["503", "503"]),
        ("reload", ["503", "503"]),
        ("open", ["503", "200"]),
    ] {
        let serve = Serve::start(&upstream, &["--module", &trap, "--failure-policy", policy]);
        let seen = [(); 2].map(|()| ask(&serve.traffic, GET.as_bytes()));
        let seen = seen.each_ref().map(|answer| status(answer));
        assert_eq!(seen, expected, "{policy}");
    }
}

#[test]
fn a_module_without_an_operators_page_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(&healthy(), &["--module", &module(folder.path(), CONTINUE)]);
    let page = ask(&serve.operators, GET.as_bytes());
    assert_eq!(status(&page), "404");
    assert!(
        page.ends_with("this module has no operators' page\n"),
        "{page}"
    );
    let metrics = GET.replace("GET /", "GET /metrics");
    assert_eq!(status(&ask(&serve.operators, metrics.as_bytes())), "200");
}

/// A module whose callback for request bodies returns `status`.
fn module_that_pauses(folder: &Path, status: u32) -> String {
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) i32.const 1024)
            (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
                i32.const {status}))"#
    );
    let path = folder.join("plugin.wasm");
    fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    path.display().to_string()
}

#[test]
fn a_pause_that_asks_for_backpressure_stops_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let module = module_that_pauses(folder.path(), 2);
    let silent = upstream(|_stream| thread::park_timeout(LONGEST));
    let serve = Serve::start(&silent, &["--module", &module]);
    let mut stream = connect(&serve.traffic);
    let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {LARGE}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_write_timeout(Some(STOPPED)).unwrap();
    let (chunk, mut written) = (vec![b'.'; 1 << 16], 0);
    while let Ok(len) = stream.write(&chunk) {
        written += len;
        assert!(written < BUFFERED, "{written}");
    }
}

#[test]
fn a_paused_request_that_is_too_long_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let module = module_that_pauses(folder.path(), 1);
    // The headers are not paused, so the upstream could answer first.
    let silent = upstream(|_stream| thread::park_timeout(LONGEST));
    let serve = Serve::start(&silent, &["--module", &module]);
    let body = "x".repeat((1 << 20) + 1);
    let request = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(&serve.traffic, request.as_bytes());
    assert_eq!(status(&answer), "413");
    assert!(answer.ends_with("Payload Too Large"), "{answer}");
}
