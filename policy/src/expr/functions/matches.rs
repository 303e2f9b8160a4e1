//! `matches` with a pattern that is known only when the exchange is there.

use super::{Answer, Call, Function, TEXT};
use crate::expr::pattern;
use crate::expr::static_type::Type;

pub(super) const TABLE: &[Function] = &[
    Function::method(Type::String, "matches", TEXT, Type::Bool, matches),
    Function::global(
        "matches",
        &[Type::String, Type::String],
        Type::Bool,
        matches,
    ),
];

/// `s.matches(pattern)`: found anywhere, in RE2's syntax.
fn matches<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let (text, written) = (call.text(0)?, call.text(1)?);
    let wrong = |reason| {
        call.error(format_args!(
            "the pattern is wrong: {reason} (ERR_ADIT_3901)"
        ))
    };
    // Reading a pattern and making anything of it take more time than most searches.
    call.charge(8_000 + written.len().saturating_mul(64))?;
    let read = pattern::Read::of(written).map_err(wrong)?;
    call.spend(read.compiling())?;
    let pattern = read.compile().map_err(wrong)?;
    call.spend(pattern.searching(text))?;
    Ok(pattern.is_match(text).into())
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    #[test]
    fn a_pattern_may_be_made_by_the_expression() {
        gives(&[
            ("'hello'.matches('^h.*o$')", "true"),
            ("matches('hello', 'l{2}')", "true"),
            ("['^h', 'x'].map(p, 'hello'.matches(p))", "[true, false]"),
            ("['h.*o$'].all(p, matches('hello', '^' + p))", "true"),
        ]);
        fails(&[
            (
                "['('].map(p, 'hello'.matches(p))",
                "matches: the pattern is wrong: unclosed group",
            ),
            (
                "'a'.matches('(')",
                "the pattern is wrong: unclosed group (ERR_ADIT_2261)",
            ),
            (
                "lists.range(10000).all(i, 'a'.matches('a|[a-z]{' + string(i % 100 + 1) + '}'))",
                "ERR_ADIT_50002",
            ),
            (
                "['a'].all(p, 'a'.matches(p + '|(?:[a-c]{1,1000}){9999}'))",
                "ERR_ADIT_50002",
            ),
        ]);
    }
}
