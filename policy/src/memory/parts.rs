//! Where secrets went in an exchange, apart from variables and results: for whoever shows these places to people.

use http::HeaderValue;

use crate::taint::Taint;

/// The places of an exchange to which a policy has put what came from secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretParts {
    /// The target that was put in the place of the request's.
    pub target: Taint,
    /// The request's body, as the policy changed it.
    pub request_body: Taint,
    /// The response's body, as the policy made or changed it.
    pub response_body: Taint,
    /// What the running action has read.
    pub(crate) action: Taint,
    /// What came of the last request of the policy's own.
    pub(crate) attempt: Taint,
    /// Header lines, and the secrets that they came from.
    lines: Vec<(HeaderValue, Taint)>,
}

// === impl SecretParts ===

impl SecretParts {
    /// A policy has made this line; it is sensitive now.
    pub(super) fn add_line(&mut self, line: &HeaderValue, taint: Taint) {
        if self.of_line(line) != taint {
            self.lines.push((line.clone(), taint));
        }
    }

    /// Messages of the response came from a secret, too.
    pub(crate) fn add_response_body(&mut self, taint: Taint) {
        self.response_body = std::mem::take(&mut self.response_body).and(taint);
    }

    /// Of a header line.
    pub fn of_line(&self, line: &HeaderValue) -> Taint {
        if !line.is_sensitive() {
            return Taint::None;
        }
        let mut made = self.lines.iter().rev();
        let known = made.find(|(known, _)| known == line);
        known.map_or(Taint::Unnamed, |(_, taint)| taint.clone())
    }
}
