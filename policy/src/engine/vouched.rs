//! Headers that tell the service who the caller is: what a client says there goes before any rule runs.

use http::HeaderName;

use crate::exchange::Head;

/// The names of such headers, each in every spelling that some server takes for it.
#[derive(Debug, Default)]
pub(super) struct Vouched(Vec<HeaderName>);

impl Vouched {
    pub(super) fn extend(&mut self, names: Vec<HeaderName>) {
        self.0.extend(names);
    }

    /// Takes them out of a client's request, whether an action will put anything there or not.
    pub(super) fn take_out(&self, head: &mut Head<'_>) {
        if self.0.is_empty() {
            return;
        }
        let names = head.lines().keys();
        let claimed: Vec<_> = names.filter(|name| self.covers(name)).cloned().collect();
        for name in claimed {
            // Taking a line out needs no room.
            head.remove(name).unwrap_or_default();
        }
    }

    fn covers(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|own| is_taken_for(name, own))
    }
}

/// CGI makes `_` of `-`, and other servers fold `.` too.
fn is_taken_for(name: &HeaderName, own: &HeaderName) -> bool {
    let (name, own) = (name.as_str().as_bytes(), own.as_str().as_bytes());
    let folded = |byte: &u8| match byte {
        b'_' | b'.' => b'-',
        byte => *byte,
    };
    name.len() == own.len() && name.iter().map(folded).eq(own.iter().map(folded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lines;

    #[test]
    fn every_spelling_of_a_name_goes_and_nothing_else() {
        let mut vouched = Vouched::default();
        vouched.extend(vec!["x-user-email".parse().unwrap()]);
        let sent = lines(&[
            ("x-user-email", "1"),
            ("x_user_email", "2"),
            ("x.user-email", "3"),
            ("x-user-email-address", "4"),
            ("x-user", "5"),
            ("xxuser-email", "6"),
        ]);
        let mut head = Head::of(&sent);
        vouched.take_out(&mut head);
        let mut left: Vec<_> = head.lines().values().collect();
        left.sort();
        assert_eq!(left, ["4", "5", "6"]);
        assert_eq!(head.edits().len(), 3);
    }
}
