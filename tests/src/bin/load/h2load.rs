//! Runs of h2load, which speaks both protocols.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Requests of a run. Runs of a fixed number end by themselves, with a response to each request.
pub(crate) const REQUESTS: usize = 20_000;

const CONNECTIONS: &str = "32";

/// Requests at a time on a connection of HTTP/2.
const STREAMS: &str = "10";

/// Seconds without a response after which a connection counts as broken.
const PATIENCE: &str = "20";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// What became of the requests of a run.
pub(crate) struct Sent {
    /// Time of the run, with the start of the connections.
    pub time: Duration,
    /// Microseconds until the responses with status 200.
    pub us: Vec<u32>,
    /// Requests with another end.
    pub failed: usize,
}

/// Sends requests.
///
/// # Errors
///
/// If h2load does not run, with the command that installs it.
pub(crate) fn send(protocol: Protocol, address: SocketAddr) -> Result<Sent, String> {
    let folder = TempDir::with_prefix("spillway-").map_err(|error| error.to_string())?;
    let log = folder.path().join("log");
    let (streams, flags): (_, &[&str]) = match protocol {
        Protocol::Http1 => ("1", &["--h1"]),
        Protocol::Http2 => (STREAMS, &[]),
    };
    let begin = Instant::now();
    let output = Command::new("h2load")
        .args(flags)
        .args(["-n", &REQUESTS.to_string(), "-c", CONNECTIONS])
        .args(["-m", streams, "-N", PATIENCE])
        .arg("--log-file")
        .arg(&log)
        .arg(format!("http://{address}/"))
        .output();
    let time = begin.elapsed();
    let output = output.map_err(|error| {
        format!(
            "h2load does not run ({error}): install it (Debian: apt-get install nghttp2-client)"
        )
    })?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let us = successes(&fs::read_to_string(log).unwrap_or_default());
    let failed = REQUESTS - us.len().min(REQUESTS);
    Ok(Sent { time, us, failed })
}

/// Reads the times of responses with status 200 from lines of start, status and time.
fn successes(log: &str) -> Vec<u32> {
    let time = |line: &str| {
        let mut fields = line.split('\t').skip(1);
        (fields.next()? == "200").then(|| fields.next()?.parse().ok())?
    };
    log.lines().filter_map(time).collect()
}

#[cfg(test)]
mod tests {
    use super::successes;

    #[test]
    fn only_responses_with_status_200_are_successes() {
        let log = "1795804369699495\t200\t10974\n1795804369699502\t503\t11\n\
                   1795804369710967\t-1\t975\nnoise\n1795804369710970\t200\t7\n";
        assert_eq!(successes(log), [10974, 7]);
    }
}
