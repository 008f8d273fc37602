//! The known name that a misspelt one was meant to be.

/// The name of `known` nearest to `word`, if it is near enough to be a slip.
pub(super) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let slips = (word.len() / 3).clamp(1, 4);
    known
        .iter()
        .map(|name| (distance(word.as_bytes(), name.as_bytes()), *name))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's edit distance.
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
    fn a_slip_of_the_pen_is_recognised_and_another_word_is_not() {
        let known = ["circuit_breaker", "fallback", "on", "mode"];
        assert_eq!(nearest("circuit_braker", &known), Some("circuit_breaker"));
        assert_eq!(nearest("circuitBreaker", &known), Some("circuit_breaker"));
        assert_eq!(nearest("fallbacks", &known), Some("fallback"));
        assert_eq!(nearest("timeouts", &known), None);
    }
}
