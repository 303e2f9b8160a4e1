//! From text to a syntax tree, by the `cel` crate's parser; how deep it goes is bounded before and behind.

use cel::Env;
use cel::common::ast::IdedExpr;

use super::places::{self, Places};

/// Longest text of one expression in bytes.
const TEXT_MAX: usize = 16 << 10;

/// Where an expression is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// How many characters into the text.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) message: String,
}

/// A tree, and where each of its nodes stands in the text.
pub(super) struct Syntax {
    pub(super) root: IdedExpr,
    places: Places,
}

impl Syntax {
    /// Reads a text.
    pub(super) fn of(text: &str) -> Result<Self, Wrong> {
        if text.len() > TEXT_MAX {
            let message = format!("the expression is longer than {TEXT_MAX} bytes (ERR_ADIT_2221)");
            return Err(Wrong { at: 0, message });
        }
        if let Some(inner) = text.trim().strip_prefix("${") {
            let inner = inner.strip_suffix('}').unwrap_or(inner).trim();
            let message =
                format!("an expression stands without `${{}}`: write {inner} (ERR_ADIT_2200)");
            return Err(Wrong { at: 0, message });
        }
        match Env::default().parser().parse(text) {
            Ok(root) => {
                let places = places::of(&root, text);
                Ok(Self { root, places })
            }
            Err(errors) => Err(first(&errors, text)),
        }
    }

    /// Where a node begins.
    pub(super) fn at(&self, node: u64) -> usize {
        self.places.get(&node).copied().unwrap_or_default()
    }
}

fn first(errors: &cel::ParseErrors, text: &str) -> Wrong {
    let Some(error) = errors.errors.first() else {
        let message = "the expression cannot be read (ERR_ADIT_2200)".to_owned();
        return Wrong { at: 0, message };
    };
    let (line, column) = error.pos;
    let (line, column) = (
        usize::try_from(line).unwrap_or(1),
        usize::try_from(column).unwrap_or(1),
    );
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(|line| line.chars().count())
        .sum();
    let said = error.msg.trim_start_matches("Syntax error: ");
    let said = said
        .replace(
            "mismatched input '<EOF>' expecting expression",
            "something is missing at the end",
        )
        .replace("mismatched input <EOF>", "the end")
        .replace("mismatched input", "unexpected")
        .replace(" expecting <EOF>", "");
    Wrong {
        at: before + column.saturating_sub(1),
        message: format!("{said} (ERR_ADIT_2200)"),
    }
}
