//! Conversions between types (CEL specification, "Standard definitions").

use jiff::{SignedDuration, Timestamp};

use super::{Answer, Call, Function};
use crate::expr::number;
use crate::expr::static_type::Type;
use crate::expr::value::Value;
use crate::go_duration::GoDuration;

/// Every type that a conversion takes has a form of its own, so that others are refused at load.
macro_rules! conversions {
    ($($name:literal => $result:ident by $call:ident from [$($from:ident),*]),* $(,)?) => {
        &[$($(
            Function::global($name, &[Type::$from], Type::$result, $call),
        )*)*]
    };
}

pub(super) const TABLE: &[Function] = conversions![
    "int" => Int by int from [Int, Uint, Double, String, Timestamp],
    "uint" => Uint by uint from [Uint, Int, Double, String],
    "double" => Double by double from [Double, Int, Uint, String],
    "string" => String by string from [String, Int, Uint, Double, Bool, Bytes, Timestamp, Duration],
    "bytes" => Bytes by bytes from [Bytes, String],
    "bool" => Bool by bool from [Bool, String],
    "timestamp" => Timestamp by timestamp from [Timestamp, String, Int],
    "duration" => Duration by duration from [Duration, String],
    "type" => Kind by type_of from [Dyn],
    "dyn" => Dyn by as_it_is from [Dyn],
];

/// `int(x)`: towards zero; of a time the seconds since 1970.
fn int<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let value = match call.value(0)? {
        Value::Int(value) => Some(*value),
        Value::Uint(value) => i64::try_from(*value).ok(),
        Value::Double(value) => {
            number::truncated(*value).and_then(|value| i64::try_from(value).ok())
        }
        Value::String(text) => text.parse().ok(),
        Value::Timestamp(time) => Some(time.as_nanosecond().div_euclid(1_000_000_000))
            .and_then(|seconds| i64::try_from(seconds).ok()),
        other => return Err(call.wrong(other, "int, uint, double, string or timestamp")),
    };
    value.map(Value::Int).ok_or_else(|| no_such(call, "int"))
}

/// `uint(x)`: towards zero.
fn uint<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let value = match call.value(0)? {
        Value::Uint(value) => Some(*value),
        Value::Int(value) => u64::try_from(*value).ok(),
        Value::Double(value) if *value < 0.0 => None,
        Value::Double(value) => {
            number::truncated(*value).and_then(|value| u64::try_from(value).ok())
        }
        Value::String(text) => text.parse().ok(),
        other => return Err(call.wrong(other, "uint, int, double or string")),
    };
    value.map(Value::Uint).ok_or_else(|| no_such(call, "uint"))
}

/// `double(x)`: the nearest.
fn double<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    #[allow(
        clippy::cast_precision_loss,
        reason = "the specification asks for the nearest"
    )]
    let value = match call.value(0)? {
        Value::Double(value) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        Value::Uint(value) => Some(*value as f64),
        Value::String(text) => text.parse().ok(),
        other => return Err(call.wrong(other, "double, int, uint or string")),
    };
    value
        .map(Value::Double)
        .ok_or_else(|| no_such(call, "double"))
}

/// `string(x)`: as `${x}` spells it; bytes must be UTF-8.
fn string<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    match call.value(0)? {
        Value::String(text) => Ok(Value::String(text.clone())),
        Value::Bytes(bytes) => {
            call.charge(bytes.len())?;
            let text = std::str::from_utf8(bytes)
                .map_err(|_| call.error("the bytes are not UTF-8 text"))?;
            Ok(Value::text(text.to_owned()))
        }
        value @ (Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Bool(_)
        | Value::Timestamp(_)
        | Value::Duration(_)) => Ok(Value::text(value.to_text().into_owned())),
        other => Err(call.wrong(other, "a number, bool, bytes, timestamp or duration")),
    }
}

