//! Variables and results of actions, each with its mark if it came from a secret.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{Memory, VARS_MAX, VarsFull};
use crate::expr::{Key, Value};
use crate::taint::{Taint, Taints};

/// A variable. Its `Debug` shows no secret.
#[derive(Clone)]
pub(super) struct Var {
    pub(super) name: Arc<str>,
    pub(super) value: Value<'static>,
    pub(super) taint: Taint,
}

/// What an action left. Its `Debug` shows no secret.
#[derive(Clone)]
pub(super) struct Left {
    pub(super) name: &'static str,
    pub(super) value: Value<'static>,
    pub(super) taints: Taints,
}

// === impl Memory ===

impl Memory {
    /// The variables that `set-vars` has set in the phase that ran last, as they may be shown.
    pub fn vars(&self) -> impl Iterator<Item = (&str, Cow<'_, Value<'static>>)> {
        self.vars.iter().map(|var| (&*var.name, var.shown()))
    }

    /// What the actions left under `actions.ngrok.`, as it may be shown.
    pub fn results(&self) -> impl Iterator<Item = (&'static str, Cow<'_, Value<'static>>)> {
        self.results.iter().map(|left| (left.name, left.shown()))
    }

    /// Leaves something under `actions.ngrok.<name>` in the place of what the last run left. If the action has read a
    /// secret, nothing of it is ever shown; [`Self::set_marked_result`] tells apart what may be.
    pub(crate) fn set_result(&mut self, name: &'static str, value: Value<'static>) {
        let taint = self.action_taint();
        self.set_marked_result(name, value, Taints::whole(taint));
    }

    /// The same, where only these parts came from secrets: `Taints::fields(&["access_token"])`.
    pub(crate) fn set_marked_result(
        &mut self,
        name: &'static str,
        value: Value<'static>,
        taints: Taints,
    ) {
        if !taints.is_empty() {
            self.touches.add(1);
        }
        let left = Left {
            name,
            value,
            taints,
        };
        match self.results.iter_mut().find(|known| known.name == name) {
            Some(old) => *old = left,
            None => self.results.push(left),
        }
    }

    pub(crate) fn result(&self, name: &str) -> Option<&Value<'static>> {
        self.left(name).map(|left| &left.value)
    }

    /// The same as it may be shown.
    pub(crate) fn shown_result(&self, name: &str) -> Option<Cow<'_, Value<'static>>> {
        self.left(name).map(Left::shown)
    }

    fn left(&self, name: &str) -> Option<&Left> {
        self.results.iter().find(|left| left.name == name)
    }

    /// Whether the part of a result came from a secret.
    pub(crate) fn taint_of_result(&self, name: &str, path: &[Key<'_>]) -> Taint {
        match self.left(name) {
            Some(left) if !left.taints.is_empty() => left.taints.at(path),
            _ => Taint::None,
        }
    }

    /// Sets a variable that came from a secret or not; `Err` if all together would take too much room.
    pub(crate) fn set_var(
        &mut self,
        name: &Arc<str>,
        value: Value<'static>,
        taint: Taint,
    ) -> Result<(), VarsFull> {
        let others = self.vars.iter().filter(|var| var.name != *name);
        let taken: usize = others.map(|var| var.value.weight()).sum();
        if value.weight().saturating_add(taken) > VARS_MAX {
            return Err(VarsFull);
        }
        match self.vars.iter_mut().find(|var| var.name == *name) {
            Some(old) => (old.value, old.taint) = (value, taint),
            None => self.vars.push(Var {
                name: Arc::clone(name),
                value,
                taint,
            }),
        }
        Ok(())
    }

    pub(crate) fn var(&self, name: &str) -> Option<&Value<'static>> {
        self.kept(name).map(|var| &var.value)
    }

    /// Whether a variable came from a secret.
    pub(crate) fn taint_of_var(&self, name: &str) -> Taint {
        self.kept(name).map_or(Taint::None, |var| var.taint.clone())
    }

    fn kept(&self, name: &str) -> Option<&Var> {
        self.vars.iter().find(|var| &*var.name == name)
    }
}

// === impl Var, Left ===

impl Var {
    fn shown(&self) -> Cow<'_, Value<'static>> {
        match &self.taint {
            Taint::None => Cow::Borrowed(&self.value),
            secret => Cow::Owned(Value::text(secret.to_string())),
        }
    }
}

impl Left {
    fn shown(&self) -> Cow<'_, Value<'static>> {
        match self.taints.is_empty() {
            true => Cow::Borrowed(&self.value),
            false => Cow::Owned(self.taints.hide(&self.value)),
        }
    }
}

impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name, self.shown())
    }
}

impl fmt::Debug for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name, self.shown())
    }
}
