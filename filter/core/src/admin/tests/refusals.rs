//! Requests that are refused.

use super::*;
use crate::random::Random;

/// Requests without the prefix. Below each are the status and the detail of its response.
const REFUSED: &str = r#"
GET //
404 the path after the prefix is "//", allowed /, /circuits, /circuits/POLICY, /circuits/POLICY/ID
GET /circuits/
405 the method is "GET", allowed PUT
PUT /circuitsX
404 the path after the prefix is "/circuitsX", allowed /, /circuits, /circuits/POLICY, /circuits/POLICY/ID
GET /%63ircuits
404 the path after the prefix is "/%63ircuits", allowed /, /circuits, /circuits/POLICY, /circuits/POLICY/ID

GET /circuits?policy=x
404 policy is "x", allowed p, empty, q-1
GET /circuits?policy
404 policy is "", allowed p, empty, q-1
GET /circuits?policy=%70
404 policy is "%70", allowed p, empty, q-1
GET /circuits?policy=p&policy=p
400 a parameter is "policy", allowed once
GET /circuits?contains=a&contains=a
400 a parameter is "contains", allowed once
GET /circuits?action=reset
400 a parameter is "action", allowed policy, contains
GET /circuits?policy=p&
400 a parameter is "", allowed policy, contains
GET /?x=1
400 a parameter is "x", allowed none
GET ?x=1
400 a parameter is "x", allowed none

PUT /circuits/?action=reset
404 policy is "", allowed p, empty, q-1
PUT /circuits/P?action=reset
404 policy is "P", allowed p, empty, q-1
PUT /circuits/P/0000000000000001?action=reset
404 policy is "P", allowed p, empty, q-1
PUT /circuits/p/?action=reset
400 the circuit's id is "", allowed 16 hexadecimal digits
PUT /circuits/p/1?action=reset
400 the circuit's id is "1", allowed 16 hexadecimal digits
PUT /circuits/p/+000000000000001?action=reset
400 the circuit's id is "+000000000000001", allowed 16 hexadecimal digits
PUT /circuits/p/0000000000000001/?action=reset
400 the circuit's id is "0000000000000001/", allowed 16 hexadecimal digits

PUT /circuits/p
400 action is missing, allowed force_open, force_closed, reset, automatic
PUT /circuits/p?action=
400 action is "", allowed force_open, force_closed, reset, automatic
PUT /circuits/p?action=open
400 action is "open", allowed force_open, force_closed, reset, automatic
PUT /circuits/p?action=reset&action=reset
400 a parameter is "action", allowed once
PUT /circuits/p?action=reset&policy=q-1
400 a parameter is "policy", allowed action, for

PUT /circuits/p?action=force_open
400 for is missing, allowed 1s to 24h
PUT /circuits/p?action=force_open&for=
400 for is "", allowed 1s to 24h
PUT /circuits/p?action=force_open&for=10
400 for is "10", allowed 1s to 24h
PUT /circuits/p?action=force_open&for=999ms
400 for is "999ms", allowed 1s to 24h
PUT /circuits/p?action=force_closed&for=24h1ns
400 for is "24h1ns", allowed 1s to 24h
PUT /circuits/p?action=force_open&for=1m&for=1m
400 a parameter is "for", allowed once
PUT /circuits/p?action=reset&for=1m
400 for is "1m", allowed with force_open and force_closed only
PUT /circuits/p?action=automatic&for=
400 for is "", allowed with force_open and force_closed only
"#;

#[test]
fn an_invalid_request_is_told_what_is_allowed() {
    let lines: Vec<&str> = REFUSED.lines().filter(|line| !line.is_empty()).collect();
    for row in lines.chunks(2) {
        let [request, expected] = row else {
            panic!("{row:?}");
        };
        let mut fake = three_circuits();
        let response = send(&request.replacen(' ', " /spillway", 1), &mut fake);
        let found = format!("{} {}", response.status, detail(&response));
        assert_eq!(found, *expected, "{request}");
        assert!(fake.done.is_empty(), "{request}");
    }
}

