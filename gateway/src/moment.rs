//! Moments as programs and people write them: RFC 3339, in UTC.

use std::time::SystemTime;

use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

const MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// To the second.
pub(crate) fn seconds(moment: SystemTime) -> String {
    let moment = OffsetDateTime::from(moment);
    let whole = moment.replace_nanosecond(0).unwrap_or(moment);
    whole.format(&Rfc3339).unwrap_or_default()
}

/// To the millisecond.
pub(crate) fn millis(moment: SystemTime) -> String {
    OffsetDateTime::from(moment)
        .format(MILLIS)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_moment_has_as_many_digits_as_were_asked_for() {
        let moment = UNIX_EPOCH + Duration::from_nanos(1_795_252_042_007_900_000);
        assert_eq!(seconds(moment), "2026-11-21T09:07:22Z");
        assert_eq!(millis(moment), "2026-11-21T09:07:22.007Z");
    }
}
