//! Sequences of calls, with the state that the original library is in after each, played through
//! the imported policy and the shipped module.
//!
//! A step is a call that succeeds (`S`), fails (`F`), succeeds after some milliseconds (`L150`), hangs
//! until its timeout (`H1000`), is rejected (`X`), begins (`B`) or ends what began well (`E`); or time
//! that passes (`+5000`). After
//! `=` stands the state of the library by its documentation. Where the policy's differs, it stands
//! after a slash, and `differs` says why.

use std::fs;

use host_sim::proxy::StreamId;

use super::import;
use crate::proxy::{GET, Proxy, headers, spillway};

struct Row {
    name: &'static str,
    system: &'static str,
    source: &'static str,
    steps: &'static str,
    differs: &'static str,
}

const R4J: &str = "resilience4j.circuitbreaker.instances.up: {slidingWindowSize: 10, \
    minimumNumberOfCalls: 5, waitDurationInOpenState: 5s, permittedNumberOfCallsInHalfOpenState: 3}";
const R4J_FULL: &str = "resilience4j.circuitbreaker.instances.up.slidingWindowSize: 4";
const R4J_TIME: &str = "resilience4j.circuitbreaker.instances.up: {slidingWindowType: TIME_BASED, \
    slidingWindowSize: 10, minimumNumberOfCalls: 3}";
const R4J_SLOW: &str = "resilience4j.circuitbreaker.instances.up: {slidingWindowSize: 4, \
    slowCallDurationThreshold: 100ms, slowCallRateThreshold: 50}";
const HYSTRIX: &str = "hystrix.command.up.circuitBreaker.requestVolumeThreshold: 4";
const R4J_TIMED: &str = "resilience4j:\n  circuitbreaker.instances.up: {slidingWindowSize: 4, \
    minimumNumberOfCalls: 4}\n  timelimiter.instances.up.timeoutDuration: 2s";
const HYSTRIX_TIMED: &str = "hystrix.command:\n  default.circuitBreaker.requestVolumeThreshold: 4\n  \
    up.execution.isolation.thread.timeoutInMilliseconds: 300";
const RATIO: &str =
    r#"[{"resource": "up", "grade": 1, "count": 0.5, "timeWindow": 10, "minRequestAmount": 4}]"#;
const SLOW: &str =
    r#"[{"resource": "up", "grade": 0, "count": 100, "timeWindow": 10, "minRequestAmount": 4}]"#;

const ROWS: &[Row] = &[
    Row {
        name: "the rate is judged from the minimum number of calls on, and has to be reached",
        system: "resilience4j",
        source: R4J,
        steps: "S S S F F=closed F=open X +4900 X",
        differs: "",
    },
    Row {
        name: "the last calls count, and older ones leave the window",
        system: "resilience4j",
        source: R4J,
        steps: "S S S S S S F F F F=closed S=closed F=open",
        differs: "",
    },
    Row {
        name: "a window that is smaller than the minimum has to be full",
        system: "resilience4j",
        source: R4J_FULL,
        steps: "F F F=closed F=open",
        differs: "",
    },
    Row {
        name: "good probes close the circuit, with an empty window",
        system: "resilience4j",
        source: R4J,
        steps: "F F F F F=open +5001 S=half S=half/closed",
        differs: "the verdict falls once it is certain: two of three good probes are enough",
    },
    Row {
        name: "bad probes open the circuit for the same time again",
        system: "resilience4j",
        source: R4J,
        steps: "F F F F F=open +5001 F=half F=half/open X +4900 X +101 S=half",
        differs: "the verdict falls once it is certain: two of three bad probes are enough",
    },
    Row {
        name: "calls of a time window leave it by age",
        system: "resilience4j",
        source: R4J_TIME,
        steps: "F F=closed +11000 F=closed F=closed F=open",
        differs: "",
    },
    Row {
        name: "half of the calls are slow",
        system: "resilience4j",
        source: R4J_SLOW,
        steps: "S S L150=closed L150=open",
        differs: "",
    },
    Row {
        name: "calls at the threshold are not slow",
        system: "resilience4j",
        source: R4J_SLOW,
        steps: "L99 L99 L99 L99=closed",
        differs: "",
    },
    Row {
        name: "half of the volume fails, and one request is let out",
        system: "hystrix",
        source: HYSTRIX,
        steps: "S S F=closed F=open X +4900 X +101 S=closed",
        differs: "",
    },
    Row {
        name: "a failed request after the sleep window begins another",
        system: "hystrix",
        source: HYSTRIX,
        steps: "F F F F=open +5001 F=open X +4900 X +101 S=closed F=closed",
        differs: "",
    },
    Row {
        name: "no second request is let out while the first is under way",
        system: "hystrix",
        source: HYSTRIX,
        steps: "F F F F=open +5001 B=half X X E=closed",
        differs: "",
    },
    Row {
        name: "failures leave the rolling window",
        system: "hystrix",
        source: HYSTRIX,
        steps: "F F F=closed +11000 F=closed",
        differs: "",
    },
    Row {
        name: "a call that exceeds the time limit has failed",
        system: "resilience4j",
        source: R4J_TIMED,
        steps: "S S H2000=closed H2000=open X",
        differs: "",
    },
    Row {
        name: "a command times out after its own time, and has failed",
        system: "hystrix",
        source: HYSTRIX_TIMED,
        steps: "S S H300=closed H300=open X",
        differs: "",
    },
    Row {
        name: "a command without a timeout of its own has one of a second",
        system: "hystrix",
        source: HYSTRIX,
        steps: "S S H1000=closed H1000=open X",
        differs: "",
    },
    Row {
        name: "the ratio has to be exceeded",
        system: "sentinel",
        source: RATIO,
        steps: "S S F F=closed F=open X +9900 X +101 S=closed",
        differs: "",
    },
    Row {
        name: "a failed probe opens the circuit for another time window",
        system: "sentinel",
        source: RATIO,
        steps: "F F F F=open +10001 F=open X +9900 X +101 S=closed",
        differs: "",
    },
    Row {
        name: "failures of two intervals",
        system: "sentinel",
        source: RATIO,
        steps: "+1900 F F F=closed +200 F=closed/open",
        differs: "Sentinel's interval starts anew at the second, where this window slides",
    },
    Row {
        name: "all requests are slow, and so is the probe",
        system: "sentinel",
        source: SLOW,
        steps: "L150 L150 L150=closed L150=open X +10001 L150=open",
        differs: "",
    },
];