/// `bytes(x)`: a text in UTF-8.
fn bytes<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    match call.value(0)? {
        Value::Bytes(bytes) => Ok(Value::Bytes(bytes.clone())),
        Value::String(text) => {
            call.charge(text.len())?;
            Ok(Value::Bytes(text.as_bytes().into()))
        }
        other => Err(call.wrong(other, "bytes or string")),
    }
}

/// `bool(x)`: of a text the usual words.
fn bool<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    match call.value(0)? {
        Value::Bool(value) => Ok(Value::Bool(*value)),
        Value::String(text) => match &**text {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(no_such(call, "bool")),
        },
        other => Err(call.wrong(other, "bool or string")),
    }
}

/// `timestamp(x)`: RFC 3339, or seconds since 1970.
fn timestamp<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let time = match call.value(0)? {
        Value::Timestamp(time) => Some(*time),
        Value::Int(seconds) => Timestamp::from_second(*seconds).ok(),
        Value::String(text) => rfc3339(text),
        other => return Err(call.wrong(other, "timestamp, string or int")),
    };
    let time = time.filter(|time| super::time::in_range(*time));
    time.map(Value::Timestamp)
        .ok_or_else(|| no_such(call, "timestamp"))
}

/// `duration(x)`: `1h30m`, `-1.5s`.
fn duration<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let length = match call.value(0)? {
        Value::Duration(length) => Some(*length),
        Value::String(text) => {
            let (sign, digits) = match text.strip_prefix('-') {
                Some(digits) => (-1, digits),
                None => (1, text.strip_prefix('+').unwrap_or(text)),
            };
            let length = digits.parse::<GoDuration>().ok();
            let length = length.and_then(|length| SignedDuration::try_from(length.0).ok());
            length.and_then(|length| length.checked_mul(sign))
        }
        other => return Err(call.wrong(other, "duration or string")),
    };
    length
        .map(Value::Duration)
        .ok_or_else(|| no_such(call, "duration"))
}

/// `type(x)`.
fn type_of<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    Ok(Value::Type(call.value(0)?.type_name()))
}

/// `dyn(x)`: the value, whose type is looked at only when it is there.
fn as_it_is<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    call.value(0).cloned()
}

fn no_such(call: &Call<'_, '_, '_>, wanted: &str) -> crate::expr::error::EvalError {
    call.error(format_args!(
        "the value is no {wanted}, or out of its range"
    ))
}

