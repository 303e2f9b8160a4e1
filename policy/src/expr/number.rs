//! Numbers of different kinds, compared by what they count (CEL specification, "Numeric values").

use std::cmp::Ordering;

use super::value::{Key, Value};

/// How two values of any number type, or two of another type that has an order, stand to each other.
pub(super) fn compare(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    use Value::{Bool, Bytes, Double, Duration, Int, String, Timestamp, Uint};
    match (a, b) {
        (Int(a), Int(b)) => Some(a.cmp(b)),
        (Uint(a), Uint(b)) => Some(a.cmp(b)),
        (Double(a), Double(b)) => a.partial_cmp(b),
        (Int(a), Uint(b)) => Some(u64::try_from(*a).map_or(Ordering::Less, |a| a.cmp(b))),
        (Uint(a), Int(b)) => Some(u64::try_from(*b).map_or(Ordering::Greater, |b| a.cmp(&b))),
        (Int(a), Double(b)) => with_double(i128::from(*a), *b),
        (Uint(a), Double(b)) => with_double(i128::from(*a), *b),
        (Double(a), Int(b)) => with_double(i128::from(*b), *a).map(Ordering::reverse),
        (Double(a), Uint(b)) => with_double(i128::from(*b), *a).map(Ordering::reverse),
        (Bool(a), Bool(b)) => Some(a.cmp(b)),
        (String(a), String(b)) => Some((**a).cmp(&**b)),
        (Bytes(a), Bytes(b)) => Some(a.cmp(b)),
        (Timestamp(a), Timestamp(b)) => Some(a.cmp(b)),
        (Duration(a), Duration(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// A double without its fraction, if that is within the whole numbers that expressions have. The least and the greatest
/// of them count as beyond, because a double there may stand for a number that is.
pub(super) fn truncated(value: f64) -> Option<i128> {
    let fits = value > -9_223_372_036_854_775_808.0 && value < 18_446_744_073_709_551_616.0;
    #[allow(clippy::cast_possible_truncation, reason = "checked above")]
    fits.then_some(value as i128)
}

/// The key of a map that a double is, if it is a whole number.
pub(super) fn whole(value: f64) -> Option<Key<'static>> {
    // 2^64 is the first double above every whole number here.
    let fits = value.fract() == 0.0
        && (-9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0).contains(&value);
    #[allow(clippy::cast_possible_truncation, reason = "checked above")]
    let whole = fits.then_some(value as i128)?;
    let signed = i64::try_from(whole).ok().map(Key::Int);
    signed.or_else(|| u64::try_from(whole).ok().map(Key::Uint))
}

/// Compares without rounding: a double beyond 64 bits is beyond every whole number here.
fn with_double(a: i128, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    if b >= 18_446_744_073_709_551_616.0 {
        return Some(Ordering::Less);
    }
    if b < -9_223_372_036_854_775_808.0 {
        return Some(Ordering::Greater);
    }
    #[allow(
        clippy::cast_possible_truncation,
        reason = "in range, and the fraction is looked at apart"
    )]
    let floor = b.floor() as i128;
    Some(match a.cmp(&floor) {
        Ordering::Equal if b > b.floor() => Ordering::Less,
        order => order,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_what_they_count() {
        use Value::{Double, Int, Uint};
        for (a, b, order) in [
            (Int(1), Uint(1), Some(Ordering::Equal)),
            (Int(-1), Uint(0), Some(Ordering::Less)),
            (Uint(u64::MAX), Int(i64::MAX), Some(Ordering::Greater)),
            (Int(2), Double(1.5), Some(Ordering::Greater)),
            (Int(-2), Double(-1.5), Some(Ordering::Less)),
            (
                Int(i64::MAX),
                Double(9_223_372_036_854_775_807.0),
                Some(Ordering::Less),
            ),
            (
                Double(f64::INFINITY),
                Uint(u64::MAX),
                Some(Ordering::Greater),
            ),
            (Double(f64::NAN), Int(1), None),
        ] {
            assert_eq!(compare(&a, &b), order, "{a:?} {b:?}");
        }
    }
}
