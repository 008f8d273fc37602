//! Selects one of several bodies by the request's `accept` (RFC 9110, 12.5.1).

use crate::headers::list;
use crate::policy::Media;
use crate::policy::template::Template;

fn range(media: Media) -> (&'static str, &'static str) {
    match media {
        Media::Json => ("application", "json"),
        Media::Html => ("text", "html"),
        Media::Plain => ("text", "plain"),
    }
}

/// Returns the quality of a media type in thousandths, by the most specific range.
fn quality(media: Media, accept: &[u8]) -> u32 {
    let (kind, form) = range(media);
    let mut best = (0, 0);
    for member in list(accept) {
        let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let range = parts.next().unwrap_or_default();
        let mut halves = range.splitn(2, |byte| *byte == b'/');
        let (left, right) = (halves.next(), halves.next());
        let is = |half: Option<&[u8]>, word: &str| {
            half.is_some_and(|half| half.eq_ignore_ascii_case(word.as_bytes()))
        };
        let closeness = match (is(left, kind), is(right, form)) {
            (true, true) => 3,
            (true, false) if is(right, "*") => 2,
            _ if is(left, "*") && is(right, "*") => 1,
            _ => continue,
        };
        if closeness > best.0 {
            best = (closeness, parts.find_map(weight).unwrap_or(1_000));
        }
    }
    best.1
}

/// Parses `q=0.75` into thousandths. An invalid weight is zero.
fn weight(parameter: &[u8]) -> Option<u32> {
    let value = parameter
        .strip_prefix(b"q=")
        .or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, decimals) = match value.split_first()? {
        (b'0', rest) => (0, rest),
        (b'1', _) => return Some(1_000),
        _ => return Some(0),
    };
    let digits = decimals.strip_prefix(b".").unwrap_or_default();
    let mut thousandths: u32 = whole;
    for place in 0..3 {
        let digit = digits.get(place).filter(|digit| digit.is_ascii_digit());
        let digit = u32::from(digit.map_or(0, |digit| digit.wrapping_sub(b'0')));
        thousandths = thousandths.saturating_mul(10).saturating_add(digit);
    }
    Some(thousandths)
}

/// Returns the variant of the highest quality, the first of several. If `accept` allows none it
/// returns the first of all: a client is better off with a response of another type than with
/// one more error.
pub(super) fn choose<'a>(
    variants: &'a [(Media, Template)],
    accept: &[u8],
) -> Option<(Media, &'a Template)> {
    let mut best: Option<(u32, &(Media, Template))> = None;
    for variant in variants {
        let quality = if accept.is_empty() {
            1_000
        } else {
            quality(variant.0, accept)
        };
        if best.is_none_or(|(most, _)| quality > most) {
            best = Some((quality, variant));
        }
    }
    best.map(|(_, (media, body))| (*media, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::template::Escape;

    #[test]
    fn the_media_type_of_the_highest_quality_is_selected() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let rows = [
            ("", Media::Json),
            ("*/*", Media::Json),
            ("application/json", Media::Json),
            (browser, Media::Html),
            ("text/plain", Media::Plain),
            ("text/*", Media::Html),
            ("text/*;q=0.5, text/plain", Media::Plain),
            ("TEXT/HTML ; Q=0.1", Media::Html),
            (
                "text/html;level=1;q=0.2, application/json;q=0.3",
                Media::Json,
            ),
            ("text/html;q=0, */*;q=0.1", Media::Json),
            (
                "application/json;q=0, text/html;q=0, */*;q=0.1",
                Media::Plain,
            ),
            ("application/json;q=0.123, text/plain;q=0.124", Media::Plain),
            ("application/json;q=0.99999, text/plain;q=1.0", Media::Plain),
            // None is available, or the values are invalid.
            ("image/png", Media::Json),
            ("application/json;q=2", Media::Json),
            ("application/json;q=-1, text/plain;q=0.001", Media::Plain),
            (",;/,,html", Media::Json),
            ("\u{ff}/*", Media::Json),
        ];
        let body = |text: &str| Template::new(text, Escape::Line);
        let variants = [Media::Json, Media::Html, Media::Plain].map(|media| (media, body("x")));
        for (accept, expected) in rows {
            let chosen = choose(&variants, accept.as_bytes());
            assert_eq!(chosen.map(|it| it.0), Some(expected), "{accept}");
        }
        assert!(choose(&[], b"*/*").is_none());
    }
}
