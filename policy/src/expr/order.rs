//! Sorting values by a key: only what has an order with everything else can be sorted.

use std::cmp::Ordering;

use super::error::EvalError;
use super::number::compare;
use super::value::Value;

/// The values in the order of their keys; equal keys keep their order.
pub(crate) fn sorted<'a>(
    mut keyed: Vec<(Value<'a>, Value<'a>)>,
) -> Result<Vec<Value<'a>>, EvalError> {
    // Neighbours of one kind have an order, and one kind throughout is checked before anything moves.
    for pair in keyed.windows(2) {
        if let [(a, _), (b, _)] = pair
            && compare(a, b).is_none()
        {
            return Err(EvalError::types(format!(
                "{} and {} have no order to sort by",
                a.type_name(),
                b.type_name()
            )));
        }
    }
    keyed.sort_by(|(a, _), (b, _)| compare(a, b).unwrap_or(Ordering::Equal));
    Ok(keyed.into_iter().map(|(_, value)| value).collect())
}

/// Cost units of sorting: each key is compared about as often as their number has digits in base two.
pub(crate) fn cost(keyed: &[(Value<'_>, Value<'_>)]) -> u64 {
    let weight: usize = keyed.iter().map(|(key, _)| key.weight()).sum();
    (weight as u64 / 16 + 1) * u64::from(keyed.len().max(1).ilog2() + 1)
}
