//! A list or a map while it is being parsed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use super::tree::{Entry, Kind, Mark, Node, Refused};

/// A list or a map that is not complete yet.
pub(super) struct Open<'a> {
    pub(super) mark: Mark,
    pub(super) anchor: usize,
    pub(super) is_tagged: bool,
    is_map: bool,
    /// A key that waits for its value.
    key: Option<(Rc<Node<'a>>, Option<Refused>)>,
    keys: HashSet<Cow<'a, str>>,
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) size: usize,
    pub(super) height: usize,
}

/// A complete node and what it would be with all its aliases written out.
#[derive(Clone)]
pub(super) struct Grown<'a> {
    pub(super) node: Rc<Node<'a>>,
    pub(super) size: usize,
    pub(super) height: usize,
}

// === impl Open ===

impl<'a> Open<'a> {
    pub(super) fn new(mark: Mark, is_map: bool, anchor: usize, is_tagged: bool) -> Self {
        Self {
            mark,
            anchor,
            is_tagged,
            is_map,
            key: None,
            keys: HashSet::new(),
            entries: Vec::new(),
            size: 1,
            height: 1,
        }
    }

    /// Adds an entry, a key or a value; answers how large the whole has become.
    pub(super) fn add(&mut self, grown: Grown<'a>, is_tagged: bool) -> usize {
        self.size = self.size.saturating_add(grown.size);
        self.height = self.height.max(grown.height + 1);
        let tagged = is_tagged.then_some(Refused::TaggedValue);
        if !self.is_map {
            self.entries.push(Entry::new(None, grown.node, tagged));
        } else if let Some((key, refused)) = self.key.take() {
            let refused = refused.or(tagged);
            self.entries
                .push(Entry::new(Some(key), grown.node, refused));
        } else {
            let refused = match &grown.node.kind {
                _ if is_tagged => Some(Refused::TaggedKey),
                Kind::Scalar(scalar) if self.keys.insert(scalar.text.clone()) => None,
                Kind::Scalar(_) => Some(Refused::Twice),
                Kind::List(_) | Kind::Map(_) => Some(Refused::KeyOfNoText),
            };
            self.key = Some((grown.node, refused));
        }
        self.size
    }

    pub(super) fn into_grown(self) -> Grown<'a> {
        let kind = match self.is_map {
            true => Kind::Map(self.entries),
            false => Kind::List(self.entries),
        };
        Grown {
            node: Rc::new(Node {
                mark: self.mark,
                kind,
            }),
            size: self.size,
            height: self.height,
        }
    }
}
