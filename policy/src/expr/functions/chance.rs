//! Chance: for samples and choices, not for secrets.

use super::{Answer, Call, Function};
use crate::action::Phase;
use crate::expr::error::EvalError;
use crate::expr::static_type::Type;
use crate::expr::value::Value;

pub(super) const TABLE: &[Function] = &[
    Function::global("rand.double", &[], Type::Double, double).of_exchange(Phase::ALL),
    Function::global("rand.int", &[], Type::Int, int).of_exchange(Phase::ALL),
    Function::global("rand.int", &[Type::Int, Type::Int], Type::Int, int).of_exchange(Phase::ALL),
];

/// `rand.double()`: from 0 up to 1, which it never is.
fn double<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    // As many bits as a double keeps, so that each value is as likely as any other.
    let bits = u64::from_ne_bytes(random(call)?) >> 11;
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    let value = bits as f64 / (1_u64 << 53) as f64;
    Ok(Value::Double(value))
}

/// `rand.int()`, 0 or 1, and `rand.int(min, max)`, both included.
fn int<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let (min, max) = if call.len() > 0 {
        (call.int(0)?, call.int(1)?)
    } else {
        (0, 1)
    };
    if min < 0 || max < min {
        return Err(call.error("it takes 0 <= min <= max"));
    }
    // 128 bits, so that no remainder is noticeably likelier than another.
    let range = max.abs_diff(min) + 1;
    let chosen = u128::from_ne_bytes(random(call)?) % u128::from(range);
    let chosen = i64::try_from(chosen)
        .ok()
        .and_then(|chosen| min.checked_add(chosen));
    chosen
        .map(Value::Int)
        .ok_or_else(|| call.error("the range is too large"))
}

fn random<const N: usize>(call: &Call<'_, '_, '_>) -> Result<[u8; N], EvalError> {
    let mut bytes = [0; N];
    call.exchange()?.env.random().fill(&mut bytes);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use crate::env::Env;
    use crate::exchange::Exchange;
    use crate::expr::Value;
    use crate::testing::{eval_in, fails, gives, request};

    #[test]
    fn chance_stays_within_its_bounds_and_meets_them() {
        let lines = HeaderMap::new();
        let env = Env::system();
        let exchange = Exchange {
            env: &env,
            ..request(&lines)
        };
        let holds = |text: &str| eval_in(text, &exchange).unwrap();
        let thousand = "lists.range(1000)";
        let all = |of: &str, condition: &str| {
            holds(&format!("{thousand}.map(i, {of}).all(x, {condition})"))
        };
        assert_eq!(all("rand.int(0, 2)", "x in [0, 1, 2]"), Value::Bool(true));
        assert_eq!(
            all("rand.double()", "0.0 <= x && x < 1.0"),
            Value::Bool(true)
        );
        let kinds = holds(&format!(
            "{thousand}.map(i, rand.int(3, 5)).distinct().sort()"
        ));
        assert_eq!(kinds, holds("[3, 4, 5]"));
        assert_eq!(
            holds(&format!("{thousand}.map(i, rand.int()).distinct().sort()")),
            holds("[0, 1]")
        );
        assert_eq!(
            holds(&format!(
                "{thousand}.map(i, rand.double()).distinct().size() > 900"
            )),
            Value::Bool(true)
        );
    }

    #[test]
    fn the_bounds_are_included() {
        gives(&[
            ("rand.int(7, 7)", "7"),
            ("rand.int(0, 9223372036854775807) >= 0", "true"),
        ]);
        fails(&[
            ("rand.int(2, 1)", "rand.int: it takes 0 <= min <= max"),
            ("rand.int(-1, 1)", "0 <= min"),
            ("rand.int(1)", "`rand.int` takes 0 or 2 arguments, not 1"),
        ]);
    }
}
