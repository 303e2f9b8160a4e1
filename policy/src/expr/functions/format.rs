//! `format`: texts by a pattern; and `strings.quote`.

use super::{Answer, Call, Function, TEXT};
use crate::expr::error::EvalError;
use crate::expr::static_type::{LIST, Type};
use crate::expr::value::{Value, duration_text};

/// Most digits behind the point.
const PRECISION_MAX: usize = 1_000;

pub(super) const TABLE: &[Function] = &[
    Function::method(Type::String, "format", &[LIST], Type::String, format),
    Function::global("strings.quote", TEXT, Type::String, quote),
];

/// `s.format(list)`: `%s %d %f %e %b %o %x %X` each take the next of the list, and `%%` is a percent sign.
fn format<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let mut rest: &str = call.text(0)?;
    let mut values = call.list(1)?.iter();
    call.charge(rest.len())?;
    let mut made = String::with_capacity(rest.len());
    while let Some((before, clause)) = rest.split_once('%') {
        made.push_str(before);
        if let Some(behind) = clause.strip_prefix('%') {
            made.push('%');
            rest = behind;
            continue;
        }
        let (precision, clause) = precision(call, clause)?;
        let mut letters = clause.chars();
        let letter = letters
            .next()
            .ok_or_else(|| call.error("the text ends within a clause"))?;
        rest = letters.as_str();
        let value = values
            .next()
            .ok_or_else(|| call.error("there are more clauses than values"))?;
        call.charge(value.weight())?;
        made.push_str(&clause_text(call, letter, precision, value)?);
        call.bounded(made.len())?;
    }
    made.push_str(rest);
    Ok(Value::text(made))
}

/// `.3` before a letter, and what follows.
fn precision<'t>(
    call: &Call<'_, '_, '_>,
    clause: &'t str,
) -> Result<(Option<usize>, &'t str), EvalError> {
    let Some(behind) = clause.strip_prefix('.') else {
        return Ok((None, clause));
    };
    let length = behind.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, letter) = behind.split_at_checked(length).unwrap_or((behind, ""));
    match digits.parse() {
        Ok(precision) if precision <= PRECISION_MAX => Ok((Some(precision), letter)),
        _ => Err(call.error(format_args!(
            "a precision is a number up to {PRECISION_MAX}"
        ))),
    }
}

fn clause_text(
    call: &Call<'_, '_, '_>,
    letter: char,
    precision: Option<usize>,
    value: &Value<'_>,
) -> Result<String, EvalError> {
    let digits = precision.unwrap_or(6);
    let text = match (letter, value) {
        ('s', value) => plain(value),
        ('d', Value::Int(value)) => value.to_string(),
        ('d', Value::Uint(value)) => value.to_string(),
        ('f' | 'e', value) => {
            let number = match *value {
                Value::Double(number) => number,
                #[allow(clippy::cast_precision_loss, reason = "it is written as a double")]
                Value::Int(number) => number as f64,
                #[allow(clippy::cast_precision_loss, reason = "it is written as a double")]
                Value::Uint(number) => number as f64,
                _ => return Err(mismatch(call, letter, value)),
            };
            match letter {
                _ if !number.is_finite() => special(number).to_owned(),
                'f' => format!("{number:.digits$}"),
                _ => scientific(number, digits),
            }
        }
        ('b', Value::Bool(value)) => u8::from(*value).to_string(),
        ('b' | 'o' | 'x' | 'X', Value::Int(value)) => {
            let sign = if *value < 0 { "-" } else { "" };
            format!("{sign}{}", in_base(letter, value.unsigned_abs()))
        }
        ('b' | 'o' | 'x' | 'X', Value::Uint(value)) => in_base(letter, *value),
        ('x' | 'X', Value::String(text)) => bytes_text(letter, text.as_bytes()),
        ('x' | 'X', Value::Bytes(bytes)) => bytes_text(letter, bytes),
        ('d' | 'b' | 'o' | 'x' | 'X', value) => return Err(mismatch(call, letter, value)),
        (other, _) => return Err(call.error(format_args!("unknown clause `%{other}`"))),
    };
    Ok(text)
}

