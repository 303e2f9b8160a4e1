//! What a policy may read of secrets, and where they went.

use std::sync::{Arc, MutexGuard, PoisonError};

use http::header::HeaderValue;

use super::{Memory, SecretParts};
use crate::env::Secrets;
use crate::exchange::HeaderEdit;
use crate::secret::Secret;
use crate::taint::Taint;

impl Memory {
    /// What the policy that runs now may read.
    pub(crate) fn lend_secrets(&mut self, secrets: Option<&Arc<dyn Secrets>>) {
        self.secrets = secrets.cloned();
    }

    /// A secret, if there is one that the running policy may read.
    pub(crate) fn secret(&self, vault: &str, name: &str) -> Option<Arc<Secret>> {
        self.secrets.as_ref()?.get(vault, name)
    }

    /// An expression has read a secret, or something that came from one.
    pub(crate) fn touch_secret(&self, taint: Taint) {
        self.touches.add(1);
        self.mark_parts(|parts| parts.action = std::mem::take(&mut parts.action).and(taint));
    }

    /// Of all that the running action has read so far.
    pub(crate) fn action_taint(&self) -> Taint {
        match self.has_secrets() {
            true => self.secret_parts().action,
            false => Taint::None,
        }
    }

    /// Whether anything in this exchange came from a secret.
    pub(crate) fn has_secrets(&self) -> bool {
        self.touches.total() > 0
    }

    /// Where secrets went, apart from variables and results.
    pub fn secret_parts(&self) -> SecretParts {
        self.copied_parts()
            .map_or_else(Default::default, |parts| *parts)
    }

    /// What is shown in the place of the target that a policy put in the request's, if it came from a secret.
    pub fn secret_target(&self) -> Option<String> {
        let taint = self.has_secrets().then(|| self.secret_parts().target);
        taint
            .filter(Taint::is_secret)
            .map(|taint| taint.to_string())
    }

    /// Adds to them.
    pub(crate) fn mark_parts(&self, add: impl FnOnce(&mut SecretParts)) {
        add(self.parts().get_or_insert_default());
    }

    pub(super) fn copied_parts(&self) -> Option<Box<SecretParts>> {
        self.parts().clone()
    }

    pub(super) fn parts(&self) -> MutexGuard<'_, Option<Box<SecretParts>>> {
        let parts = &self.secret_parts;
        parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the value of a header line that came from a secret. It stays marked wherever it goes.
    pub(crate) fn mark_line(&self, line: &mut HeaderValue, taint: Taint) {
        if taint.is_secret() {
            line.set_sensitive(true);
            self.mark_parts(|parts| parts.add_line(line, taint));
        }
    }

    /// Whether the value of a header line came from a secret.
    pub(crate) fn taint_of_line(&self, line: &HeaderValue) -> Taint {
        match line.is_sensitive() {
            true => self.secret_parts().of_line(line),
            false => Taint::None,
        }
    }

    /// A change of a header as it may be shown.
    pub(crate) fn shown_edit(&self, edit: &HeaderEdit) -> HeaderEdit {
        let mut shown = edit.clone();
        if let HeaderEdit::Set { value, .. } | HeaderEdit::Append { value, .. } = &mut shown
            && value.is_sensitive()
        {
            let taint = self.taint_of_line(value).to_string();
            *value = HeaderValue::from_str(&taint).unwrap_or(HeaderValue::from_static("[secret]"));
        }
        shown
    }
}
