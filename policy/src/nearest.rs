//! The name that somebody who mistyped probably meant.

/// The candidate with the smallest edit distance to `wrong`, unless even that one is too far to be a slip.
pub(crate) fn nearest<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let far = wrong.chars().count().div_ceil(3).min(3);
    let scored = candidates
        .into_iter()
        .map(|name| (distance(wrong, name), name));
    scored
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours that make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (row, x) in a.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, y) in b.iter().enumerate() {
            let replaced = last[column] + usize::from(x != *y);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if column > 0 && previous == Some(*y) && b[column - 1] == x {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        previous = Some(x);
        before_last = std::mem::replace(&mut last, current);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name() {
        assert_eq!(nearest("dney", ["add-headers", "deny"]), Some("deny"));
        assert_eq!(
            nearest("add-header", ["add-headers", "deny"]),
            Some("add-headers")
        );
        assert_eq!(nearest("wieght", ["url", "weight"]), Some("weight"));
    }

    #[test]
    fn something_else_finds_nothing() {
        assert_eq!(nearest("jwt", ["add-headers", "deny"]), None);
        assert_eq!(nearest("", ["deny"]), None);
    }
}
