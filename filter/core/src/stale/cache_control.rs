//! The `cache-control` directives that matter for stored responses (RFC 9111, 5.2).

use crate::http_value::number;

/// The `cache-control` of a message.
///
/// Times are in seconds. If one is repeated the shorter one counts. An invalid time is zero, so
/// what cannot be read is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CacheControl {
    pub is_no_store: bool,
    pub is_public: bool,
    /// Whether the response must be revalidated before each use, or is for a single client.
    pub is_guarded: bool,
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    pub stale_if_error: Option<u64>,
}

impl CacheControl {
    /// Parses all values of the header.
    pub(super) fn new<'a>(values: impl Iterator<Item = &'a [u8]>) -> CacheControl {
        let mut control = CacheControl::default();
        for value in values {
            let mut rest = value;
            while let Some((name, argument)) = next(&mut rest) {
                control.add(name, argument);
            }
        }
        control
    }

    /// Whether the response must not be stored, or not be used without revalidation.
    pub(super) fn forbids(&self) -> bool {
        self.is_no_store || self.is_guarded
    }

    fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        let guards = ["no-cache", "private", "must-revalidate", "proxy-revalidate"];
        let shorter = |known: Option<u64>| {
            let secs = match argument {
                Argument::Value(digits) => number(digits).unwrap_or(0),
                Argument::None | Argument::Malformed => 0,
            };
            Some(known.map_or(secs, |known| known.min(secs)))
        };
        // A malformed list could hide any of these directives.
        if matches!(argument, Argument::Malformed) || guards.into_iter().any(is) {
            self.is_guarded = true;
        } else if is("no-store") {
            self.is_no_store = true;
        } else if is("public") {
            self.is_public = true;
        } else if is("max-age") {
            self.max_age = shorter(self.max_age);
        } else if is("s-maxage") {
            self.s_maxage = shorter(self.s_maxage);
        } else if is("stale-if-error") {
            self.stale_if_error = shorter(self.stale_if_error);
        }
    }
}

/// The argument of a directive.
#[derive(Clone, Copy)]
enum Argument<'a> {
    None,
    Value(&'a [u8]),
    /// A quoted string without an end.
    Malformed,
}

/// Removes the first directive from `rest` and returns it.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], Argument<'a>)> {
    let skipped = rest.iter().position(|byte| !b", \t".contains(byte))?;
    let text = rest.get(skipped..)?;
    let name_len = text.iter().position(|byte| b"=,".contains(byte));
    let (name, behind) = text.split_at_checked(name_len.unwrap_or(text.len()))?;
    *rest = behind;
    let Some(behind) = behind.strip_prefix(b"=") else {
        return Some((name.trim_ascii(), Argument::None));
    };
    let argument = match behind.trim_ascii_start().strip_prefix(b"\"") {
        Some(quoted) => match quoted_len(quoted) {
            Some(len) => {
                let (value, behind) = quoted.split_at_checked(len)?;
                *rest = behind.get(1..).unwrap_or_default();
                Argument::Value(value)
            }
            None => {
                *rest = &[];
                Argument::Malformed
            }
        },
        None => {
            let len = behind.iter().position(|byte| *byte == b',');
            let (value, behind) = behind.split_at_checked(len.unwrap_or(behind.len()))?;
            *rest = behind;
            Argument::Value(value.trim_ascii())
        }
    };
    Some((name.trim_ascii(), argument))
}

/// Returns the length of a quoted string, up to the closing quote.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> CacheControl {
        CacheControl::new(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn directives_are_found_in_any_position() {
        let rows: &[(&[&str], CacheControl)] = &[
            (&[], CacheControl::default()),
            (&["", " , ,", "unknown=1, \"odd\""], CacheControl::default()),
            (
                &["Public , max-age = 5"],
                CacheControl {
                    is_public: true,
                    ..CacheControl::default()
                },
            ),
            (
                &["public,max-age=5,S-MaxAge=\"6\"", "stale-if-error=7"],
                CacheControl {
                    is_public: true,
                    max_age: Some(5),
                    s_maxage: Some(6),
                    stale_if_error: Some(7),
                    ..CacheControl::default()
                },
            ),
            (
                &["max-age=60, max-age=5", "max-age=9"],
                CacheControl {
                    max_age: Some(5),
                    ..CacheControl::default()
                },
            ),
            (
                &["max-age, s-maxage=x, stale-if-error=-1"],
                CacheControl {
                    max_age: Some(0),
                    s_maxage: Some(0),
                    stale_if_error: Some(0),
                    ..CacheControl::default()
                },
            ),
            (
                &["no-store"],
                CacheControl {
                    is_no_store: true,
                    ..CacheControl::default()
                },
            ),
        ];
        for (values, expected) in rows {
            let mut expected = *expected;
            // The grammar has no space before `=`, but the parser accepts it.
            if values.first().is_some_and(|it| it.contains(" = ")) {
                expected.max_age = Some(5);
            }
            assert_eq!(parse(values), expected, "{values:?}");
        }
    }

    #[test]
    fn each_directive_that_forbids_reuse_is_respected() {
        let guards = [
            "no-cache",
            "NO-CACHE",
            "private",
            "must-revalidate",
            "proxy-revalidate",
            "public, no-cache=\"a, b\", max-age=5",
            "private=\"set-cookie\"",
            "x=\"a\\\"b\", private",
            "public, x=\"without an end",
            "max-age=5,private",
        ];
        for guard in guards {
            assert!(parse(&[guard]).forbids(), "{guard}");
        }
        for free in [
            "public",
            "x=\"private\"",
            "x=\"a, private, b\"",
            "privateer",
            "xprivate",
        ] {
            assert!(!parse(&[free]).forbids(), "{free}");
        }
    }
}
