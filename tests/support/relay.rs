//! A relay over stand-ins, for what real nodes cannot be made to do.

use super::stand_in::StandIn;

/// A configuration whose frontend `front` leads to a relay over these servers, `node0` and so on, and `reads` to their pool;
/// `keys` are added to the relay's. Servers are not checked, so what is known of them is what the relay finds out.
pub fn relay_over(servers: &[&StandIn], keys: &str) -> String {
    let addresses: Vec<String> = servers.iter().map(|server| server.address()).collect();
    relay_over_addresses(&addresses, keys)
}

/// The same over what listens at these addresses.
pub fn relay_over_addresses(addresses: &[String], keys: &str) -> String {
    let servers: Vec<String> = addresses
        .iter()
        .enumerate()
        .map(|(number, address)| format!("{{ name = \"node{number}\", address = \"{address}\" }}"))
        .collect();
    let servers = servers.join(", ");
    format!(
        r#"
[server]
data_dir = "FOLDER/data"
[[frontend]]
name = "front"
bind = "127.0.0.1:PORT(front)"
stats_uri = "/haproxy?stats"
maxconn_per_source = 2000
default_backend = "relay"
[[frontend]]
name = "reads"
bind = "127.0.0.1:PORT(reads)"
default_backend = "pool"
[[relay]]
name = "relay"
replicate_to = "pool"
retry = {{ min = "50ms", max = "200ms" }}
{keys}
[[backend]]
name = "pool"
check = false
servers = [{servers}]
"#
    )
}
