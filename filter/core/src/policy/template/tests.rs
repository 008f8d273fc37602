use alloc::format;
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::*;
use crate::circuit::breaker::StateName;
use crate::fallback::{FallbackResponse, Occasion, respond};
use crate::policy::{FallbackType, On};
use crate::testing::policy;
use crate::time::Span;

const HOSTILE: &[u8] = b"/a?\"x\"\\<script>'&\r\nset-cookie: a=b\x00\xff{policy}";

fn filled(text: &str, escape: Escape) -> String {
    let values = Values {
        policy: "p",
        retry_after: 7,
        path: HOSTILE,
        request_id: b"id-1",
    };
    String::from_utf8_lossy(&Template::new(text, escape).fill(&values)).into_owned()
}

#[test]
fn every_placeholder_is_filled_and_other_braces_stay() {
    let text = "{policy} {retry_after} {request_id} {other} { {} {policy";
    assert_eq!(filled(text, Escape::Line), "p 7 id-1 {other} { {} {policy");
}

#[test]
fn a_value_cannot_leave_the_place_where_it_stands() {
    let rows = [
        (
            Escape::Line,
            "/a?\"x\"\\<script>'&set-cookie: a=b\u{fffd}{policy}",
        ),
        (
            Escape::Header,
            "/a?%22x%22%5C%3Cscript%3E'&%0D%0Aset-cookie: a=b%00%FF{policy}",
        ),
        (
            Escape::Json,
            "/a?\\u0022x\\u0022\\u005C\\u003Cscript\\u003E\\u0027\\u0026set-cookie\\u003A\\u0020\
             a=b\u{fffd}\\u007Bpolicy\\u007D",
        ),
        (
            Escape::Script,
            "\\u002Fa\\u003F\\u0022x\\u0022\\u005C\\u003Cscript\\u003E\\u0027\\u0026set\\u002D\
             cookie\\u003A\\u0020a\\u003Db\\uFFFD\\u007Bpolicy\\u007D",
        ),
        (
            Escape::Markup,
            "/a?&#34;x&#34;&#92;&#60;script&#62;&#39;&#38;set-cookie: a&#61;b\u{fffd}{policy}",
        ),
        (
            Escape::Unknown,
            "/a?%22x%22%5C%3Cscript%3E%27%26%0D%0Aset-cookie%3A%20a%3Db%00%FF%7Bpolicy%7D",
        ),
    ];
    for (escape, expected) in rows {
        assert_eq!(filled("{path}", escape), expected, "{escape:?}");
    }
}

#[test]
fn a_header_cannot_lead_to_another_host() {
    for (path, expected) in [
        (&b"//evil.example/"[..], "/%2Fevil.example/"),
        (b"/\\evil.example/", "/%5Cevil.example/"),
        (b"/a//b", "/a//b"),
    ] {
        let values = Values {
            policy: "p",
            retry_after: 1,
            path,
            request_id: b"",
        };
        let filled = Template::new("{path}", Escape::Header).fill(&values);
        assert_eq!(String::from_utf8_lossy(&filled), expected);
    }
}

#[test]
fn a_response_does_not_grow_with_what_the_client_sent() {
    let long = alloc::vec![b'a'; 60_000];
    let values = Values {
        policy: "p",
        retry_after: 1,
        path: &long,
        request_id: b"",
    };
    let filled = Template::new("{path}", Escape::Header).fill(&values);
    assert_eq!(filled.len(), VALUE_BYTES_MAX);
}

/// Content types, and how a value must be escaped in a `body` of that type.
const TYPES: [(&str, Escape); 25] = [
    ("application/json", Escape::Json),
    ("application/problem+json; charset=utf-8", Escape::Json),
    ("Application/LD+JSON", Escape::Json),
    ("application/json-seq", Escape::Json),
    ("application/geo+json-seq", Escape::Json),
    ("application/x-ndjson", Escape::Json),
    ("text/html", Escape::Markup),
    ("text/HTML; charset=utf-8", Escape::Markup),
    ("application/xhtml+xml", Escape::Markup),
    ("text/xml", Escape::Markup),
    ("application/xml", Escape::Markup),
    ("image/svg+xml", Escape::Markup),
    ("text/javascript", Escape::Script),
    ("application/javascript; charset=utf-8", Escape::Script),
    ("application/x-ecmascript", Escape::Script),
    ("text/plain", Escape::Line),
    ("text/plain; charset=utf-8", Escape::Line),
    ("application/octet-stream", Escape::Unknown),
    ("text/css", Escape::Unknown),
    ("text/csv", Escape::Unknown),
    ("application/yaml", Escape::Unknown),
    ("application/json, text/html", Escape::Unknown),
    ("text/plain, text/html", Escape::Unknown),
    ("nonsense", Escape::Unknown),
    ("", Escape::Unknown),
];

/// Values by which a client may try to leave the place where they stand.
const VALUES: [&str; 16] = [
    "/<script>alert(1)</script>",
    "/</script><img src=x onerror=alert(1)>",
    "/\"},\"admin\":true,{\"",
    "/\\\",\"admin\":true,\"",
    "1,\"admin\":true",
    "alert(document.cookie)",
    "';alert(1);//",
    "`${alert(1)}`",
    "*/alert(1)/*",
    "]]>--><x/>",
    "&lt;script&gt;&#60;",
    "a\u{2028}alert(1)\u{2029}b",
    "a\r\nset-cookie: a=b\u{1e}{\"admin\":true}\n",
    "x;}body{background:url(//evil)}",
    "{policy}{retry_after}{path}{request_id}",
    "\u{fffe}\u{ffff}\u{85}\u{1f600}\u{e9}",
];

