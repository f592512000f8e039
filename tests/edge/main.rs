//! Who is let in, who is not, and how much of it.

#[path = "../support/mod.rs"]
mod support;

mod bad_neighbours;
mod bandwidth;
mod every_way;
mod half_close;
mod http2;
mod landlock;
mod limits;
mod logs;
mod measurements;
mod ocsp;
mod own_accounts;
mod planted_secrets;
mod privileges;
mod requests;
mod rights;
mod rules;
mod sources;
mod tarpit;
mod tls;
mod tls_revocation;
mod tls_to_servers;
mod users;
