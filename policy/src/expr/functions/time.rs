//! Parts of times and of lengths of time.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::{Answer, Call, Function, TEXT};
use crate::expr::error::EvalError;
use crate::expr::static_type::Type;
use crate::expr::value::Value;

/// With and without a time zone.
macro_rules! parts {
    ($(($name:literal, $part:expr)),* $(,)?) => {
        &[$(
            Function::method(Type::Timestamp, $name, &[], Type::Int, |call| of_time(call, $part)),
            Function::method(Type::Timestamp, $name, TEXT, Type::Int, |call| of_time(call, $part)),
        )*]
    };
}

pub(super) const OF_TIMES: &[Function] = parts![
    ("getFullYear", |time| time.year().into()),
    ("getMonth", |time| i64::from(time.month()) - 1),
    ("getDate", |time| time.day().into()),
    ("getDayOfMonth", |time| i64::from(time.day()) - 1),
    ("getDayOfWeek", |time| time
        .weekday()
        .to_sunday_zero_offset()
        .into()),
    ("getDayOfYear", |time| i64::from(time.day_of_year()) - 1),
    ("getHours", |time| time.hour().into()),
    ("getMinutes", |time| time.minute().into()),
    ("getSeconds", |time| time.second().into()),
    ("getMilliseconds", |time| time.millisecond().into()),
];

/// The whole length in a unit, but of milliseconds the part that is no whole second.
pub(super) const OF_LENGTHS: &[Function] = &[
    Function::method(Type::Duration, "getHours", &[], Type::Int, |call| {
        of_length(call, |length| length.as_secs() / 3_600)
    }),
    Function::method(Type::Duration, "getMinutes", &[], Type::Int, |call| {
        of_length(call, |length| length.as_secs() / 60)
    }),
    Function::method(Type::Duration, "getSeconds", &[], Type::Int, |call| {
        of_length(call, |length| length.as_secs())
    }),
    Function::method(Type::Duration, "getMilliseconds", &[], Type::Int, |call| {
        of_length(call, |length| length.subsec_millis().into())
    }),
];

/// `t.getHours()` in UTC and `t.getHours(zone)`. What is known only now to be a length of time is that.
fn of_time<'e>(call: &Call<'_, 'e, '_>, part: fn(DateTime) -> i64) -> Answer<'e> {
    let time = match call.value(0)? {
        Value::Timestamp(time) => *time,
        Value::Duration(_) if call.len() == 1 => return of_either(call),
        other => return Err(call.wrong(other, "timestamp")),
    };
    let zone = if call.len() > 1 {
        zone(call, call.text(1)?)?
    } else {
        TimeZone::UTC
    };
    Ok(Value::Int(part(zone.to_datetime(time))))
}

fn of_either<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let form = OF_LENGTHS
        .iter()
        .find(|form| form.name == call.function.name);
    match form {
        Some(form) => (form.call)(call),
        None => Err(call.wrong(call.value(0)?, "timestamp")),
    }
}

fn of_length<'e>(call: &Call<'_, 'e, '_>, part: fn(SignedDuration) -> i64) -> Answer<'e> {
    match call.value(0)? {
        Value::Duration(length) => Ok(Value::Int(part(*length))),
        other => Err(call.wrong(other, "duration")),
    }
}

/// `Europe/Zurich`, `UTC`, `+02:00`, `-02:00` or `02:00`.
fn zone(call: &Call<'_, '_, '_>, name: &str) -> Result<TimeZone, EvalError> {
    call.charge(1024)?;
    let unknown = || call.error(format_args!("unknown time zone `{name}`"));
    if let Some((hours, minutes)) = name.split_once(':') {
        let offset = offset(hours, minutes).and_then(|seconds| Offset::from_seconds(seconds).ok());
        return offset.map(Offset::to_time_zone).ok_or_else(unknown);
    }
    TimeZone::get(name).map_err(|_| unknown())
}

fn offset(hours: &str, minutes: &str) -> Option<i32> {
    let digits = hours.trim_start_matches(['+', '-']);
    let is_shaped = digits.len() == 2 && minutes.len() == 2 && hours.len() <= 3;
    let all_digits = (digits.bytes())
        .chain(minutes.bytes())
        .all(|byte| byte.is_ascii_digit());
    let (hour, minute): (i32, i32) = (digits.parse().ok()?, minutes.parse().ok()?);
    let seconds = (hour * 60 + minute) * 60;
    let sign = if hours.starts_with('-') { -1 } else { 1 };
    (is_shaped && all_digits && minute < 60).then_some(sign * seconds)
}

/// The times that CEL has: those of the years 1 to 9999.
pub(crate) fn in_range(time: Timestamp) -> bool {
    (-62_135_596_800..=253_402_300_799).contains(&time.as_second())
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    const TIME: &str = "timestamp('2023-12-25T12:00:00Z')";

    #[test]
    fn the_examples_of_the_reference() {
        for (part, expected) in [
            ("getFullYear", "2023"),
            ("getMonth", "11"),
            ("getDate", "25"),
            ("getDayOfMonth", "24"),
            ("getDayOfWeek", "1"),
            ("getDayOfYear", "358"),
            ("getHours", "12"),
            ("getMinutes", "0"),
            ("getSeconds", "0"),
            ("getMilliseconds", "0"),
        ] {
            gives(&[
                (&format!("{TIME}.{part}()"), expected),
                (&format!("dyn({TIME}).{part}()"), expected),
                (&format!("{TIME}.{part}('UTC')"), expected),
            ]);
        }
        gives(&[
            ("duration('3h').getHours()", "3"),
            ("duration('1h30m').getMinutes()", "90"),
            ("duration('1m30s').getSeconds()", "90"),
            ("duration('1.234s').getMilliseconds()", "234"),
            ("dyn(duration('1m30s')).getSeconds()", "90"),
            ("duration('-90m').getHours()", "-1"),
            ("timestamp(time.now).getFullYear()", "2023"),
        ]);
    }

    #[test]
    fn a_time_zone_is_a_name_or_an_offset() {
        gives(&[
            (&format!("{TIME}.getHours('Europe/Zurich')"), "13"),
            (&format!("{TIME}.getHours('America/New_York')"), "7"),
            (&format!("{TIME}.getHours('+05:30')"), "17"),
            (&format!("{TIME}.getMinutes('05:30')"), "30"),
            (&format!("{TIME}.getDate('-12:30')"), "24"),
            (&format!("{TIME}.getDate('+14:00')"), "26"),
            (
                "timestamp('2024-07-01T00:00:00Z').getHours('Europe/Zurich')",
                "2",
            ),
            (
                "timestamp('2023-12-25T12:00:00.987Z').getMilliseconds()",
                "987",
            ),
        ]);
        for zone in [
            "Europe/Zurrich",
            "",
            "+5:30",
            "05:60",
            "+-05:30",
            "0x:00",
            "é:00",
        ] {
            fails(&[(
                &format!("{TIME}.getHours('{zone}')"),
                "getHours: unknown time zone",
            )]);
        }
        fails(&[
            (
                "duration('1h').getDate()",
                "`getDate` does not take (duration)",
            ),
            (
                "dyn(duration('1h')).getDate()",
                "getDate takes timestamp, not google.protobuf.Duration",
            ),
            ("dyn(1).getSeconds()", "takes timestamp, not int"),
        ]);
    }
}
