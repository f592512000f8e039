//! Networks: `src` of a condition, and the keys that name whom a frontend serves or trusts.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::config::field::{Field, Table};
use crate::config::model::Networks;

/// The networks of a key; none if the key is not there.
pub(super) fn networks(table: &Table<'_>, key: &str) -> Networks {
    const EXPECTED: &str = "a network such as \"10.0.0.0/8\", or a list of at least one";
    let fields = table
        .get(key)
        .and_then(|field| field.one_or_more(EXPECTED))
        .unwrap_or_default();
    let networks: Vec<IpNet> = fields.iter().filter_map(network).collect();
    networks.into()
}

/// A network, or an address.
pub(super) fn network(field: &Field<'_>) -> Option<IpNet> {
    const EXPECTED: &str = "a network such as \"10.0.0.0/8\" or an address";
    let text = field.text(EXPECTED)?;
    let network = text.value.parse::<IpNet>();
    let network = network.or_else(|_| text.value.parse::<IpAddr>().map(IpNet::from));
    match network {
        Ok(network) => Some(canonical(network.trunc())),
        Err(_) => {
            field.expected(EXPECTED);
            None
        }
    }
}

/// A network of IPv4 addresses in IPv6's form becomes one of IPv4, because clients' addresses are compared in that form.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(mapped) = network else {
        return network;
    };
    let address: Ipv6Addr = mapped.network();
    let shorter = mapped.prefix_len().checked_sub(MAPPED);
    match (address.to_ipv4_mapped(), shorter) {
        (Some(address), Some(length)) => Ipv4Net::new(address, length).map_or(network, IpNet::from),
        _ => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_networks_are_those_of_ipv4() {
        for (written, meant) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.1/128", "192.0.2.1/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
        ] {
            let network: IpNet = written.parse().unwrap();
            assert_eq!(canonical(network), meant.parse().unwrap(), "{written}");
        }
    }
}
