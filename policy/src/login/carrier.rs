//! How a session travels: sealed, in one cookie or over a few, or kept here under the name that the cookie holds.

use std::sync::Arc;

use http::HeaderValue;
use http::header::HeaderMap;

use super::cookies::{self, Names};
use super::session::{Carried, Session};
use super::settings::Settings;
use crate::env::Env;

/// Most cookies of one session; what needs more is kept here.
const PARTS_MAX: usize = 3;
/// Longest value of one of them in bytes: browsers keep 4096 with name and attributes.
const PART_MAX: usize = 3_800;
/// Cookies of one name that are tried: domains above this one may have set more.
const TRIED_MAX: usize = 4;

/// What carries the sessions of one login at one host.
pub(super) struct Carrier<'l> {
    pub(super) names: &'l Names,
    pub(super) settings: &'l Settings,
    /// Who vouches for all of them.
    pub(super) issuer: &'l Arc<str>,
    /// What the cookies are sealed for.
    pub(super) context: Vec<u8>,
    pub(super) env: &'l Env,
}

/// What a request carries.
pub(super) enum Found {
    Nothing,
    /// Cookies that cannot be read: altered, of another login, of a key that is gone.
    Unreadable,
    Session(Box<Session>),
}

impl Carrier<'_> {
    /// The session that a request carries.
    pub(super) fn find(&self, lines: &HeaderMap) -> Found {
        let is_first = |(name, _): &(&str, &str)| *name == self.names.session;
        let firsts = cookies::all(lines).filter(is_first).take(TRIED_MAX);
        let mut found = Found::Nothing;
        for (_, first) in firsts {
            found = Found::Unreadable;
            let opened = match first.split_once('.') {
                None => self.open(first),
                Some((count, first)) => {
                    let whole = self.join(count, first, lines);
                    whole.and_then(|whole| self.open(&whole))
                }
            };
            if let Some(session) = opened {
                return Found::Session(Box::new(session));
            }
        }
        found
    }

    /// The value that is spread over so many cookies.
    fn join(&self, count: &str, first: &str, lines: &HeaderMap) -> Option<String> {
        let count: usize = count.parse().ok()?;
        let mut whole = first.to_owned();
        for index in 1..count.min(PARTS_MAX) {
            let name = self.names.part(index);
            let (_, part) = cookies::all(lines).find(|(known, _)| *known == name)?;
            whole.push_str(part);
        }
        Some(whole)
    }

    /// The lines that make a browser carry a session.
    pub(super) fn lines(&self, session: &Session, carried: &HeaderMap) -> Vec<HeaderValue> {
        let now = self.env.clock().now();
        let mut value = self.seal(&session.to_bytes());
        let mut parts = parts(&value);
        if parts.len() > PARTS_MAX {
            self.keep(&value, session, session.end(self.settings));
            value = self.seal(&session.reference());
            parts = vec![value];
        }
        let seconds = session.lifetime(self.settings, now);
        let used = parts.len();
        let set = parts.into_iter().enumerate();
        let set = set.filter_map(|(index, part)| {
            self.names
                .session_line(&self.names.part(index), &part, seconds)
        });
        set.chain(self.removals(carried, used)).collect()
    }

    /// The lines that make a browser forget what it carries of a session.
    pub(super) fn removal_lines(&self, carried: &HeaderMap) -> Vec<HeaderValue> {
        self.removals(carried, 0).collect()
    }

    fn removals(&self, carried: &HeaderMap, from: usize) -> impl Iterator<Item = HeaderValue> {
        let parts = (from..PARTS_MAX).map(|index| self.names.part(index));
        parts.filter_map(|name| {
            let mut all = cookies::all(carried);
            let is_there = all.any(|(known, _)| known == name);
            is_there
                .then(|| self.names.session_line(&name, "", 0))
                .flatten()
        })
    }

    /// Keeps the newest form of a session for whoever still comes with an older one.
    pub(super) fn keep_newest(&self, session: &Session) {
        let now = self.env.clock().now();
        let settings = self.settings;
        let while_used = now + settings.refresh_interval.min(settings.idle_session);
        let sealed = self.seal(&session.to_bytes());
        let until = match parts(&sealed).len() > PARTS_MAX {
            true => session.end(settings),
            false => while_used.min(session.end(settings)),
        };
        self.keep(&sealed, session, until);
    }

    /// The newest form of a session, if one is kept.
    pub(super) fn newest(&self, id: &str) -> Option<Session> {
        let kept = self.env.sessions().get(&kept_name(id))?;
        let sealed = std::str::from_utf8(&kept).ok()?;
        match self.read(sealed)? {
            Carried::Whole(session) if *session.keys.id == *id => Some(*session),
            _ => None,
        }
    }

    fn open(&self, sealed: &str) -> Option<Session> {
        match self.read(sealed)? {
            Carried::Whole(session) => Some(*session),
            Carried::Kept { id, seen } => {
                let kept = self.newest(&id)?;
                let seen = seen.max(kept.seen);
                Some(Session { seen, ..kept })
            }
        }
    }

    fn read(&self, sealed: &str) -> Option<Carried> {
        let plain = self.env.keys().open(&self.context, sealed)?;
        Carried::read(&plain, self.issuer)
    }

    fn keep(&self, sealed: &str, session: &Session, until: std::time::SystemTime) {
        let now = self.env.clock().now();
        let sessions = self.env.sessions();
        sessions.put(
            &kept_name(&session.keys.id),
            Arc::from(sealed.as_bytes()),
            now,
            until,
        );
    }

    fn seal(&self, plain: &[u8]) -> String {
        self.env
            .keys()
            .seal(&self.context, plain, self.env.random())
    }
}

/// A value over so many cookies as it needs. The first says how many, if there are several.
fn parts(value: &str) -> Vec<String> {
    // It is base64, so that every byte is a character.
    let pieces: Vec<_> = value.as_bytes().chunks(PART_MAX).collect();
    let count = pieces.len();
    let pieces = pieces.into_iter().map(String::from_utf8_lossy).enumerate();
    let pieces = pieces.map(|(index, piece)| match index {
        0 if count > 1 => format!("{count}.{piece}"),
        _ => piece.into_owned(),
    });
    pieces.collect()
}

fn kept_name(id: &str) -> String {
    format!("session {id}")
}
