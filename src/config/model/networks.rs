//! Sets of networks: `allow`, `deny`, `accept_proxy` and `trust_forwarded`.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// A set of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether `address` lies in one of them. An IPv4 address is the same one however a socket for both families writes it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Networks {
    /// `10.0.0.0/8 or fd00::/8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " or " })?;
            network.fmt(f)?;
        }
        Ok(())
    }
}

impl From<Vec<IpNet>> for Networks {
    fn from(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }
}

/// Which clients a frontend serves, by their address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRules {
    /// `allow`: whoever is in none of these networks is kept out; nobody is if it is empty.
    pub allow: Networks,
    /// `deny`: whoever is in one of these networks is kept out, also where `allow` names them.
    pub deny: Networks,
}

impl SourceRules {
    /// Whether a client at `address` is served.
    pub fn admits(&self, address: IpAddr) -> bool {
        !self.deny.contains(address) && (self.allow.is_empty() || self.allow.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(all: &[&str]) -> Networks {
        let parsed = all.iter().map(|one| one.parse().unwrap());
        Networks(parsed.collect())
    }

    #[test]
    fn deny_beats_allow_and_without_allow_everybody_else_is_served() {
        let rules = |allow: &[&str], deny: &[&str]| SourceRules {
            allow: networks(allow),
            deny: networks(deny),
        };
        let (all, some) = (rules(&[], &[]), rules(&[], &["10.0.0.0/8", "fd00::/8"]));
        let few = rules(&["10.0.0.0/8", "2001:db8::/32"], &["10.6.0.0/16"]);
        for (address, in_all, in_some, in_few) in [
            ("10.1.2.3", true, false, true),
            ("::ffff:10.1.2.3", true, false, true),
            ("10.6.7.8", true, false, false),
            ("192.0.2.1", true, true, false),
            ("fd00::1", true, false, false),
            ("2001:db8::1", true, true, true),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(all.admits(address), in_all, "{address}");
            assert_eq!(some.admits(address), in_some, "{address}");
            assert_eq!(few.admits(address), in_few, "{address}");
        }
    }
}