fn mismatch(call: &Call<'_, '_, '_>, letter: char, value: &Value<'_>) -> EvalError {
    call.error(format_args!(
        "`%{letter}` does not take {}",
        value.type_name()
    ))
}

fn in_base(letter: char, value: u64) -> String {
    match letter {
        'b' => format!("{value:b}"),
        'o' => format!("{value:o}"),
        'x' => format!("{value:x}"),
        _ => format!("{value:X}"),
    }
}

fn bytes_text(letter: char, bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| match letter {
        'x' => format!("{byte:02x}"),
        _ => format!("{byte:02X}"),
    });
    digits.collect()
}

fn special(number: f64) -> &'static str {
    match number {
        _ if number.is_nan() => "NaN",
        _ if number > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// As C and Go write it: a sign and two digits at least in the exponent.
fn scientific(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{mantissa}e-{exponent:0>2}"),
        None => format!("{mantissa}e+{exponent:0>2}"),
    }
}

/// What `%s` writes.
fn plain(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Double(number) if !number.is_finite() => special(*number).to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Duration(length) => duration_text(*length),
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let entries = map.entries();
            let entries = entries
                .iter()
                .map(|(key, value)| format!("{key}: {}", plain(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_text().into_owned(),
    }
}

/// `strings.quote(s)`: in double quotes, so that it can stand in an expression.
fn quote<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    Ok(Value::text(quoted))
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    #[test]
    fn the_examples_of_the_reference() {
        gives(&[
            ("'%f'.format([3.14])", "'3.140000'"),
            ("'%b'.format([true])", "'1'"),
            ("strings.quote('a\"b')", r#"'"a\\"b"'"#),
        ]);
    }

    #[test]
    fn each_clause_writes_its_types() {
        gives(&[
            ("'%s %s|%s'.format(['a', 1, null])", "'a 1|null'"),
            ("'%s'.format([[1, 'a', [2.5]]])", "'[1, a, [2.5]]'"),
            ("'%s'.format([{'b': 1, 'a': true}])", "'{a: true, b: 1}'"),
            ("'%s'.format([duration('90s')])", "'90s'"),
            ("'%s'.format([timestamp(0)])", "'1970-01-01T00:00:00Z'"),
            ("'%s'.format([b'abc'])", "'abc'"),
            ("'%s'.format([int])", "'int'"),
            ("'%d %d'.format([-1, 2u])", "'-1 2'"),
            ("'%.2f %f'.format([1.005, 1])", "'1.00 1.000000'"),
            ("'%.0f'.format([2.5])", "'2'"),
            ("'%e'.format([1052.033])", "'1.052033e+03'"),
            ("'%.1e'.format([0.00012])", "'1.2e-04'"),
            ("'%f %f'.format([1.0 / 0.0, 0.0 / 0.0])", "'Infinity NaN'"),
            ("'%b %b'.format([-5, 5u])", "'-101 101'"),
            ("'%o %x %X'.format([8, 255, 255u])", "'10 ff FF'"),
            ("'%x %X'.format(['é', b'\\xab'])", "'c3a9 AB'"),
            ("'100%% %s'.format(['é'])", "'100% é'"),
            ("'plain'.format([])", "'plain'"),
        ]);
        fails(&[
            (
                "'%s'.format([])",
                "format: there are more clauses than values",
            ),
            ("'%d'.format(['a'])", "format: `%d` does not take string"),
            ("'%f'.format(['a'])", "`%f` does not take string"),
            ("'%y'.format([1])", "format: unknown clause `%y`"),
            ("'%'.format([1])", "the text ends within a clause"),
            ("'%.'.format([1])", "a precision is a number up to 1000"),
            (
                "'%.1001f'.format([1.0])",
                "a precision is a number up to 1000",
            ),
        ]);
    }

    #[test]
    fn a_quoted_text_reads_back() {
        gives(&[(
            r#"strings.quote("\a\b\f\n\r\t\v\\\"'é")"#,
            r#"r'"\a\b\f\n\r\t\v\\\"' + "'é\"""#,
        )]);
    }
}
