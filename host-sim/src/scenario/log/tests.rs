use std::io::Write;
use std::path::Path;

use super::entry::Entry;
use super::fate::Meaning;
use super::format::Format;
use super::*;
use crate::model::recorded::Recording;
use crate::sim::span::Span;

const SPILLWAY: &str = r#"{"start":"2026-01-02T03:04:05.678Z","method":"GET","path":"/a?b=1","cluster":"up","code":503,"details":"via_upstream","flags":"-","grpc_status":null,"duration_ms":12,"spillway":"policy=p state=closed decision=pass"}"#;
const ISTIO: &str = r#"{"authority":"shop:80","bytes_sent":7,"duration":12,"method":"GET","path":"/a?b=1","request_id":"84961386","response_code":503,"response_code_details":"via_upstream","response_flags":"-","route_name":"default","start_time":"2026-01-02T03:04:05.678Z","upstream_cluster":"outbound|80||shop","upstream_service_time":"11"}"#;
const ISTIO_TEXT: &str = r#"[2026-01-02T03:04:05.678Z] "GET /a?b=1 HTTP/1.1" 503 - via_upstream - "-" 0 135 12 11 "-" "curl/7 "x"" "84961386" "shop:80" "127.0.0.1:80" outbound|80||shop 127.0.0.1:41854 10.44.1.27:80 10.44.1.23:37652 - default"#;
const ENVOY_TEXT: &str = r#"[2026-01-02T03:04:05.678Z] "GET /a?b=1 HTTP/1.1" 503 UF 0 135 12 - "-" "curl/7" "84961386" "shop:80" "127.0.0.1:80""#;

/// 2026-01-02T03:04:05.678Z.
const AT_NS: u64 = 1_767_323_045_678_000_000;

fn options() -> Options {
    Options {
        format: None,
        fields: Vec::new(),
        window: Span::from_ms(60_000),
    }
}

/// A file with these bytes.
fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn survey(bytes: &[u8], options: Options) -> Result<(Log, Survey), String> {
    let file = file(bytes);
    let name = file.path().display().to_string();
    let said = |error: LogError| error.to_string().replace(&name, "LOG");
    let log = Log::open(file.path(), options).map_err(said)?;
    let survey = Survey::new(&log, "log").map_err(said)?;
    Ok((log, survey))
}

fn line(at_ms: u64, duration_ms: &str, code: u16) -> String {
    let s = 1_700_000_000.0 + at_ms as f64 / 1e3;
    format!(
        "{{\"start\":{s},\"cluster\":\"up\",\"code\":{code},\"details\":\"via_upstream\",\
         \"duration_ms\":{duration_ms}}}\n"
    )
}

#[test]
fn a_line_of_each_format_is_the_same_request() {
    let rows = [
        (SPILLWAY, Format::Json, "up", "unknown", "", "via_upstream"),
        (
            ISTIO,
            Format::Json,
            "outbound|80||shop",
            "shop:80",
            "",
            "via_upstream",
        ),
        (
            ISTIO_TEXT,
            Format::IstioText,
            "outbound|80||shop",
            "shop:80",
            "",
            "via_upstream",
        ),
        (
            ENVOY_TEXT,
            Format::EnvoyText,
            "upstream",
            "shop:80",
            "UF",
            "",
        ),
    ];
    for (line, format, cluster, authority, flags, details) in rows {
        let (log, survey) = survey(line.as_bytes(), options()).unwrap();
        assert_eq!(log.format, format, "{line}");
        assert_eq!(survey.requests, 1, "{line}");
        let entry = Entry::new(format.read(line.as_bytes(), &[]).unwrap()).unwrap();
        let expected = Entry {
            start_ns: AT_NS,
            duration: Span::from_ms(12),
            status: 503,
            method: "GET".into(),
            path: "/a?b=1".into(),
            cluster: cluster.into(),
            authority: authority.into(),
            flags: flags.into(),
            details: details.into(),
            request_id: entry.request_id.clone(),
            decision: entry.decision.clone(),
            grpc_status: None,
        };
        assert_eq!(entry, expected, "{line}");
    }
}

#[test]
fn fields_of_other_logs_are_named_by_the_user() {
    let line = br#"{"ts":1767323045678,"rc":"204","took":"3.5","up":"a","duration":"x"}"#;
    let fields = ["time=ts", "status=rc", "duration=took", "cluster=up"];
    let fields = fields.map(|it| it.parse::<FieldMap>().unwrap());
    let entry = Entry::new(Format::Json.read(line, &fields).unwrap()).unwrap();
    assert_eq!(entry.start_ns, AT_NS);
    assert_eq!((entry.status, entry.cluster.as_str()), (204, "a"));
    assert_eq!(entry.duration, Span::from_ns(3_500_000));
    for text in ["status", "status=", "state=x", ""] {
        let error = text.parse::<FieldMap>().unwrap_err();
        assert!(error.starts_with("allowed FIELD=NAME"), "{error}");
    }
}

