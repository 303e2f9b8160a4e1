//! What a value that is being read may ask about its surroundings, and say besides its value.
//!
//! serde hands a value its own text and nothing else, and a value hands back a type or an error without a place. An
//! expression has to know in which phase it stands, may have something to warn of, and knows the very character where it
//! goes wrong. Passing that through every type in between would make each of them generic for the sake of one, so it is
//! kept beside the call stack instead: a document is read on one thread from beginning to end, so a thread-local is seen
//! by exactly that reading. It is set for a closure's duration and put back after it, also when the closure unwinds.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

use crate::action::Phase;
use crate::env::Secrets;

thread_local! {
    static PHASE: Cell<Option<Phase>> = const { Cell::new(None) };
    static ATTEMPTS: Cell<bool> = const { Cell::new(false) };
    static RESULTS: RefCell<HashSet<&'static str>> = RefCell::default();
    static READS_SECRETS: Cell<bool> = const { Cell::new(false) };
    static SECRETS: RefCell<Option<Arc<dyn Secrets>>> = const { RefCell::new(None) };
    static ASIDE: RefCell<Aside> = const { RefCell::new(Aside::NOTHING) };
}

/// What a value said besides its value; the reader knows where it stands.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Warnings, in the order in which they were said.
    pub(super) warnings: Vec<String>,
    /// What is wrong with a value that is right by itself.
    pub(super) objections: Vec<String>,
    /// Where in the value its mistake lies, in characters.
    pub(super) offset: Option<usize>,
}

impl Aside {
    const NOTHING: Self = Self {
        warnings: Vec::new(),
        objections: Vec::new(),
        offset: None,
    };
}

/// Everything that `read` reads stands in this phase.
pub fn with_phase<T>(phase: Phase, read: impl FnOnce() -> T) -> T {
    let _restored = PutBack(PHASE.replace(Some(phase)));
    read()
}

/// The phase in which the value stands that is being read; none outside of a policy's phases.
pub fn phase() -> Option<Phase> {
    PHASE.get()
}

/// What `read` reads may name `attempts` and `last_attempt`.
pub(crate) fn with_attempts<T>(read: impl FnOnce() -> T) -> T {
    struct No;

    impl Drop for No {
        fn drop(&mut self) {
            ATTEMPTS.set(false);
        }
    }

    ATTEMPTS.set(true);
    let _restored = No;
    read()
}

/// Whether the value that is being read may name them.
pub(crate) fn reads_attempts() -> bool {
    ATTEMPTS.get()
}

/// Warns at the value that is being read: it is right, and probably not what was meant.
pub fn warn(text: impl Into<String>) {
    ASIDE.with_borrow_mut(|aside| aside.warnings.push(text.into()));
}

/// Objects to the value that is being read: it is right by itself, and a mistake where it stands. The document is refused
/// if all else is right, so that one reading finds all of these.
pub(super) fn object(text: impl Into<String>) {
    ASIDE.with_borrow_mut(|aside| aside.objections.push(text.into()));
}

/// Says where in the text that is being read the mistake lies, in characters from its beginning. For a visitor that is
/// about to return its error.
pub fn at(offset: usize) {
    ASIDE.with_borrow_mut(|aside| aside.offset = Some(offset));
}

/// An expression looks at what an action leaves under `actions.ngrok.<name>`.
pub(crate) fn reads_result(name: &'static str) {
    RESULTS.with_borrow_mut(|results| results.insert(name));
}

/// What [`reads_result`] was told since the last time.
pub(crate) fn take_results() -> HashSet<&'static str> {
    RESULTS.take()
}

/// Expressions that `read` reads may name these secrets; each that is not among them is warned of at its place.
pub fn with_secrets<T>(secrets: Arc<dyn Secrets>, read: impl FnOnce() -> T) -> T {
    struct PutBack(Option<Arc<dyn Secrets>>);

    impl Drop for PutBack {
        fn drop(&mut self) {
            SECRETS.set(self.0.take());
        }
    }

    let _restored = PutBack(SECRETS.replace(Some(secrets)));
    read()
}

/// An expression reads a secret; of this vault and name, if they are known already.
pub(crate) fn reads_secret(named: Option<(&str, &str)>) {
    READS_SECRETS.set(true);
    let Some((vault, name)) = named else {
        return;
    };
    let is_missing = SECRETS.with_borrow(|known| {
        let known = known.as_ref();
        known.is_some_and(|known| {
            let secret = known.get(vault, name);
            secret.is_none_or(|secret| secret.expose().is_empty())
        })
    });
    if is_missing {
        warn(format!(
            "there is no secret `{vault}/{name}` that this policy may read; until there is one, this fails \
             (ERR_ADIT_2238)"
        ));
    }
}

/// What [`reads_secret`] was told since the last time.
pub(crate) fn take_reads_secrets() -> bool {
    READS_SECRETS.replace(false)
}

/// What `read` said, apart from what was said around it.
pub(super) fn aside_of<T>(read: impl FnOnce() -> T) -> (T, Aside) {
    let around = ASIDE.take();
    let result = read();
    (result, ASIDE.replace(around))
}

/// Reads another document, which knows nothing of one that is being read around it.
pub(super) fn apart<T>(read: impl FnOnce() -> T) -> T {
    let _phase = PutBack(PHASE.take());
    let around = (RESULTS.take(), READS_SECRETS.take());
    let (result, _) = aside_of(read);
    RESULTS.set(around.0);
    READS_SECRETS.set(around.1);
    result
}

struct PutBack(Option<Phase>);

impl Drop for PutBack {
    fn drop(&mut self) {
        PHASE.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_phase_holds_and_the_outer_one_comes_back() {
        assert_eq!(phase(), None);
        with_phase(Phase::OnHttpRequest, || {
            with_phase(Phase::OnHttpResponse, || {
                assert_eq!(phase(), Some(Phase::OnHttpResponse));
            });
            apart(|| assert_eq!(phase(), None));
            assert_eq!(phase(), Some(Phase::OnHttpRequest));
        });
        assert_eq!(phase(), None);
    }

    #[test]
    fn a_phase_ends_when_its_closure_unwinds() {
        let unwound = std::panic::catch_unwind(|| {
            with_phase(Phase::OnHttpRequest, || panic!("as a test does"))
        });
        assert!(unwound.is_err());
        assert_eq!(phase(), None);
    }

    #[test]
    fn what_is_said_in_a_document_apart_is_not_said_here() {
        let ((), aside) = aside_of(|| {
            warn("here");
            apart(|| {
                warn("there");
                at(3);
            });
        });
        assert_eq!(
            (aside.warnings, aside.offset),
            (vec!["here".to_owned()], None)
        );
    }
}
