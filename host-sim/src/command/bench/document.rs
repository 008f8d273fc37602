//! Writes results into a document, between two markers.

/// The line after the results.
const END: &str = "<!-- to here -->\n";

/// Replaces what stands between the markers of a writer, such as `make growth`.
///
/// # Errors
///
/// Returns the marker that the document does not have.
pub(super) fn with(document: &str, writer: &str, results: &str) -> Result<String, String> {
    let begin = format!("<!-- {writer} writes from here -->\n");
    let missing = |marker: &str| format!("there is no line {}", marker.trim_end());
    let (before, rest) = document.split_once(&begin).ok_or_else(|| missing(&begin))?;
    let (_old, after) = rest.split_once(END).ok_or_else(|| missing(END))?;
    Ok(format!("{before}{begin}\n{results}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::with;

    const DOCUMENT: &str = "# A\n\n<!-- make a writes from here -->\n\nold\n\n<!-- to here -->\n\n\
        <!-- make b writes from here -->\n\nold\n\n<!-- to here -->\nmore\n";

    #[test]
    fn results_replace_those_of_their_writer_and_nothing_else() {
        for (writer, section) in [("make a", "# A\n\n"), ("make b", "<!-- to here -->\n\n")] {
            let begin = format!("{section}<!-- {writer} writes from here -->\n\n");
            let expected = DOCUMENT.replace(&format!("{begin}old"), &format!("{begin}new"));
            assert_ne!(expected, DOCUMENT);
            assert_eq!(with(DOCUMENT, writer, "new\n"), Ok(expected));
        }
    }

    #[test]
    fn a_document_without_a_marker_is_refused() {
        let begin = "there is no line <!-- make c writes from here -->";
        assert_eq!(with(DOCUMENT, "make c", "new"), Err(begin.into()));
        let end = "there is no line <!-- to here -->";
        let document = "<!-- make c writes from here -->\n";
        assert_eq!(with(document, "make c", "new"), Err(end.into()));
    }
}
