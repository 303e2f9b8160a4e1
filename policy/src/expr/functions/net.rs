//! Functions of addresses.

use std::net::IpAddr;

use super::{Answer, Call, Function};
use crate::expr::static_type::{TEXTS, Type};
use crate::ip_set::parse_net;

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
    Function::method(Type::String, "isPrivateIp", &[], Type::Bool, is_private),
];

/// `inCidrRange(ip, cidr)`. What is no address or no range is not in it.
fn in_range<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let address = address(call.text(0)?);
    let range = call.text(1)?;
    Ok(address.is_some_and(|address| holds(range, address)).into())
}

/// `inCidrRanges(ip, list)`: in any of them.
fn in_ranges<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let ranges = call.list(1)?;
    call.charge(ranges.len() * 64)?;
    let Some(address) = address(call.text(0)?) else {
        return Ok(false.into());
    };
    let mut ranges = ranges.iter().filter_map(|range| range.as_str());
    Ok(ranges.any(|range| holds(range, address)).into())
}

/// `s.isPrivateIp()`: RFC 1918 and `fc00::/7`; neither loopback nor link-local.
fn is_private<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let is_private = |address| match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.is_unique_local(),
    };
    Ok(address(call.text(0)?).is_some_and(is_private).into())
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

fn holds(range: &str, address: IpAddr) -> bool {
    parse_net(range).is_ok_and(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use crate::testing::gives;

    #[test]
    fn the_examples_of_the_reference() {
        gives(&[
            ("inCidrRange('192.168.1.9', '192.168.1.0/24')", "true"),
            ("inCidrRanges(conn.client_ip, ['10.0.0.0/8'])", "false"),
            ("'192.168.1.1'.isPrivateIp()", "true"),
        ]);
    }

    #[test]
    fn ranges_that_are_known_and_ranges_that_are_not_hold_the_same() {
        for (ip, range, is_in) in [
            ("192.0.2.1", "192.0.2.77/24", "true"),
            ("192.0.2.1", "192.0.2.1", "true"),
            ("192.0.3.1", "192.0.2.0/24", "false"),
            ("::ffff:192.0.2.1", "192.0.2.0/24", "true"),
            ("192.0.2.1", "::ffff:192.0.2.0/120", "true"),
            ("192.0.2.1", "::/0", "false"),
            ("2001:db8::1", "2001:db8::/32", "true"),
            ("2001:db8::1", "2001:db8::1", "true"),
            ("nobody", "0.0.0.0/0", "false"),
            ("192.0.2.1", "nowhere", "false"),
        ] {
            gives(&[
                (&format!("inCidrRange('{ip}', '{range}')"), is_in),
                (&format!("inCidrRanges('{ip}', ['bad', '{range}'])"), is_in),
                (
                    &format!("['{range}'].all(r, inCidrRange('{ip}', r))"),
                    is_in,
                ),
                (
                    &format!("['{range}'].all(r, inCidrRanges('{ip}', ['bad', r]))"),
                    is_in,
                ),
            ]);
        }
    }

    #[test]
    fn private_addresses() {
        for (ip, expected) in [
            ("10.1.2.3", "true"),
            ("172.31.0.1", "true"),
            ("172.32.0.1", "false"),
            ("::ffff:10.0.0.1", "true"),
            ("fd00::1", "true"),
            ("fe80::1", "false"),
            ("127.0.0.1", "false"),
            ("169.254.0.1", "false"),
            ("::1", "false"),
            ("10.0.0", "false"),
            ("", "false"),
        ] {
            gives(&[(&format!("'{ip}'.isPrivateIp()"), expected)]);
        }
    }
}
