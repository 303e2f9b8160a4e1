//! Certificates that end soon are told of, once a day.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tracing::warn;

use crate::front::tls::Expiry;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Which certificates were told of, with the whole days that each had left then.
#[derive(Default)]
pub(super) struct Reminders(HashMap<PathBuf, u64>);

impl Reminders {
    /// Tells of those that end soon, and were not told of today. How many those were.
    pub(super) fn remind(&mut self, expiries: &[Expiry], now: SystemTime) -> usize {
        let soon = expiries.iter().filter(|one| one.is_soon(now));
        let soon: HashMap<_, _> = soon.map(|one| (&one.file, one)).collect();
        self.0.retain(|file, _| soon.contains_key(file));
        let mut told = 0;
        for (file, expiry) in soon {
            let left = expiry.not_after.duration_since(now).unwrap_or_default();
            let days = left.as_secs() / DAY.as_secs();
            if self.0.insert(file.clone(), days) == Some(days) {
                continue;
            }
            told += 1;
            let (file, names) = (file.display(), expiry.names.join(", "));
            match left.is_zero() {
                true => warn!(%file, names, "the certificate has ended; clients refuse it"),
                false => warn!(%file, names, days, "the certificate ends soon; renew it"),
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_of_the_last_two_weeks_is_told_once() {
        let now = SystemTime::now();
        let ends_in = |days: u64| Expiry {
            file: "a.pem".into(),
            names: vec!["a.example".into()],
            not_after: now + DAY * u32::try_from(days).unwrap() + DAY / 2,
        };
        let mut reminders = Reminders::default();
        assert_eq!(reminders.remind(&[ends_in(14)], now), 0);
        assert_eq!(reminders.remind(&[ends_in(13)], now), 1);
        assert_eq!(reminders.remind(&[ends_in(13)], now), 0);
        assert_eq!(reminders.remind(&[ends_in(12)], now), 1);
        // Renewed, and another one that ends as soon.
        assert_eq!(reminders.remind(&[ends_in(90)], now), 0);
        assert_eq!(reminders.remind(&[ends_in(12)], now), 1);
        let over = [ends_in(12)];
        assert_eq!(reminders.remind(&over, now + DAY * 20), 1);
        assert_eq!(reminders.remind(&over, now + DAY * 21), 0);
    }
}
