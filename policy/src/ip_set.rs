//! Thousands of address ranges in one value, asked for the narrowest one that holds an address.
//!
//! Ranges may lie inside one another but never cross, so they cut the line of all addresses into pieces, each of which
//! has one narrowest range (or none). The set keeps where the pieces begin, sorted, and a look-up is one binary search
//! over plain numbers: 15 steps for 10,000 ranges. A trie would need pointers, and the crates that pack one tightly do
//! it with unsafe code; our sets are built once and never changed, so nothing speaks for a tree.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

/// A set of address ranges. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) is its IPv4 address, in ranges too.
///
/// So `::/0` holds no IPv4 address, however it is written; that takes `0.0.0.0/0`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpSet {
    v4: Pieces<u32>,
    v6: Pieces<u128>,
}

/// Why a text is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no address range; write it as 192.0.2.0/24, 2001:db8::/32 or one address (ERR_ADIT_2217)"
)]
pub struct BadNet(pub String);

/// Reads a range as people write it: with a prefix length or one bare address; bits behind the prefix are dropped.
pub fn parse_net(text: &str) -> Result<IpNet, BadNet> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(plain_net)
        .map_err(|_| BadNet(text.to_owned()))
}

/// The pieces into which ranges cut the line of all addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pieces<T> {
    /// The first address of each piece, rising. What lies before the first piece is in no range.
    starts: Vec<T>,
    /// For each piece, the prefix length of its narrowest range, or [`NO_RANGE`].
    lengths: Vec<u8>,
}

/// Stands where a prefix length would, for a piece between ranges.
const NO_RANGE: u8 = u8::MAX;

// === impl IpSet ===

impl IpSet {
    /// The narrowest range that holds this address.
    pub fn longest_match(&self, address: IpAddr) -> Option<IpNet> {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let length = self.v4.length_at(address.to_bits())?;
                Some(Ipv4Net::new(address, length).ok()?.trunc().into())
            }
            IpAddr::V6(address) => {
                let length = self.v6.length_at(address.to_bits())?;
                Some(Ipv6Net::new(address, length).ok()?.trunc().into())
            }
        }
    }

    /// Whether any range holds this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.length_at(address.to_bits()).is_some(),
            IpAddr::V6(address) => self.v6.length_at(address.to_bits()).is_some(),
        }
    }

    /// Whether no range was put in.
    pub fn is_empty(&self) -> bool {
        self.v4.starts.is_empty() && self.v6.starts.is_empty()
    }
}

impl FromIterator<IpNet> for IpSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            match plain_net(net) {
                IpNet::V4(net) => v4.push(Range {
                    first: net.network().to_bits(),
                    last: net.broadcast().to_bits(),
                    length: net.prefix_len(),
                }),
                IpNet::V6(net) => v6.push(Range {
                    first: net.network().to_bits(),
                    last: net.broadcast().to_bits(),
                    length: net.prefix_len(),
                }),
            }
        }
        Self {
            v4: Pieces::cut(v4, |last: u32| last.checked_add(1)),
            v6: Pieces::cut(v6, |last: u128| last.checked_add(1)),
        }
    }
}

/// The range without host bits, and an IPv4 one if it holds IPv4-mapped addresses only.
fn plain_net(net: IpNet) -> IpNet {
    if let IpNet::V6(v6) = net
        && let Some(v4) = v6.network().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(MAPPED_PREFIX)
        && let Ok(v4) = Ipv4Net::new(v4, length)
    {
        return v4.trunc().into();
    }
    net.trunc()
}

/// Length of `::ffff:0:0/96`, behind which an IPv4 address stands.
const MAPPED_PREFIX: u8 = 96;

// === impl Pieces ===

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            lengths: Vec::new(),
        }
    }
}

#[derive(Clone, Copy)]
struct Range<T> {
    first: T,
    last: T,
    length: u8,
}

impl<T: Copy + Ord> Pieces<T> {
    /// Sweeps over the ranges from the lowest address up; `open` holds those around the current place, widest first.
    fn cut(mut ranges: Vec<Range<T>>, next: impl Fn(T) -> Option<T>) -> Self {
        ranges.sort_by_key(|range| (range.first, range.length));
        ranges.dedup_by_key(|range| (range.first, range.length));
        let mut pieces = Self::default();
        let mut open: Vec<Range<T>> = Vec::new();
        for range in ranges {
            pieces.close(&mut open, &next, |last| last < range.first);
            pieces.begin(range.first, range.length);
            open.push(range);
        }
        pieces.close(&mut open, &next, |_| true);
        pieces
    }

    /// Ends the innermost open ranges as long as `ended` says so of their last address.
    fn close(
        &mut self,
        open: &mut Vec<Range<T>>,
        next: impl Fn(T) -> Option<T>,
        ended: impl Fn(T) -> bool,
    ) {
        while let Some(inner) = open.pop_if(|range| ended(range.last)) {
            // Nothing begins behind the very last address.
            if let Some(start) = next(inner.last) {
                self.begin(start, open.last().map_or(NO_RANGE, |outer| outer.length));
            }
        }
    }