#[test]
fn an_evicted_circuit_is_not_found() {
    let line = "PUT /spillway/circuits/p/0000000000000009?action=reset";
    let response = send(line, &mut three_circuits());
    assert_eq!(response.status, 404);
    let words = "the circuit's id is \"0000000000000009\", unknown to the policy";
    assert_eq!(detail(&response), words);
}

#[test]
fn each_path_has_its_methods() {
    let rows = [
        ("", "GET, HEAD"),
        ("/", "GET, HEAD"),
        ("/circuits", "GET, HEAD"),
        ("/circuits/p", "PUT"),
        ("/circuits/p/0000000000000001", "PUT"),
    ];
    for (path, allowed) in rows {
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "get", ""] {
            let mut fake = three_circuits();
            let line = format!("{method} /spillway{path}");
            let response = send(&line, &mut fake);
            let allows = allowed.split(", ").any(|name| name == method);
            assert_eq!(response.status == 405, !allows, "{line}");
            if !allows {
                assert_eq!(header(&response, "allow"), allowed, "{line}");
                let words = format!("the method is \"{method}\", allowed {allowed}");
                assert_eq!(detail(&response), words);
            }
            assert!(fake.done.is_empty(), "{line}");
        }
    }
}

#[test]
fn another_site_cannot_change_circuits_through_an_operators_browser() {
    let rows = [
        (None, 200),
        (Some("same-origin"), 200),
        (Some("none"), 200),
        (Some("same-site"), 403),
        (Some("cross-site"), 403),
        (Some("same-origin,cross-site"), 403),
        (Some(""), 403),
    ];
    for (site, status) in rows {
        let mut request = ask("PUT", "/spillway/circuits/p?action=reset");
        if let Some(site) = site {
            request = request.with("sec-fetch-site", site);
        }
        let mut fake = three_circuits();
        let response = respond(PREFIX, &request, CLOCKS, &mut fake).expect("a response");
        assert_eq!(response.status, status, "{site:?}");
        assert_eq!(fake.done.len(), usize::from(status == 200), "{site:?}");
        if status == 403 {
            let site = site.unwrap_or_default();
            let words = format!("sec-fetch-site is \"{site}\", allowed same-origin, none");
            assert_eq!(detail(&response), words);
        }
    }
}

#[test]
fn a_lost_write_is_answered_with_retry_after() {
    let mut fake = FakeCircuits {
        busy: true,
        ..three_circuits()
    };
    let response = send("PUT /spillway/circuits/p?action=reset", &mut fake);
    assert_eq!(response.status, 503);
    assert_eq!(header(&response, "retry-after"), "1");
    let words = "other workers changed the circuits at the same time; try again";
    assert_eq!(detail(&response), words);
}

/// This many policies, without circuits.
struct Many(usize);

impl Circuits for Many {
    fn policies(&mut self) -> Vec<Box<str>> {
        (0..self.0).map(|n| format!("p{n}").into()).collect()
    }

    fn circuits(&mut self, _: &[&str], _: Search<'_>) -> Listing {
        Listing::default()
    }

    fn transitions(&mut self) -> Vec<Past> {
        Vec::new()
    }

    fn control(&mut self, _: &str, _: Option<u64>, _: Action) -> Result<usize, Busy> {
        Ok(0)
    }
}

#[test]
fn a_long_list_of_policies_is_shortened() {
    let rows = [
        (0, "policy is \"p\", allowed none"),
        (2, "policy is \"p\", allowed p0, p1"),
        (20, ", p18, p19"),
        (21, ", p18, p19, ..."),
        (10_000, ", p18, p19, ..."),
    ];
    for (count, end) in rows {
        let request = ask("GET", "/spillway/circuits?policy=p");
        let response = respond(PREFIX, &request, CLOCKS, &mut Many(count)).expect("a response");
        assert!(detail(&response).ends_with(end), "{}", detail(&response));
    }
}

