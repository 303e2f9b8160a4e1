//! Addresses that a policy's request must not go to: a name that leads there was made to get behind the gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Why an address is refused; `None`: it is an ordinary one of the internet.
pub(super) fn refused(address: IpAddr) -> Option<&'static str> {
    let kind = match address.to_canonical() {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => of_v6(address),
    };
    kind.or_else(|| is_ours(address).then_some("the gateway's own"))
}

fn of_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    if address.is_loopback() {
        Some("loopback")
    } else if address.is_private() {
        Some("private")
    } else if address.is_link_local() {
        Some("link-local")
    } else if address.is_multicast() {
        Some("multicast")
    } else if a == 0 {
        Some("unspecified")
    } else if a >= 240
        || (a == 100 && b & 0xc0 == 64)
        || (a == 198 && b & 0xfe == 18)
        || (a, b, c) == (192, 0, 0)
        || address.is_documentation()
    {
        // RFC 6890: shared, for benchmarks, for protocols, for examples, for later.
        Some("special")
    } else {
        None
    }
}

fn of_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_loopback() {
        return Some("loopback");
    }
    if address.is_unspecified() {
        return Some("unspecified");
    }
    if address.is_multicast() {
        return Some("multicast");
    }
    if address.is_unique_local() {
        return Some("private");
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        (0xfe80..=0xfeff, _) => Some("link-local"),
        // Whoever translates it sends it to the IPv4 address inside: RFC 6052, RFC 3056, RFC 4291 §2.5.5.1.
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => v4(g, h),
        (0x64, 0xff9b) => Some("special"),
        (0x2002, _) => v4(b, c),
        (0, 0) if [c, d, e, f] == [0; 4] => v4(g, h).or(Some("special")),
        (0x2001, 0..=0x1ff | 0xdb8) | (0x100, 0) => Some("special"),
        _ => None,
    }
}

/// The system lets nobody bind an address that is another's.
fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a32_a_addresses_behind_the_gateway_are_refused_in_every_spelling() {
        for (address, kind) in [
            ("127.0.0.1", "loopback"),
            ("127.255.0.1", "loopback"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("192.168.1.1", "private"),
            ("169.254.169.254", "link-local"),
            ("224.0.0.1", "multicast"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("100.64.0.1", "special"),
            ("198.19.0.1", "special"),
            ("255.255.255.255", "special"),
            ("192.0.0.1", "special"),
            ("::1", "loopback"),
            ("::", "unspecified"),
            ("fe80::1", "link-local"),
            ("fec0::1", "link-local"),
            ("fd00::1", "private"),
            ("ff02::1", "multicast"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::127.0.0.1", "loopback"),
            ("64:ff9b::a00:1", "private"),
            ("64:ff9b:1::1", "special"),
            ("2002:7f00:1::", "loopback"),
            ("2001:db8::1", "special"),
            ("2001::1", "special"),
        ] {
            assert_eq!(refused(address.parse().unwrap()), Some(kind), "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_not() {
        for address in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert_eq!(refused(address.parse().unwrap()), None, "{address}");
        }
    }
}
