//! An error page in each form that clients accept.

use adit_policy::page::Page;
use http::StatusCode;

use super::errors::ErrorPage;

impl ErrorPage {
    /// The page for people.
    pub(super) fn html(&self) -> String {
        let button = self.link.as_ref();
        Page {
            heading: &self.title,
            sentence: &self.remedy,
            button: button.map(|(path, words)| (path.as_str(), *words)),
            note: &format!("{} · ERR_ADIT_{}", self.status.as_u16(), self.code),
        }
        .html()
    }

    /// The page for programs.
    pub(super) fn json(&self) -> String {
        let mut details = serde_json::json!({ "remedy": self.remedy });
        if let Some((path, _)) = &self.link {
            details["login_url"] = path.as_str().into();
        }
        let body = serde_json::json!({
            "error_code": format!("ERR_ADIT_{}", self.code),
            "status_code": self.status.as_u16(),
            "msg": self.title,
            "details": details,
        });
        format!("{body}\n")
    }

    /// The page for terminals.
    pub(super) fn text(&self) -> String {
        let Self {
            title,
            code,
            remedy,
            ..
        } = self;
        match &self.link {
            Some((path, words)) => {
                format!("{title} (ERR_ADIT_{code})\n{remedy}\n{words}: {path}\n")
            }
            None => format!("{title} (ERR_ADIT_{code})\n{remedy}\n"),
        }
    }

    /// `traffic-policy` reference §8, TP-51: clients of gRPC look at this and not at the HTTP status.
    pub(super) fn grpc_status(&self) -> u16 {
        grpc_status(self.status)
    }
}

/// The gRPC status nearest to an HTTP one.
pub(super) fn grpc_status(status: StatusCode) -> u16 {
    match status.as_u16() {
        401 => 16,
        403 => 7,
        404 => 12,
        429 => 8,
        500.. => 14,
        _ => 2,
    }
}
