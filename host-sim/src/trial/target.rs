//! The target of a request, as HTTP/1.1 has it in the request line.
//!
//! A target may be a path, an absolute URL, an authority (of CONNECT) or `*`. Envoy's codec and
//! connection manager reject some of them before any filter sees the request.

use crate::proxy::stream::info::flag;

/// What a plugin sees of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub scheme: &'static str,
    /// `None` for that of the `host` header.
    pub authority: Option<String>,
    /// `None` for CONNECT.
    pub path: Option<String>,
    /// Why no filter sees the request, if that is so.
    pub refused: Option<Refused>,
}

/// The response to a request that no filter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub details: &'static str,
    pub body: &'static str,
    pub flags: u64,
    /// Whether there are request headers at the end of the stream.
    pub has_headers: bool,
}

impl Refused {
    const fn by_codec(details: &'static str) -> Refused {
        Refused {
            status: 400,
            details,
            body: "Bad Request",
            flags: flag::DOWNSTREAM_PROTOCOL_ERROR,
            has_headers: false,
        }
    }

    const fn by_manager(status: u16, details: &'static str) -> Refused {
        Refused {
            status,
            details,
            body: "",
            flags: 0,
            has_headers: true,
        }
    }
}

const CODEC_ERROR: Refused = Refused::by_codec("http1.codec_error");
const INVALID_CHARACTERS: Refused = Refused::by_codec("http1.invalid_characters");
const INVALID_URL: Refused = Refused::by_codec("http1.invalid_url");
const INVALID_SCHEME: Refused = Refused::by_codec("http1.invalid_scheme");
const NOT_A_PATH: Refused = Refused::by_manager(404, "absolute_path_rejected");
const FRAGMENT: Refused = Refused::by_manager(400, "path_normalization_failed");

impl Target {
    /// Reads the target of a request with this method.
    pub fn read(method: &str, target: &str) -> Target {
        let read = match invalid_bytes(target) {
            Some(refused) => Err(refused),
            None if method == "CONNECT" => connect(target),
            None => origin_or_absolute(method, target),
        };
        let mut read = read.unwrap_or_else(|refused| Target {
            refused: Some(refused),
            ..Target::of_path(target)
        });
        if read.refused.is_none()
            && let Some(path) = &read.path
        {
            read.refused = match path {
                path if !path.starts_with('/') => Some(NOT_A_PATH),
                path if path.contains('#') => Some(FRAGMENT),
                _ => None,
            };
        }
        read
    }

    fn of_path(path: &str) -> Target {
        Target {
            scheme: "http",
            authority: None,
            path: Some(path.to_owned()),
            refused: None,
        }
    }
}

fn invalid_bytes(target: &str) -> Option<Refused> {
    if target.bytes().any(|byte| byte.is_ascii_control()) {
        return Some(INVALID_CHARACTERS);
    }
    let wrong = target.is_empty() || target.bytes().any(|it| it == b' ' || !it.is_ascii());
    wrong.then_some(CODEC_ERROR)
}

fn connect(target: &str) -> Result<Target, Refused> {
    let has_port = target.rsplit_once(':').is_some();
    if !has_port || !is_authority(target) {
        return Err(INVALID_URL);
    }
    Ok(Target {
        authority: Some(target.to_owned()),
        path: None,
        ..Target::of_path("")
    })
}

fn origin_or_absolute(method: &str, target: &str) -> Result<Target, Refused> {
    match target.as_bytes().first() {
        Some(b'/') => return Ok(Target::of_path(target)),
        Some(b'*') if method == "OPTIONS" => return Ok(Target::of_path(target)),
        Some(b'*') => return Err(INVALID_URL),
        _ => {}
    }
    let (scheme, rest) = target.split_once("://").ok_or(CODEC_ERROR)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => "http",
        "https" => "https",
        other if other.bytes().all(|it| it.is_ascii_alphanumeric()) => {
            return Err(INVALID_SCHEME);
        }
        _ => return Err(CODEC_ERROR),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if path.starts_with('#') {
        return Err(CODEC_ERROR);
    }
    // A user and a password are dropped.
    let host = authority
        .split_once('@')
        .map_or(authority, |(_, host)| host);
    if !is_authority(host) {
        return Err(INVALID_URL);
    }
    Ok(Target {
        scheme,
        authority: Some(host.to_owned()),
        path: Some(if path.is_empty() { "/" } else { path }.to_owned()),
        refused: None,
    })
}

