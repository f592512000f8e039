//! Where a request goes: what a condition of the configuration sees of it ([`acl`]), and which rule takes it ([`route`]).

pub(super) mod acl;
pub(super) mod route;