    /// A piece begins here, in place of an empty one that began at the same address.
    fn begin(&mut self, start: T, length: u8) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.lengths.pop();
        }
        self.starts.push(start);
        self.lengths.push(length);
    }

    fn length_at(&self, address: T) -> Option<u8> {
        let behind = self.starts.partition_point(|start| *start <= address);
        let length = *self.lengths.get(behind.checked_sub(1)?)?;
        (length != NO_RANGE).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn set(texts: &[&str]) -> IpSet {
        texts.iter().map(|text| parse_net(text).unwrap()).collect()
    }

    fn found(set: &IpSet, address: &str) -> Option<String> {
        set.longest_match(address.parse().unwrap())
            .map(|net| net.to_string())
    }

    #[test]
    fn the_narrowest_range_is_found() {
        let set = set(&["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32"]);
        for (address, net) in [
            ("10.0.0.0", "10.0.0.0/8"),
            ("10.1.255.255", "10.1.0.0/16"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.4", "10.1.0.0/16"),
            ("10.2.0.0", "10.0.0.0/8"),
            ("2001:db8::1", "2001:db8::/32"),
        ] {
            assert_eq!(found(&set, address).as_deref(), Some(net), "{address}");
        }
        for address in ["9.255.255.255", "11.0.0.0", "2001:db9::", "::"] {
            assert_eq!(found(&set, address), None, "{address}");
            assert!(!set.contains(address.parse().unwrap()));
        }
    }

    #[test]
    fn both_ends_of_the_address_space_belong_to_the_whole() {
        let all = set(&["0.0.0.0/0", "::/0", "255.255.255.255"]);
        assert_eq!(found(&all, "0.0.0.0").unwrap(), "0.0.0.0/0");
        assert_eq!(found(&all, "255.255.255.254").unwrap(), "0.0.0.0/0");
        assert_eq!(
            found(&all, "255.255.255.255").unwrap(),
            "255.255.255.255/32"
        );
        let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(found(&all, last).unwrap(), "::/0");
    }

    #[test]
    fn mapped_addresses_and_ranges_are_ipv4() {
        let v4 = set(&["192.0.2.0/24"]);
        assert_eq!(found(&v4, "::ffff:192.0.2.7").unwrap(), "192.0.2.0/24");
        assert_eq!(set(&["::ffff:192.0.2.0/120"]), v4);
        assert_eq!(found(&set(&["::/0"]), "::ffff:192.0.2.7"), None);
    }

    #[test]
    fn ranges_are_read_as_people_write_them() {
        for (text, net) in [
            ("192.0.2.9/24", "192.0.2.0/24"),
            ("192.0.2.9", "192.0.2.9/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:DB8::1/32", "2001:db8::/32"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ] {
            assert_eq!(parse_net(text).unwrap().to_string(), net, "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            " 10.0.0.0/8",
            "10.0.0.0/33",
            "10.0.0/8",
            "010.0.0.1",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::/129",
            "fe80::1%eth0",
            "example.com",
            "10.0.0.0-10.0.0.9",
        ] {
            assert_eq!(parse_net(text), Err(BadNet(text.to_owned())), "{text}");
        }
        assert_eq!(
            parse_net("10.0.0.0/33").unwrap_err().to_string(),
            "`10.0.0.0/33` is no address range; write it as 192.0.2.0/24, 2001:db8::/32 or one address (ERR_ADIT_2217)"
        );
    }

    #[test]
    fn an_empty_set_holds_nothing() {
        assert!(IpSet::default().is_empty());
        assert!(!IpSet::default().contains(Ipv4Addr::UNSPECIFIED.into()));
        assert!(!set(&["::1"]).is_empty());
    }

    /// Addresses that often meet: few bits of them vary.
    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits & 0xC003_0103).into()),
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits | !0xC003_0103).into()),
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).to_ipv6_mapped().into()),
            any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits & (0b101 << 125 | 7)).into()),
            any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits | !(0b101 << 125 | 7)).into()),
        ]
    }

    fn net() -> impl Strategy<Value = IpNet> {
        (address(), any::<prop::sample::Index>()).prop_map(|(address, length)| {
            let bits = if address.is_ipv4() { 33 } else { 129 };
            let length = u8::try_from(length.index(bits)).unwrap();
            IpNet::new(address, length).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_set_answers_as_a_list_would(
            nets in prop::collection::vec(net(), 0..40),
            addresses in prop::collection::vec(address(), 1..40),
        ) {
            let set: IpSet = nets.iter().copied().collect();
            let list: Vec<_> = nets.iter().map(|net| parse_net(&net.to_string()).unwrap()).collect();
            // The first and the last address of each range are where mistakes would be.
            let edges = nets.iter().flat_map(|net| [net.network(), net.broadcast()]);
            for address in addresses.into_iter().chain(edges) {
                let plain = address.to_canonical();
                let expected = list
                    .iter()
                    .filter(|net| net.contains(&plain))
                    .max_by_key(|net| net.prefix_len())
                    .copied();
                prop_assert_eq!(set.longest_match(address), expected);
                prop_assert_eq!(set.contains(address), expected.is_some());
            }
        }
    }
}