#[test]
fn a_refusal_shortens_and_escapes_what_was_sent() {
    let path = [b"/spillway/\"\\\n\xff</script>".as_slice(), &[b'x'; 60_000]].concat();
    let response =
        respond(PREFIX, &ask("GET", path), CLOCKS, &mut three_circuits()).expect("a response");
    assert_eq!(response.status, 404);
    assert!(response.body.len() < 300, "{}", response.body.len());
    let shown = detail(&response);
    let start = "the path after the prefix is \"/\"\\\n\u{fffd}</script>xxx";
    assert!(shown.starts_with(start), "{shown}");
}

#[test]
fn any_bytes_get_a_valid_response_or_none() {
    let words: [&[u8]; 23] = [
        b"/spillway",
        b"/circuits",
        b"/",
        b"?",
        b"&",
        b"=",
        b"p",
        b"q-1",
        b"policy",
        b"contains",
        b"action",
        b"for",
        b"force_open",
        b"reset",
        b"1m",
        b"0000000000000001",
        b"%2f",
        b"%",
        b"\xff",
        b"\0",
        b"..",
        b"+",
        b"99999999999h",
    ];
    let methods: [&[u8]; 4] = [b"GET", b"PUT", b"HEAD", b"\xff"];
    let mut random = Random::new(11);
    let mut statuses = alloc::collections::BTreeMap::new();
    for _ in 0..200_000 {
        let mut path = Vec::new();
        if random.chance(9_000) {
            path.extend_from_slice(b"/spillway");
        }
        for _ in 0..random.between(0, 9) {
            match random.between(0, 25) {
                25 => path.push(random.word() as u8),
                at => path.extend_from_slice(words.get(at as usize).unwrap_or(&b"/".as_slice())),
            }
        }
        let method = methods[random.between(0, 3) as usize];
        let request = TestRequest::default()
            .with(":authority", "[::1]:80")
            .with(":method", method)
            .with(":path", &path);
        let result = respond(PREFIX, &request, CLOCKS, &mut three_circuits());
        let shown = String::from_utf8_lossy(&path).into_owned();
        assert_eq!(result.is_some(), is_under(PREFIX, &path), "{shown}");
        let Some(response) = result else { continue };
        assert!(path.starts_with(PREFIX.as_bytes()), "{shown}");
        *statuses.entry(response.status).or_insert(0) += 1;
        for (name, value) in &response.headers {
            assert!(
                value.iter().all(|b| (b' '..=b'~').contains(b)),
                "{shown}: {name}"
            );
        }
        if response.status >= 400 {
            assert!(!detail(&response).is_empty(), "{shown}");
        }
    }
    let seen: Vec<u16> = statuses.into_keys().collect();
    assert_eq!(seen, [200, 308, 400, 404, 405]);
}

#[test]
fn only_localhost_and_addresses_are_accepted_as_the_host() {
    let accepted = [
        "localhost",
        "LOCALHOST:9902",
        "127.0.0.1",
        "10.1.2.3:80",
        "[::1]",
        "[::1]:9902",
    ];
    let refused = [
        None,
        Some(""),
        Some(":9902"),
        Some("evil.example"),
        Some("evil.example:9902"),
        Some("localhost.evil.example"),
        Some("127.0.0.1.evil.example"),
        Some("1.2.3.4x"),
        Some("::1"),
    ];
    let rows = accepted.iter().map(|host| (Some(*host), 200));
    for (host, status) in rows.chain(refused.iter().map(|host| (*host, 403))) {
        let mut request = TestRequest::default()
            .with(":method", "GET")
            .with(":path", "/spillway/circuits");
        if let Some(host) = host {
            request = request.with(":authority", host);
        }
        let response =
            respond(PREFIX, &request, CLOCKS, &mut three_circuits()).expect("under the prefix");
        assert_eq!(response.status, status, "{host:?}");
        if status == 403 {
            let found = host.map_or("missing".into(), |host| format!("\"{host}\""));
            let words = format!("the host is {found}, allowed localhost or an address");
            assert_eq!(detail(&response), words);
        }
    }
}
