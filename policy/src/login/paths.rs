//! The paths at which logins are at home.

use std::borrow::Cow;

use crate::canonical::{percent, query_pairs};
use crate::exchange::Request;

pub(super) const CALLBACK: &str = "/adit/oauth2/callback";
pub(super) const LOGIN: &str = "/adit/login";
pub(super) const LOGOUT: &str = "/adit/logout";
pub(super) const BACKCHANNEL: &str = "/adit/backchannel-logout";

/// All of them, and what older policies link to.
pub(super) const ALL: [&str; 6] = [
    CALLBACK,
    LOGIN,
    LOGOUT,
    BACKCHANNEL,
    "/ngrok/login",
    "/ngrok/logout",
];

/// What a request asks of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Callback,
    Login,
    Logout,
    Backchannel,
}

impl Home {
    /// `None`: the request is for the service.
    pub(super) fn of(request: &Request<'_>) -> Option<Self> {
        match request.target.path() {
            CALLBACK => Some(Self::Callback),
            LOGIN | "/ngrok/login" => Some(Self::Login),
            LOGOUT | "/ngrok/logout" => Some(Self::Logout),
            BACKCHANNEL => Some(Self::Backchannel),
            _ => None,
        }
    }
}

/// A parameter of the query; `None` if it is not there, or there twice.
pub(super) fn parameter<'r>(request: &'r Request<'_>, name: &str) -> Option<Cow<'r, str>> {
    let query = request.target.query().unwrap_or_default();
    let mut values = query_pairs(query).filter(|(known, _)| known == name);
    let (_, value) = values.next()?;
    values.next().is_none().then_some(value)
}

/// Where somebody signs in with the login of this `auth_id` and comes back to a path.
pub(super) fn sign_in(auth_id: &str, back_to: &str) -> String {
    let and = if auth_id.is_empty() {
        String::new()
    } else {
        format!("auth_id={auth_id}&")
    };
    format!("{LOGIN}?{and}redirect_path={}", percent::escape(back_to))
}

/// Where somebody signs out of the login of this `auth_id`.
pub(super) fn sign_out(auth_id: &str) -> String {
    match auth_id {
        "" => LOGOUT.to_owned(),
        _ => format!("{LOGOUT}?auth_id={auth_id}"),
    }
}
