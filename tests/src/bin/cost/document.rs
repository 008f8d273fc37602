//! Writes the results into a document, between two markers.

/// The line before the results.
const BEGIN: &str = "<!-- make cost writes from here -->\n";

/// The line behind them.
const END: &str = "<!-- to here -->\n";

/// Replaces what stands between the markers.
///
/// # Errors
///
/// Returns the marker that the document does not have.
pub(crate) fn with(document: &str, results: &str) -> Result<String, String> {
    let missing = |marker: &str| format!("there is no line {}", marker.trim_end());
    let (before, rest) = document.split_once(BEGIN).ok_or_else(|| missing(BEGIN))?;
    let (_old, after) = rest.split_once(END).ok_or_else(|| missing(END))?;
    Ok(format!("{before}{BEGIN}\n{results}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::with;

    #[test]
    fn results_replace_those_between_the_markers_and_nothing_else() {
        let document = "# Cost\n\n<!-- make cost writes from here -->\n\nold\n\n\
            <!-- to here -->\n\nmore\n";
        let expected = document.replace("old", "new");
        assert_eq!(with(document, "new\n").as_deref(), Ok(&*expected));
        assert_eq!(with(&expected, "old\n").as_deref(), Ok(document));
    }

    #[test]
    fn a_document_without_a_marker_is_refused() {
        for (document, missing) in [
            (
                "# Cost\n",
                "there is no line <!-- make cost writes from here -->",
            ),
            (
                "<!-- make cost writes from here -->\n",
                "there is no line <!-- to here -->",
            ),
            (
                "<!-- to here -->\n<!-- make cost writes from here -->\n",
                "there is no line <!-- to here -->",
            ),
        ] {
            assert_eq!(with(document, "new"), Err(missing.to_owned()), "{document}");
        }
    }
}
