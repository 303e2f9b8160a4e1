//! Comparing what a client sends with hashed passwords: for milliseconds, and where nobody waits for a core.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::attempts::{Attempt, Failures};
use super::credential::Known;
use super::presented::Presented;
use super::verified::Verified;
use super::{Decision, Running, decision};
use crate::env::{Busy, Env, Work};
use crate::exchange::Exchange;
use crate::password::PasswordHash;

/// A longer password is nobody's: 128 characters of four bytes. Some hashes take time with the length.
const PASSWORD_BYTES_MAX: usize = 512;

/// Passwords of one user, each as a hash, and one that might be it.
///
/// An unknown user is compared with the hashes of a known one, so that it takes the same time; which one it is depends on
/// the name alone. Whatever comes of that, it is not let in.
pub(super) struct Check {
    hashed: Vec<(Known, Arc<PasswordHash>)>,
    is_user: bool,
    presented: Presented,
    client: IpAddr,
    failures: Option<Arc<Failures>>,
    verified: Arc<Verified>,
    env: Env,
}

// === impl Check ===

impl Check {
    /// `None` if there is nothing to be hashed. `all` are the credentials whose passwords are hashed.
    pub(super) fn of(
        all: &[Cow<'_, Known>],
        presented: &Presented,
        running: &Running,
        exchange: &Exchange<'_>,
    ) -> Option<Self> {
        let user = presented.user();
        let is_user = all.iter().any(|known| known.is_user(user));
        let model = match is_user {
            true => user,
            false => all.get(running.verified.choice(user, all.len()))?.user(),
        };
        let hashed = all.iter().filter(|known| known.is_user(model));
        let hashed =
            hashed.filter_map(|known| Some((known.as_ref().clone(), known.hash()?.clone())));
        let is_short = presented.password().len() <= PASSWORD_BYTES_MAX;
        is_short.then(|| Self {
            hashed: hashed.collect(),
            is_user,
            presented: presented.clone(),
            client: exchange.conn.client.ip(),
            failures: running.failures.clone(),
            verified: Arc::clone(&running.verified),
            env: exchange.env.clone(),
        })
    }

    /// Who it is, if that was found out a moment ago.
    pub(super) fn remembered(&self) -> Option<Decision> {
        let now = self.env.clock().elapsed();
        let password = self.presented.password();
        let mut found = None;
        for (known, hash) in &self.hashed {
            let tag = self.verified.tag(hash.text(), password);
            if self.verified.has(&tag, now) && self.is_user {
                found = Some(decision(Some(known), self.attempt(), now));
            }
        }
        found
    }

    /// Hashes the password, on a thread for that. Only so many are hashed at the same time, and whoever waited looks
    /// again: ten browser tabs hash one password, and who has guessed ten times meanwhile guesses no more.
    pub(super) async fn run(self, work: &dyn Work) -> Result<Decision, Busy> {
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        let job = move || {
            let decision = self.decide();
            *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(decision);
        };
        work.compute(Box::new(job)).await?;
        let decision = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        decision.ok_or(Busy)
    }

    fn decide(&self) -> Decision {
        let clock = self.env.clock();
        let wait = |attempt: Attempt<'_>| attempt.wait(clock.elapsed());
        if let Some(wait) = self.attempt().and_then(wait) {
            return Decision::Limited(wait);
        }
        if let Some(decision) = self.remembered() {
            return decision;
        }
        let password = self.presented.password();
        let right = self.hashed.iter().find(|(_, hash)| hash.is_of(password));
        let right = right.filter(|_| self.is_user);
        if let Some((_, hash)) = right {
            let tag = self.verified.tag(hash.text(), password);
            self.verified.add(tag, clock.elapsed());
        }
        let known = right.map(|(known, _)| known);
        decision(known, self.attempt(), clock.elapsed())
    }

    fn attempt(&self) -> Option<Attempt<'_>> {
        self.failures.as_ref().map(|failures| Attempt {
            failures,
            client: self.client,
            user: self.presented.user(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::HeaderMap;

    use super::super::{BasicAuth, Sent};
    use super::*;
    use crate::action::Config;
    use crate::testing::{Turned, request};

    #[test]
    fn a38_a_an_unknown_user_is_compared_with_all_hashes_of_one_known_user() {
        let sha = |salt: &str| format!("$5${salt}${}", "A".repeat(43));
        let [old, new, other] = ["old", "new", "other"].map(sha);
        let config = format!(
            "credentials: ['alice:{old}', 'alice:{new}', 'bob:{other}', 'carol:plain as day']"
        );
        let (_, env) = Turned::env();
        let config: BasicAuth = crate::document::read("f", &config).unwrap();
        let running = config.build(&env).unwrap();
        let compared = |user: &str| {
            let lines = [(
                http::header::AUTHORIZATION,
                http::HeaderValue::from_str(&super::super::tests::basic(&format!("{user}:x")))
                    .unwrap(),
            )];
            let lines = HeaderMap::from_iter(lines);
            let exchange = request(&lines);
            let Sent::Pair(presented) = Sent::of(&lines) else {
                panic!("{user} presents nothing");
            };
            let mut all = running.known(&exchange).unwrap();
            all.retain(|known| known.hash().is_some());
            let check = Check::of(&all, &presented, &running, &exchange).unwrap();
            let hashes = check.hashed.iter().map(|(_, hash)| hash.text().to_owned());
            (check.is_user, hashes.collect::<Vec<_>>())
        };
        let alices = vec![old, new];
        assert_eq!(compared("alice"), (true, alices.clone()));
        assert_eq!(compared("bob"), (true, vec![other.clone()]));
        let strangers: Vec<_> = (0..50).map(|number| format!("stranger {number}")).collect();
        let of_strangers: HashSet<_> = strangers.iter().map(|user| compared(user)).collect();
        assert_eq!(
            of_strangers,
            HashSet::from([(false, alices), (false, vec![other])])
        );
        for user in &strangers {
            assert_eq!(compared(user), compared(user));
        }
        assert!(!compared("carol").0);
    }
}