/// RFC 3339 and nothing more: jiff also reads dates without a time, and names of zones behind them.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let has_t = matches!(bytes.get(10), Some(b'T' | b't'));
    let has_zone = text.ends_with(['Z', 'z'])
        || matches!(bytes.iter().rev().nth(5), Some(b'+' | b'-'))
            && bytes.iter().rev().nth(2) == Some(&b':');
    let has_seconds = bytes.get(16) == Some(&b':') && bytes.get(4) == Some(&b'-');
    (has_t && has_zone && has_seconds && !text.contains(','))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    #[test]
    fn whole_numbers() {
        gives(&[
            ("int(7)", "7"),
            ("int(7u)", "7"),
            ("int(-7.9)", "-7"),
            ("int(7.9)", "7"),
            ("int('-12')", "-12"),
            ("int(timestamp('1970-01-01T00:00:01.9Z'))", "1"),
            ("int(timestamp('1969-12-31T23:59:59.5Z'))", "-1"),
            ("uint(7)", "7u"),
            ("uint(7.9)", "7u"),
            ("uint('12')", "12u"),
            ("uint(18446744073709551615u)", "18446744073709551615u"),
            ("int(dyn('3')) + 1", "4"),
        ]);
        fails(&[
            (
                "int(9223372036854775808u)",
                "int: the value is no int, or out of its range",
            ),
            ("int(9223372036854775807.0)", "out of its range"),
            ("int(-9223372036854775809.0 * 2.0)", "out of its range"),
            ("int(0.0 / 0.0)", "no int"),
            ("int('1.5')", "no int"),
            ("int('')", "no int"),
            ("uint(-1)", "no uint"),
            ("uint(-0.5)", "no uint"),
            ("uint(18446744073709551616.0)", "no uint"),
            ("int(true)", "`int` does not take (bool)"),
            (
                "int(dyn(true))",
                "int takes int, uint, double, string or timestamp, not bool",
            ),
        ]);
    }

    #[test]
    fn doubles_texts_bytes_and_bools() {
        gives(&[
            ("double(3)", "3.0"),
            ("double(3u)", "3.0"),
            ("double('1e2')", "100.0"),
            ("double(9223372036854775807)", "9223372036854775807.0"),
            ("string(-3)", "'-3'"),
            ("string(3u)", "'3'"),
            ("string(1.0)", "'1'"),
            ("string(1.5)", "'1.5'"),
            ("string(true)", "'true'"),
            ("string(b'\\xc3\\xa9')", "'é'"),
            (
                "string(timestamp('2024-01-02T03:04:05Z'))",
                "'2024-01-02T03:04:05Z'",
            ),
            (
                "string(timestamp('2024-01-02T03:04:05.600+01:00'))",
                "'2024-01-02T02:04:05.6Z'",
            ),
            ("string(duration('1h30m'))", "'5400s'"),
            ("string(duration('-1.5s'))", "'-1.5s'"),
            ("string('x')", "'x'"),
            ("bytes('é')", "b'\\xc3\\xa9'"),
            (
                "bool('true') && bool('t') && bool('True') && bool('1')",
                "true",
            ),
            ("bool('FALSE') || bool('f') || bool('0')", "false"),
        ]);
        fails(&[
            ("string(b'\\xff')", "string: the bytes are not UTF-8 text"),
            ("string(null)", "`string` does not take (null)"),
            ("string([1])", "`string` does not take"),
            ("bool('yes')", "no bool"),
            ("double('x')", "no double"),
        ]);
    }

    #[test]
    fn times_and_lengths_of_time() {
        gives(&[
            (
                "timestamp('2024-01-02T03:04:05Z') == timestamp(1704164645)",
                "true",
            ),
            (
                "timestamp('2024-01-02T04:04:05+01:00') == timestamp(1704164645)",
                "true",
            ),
            ("timestamp('0001-01-01T00:00:00Z').getFullYear()", "1"),
            (
                "timestamp('9999-12-30T21:59:59.999999999Z').getFullYear()",
                "9999",
            ),
            ("duration('1h30m') == duration('5400s')", "true"),
            ("duration('1.5h') - duration('30m')", "duration('1h')"),
            ("duration('-1ms1us') < duration('0')", "true"),
            ("duration('100us') == duration('0.1ms')", "true"),
        ]);
        for text in [
            "2024-01-02",
            "2024-01-02 03:04:05Z",
            "2024-01-02T03:04:05",
            "2024-01-02T03:04Z",
            "2024-01-02T03:04:05Z[UTC]",
            "2024-13-02T03:04:05Z",
            "0000-12-31T00:00:00Z",
            "",
            "now",
        ] {
            fails(&[(&format!("timestamp('{text}')"), "no timestamp")]);
        }
        for text in ["", "1", "1x", "--1s", "1h 30m", "s"] {
            fails(&[(&format!("duration('{text}')"), "no duration")]);
        }
        fails(&[
            ("timestamp(253402300800)", "out of its range"),
            ("duration(1)", "`duration` does not take (int)"),
        ]);
    }

    #[test]
    fn types_are_values() {
        gives(&[
            (
                "type(1) == int && type(1u) == uint && type(1.0) == double",
                "true",
            ),
            (
                "type('') == string && type(b'') == bytes && type(true) == bool",
                "true",
            ),
            (
                "type([]) == list && type({}) == map && type(null) == null_type",
                "true",
            ),
            ("type(int) == type && type(type(1)) == type", "true"),
            ("type(timestamp(0)) == google.protobuf.Timestamp", "true"),
            ("type(duration('1s')) == google.protobuf.Duration", "true"),
            ("type(req.url) == string", "true"),
            ("type(1) == uint", "false"),
            ("dyn(1) == dyn(1.0)", "true"),
        ]);
    }
}
