//! Functions of addresses.

use super::{Answer, Call, Function};
use crate::expr::types::{TEXTS, Type};
use crate::ip_set::{IpSet, parse_net};

pub(super) const TABLE: &[Function] = &[
    Function::global(
        "inCidrRange",
        &[Type::String, Type::String],
        Type::Bool,
        in_range,
    ),
    Function::global(
        "inCidrRanges",
        &[Type::String, TEXTS],
        Type::Bool,
        in_ranges,
    ),
];

/// What is no address or no range is not in it.
fn in_range<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let address = call.text(0)?.parse().ok();
    let set: IpSet = parse_net(call.text(1)?).into_iter().collect();
    Ok(address.is_some_and(|address| set.contains(address)).into())
}

fn in_ranges<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let address = call.text(0)?.parse().ok();
    let ranges = call.list(1)?;
    call.charge(ranges.len() * 16)?;
    let nets = ranges
        .iter()
        .filter_map(|range| parse_net(range.as_str()?).ok());
    let set: IpSet = nets.collect();
    Ok(address.is_some_and(|address| set.contains(address)).into())
}
