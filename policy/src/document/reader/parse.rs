//! From the parser's events to a [`Tree`], and what is refused on the way whatever it would be read as.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::open::{Grown, Open};
use super::tree::{Entry, Kind, Mark, Node, Refused, Scalar, Tree};

/// Deepest nesting of lists and maps; one more is refused.
const DEPTH_MAX: usize = 64;
/// How many times its own length a document may grow to when aliases are written out; beyond it is refused.
const EXPANSION_MAX: usize = 10;

/// Why there is no tree at all.
pub(super) struct Unparsable {
    pub(super) mark: Mark,
    pub(super) message: String,
}

/// Reads the whole text.
pub(super) fn parse(text: &str) -> Result<Tree<'_>, Unparsable> {
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder {
        size_max: EXPANSION_MAX * text.len().max(64),
        ..Builder::default()
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event?;
        builder.take(event, &span)?;
    }
    Ok(builder.tree())
}

#[derive(Default)]
struct Builder<'a> {
    size_max: usize,
    has_refused: bool,
    /// The lists and maps that are not complete yet, outermost first.
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Grown<'a>>,
    root: Option<Entry<'a>>,
}

// === impl Builder ===

impl<'a> Builder<'a> {
    fn take(&mut self, event: Event<'a>, span: &Span) -> Result<(), Unparsable> {
        let mark = Mark::from(&span.tag_start().unwrap_or(span.start));
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = scalar(text, style, mark, span);
                let grown = Grown {
                    size: node.text().map_or(1, |text| text.len() + 1),
                    node: Rc::new(node),
                    height: 0,
                };
                self.complete(grown, anchor, tag.is_some(), mark)
            }
            Event::SequenceStart(_, anchor, tag) => self.begin(false, anchor, tag.as_deref(), mark),
            Event::MappingStart(_, anchor, tag) => self.begin(true, anchor, tag.as_deref(), mark),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let (anchor, is_tagged, mark) = (open.anchor, open.is_tagged, open.mark);
                    self.complete(open.into_grown(), anchor, is_tagged, mark)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(grown) if self.open.len() + grown.height > DEPTH_MAX => Err(too_deep(mark)),
                Some(grown) => self.complete(grown, 0, false, mark),
                None => Err(Unparsable {
                    mark,
                    message: "an alias stands inside of what it stands for".to_owned(),
                }),
            },
            Event::DocumentStart(..) if self.root.is_some() => Err(Unparsable {
                mark,
                message: "more than one document stands in this text".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        is_map: bool,
        anchor: usize,
        tag: Option<&Tag>,
        mark: Mark,
    ) -> Result<(), Unparsable> {
        if self.open.len() == DEPTH_MAX {
            return Err(too_deep(mark));
        }
        self.open
            .push(Open::new(mark, is_map, anchor, tag.is_some()));
        Ok(())
    }

    /// A node is there: it goes into the innermost list or map that is open, or it is the document.
    fn complete(
        &mut self,
        grown: Grown<'a>,
        anchor: usize,
        is_tagged: bool,
        mark: Mark,
    ) -> Result<(), Unparsable> {
        if anchor != 0 {
            self.anchors.insert(anchor, grown.clone());
        }
        let size = match self.open.last_mut() {
            Some(open) => open.add(grown, is_tagged),
            None => {
                let refused = is_tagged.then_some(Refused::TaggedValue);
                self.has_refused |= refused.is_some();
                self.root = Some(Entry::new(None, grown.node, refused));
                grown.size
            }
        };
        let last = self.open.last().and_then(|open| open.entries.last());
        self.has_refused |= last.is_some_and(|entry| entry.refused.is_some());
        if size > self.size_max {
            return Err(Unparsable {
                mark,
                message: format!(
                    "aliases make the document more than {EXPANSION_MAX} times as long as it is"
                ),
            });
        }
        Ok(())
    }

    fn tree(self) -> Tree<'a> {
        let nothing = || {
            let text = Scalar {
                text: Cow::Borrowed(""),
                style: ScalarStyle::Plain,
                end: 0,
            };
            let node = Node {
                mark: Mark::START,
                kind: Kind::Scalar(text),
            };
            Entry::new(None, Rc::new(node), None)
        };
        Tree {
            root: self.root.unwrap_or_else(nothing),
            has_refused: self.has_refused,
        }
    }
}

fn scalar<'a>(text: Cow<'a, str>, style: ScalarStyle, mark: Mark, span: &Span) -> Node<'a> {
    let end = Mark::from(&span.end).byte;
    // The parser writes `~` where the source has nothing at all.
    let is_absent = style == ScalarStyle::Plain && Mark::from(&span.start).byte == end;
    let text = if is_absent { Cow::Borrowed("") } else { text };
    Node {
        mark,
        kind: Kind::Scalar(Scalar { text, style, end }),
    }
}

fn too_deep(mark: Mark) -> Unparsable {
    Unparsable {
        mark,
        message: format!("lists and maps are nested more than {DEPTH_MAX} deep"),
    }
}

impl From<ScanError> for Unparsable {
    fn from(error: ScanError) -> Self {
        let mark = error.marker().into();
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => too_deep(mark),
            _ => Self {
                mark,
                message: error.info(),
            },
        }
    }
}
