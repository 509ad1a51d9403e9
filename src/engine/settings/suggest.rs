//! Finds the word a person probably meant. Input: a mistyped word and the words there are. Output: the nearest one,
//! or nothing if none is near. For messages only: nothing is ever corrected silently.

/// More wrong letters than this and a suggestion confuses more than it helps.
const MAX_DISTANCE: usize = 3;

/// Returns the candidate nearest to `word`: one that ends in `.word` (the table was left out), else the one with the
/// fewest letters to change, at most three and less than half of the word.
#[must_use]
#[inline(never)]
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let mut best = None;
    let mut most = MAX_DISTANCE.min(word.len() / 2);
    for candidate in candidates {
        if candidate.strip_suffix(word).is_some_and(|table| table.ends_with('.')) {
            return Some(candidate);
        }
        let distance = distance(word.as_bytes(), candidate.as_bytes());
        if distance < most || (best.is_none() && distance == most) {
            (best, most) = (Some(*candidate), distance);
        }
    }
    best
}

/// Levenshtein's distance, one row of the matrix at a time. In bytes: what is looked for is ASCII.
#[inline(never)]
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        row[0] = left;
        for (cell, b) in row[1..].iter_mut().zip(to) {
            left = (diagonal + usize::from(a != b)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, left);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_changed_added_and_removed_letters() {
        for (from, to, want) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("respone", "response", 1)]
        {
            assert_eq!(distance(from.as_bytes(), to.as_bytes()), want, "{from} {to}");
        }
    }

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        let words = ["timeouts.response", "timeouts.send", "limits.body"];
        for (word, want) in [
            ("timeouts.respone", Some("timeouts.response")),
            ("body", Some("limits.body")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &words), want, "{word}");
        }
    }
}
