//! The addresses of a frontend.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Planner;
use crate::config::address::overlap;
use crate::import::bind::Bind;
use crate::import::front::Front;
use crate::import::statement::Statement;
use crate::import::value::quoted;

impl Planner<'_> {
    /// Leaves out addresses that another frontend has, and gives one that should speak TLS and cannot an address of this machine.
    pub(super) fn binds(&mut self, opening: &Statement, front: &mut Front) {
        let mut taken: Vec<SocketAddr> = self.plan.addresses();
        let mut binds: Vec<Bind> = Vec::new();
        let wanted: Vec<SocketAddr> = front.binds.iter().filter_map(|bind| bind.address).collect();
        for bind in std::mem::take(&mut front.binds) {
            if let Some(address) = bind.address
                && address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED)
            {
                let of_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
                if bind.is_v6_only
                    && !wanted.contains(&of_v4)
                    && let Some(id) = bind.statement
                {
                    self.ledger.warn(
                        self.script.statement(id),
                        format!("v6only is not translated: haflux takes IPv4 at {address} too"),
                    );
                }
                // `[::]` listens for IPv4 as well, so that an address of the same frontend beside it is one too many.
                binds.retain(|bind| bind.address.is_none_or(|other| !overlap(other, address)));
                taken = self.plan.addresses();
                taken.extend(binds.iter().filter_map(|bind| bind.address));
            }
            let in_the_way = bind
                .address
                .and_then(|address| taken.iter().find(|other| overlap(**other, address)));
            match in_the_way {
                Some(other) => self.ledger.warn(
                    bind.statement
                        .map_or(opening, |id| self.script.statement(id)),
                    format!("{} is left out, because {other} is in its way", bind.toml),
                ),
                None => {
                    taken.extend(bind.address);
                    binds.push(bind);
                }
            }
        }
        if binds.is_empty()
            && let Some((id, wanted)) = front.without_tls.first()
        {
            let free = (wanted.port()..=u16::MAX)
                .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
                .find(|address| !taken.iter().any(|other| overlap(*other, *address)));
            if let Some(address) = free {
                self.ledger.note(
                    self.script.statement(*id),
                    format!("{address} is written, for a TLS terminator on this machine"),
                );
                binds.push(Bind {
                    toml: quoted(&address.to_string()),
                    address: Some(address),
                    statement: Some(*id),
                    is_v6_only: false,
                });
            }
        }
        front.binds = binds;
    }
}