#[test]
fn times_are_timestamps_or_numbers_since_1970() {
    let rows = [
        ("2026-01-02T03:04:05.678Z", Some(AT_NS)),
        ("2026-01-02T05:04:05.678+02:00", Some(AT_NS)),
        ("1767323045.678", Some(AT_NS)),
        ("1767323045678", Some(AT_NS)),
        ("1767323045678000", Some(AT_NS)),
        ("1767323045678000000", Some(AT_NS)),
        ("", None),
        ("-5", None),
        ("NaN", None),
        ("1e300", None),
        ("1767323045.x", None),
        ("99999999999999999999", None),
        ("1969-12-31T23:59:59Z", None),
        ("9999-01-01T00:00:00Z", None),
        ("yesterday", None),
    ];
    for (text, expected) in rows {
        assert_eq!(time::parse(text), expected, "{text}");
    }
    assert_eq!(wall_clock(AT_NS), "2026-01-02T03:04:05.678Z");
}

#[test]
fn a_hostile_line_is_counted_and_named() {
    let long = format!("{{\"path\":\"{}\"}}", "x".repeat(2 << 20));
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(500), "]".repeat(500));
    let code = |code: &str| format!("{{\"start\":1,\"duration\":1,\"code\":{code}}}");
    let duration = |ms: &str| line(0, ms, 200).trim().to_owned();
    let rows: [(Vec<u8>, &str); 14] = [
        (long.into(), "is longer than 1048576 bytes"),
        (deep.into(), "has no time"),
        (
            b"{\"path\":\"\xff\"}".into(),
            "is not a JSON object: invalid unicode",
        ),
        (b"[1]".into(), "is not a JSON object"),
        (b"{\"start\":1".into(), "is not a JSON object: EOF"),
        (b"{} {}".into(), "is not a JSON object: trailing"),
        (b"{}".into(), "has no time, allowed one of the names start,"),
        (duration("-5").into(), "has the duration -5, allowed 0 to"),
        (duration("1e300").into(), "has the duration 1000000"),
        (duration("\"NaN\"").into(), "has the duration NaN, allowed"),
        (duration("NaN").into(), "is not a JSON object"),
        (duration("null").into(), "has no duration"),
        (
            code("99").into(),
            "has the status 99, allowed 0 or 100 to 599",
        ),
        (code("[200]").into(), "is not a JSON object: invalid type"),
    ];
    for (bytes, expected) in rows {
        let good = line(0, "1", 200);
        let log = [good.as_bytes(), &bytes, b"\n\n", good.as_bytes()].concat();
        let (_, survey) = survey(&log, options()).unwrap();
        let reading = &survey.reading;
        assert_eq!((reading.lines, reading.unreadable), (3, 1), "{expected}");
        let (number, why) = &reading.examples[0];
        assert_eq!(*number, 2, "{expected}");
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn a_log_with_nothing_to_replay_is_an_error_with_its_line() {
    let no_cluster = line(0, "1", 200).replace("\"up\"", "null");
    let far = line(0, "1", 200) + &line(40 * 86_400_000, "1", 200);
    let rows = [
        (
            "",
            "LOG: is empty, allowed lines of the formats json, istio-text, envoy-text",
        ),
        ("hello\n", "LOG:1: is not a JSON object"),
        (
            "\n{\"code\":1}\n",
            "LOG:2: has no time, allowed one of the names",
        ),
        (
            &no_cluster,
            "LOG: has no request that reached an upstream, needs at least one",
        ),
        (
            &far,
            "LOG:2: the log spans 2023-11-14T22:13:20.000Z to 2023-12-24",
        ),
    ];
    for (log, expected) in rows {
        let error = survey(log.as_bytes(), options()).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn the_end_of_a_request_says_what_its_upstream_did() {
    let rows = [
        ("200 - via_upstream", "Success Known(Response 200)"),
        ("503 - via_upstream", "Error Known(Response 503)"),
        ("503 URX via_upstream", "Error Known(Response 503)"),
        ("504 UT response_timeout", "Error Known(RouteTimeout)"),
        (
            "504 UT upstream_per_try_timeout",
            "Error Known(PerTryTimeout)",
        ),
        ("503 UH no_healthy_upstream", "Error Known(NoHealthyHost)"),
        (
            "503 UO upstream_reset_before_response_started{overflow}",
            "Error Known(Overflow)",
        ),
        (
            "0 DC downstream_remote_disconnect",
            "GaveUp Known(ClientLeft)",
        ),
        (
            "503 UF upstream_reset_before_response_started{remote_connection_failure}",
            "Error Known(Refused)",
        ),
        (
            "503 UF upstream_reset_before_response_started{connection_timeout}",
            "Error Known(Unreachable)",
        ),
        (
            "503 UC upstream_reset_before_response_started{connection_termination}",
            "Error Known(Reset)",
        ),
        (
            "200 UPE upstream_reset_after_response_started{protocol_error}",
            "Broken Known(Response 200)",
        ),
        ("503 - spillway_open", "Rejected Unknown"),
        ("200 - spillway_half_open", "Fallback Unknown"),
        ("200 - spillway_failure", "Fallback Known(Response 503)"),
        ("504 - spillway_timeout", "Rejected Known(RouteTimeout)"),
        ("404 NR route_not_found", "left out"),
        ("429 RL request_rate_limited", "left out"),
        ("200 - direct_response", "left out"),
        ("403 - ext_authz_denied", "left out"),
        ("0 - -", "left out"),
    ];
    for (log, expected) in rows {
        let [status, flags, details] = log.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{log}");
        };
        let text = |text: &str| if text == "-" { "" } else { text }.to_owned();
        let entry = Entry {
            status: status.parse().unwrap(),
            flags: text(flags),
            details: text(details),
            cluster: "up".into(),
            ..Entry::default()
        };
        let meaning = Meaning::of(&entry);
        let fate = match meaning.fate(&entry) {
            None => "left out".into(),
            Some(fate) => {
                let shown = format!("{fate:?}").replace("ByProxy", "");
                let events = [
                    "RouteTimeout",
                    "PerTryTimeout",
                    "NoHealthyHost",
                    "Overflow",
                    "ClientLeft",
                    "Refused",
                    "Unreachable",
                    "Reset",
                ];
                let event = events.iter().find(|it| shown.contains(**it));
                let status = shown.split("status: ").nth(1).map(|it| it[..3].to_owned());
                match (event, status) {
                    (Some(event), _) => format!("{:?} Known({event})", meaning.outcome(&entry)),
                    (_, Some(status)) => {
                        format!("{:?} Known(Response {status})", meaning.outcome(&entry))
                    }
                    _ => format!("{:?} Unknown", meaning.outcome(&entry)),
                }
            }
        };
        assert_eq!(fate, expected, "{log}");
    }
}

/// The starts of the replayed requests, in milliseconds.
fn order(lines: &[String], window_ms: u64) -> (Vec<u64>, u64) {
    let file = file(lines.concat().as_bytes());
    let window = Span::from_ms(window_ms);
    let options = Options {
        window,
        ..options()
    };
    let log = Log::open(file.path(), options).unwrap();
    let survey = Survey::new(&log, "log").unwrap();
    let mut recording = LogRecording::new(&log, &survey).unwrap();
    let mut starts = Vec::new();
    while let Some(request) = recording.next_request() {
        starts.push(request.at.as_ns() / 1_000_000);
    }
    (starts, survey.reading.late)
}

#[test]
fn requests_are_sorted_by_their_start_within_the_window() {
    let lines = [
        line(10, "5", 200),
        line(30, "5", 200),
        line(0, "100", 200),
        line(200, "5", 200),
        line(40, "170", 200),
        line(500, "5", 200),
    ];
    assert_eq!(order(&lines, 60_000), (vec![0, 10, 30, 40, 200, 500], 0));
    // A window of 150 ms has handed on what began at 30 ms, but nothing later.
    assert_eq!(order(&lines, 150), (vec![0, 10, 30, 40, 200, 500], 0));
    let (starts, late) = order(
        &[
            line(0, "1", 200),
            line(300, "1", 200),
            line(900, "1", 200),
            line(100, "850", 200),
        ],
        150,
    );
    assert_eq!((starts, late), (vec![0, 300, 900], 1));
}

#[test]
fn compressed_logs_are_read_as_far_as_they_go() {
    let text: String = (0..400).map(|n| line(n, "1", 200)).collect();
    let gzip = |text: &str| {
        let level = flate2::Compression::default();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |text: &str| {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(text.as_bytes(), level)
    };
    let whole = gzip(&text);
    let rows = [
        ("plain", text.clone().into_bytes(), 400, false),
        ("gzip", whole.clone(), 400, false),
        (
            "gzip twice",
            [gzip(&text), gzip(&text)].concat(),
            800,
            false,
        ),
        ("zstd", zstd(&text), 400, false),
        (
            "zstd twice",
            [zstd(&text), zstd(&text)].concat(),
            800,
            false,
        ),
        (
            "gzip without its end",
            whole[..whole.len() - 4].to_vec(),
            400,
            true,
        ),
    ];
    for (name, bytes, lines, cut_off) in rows {
        let (_, survey) = survey(&bytes, options()).unwrap();
        assert_eq!(survey.reading.lines, lines, "{name}");
        assert_eq!(survey.reading.cut_off.is_some(), cut_off, "{name}");
    }
    for bytes in [&whole[..12], &zstd(&text)[..6]] {
        let error = survey(bytes, options()).unwrap_err();
        assert!(error.starts_with("LOG: cannot be read: "), "{error}");
    }
    let missing = Log::open(Path::new("missing.log"), options()).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("missing.log: cannot be read: ")
    );
}
