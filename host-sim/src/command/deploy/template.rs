//! Templates: text with `{{name}}` in the places of values.

/// Fills a template. A name that has a line to itself stands for any number of lines, which get
/// its indentation; without a value, the line is dropped. Other names stand for a part of a line.
/// Names in values stay.
pub(super) fn fill(template: &str, values: &[(&str, impl AsRef<str>)]) -> String {
    let mut filled = String::new();
    for line in template.lines() {
        let text = line.trim_start();
        let alone = values
            .iter()
            .find(|(name, _)| text == format!("{{{{{name}}}}}"));
        let Some((_, block)) = alone else {
            filled.push_str(&inline(line, values));
            filled.push('\n');
            continue;
        };
        let indent = &line[..line.len() - text.len()];
        filled.push_str(&indented(block.as_ref(), indent));
    }
    filled
}

fn inline(line: &str, values: &[(&str, impl AsRef<str>)]) -> String {
    let mut filled = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("{{") {
        let (before, found) = rest.split_at(at);
        filled.push_str(before);
        let place = values.iter().find_map(|(name, value)| {
            let name = found.strip_prefix("{{")?.strip_prefix(name)?;
            Some((value.as_ref(), name.strip_prefix("}}")?))
        });
        let (value, after) = place.unwrap_or(found.split_at(1));
        filled.push_str(value);
        rest = after;
    }
    filled + rest
}

/// Indents the lines of a text, except empty ones.
pub(super) fn indented(text: &str, indent: &str) -> String {
    let line = |line: &str| match line {
        "" => "\n".to_owned(),
        line => format!("{indent}{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Removes up to this many spaces from the beginning of each line.
pub(super) fn dedented(text: &str, spaces: usize) -> String {
    let line = |line: &str| {
        let indent = line.len() - line.trim_start_matches(' ').len();
        format!("{}\n", &line[indent.min(spaces)..])
    };
    text.lines().map(line).collect()
}

/// Returns a text as a YAML scalar, quoted if it has to be.
pub(super) fn scalar(text: &str) -> String {
    let quoted = || serde_json::Value::from(text).to_string();
    // These mean something between braces alone, where most scalars are.
    if text.contains([',', '[', ']', '{', '}']) {
        return quoted();
    }
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(&text, options)
        .map_or_else(|_| quoted(), |text| text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_takes_the_indentation_of_its_line_and_an_empty_one_is_dropped() {
        let template = "a:\n  {{b}}\n{{c}}\nd: {{d}}/{{d}}\n";
        let filled = fill(template, &[("b", "x:\n  y\n\nz"), ("c", ""), ("d", "1")]);
        assert_eq!(filled, "a:\n  x:\n    y\n\n  z\nd: 1/1\n");
    }

    #[test]
    fn a_name_in_a_value_stays() {
        let values = [("a", "{{b}}"), ("b", "{{a}}")];
        for (template, filled) in [
            ("x {{a}} {{b}}", "x {{b}} {{a}}\n"),
            ("{x: {{a}}}", "{x: {{b}}}\n"),
            ("{{{a}}} {{c}} {{", "{{{b}}} {{c}} {{\n"),
            ("{{a}}", "{{b}}\n"),
        ] {
            assert_eq!(fill(template, &values), filled, "{template}");
        }
    }

    #[test]
    fn texts_that_yaml_would_read_as_something_else_are_quoted() {
        for text in [
            "shop",
            "10",
            "true",
            "a: b",
            "on",
            "oci://host:5000/a@sha256:0",
            "",
            "#x",
            "a,b",
            "{",
            "[::1]",
            "a]b",
            "a\"b",
            "a'b",
            "a\nb",
            "_",
            "a long text of many words, so long that a writer might fold it into several lines of YAML",
            "é",
        ] {
            let read: String = serde_saphyr::from_str(&scalar(text)).unwrap();
            assert_eq!(read, text);
            let flow = format!("{{a: {}, b: [{}]}}", scalar(text), scalar(text));
            let read: serde_json::Value = serde_saphyr::from_str(&flow).unwrap();
            assert_eq!(read, serde_json::json!({"a": text, "b": [text]}));
        }
    }
}
