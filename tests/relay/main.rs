//! What the relay does with writes, statements that change and nodes that die, lag, differ or come back.

#[path = "../support/mod.rs"]
mod support;

mod catch_up;
mod clock;
mod damage;
mod disk;
mod diverged;
mod doubt;
mod following;
mod hanging_statements;
mod identity;
mod judged;
mod late;
mod limits;
mod lost_packets;
mod memory;
mod outage;
mod pending_refusals;
mod poison;
mod power_loss;
mod readmitted;
mod rebuild;
mod refused_rights;
mod renamed;
mod replica_faults;
mod restart;
mod strangers;
mod three_replicas;
mod too_large;
mod udp;
mod unwritable;
mod unwritten_refusals;
mod verdicts;
mod write;
