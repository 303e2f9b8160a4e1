//! Signed timestamps: how providers write them, and whether one is fresh.

use std::time::{Duration, SystemTime};

use super::Unverified;

/// How a timestamp is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// ISO 8601, as RFC 3339 profiles it; without an offset it is UTC.
    Iso,
}

/// What a signed request may be old, and how far ahead of our clock, unless its provider says otherwise.
pub(super) const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// Milliseconds since 1970 of a timestamp as text.
pub(super) fn read(text: &str, unit: Unit) -> Option<i64> {
    match unit {
        Unit::Seconds => digits(text)?.checked_mul(1000),
        Unit::Millis => digits(text),
        Unit::Iso => iso(text),
    }
}

/// Refuses what was signed longer ago than `tolerance`, or will be signed later than that from now.
pub(super) fn check(signed: i64, now: SystemTime, tolerance: Duration) -> Result<(), Unverified> {
    let now = match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(_) => 0,
    };
    let off = Duration::from_millis(now.abs_diff(signed));
    if off <= tolerance {
        return Ok(());
    }
    let (seconds, allowed) = (off.as_secs(), tolerance.as_secs());
    Err(if signed < now {
        Unverified::Stale { seconds, allowed }
    } else {
        Unverified::Future { seconds, allowed }
    })
}

/// Digits only: `+5`, ` 5` and `5.0` are no timestamps.
fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    None
}

/// `2021-03-25T05:09:27Z`, with a fraction or an offset where there is one. A fraction does not matter here and is
/// dropped.
fn iso(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => rest,
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !valid {
        return None;
    }
    let local = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((local - offset(zone)?) * 1000)
}

/// Seconds ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let [hours, minutes] = numbers(rest, ':', [2, 2])?;
    let ahead = hours * 3600 + minutes * 60;
    match sign {
        "+" if hours < 24 && minutes < 60 => Some(ahead),
        "-" if hours < 24 && minutes < 60 => Some(-ahead),
        _ => None,
    }
}

/// Exactly `N` numbers of these widths with `between` them.
fn numbers<const N: usize>(text: &str, between: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width {
            return None;
        }
        *number = digits(part)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in years that begin with March, so that the leap day is last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_providers_write() {
        for (text, unit, millis) in [
            ("1531420618", Unit::Seconds, 1_531_420_618_000),
            ("1693657560000", Unit::Millis, 1_693_657_560_000),
            ("1970-01-01T00:00:00Z", Unit::Iso, 0),
            ("2000-02-29T12:00:00Z", Unit::Iso, 951_825_600_000),
            ("2021-03-25T05:09:27Z", Unit::Iso, 1_616_648_967_000),
            ("2020-01-01T00:00:00-07:00", Unit::Iso, 1_577_862_000_000),
            (
                "2020-01-01T00:00:00.123+05:30",
                Unit::Iso,
                1_577_817_000_000,
            ),
            ("2022-09-29T21:09:08", Unit::Iso, 1_664_485_748_000),
            ("1969-12-31 23:59:59z", Unit::Iso, -1000),
        ] {
            assert_eq!(read(text, unit), Some(millis), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_timestamp() {
        for text in ["", "+1", "-1", "1.0", " 1", "9223372036854775807", "１"] {
            assert_eq!(read(text, Unit::Seconds), None, "{text}");
        }
        for text in [
            "",
            "now",
            "2020-01-01",
            "2020-13-01T00:00:00Z",
            "2020-01-32T00:00:00Z",
            "2020-01-01T24:00:00Z",
            "2020-01-01T00:60:00Z",
            "2020-01-01T00:00:00.Z",
            "2020-01-01T00:00:00+7:00",
            "2020-01-01T00:00:00+07:00:00",
            "2020-01-01T00:00:00*07:00",
            "2020-1-001T00:00:00Z",
            "2020-01-01T00:00:00Zé",
            "éééééééééé",
        ] {
            assert_eq!(read(text, Unit::Iso), None, "{text}");
        }
    }

    #[test]
    fn fresh_is_what_lies_within_the_tolerance_on_either_side() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let check = |seconds: i64| check(seconds * 1000, now, FIVE_MINUTES);
        for fresh in [700, 1000, 1300] {
            assert_eq!(check(fresh), Ok(()));
        }
        let (seconds, allowed) = (301, 300);
        assert_eq!(check(699), Err(Unverified::Stale { seconds, allowed }));
        assert_eq!(check(1301), Err(Unverified::Future { seconds, allowed }));
    }
}
