//! Who counts as one where limits are by source.
//!
//! An IPv4 address is one, however it was written. One host can have as many IPv6 addresses as it likes, so those that share the beginning
//! that a frontend says (`ipv6_source_prefix`) can be one.

use std::net::{IpAddr, Ipv6Addr};

/// Whom a limit by source counts: an address, or the network of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// That of `address`, of which `prefix` bits count if it is an IPv6 address.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let rest = 128_u32.saturating_sub(prefix.into());
                let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
            address => address,
        })
    }
}

/// The address alone.
impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::new(address, 128)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str, prefix: u8) -> Source {
        Source::new(address.parse().expect("an address"), prefix)
    }

    #[test]
    fn the_beginning_of_an_ipv6_address_counts() {
        let one = "2001:db8:0:1:2:3:4:5";
        for (other, prefix, is_same) in [
            ("2001:db8:0:1:ffff::1", 64, true),
            ("2001:db8:0:2:2:3:4:5", 64, false),
            ("2001:db8:0:2:2:3:4:5", 56, true),
            ("2001:db8:0:1:2:3:4:4", 127, true),
            ("2001:db8:0:1:2:3:4:4", 128, false),
            (one, 128, true),
            ("::1", 0, true),
        ] {
            let same = source(one, prefix) == source(other, prefix);
            assert_eq!(same, is_same, "{other}/{prefix}");
        }
    }

    #[test]
    fn an_ipv4_address_counts_whole_however_it_is_written() {
        let written = ["192.0.2.1", "::ffff:192.0.2.1"].map(|address| source(address, 64));
        assert_eq!(written[0], written[1]);
        assert_ne!(source("::ffff:192.0.2.2", 64), written[0]);
    }
}