/// What stands before and after the value in a body.
const OPEN: &str = "{\"at\":\"";
const CLOSE: &str = "\"}";

/// Every content type, with a body of either kind, with every placeholder, with every value: the
/// value stays one value, for a reader of that type and for a browser.
#[test]
fn no_value_leaves_its_place_in_a_body_of_any_type() {
    for (content_type, escape) in TYPES {
        assert_eq!(
            Escape::of_content_type(content_type),
            escape,
            "{content_type}"
        );
        for kind in ["json", "body"] {
            for placeholder in ["{path}", "{request_id}"] {
                for value in VALUES {
                    let row = format!("{content_type} {kind} {placeholder} {value:?}");
                    let written = inserted(content_type, kind, placeholder, value);
                    let expected = match (kind, escape) {
                        ("json", Escape::Json) => Escape::Json,
                        ("json", _) => Escape::Script,
                        _ => escape,
                    };
                    stays(expected, value, &written, &row);
                }
            }
        }
    }
}

/// The value as a body of this type and kind has it.
fn inserted(content_type: &str, kind: &str, placeholder: &str, value: &str) -> String {
    let content = match kind {
        "json" => json!({"at": placeholder}),
        _ => json!(format!("{OPEN}{placeholder}{CLOSE}")),
    };
    let entry = json!({"type": "respond", "headers": {"content-type": content_type},
        kind: content});
    let answer = answered(&entry, value);
    let body = String::from_utf8(answer.body).expect("UTF-8");
    let inside = body
        .strip_prefix(OPEN)
        .and_then(|it| it.strip_suffix(CLOSE));
    inside.expect("the text around it").into()
}

fn answered(entry: &Value, value: &str) -> FallbackResponse {
    let policy = policy(&format!("\"fallback\": [{entry}]"));
    let FallbackType::Respond(entry) = &policy.fallback[0].from else {
        panic!("a fixed answer");
    };
    let occasion = Occasion {
        on: On::Open,
        state: StateName::Open,
        retry_after: Span::from_ms(1),
        grpc: false,
        path: value.as_bytes(),
        request_id: value.as_bytes(),
        accept: b"",
    };
    respond(&policy, entry, &occasion)
}

fn stays(escape: Escape, value: &str, written: &str, row: &str) {
    let lacks = |forbidden: &str| {
        let found = written.chars().find(|c| forbidden.contains(*c));
        assert_eq!(found, None, "{row}: {written}");
    };
    let text: String = value.chars().filter(|c| is_text(*c)).collect();
    assert!(written.chars().all(is_text), "{row}: {written:?}");
    match escape {
        Escape::Json | Escape::Script => {
            lacks("\"<>&'`$*,:[]{} \u{2028}\u{2029}");
            let read: String = serde_json::from_str(&format!("\"{written}\"")).expect(row);
            assert_eq!(read, text, "{row}");
            if escape == Escape::Script {
                let plain = |c: char| c.is_ascii_alphanumeric() || "_\\".contains(c);
                assert!(written.chars().all(plain), "{row}: {written}");
            }
        }
        Escape::Markup => {
            lacks("<>\"'`=()\\$");
            assert_eq!(decoded(written), text, "{row}");
        }
        Escape::Unknown => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/?%".contains(c);
            assert!(written.chars().all(plain), "{row}: {written}");
        }
        Escape::Line | Escape::Header => assert_eq!(written, text, "{row}"),
    }
}

/// What a reader of markup makes of numeric references.
fn decoded(written: &str) -> String {
    let mut parts = written.split('&');
    let mut text = String::from(parts.next().expect("a part"));
    for part in parts {
        let (number, rest) = part
            .strip_prefix('#')
            .and_then(|it| it.split_once(';'))
            .expect("a reference");
        text.extend(char::from_u32(number.parse().expect("a number")));
        text.push_str(rest);
    }
    text
}

/// A placeholder that stands outside of any string can make its answer unreadable, but can put
/// nothing into it.
#[test]
fn a_value_outside_a_string_adds_nothing_to_json() {
    let entry = json!({"type": "respond", "headers": {"content-type": "application/json"},
        "body": "{\"id\":{request_id},\"end\":true}"});
    for value in VALUES {
        let body = answered(&entry, value).body;
        assert!(
            serde_json::from_slice::<Value>(&body).is_err(),
            "{value:?} {body:?}"
        );
    }
    let body = answered(&entry, "17").body;
    let read: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(read, json!({"id": 17, "end": true}));
}

#[test]
fn no_header_value_leaves_its_place() {
    for value in VALUES {
        for placeholder in ["{path}", "{request_id}"] {
            let entry = json!({"type": "respond", "headers": {"x-at": placeholder}});
            let headers: Vec<_> = answered(&entry, value).headers;
            let (name, written) = headers.first().expect("a header");
            assert_eq!(name, "x-at");
            let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !b"\"<>\\,;".contains(byte);
            assert!(written.iter().all(plain), "{value:?}: {written:?}");
        }
    }
}