/// Whether Envoy accepts a host with or without a port in a target.
fn is_authority(text: &str) -> bool {
    let (is_host, rest) = match text.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((address, rest)) => {
            let is_digit = |it: u8| it.is_ascii_hexdigit() || matches!(it, b':' | b'.');
            (!address.is_empty() && address.bytes().all(is_digit), rest)
        }
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_letter = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-');
            (!host.is_empty() && host.bytes().all(is_letter), rest)
        }
    };
    let is_port =
        |port: &str| port.bytes().all(|it| it.is_ascii_digit()) && port.parse::<u16>().is_ok();
    is_host && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns scheme, authority and path, or the details of the refusal.
    fn check(line: &str) -> String {
        let (method, target) = line.split_once(' ').unwrap();
        let read = Target::read(method, target);
        match read.refused {
            Some(refused) => format!("{} {}", refused.status, refused.details),
            None => {
                let text = |text: Option<String>| text.unwrap_or_else(|| "-".into());
                format!(
                    "{} {} {}",
                    read.scheme,
                    text(read.authority),
                    text(read.path)
                )
            }
        }
    }

    #[test]
    fn a_target_is_read_as_envoy_reads_it() {
        let rows = [
            ("GET /a?x=1", "http - /a?x=1"),
            ("GET /a?", "http - /a?"),
            ("GET //a%2fb/../c\\d", "http - //a%2fb/../c\\d"),
            ("GET http://other/p?x", "http other /p?x"),
            ("GET http://other", "http other /"),
            ("GET HTTPS://Other:8443/P", "https Other:8443 /P"),
            ("GET http://u:p@other:1/p", "http other:1 /p"),
            ("GET http://@other/p", "http other /p"),
            ("GET http://[::1]:080/p", "http [::1]:080 /p"),
            ("OPTIONS http://other", "http other /"),
            ("CONNECT other:443", "http other:443 -"),
            ("CONNECT [::1]:0", "http [::1]:0 -"),
            ("GET http://other?x=1", "404 absolute_path_rejected"),
            ("GET http://o?a@b/c", "404 absolute_path_rejected"),
            ("GET http://other?#f", "404 absolute_path_rejected"),
            ("OPTIONS *", "404 absolute_path_rejected"),
            ("GET /a#f", "400 path_normalization_failed"),
            ("GET http://other/?a=#f", "400 path_normalization_failed"),
            ("GET *", "400 http1.invalid_url"),
            ("GET http:///p", "400 http1.invalid_url"),
            ("GET http://ot_her/p", "400 http1.invalid_url"),
            ("GET http://a@b@other/p", "400 http1.invalid_url"),
            ("GET http://other:/p", "400 http1.invalid_url"),
            ("GET http://other:65536/p", "400 http1.invalid_url"),
            ("GET http://other:+1/p", "400 http1.invalid_url"),
            ("GET http://[zz]/p", "400 http1.invalid_url"),
            ("GET http://[::1]x/p", "400 http1.invalid_url"),
            ("CONNECT other", "400 http1.invalid_url"),
            ("CONNECT /path", "400 http1.invalid_url"),
            ("CONNECT u@other:443", "400 http1.invalid_url"),
            ("GET ftp://other/p", "400 http1.invalid_scheme"),
            ("GET path", "400 http1.codec_error"),
            ("GET https:other/p", "400 http1.codec_error"),
            ("GET http://other#f", "400 http1.codec_error"),
            ("GET /a b", "400 http1.codec_error"),
            ("GET /\u{e9}", "400 http1.codec_error"),
            ("GET ", "400 http1.codec_error"),
            ("GET /a\n", "400 http1.invalid_characters"),
        ];
        for (line, expected) in rows {
            assert_eq!(check(line), expected, "{line}");
        }
    }
}
