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

/// Insertions, deletions and replacements that make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (1..=b.chars().count()).collect();
    for (index, x) in a.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (above, y) in row.iter_mut().zip(b.chars()) {
            left = (diagonal + usize::from(x != y))
                .min(*above + 1)
                .min(left + 1);
            diagonal = std::mem::replace(above, left);
        }
    }
    row.last().copied().unwrap_or_else(|| a.chars().count())
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
