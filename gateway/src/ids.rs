//! Names for what has no name of its own, that no later run of the gateway gives to something else.

use std::time::{SystemTime, UNIX_EPOCH};

/// Makes ids of one run: a prefix, the second in which it began, and a number. They sort by age.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    began: u32,
}

const SESSION: &str = "ts_";
const MEMBER: &str = "mb_";
const TRACE: &str = "tr_";

// === impl Ids ===

impl Ids {
    /// Of a run that begins now.
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let began = since.map_or(0, |since| since.as_secs() & u64::from(u32::MAX));
        Self {
            began: u32::try_from(began).unwrap_or_default(),
        }
    }

    /// Of an agent's session.
    pub(crate) fn session(self, number: u64) -> String {
        self.id(SESSION, number)
    }

    /// Of a member of a pool.
    pub(crate) fn member(self, number: u64) -> String {
        self.id(MEMBER, number)
    }

    /// Of what is remembered of an exchange.
    pub(crate) fn trace(self, number: u64) -> String {
        self.id(TRACE, number)
    }

    /// The session's number, if the id is of this run.
    pub(crate) fn session_of(self, id: &str) -> Option<u64> {
        self.number(SESSION, id)
    }

    /// The same of a member.
    pub(crate) fn member_of(self, id: &str) -> Option<u64> {
        self.number(MEMBER, id)
    }

    /// The same of a trace.
    pub(crate) fn trace_of(self, id: &str) -> Option<u64> {
        self.number(TRACE, id)
    }

    fn id(self, prefix: &str, number: u64) -> String {
        format!("{prefix}{:08x}{number:010x}", self.began)
    }

    fn number(self, prefix: &str, id: &str) -> Option<u64> {
        let digits = id.strip_prefix(prefix)?;
        let number = u64::from_str_radix(digits.get(8..)?, 16).ok()?;
        // What reads like it and is written in another way is not it.
        (self.id(prefix, number) == id).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_its_own_run_and_spelling_only() {
        let ids = Ids { began: 0x6920_1c3a };
        assert_eq!(ids.session(42), "ts_69201c3a000000002a");
        assert_eq!(ids.session_of("ts_69201c3a000000002a"), Some(42));
        let big = ids.member(u64::MAX);
        assert_eq!(ids.member_of(&big), Some(u64::MAX));
        for other in [
            "mb_69201c3a000000002a",
            "ts_69201c3b000000002a",
            "ts_69201c3a000000002A",
            "ts_69201c3a+00000002a",
            "ts_69201c3a2a",
            "ts_",
            "ts_é",
            "",
        ] {
            assert_eq!(ids.session_of(other), None, "{other}");
        }
    }
}