struct Play {
    proxy: Proxy,
    now_ms: u64,
    state: &'static str,
    begun: Vec<StreamId>,
    /// The limit on the time of the last call, in milliseconds, if the router was told one.
    limit: Option<u64>,
}

/// The flag UT.
const UPSTREAM_TIMEOUT: u64 = 4;
const LIMIT: &str = "x-envoy-upstream-rq-timeout-ms";

impl Play {
    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.proxy.run_to(self.now_ms);
        for line in self.proxy.log() {
            for (end, state) in [
                ("closed", "closed"),
                ("open", "open"),
                ("half_open", "half"),
            ] {
                if line.contains(&format!(r#""to":"{end}""#)) {
                    self.state = state;
                }
            }
        }
    }

    /// Begins a call, and returns whether it went to the upstream.
    fn begin(&mut self) -> (StreamId, bool) {
        let stream = self.proxy.open_on(0);
        self.proxy.host.request(stream, headers(true, &GET));
        let effects = self.proxy.effects();
        let sent = effects.iter().find(|effect| effect.starts_with("up:"));
        self.limit = sent.and_then(|sent| {
            let (_, rest) = sent.split_once(LIMIT)?;
            let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
            let rest = rest.trim_start_matches(|letter: char| !letter.is_ascii_digit());
            rest[..digits(rest)].parse().ok()
        });
        (stream, sent.is_some())
    }

    fn end(&mut self, stream: StreamId, status: &'static str) {
        self.end_by(stream, status, "via_upstream", 0);
    }

    fn end_by(&mut self, stream: StreamId, status: &'static str, details: &str, flags: u64) {
        let info = self.proxy.host.info_mut(stream).unwrap();
        info.code = status.parse().ok();
        info.details = details.into();
        info.flags = flags;
        info.attempts = Some(1);
        self.proxy
            .host
            .response(stream, headers(true, &[(":status", status)]));
        self.proxy.effects();
        self.proxy.host.close(stream);
    }

    fn step(&mut self, step: &str) -> Result<(), &'static str> {
        let (kind, number) = step.split_at(1);
        let number = number.parse().unwrap_or(0);
        match kind {
            "+" => self.pass(number),
            "E" => {
                let stream = self.begun.remove(0);
                self.end(stream, "200");
            }
            "X" => {
                let (stream, passed) = self.begin();
                self.proxy.host.close(stream);
                if passed {
                    return Err("was not rejected");
                }
            }
            _ => {
                let (stream, passed) = self.begin();
                if !passed {
                    return Err("was rejected");
                }
                self.pass(number);
                match kind {
                    "H" if self.limit != Some(number) => return Err("has another limit"),
                    "H" => self.end_by(stream, "504", "response_timeout", UPSTREAM_TIMEOUT),
                    "B" => self.begun.push(stream),
                    "F" => self.end(stream, "503"),
                    _ => self.end(stream, "200"),
                }
            }
        }
        self.pass(1);
        Ok(())
    }
}

/// Imports a source whose one policy is for the cluster `up`.
fn policy(row: &Row) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.yml");
    fs::write(&path, row.source).unwrap();
    let output = import(row.system, &[path.to_str().unwrap()]);
    assert_eq!(output.code, 0, "{}: {}", row.name, output.stderr);
    output.stdout
}

#[test]
fn imported_policies_follow_their_libraries_call_by_call() {
    for row in ROWS {
        let plugin = spillway(policy(row));
        let mut play = Play {
            proxy: Proxy::start(plugin, 1).unwrap(),
            now_ms: 0,
            state: "closed",
            begun: Vec::new(),
            limit: None,
        };
        let mut differences = 0;
        for (number, step) in row.steps.split_whitespace().enumerate() {
            let (step, expected) = step.split_once('=').unwrap_or((step, ""));
            let case = format!("{}: step {number}, {step}", row.name);
            if let Err(why) = play.step(step) {
                panic!("{case} {why}");
            }
            let (_, ours) = expected.split_once('/').unwrap_or(("", expected));
            differences += usize::from(expected.contains('/'));
            assert!(
                ours.is_empty() || play.state == ours,
                "{case}: is {}",
                play.state
            );
        }
        assert_eq!(differences > 0, !row.differs.is_empty(), "{}", row.name);
    }
}
