//! Suggestions for misspelt field names.

/// Returns the name in `known` nearest to `word`, if it is near enough to be a typo.
pub(super) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let typos = (word.len() / 3).clamp(1, 4);
    known
        .iter()
        .map(|name| (distance(word.as_bytes(), name.as_bytes()), *name))
        .filter(|(distance, _)| *distance <= typos)
        .min()
        .map(|(_, name)| name)
}

/// Returns the Levenshtein distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: alloc::vec::Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let changed = diagonal.saturating_add(usize::from(x != y));
            diagonal = *cell;
            left = changed
                .min(diagonal.saturating_add(1))
                .min(left.saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_recognised_and_another_word_is_not() {
        let known = ["circuit_breaker", "fallback", "on", "mode"];
        assert_eq!(nearest("circuit_braker", &known), Some("circuit_breaker"));
        assert_eq!(nearest("circuitBreaker", &known), Some("circuit_breaker"));
        assert_eq!(nearest("fallbacks", &known), Some("fallback"));
        assert_eq!(nearest("timeouts", &known), None);
    }
}
