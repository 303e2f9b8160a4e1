//! Long lists in pages.

use super::{asked::Asked, problem::Problem};

/// The most that one page holds, and what it holds if nobody says.
const MOST: usize = 100;

/// A page as it is answered.
pub(in super::super) trait Listing {
    type Item;

    fn new(items: Vec<Self::Item>, uri: String, next_page_uri: Option<String>) -> Self;
}

/// Which part of a list is asked for.
#[derive(Debug)]
pub(super) struct Paging<'a> {
    asked: &'a Asked,
    pub(super) limit: usize,
    /// The last id of the page before.
    pub(super) before_id: Option<&'a str>,
}

// === impl Paging ===

impl<'a> Paging<'a> {
    pub(super) fn of(asked: &'a Asked) -> Result<Self, Problem> {
        let limit = match asked.parameter("limit") {
            None => MOST,
            Some(text) => text.parse().map_err(|_| Problem::limit())?,
        };
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::limit());
        }
        Ok(Self {
            asked,
            limit,
            before_id: asked.parameter("before_id"),
        })
    }

    /// The page from its items, one more than it holds if there are more, and the id of each.
    pub(super) fn page<L: Listing>(
        &self,
        mut items: Vec<L::Item>,
        id: impl Fn(&L::Item) -> &str,
    ) -> L {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let last = items.last().filter(|_| more);
        let next = last.map(|last| self.asked.uri_with("before_id", Some(id(last))));
        let own = self.asked.uri_with("before_id", self.before_id);
        L::new(items, own, next)
    }
}
