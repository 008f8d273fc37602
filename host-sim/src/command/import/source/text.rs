//! What tools put into YAML and JSON that is neither: comments in JSON, and placeholders that
//! Maven replaces before Spring reads a file. No line moves.

use std::borrow::Cow;

/// Returns JSON with blanks in place of its comments.
pub(super) fn without_comments(text: &str) -> Cow<'_, str> {
    if !text.contains("//") && !text.contains("/*") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let len = match letter {
            '"' => string(rest),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ => letter.len_utf8(),
        };
        let (part, after) = rest.split_at(len);
        if letter == '/' && len > 1 {
            let blank = |letter| if letter == '\n' { '\n' } else { ' ' };
            out.extend(part.chars().map(blank));
        } else {
            out.push_str(part);
        }
        rest = after;
    }
    Cow::Owned(out)
}

/// Returns the length of the string at the beginning of a text.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Quotes values such as `@project.version@`, since no plain value may begin so.
pub(super) fn with_quoted_placeholders(text: &str) -> Cow<'_, str> {
    if !text.contains(": @") && !text.contains("- @") {
        return Cow::Borrowed(text);
    }
    let lines = text.split_inclusive('\n').map(|line| {
        let at = [": @", "- @"].iter().find_map(|sign| line.find(sign));
        let Some((start, value)) = at.map(|at| line.split_at(at + 2)) else {
            return line.to_owned();
        };
        let end = value.find(char::is_whitespace).unwrap_or(value.len());
        let (value, after) = value.split_at(end);
        let is_placeholder = value.matches('@').count() >= 2 && !start.contains('#');
        if is_placeholder && !value.contains(['"', '\\']) {
            format!("{start}\"{value}\"{after}")
        } else {
            line.to_owned()
        }
    });
    Cow::Owned(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_json_become_blanks_and_strings_stay() {
        let rows = [
            ("{\"a\": 1} // x", "{\"a\": 1}     "),
            ("/* a\nb */ [1]", "    \n     [1]"),
            (
                "[\"http://a\", \"\\\"//b\"] //é",
                "[\"http://a\", \"\\\"//b\"]    ",
            ),
            ("[1] /* open", "[1]        "),
            ("[\"open // ", "[\"open // "),
            ("/ /", "/ /"),
        ];
        for (text, expected) in rows {
            assert_eq!(without_comments(text), expected, "{text}");
        }
    }

    #[test]
    fn placeholders_of_maven_are_quoted_and_nothing_else() {
        let rows = [
            ("a: @b@\nc: 1\n", "a: \"@b@\"\nc: 1\n"),
            ("a: @b.c@-x # d\r\n", "a: \"@b.c@-x\" # d\r\n"),
            ("- @b@", "- \"@b@\""),
            ("a: @b", "a: @b"),
            ("a: x@b@", "a: x@b@"),
            ("# a: @b@", "# a: @b@"),
        ];
        for (text, expected) in rows {
            assert_eq!(with_quoted_placeholders(text), expected, "{text}");
        }
    }
}
