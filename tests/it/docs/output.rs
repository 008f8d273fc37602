//! Compares output in the documents with the output of the command.

/// The line that stands for any number of lines.
const GAP: &str = "...";

/// Compares a block with what was printed.
///
/// # Errors
///
/// Returns the first missing part, and the whole output.
pub(super) fn compare(shown: &str, printed: &str) -> Result<(), String> {
    let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
    let mut rest = printed.as_slice();
    let parts: Vec<&[&str]> = shown.split(|line| *line == GAP).collect();
    for (place, part) in parts.iter().enumerate() {
        let (first, last) = (place == 0, place + 1 == parts.len());
        let starts = 0..=rest.len().saturating_sub(part.len());
        let fits = |start: &usize| {
            let anchored = (!first || *start == 0) && (!last || start + part.len() == rest.len());
            anchored && rest[*start..].starts_with(part)
        };
        let Some(start) = starts.into_iter().find(fits) else {
            let (part, printed) = (part.join("\n"), printed.join("\n"));
            return Err(format!("shows\n{part}\nbut the command prints\n{printed}"));
        };
        rest = &rest[start + part.len()..];
    }
    Ok(())
}

#[test]
fn output_is_compared_line_by_line_and_gaps_stand_for_any_lines() {
    let rows = [
        ("a\nb\n", true),
        ("a\n", false),
        ("b\n", false),
        ("a\n...\n", true),
        ("...\nb\n", true),
        ("...\nc\n...\n", false),
        ("a\n...\nb\n", true),
        ("b\n...\na\n", false),
        ("...\n", true),
    ];
    for (shown, same) in rows {
        assert_eq!(compare(shown, "a\nb\n").is_ok(), same, "{shown}");
    }
}
