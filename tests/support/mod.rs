//! What integration tests stand on: real InfluxDB nodes, the built haflux, stand-ins for nodes that misbehave, and the means to
//! ask all of them.
//!
//! - [`influxd`]: a real node in a folder of its own, that can be killed, paused, restarted.
//! - [`haflux`]: the built program with a configuration.
//! - [`held`]: one whose sockets outlive it.
//! - [`lab`]: both of it, put together as `conf/haflux.toml` says.
//! - [`stand_in`]: an HTTP server that does what a script says, for what a real node cannot be made to do; [`relay`]: a relay
//!   over such servers.
//! - [`write`](mod@write), [`query`](mod@query): what clients send; [`http`]: any request.
//! - [`status`], [`points`], [`level`], [`memory`], [`wait`]: asking, comparing, waiting.
//! - [`numbered`]: writes that are counted, and stand-ins that say which of them they took.
//! - [`refusals`]: nodes of which one refuses what the other takes.
//! - [`neighbours`]: a good client beside bad ones.
//! - [`file_system`]: disks that fill and fail; [`wire`]: a network that loses packets.
//! - [`beside`], [`crowd`], [`lock`]: what goes on at the same time; [`long_run`]: what makes it dangerous.
//! - [`tmux`]: a real terminal; [`programs`]: other people's clients; [`browser`]: a headless Chromium; [`haproxy`]: what haflux is compared with.
//! - [`authority`]: certificates, and connections that are held inside TLS; [`door`]: connections that are plain or inside TLS;
//!   [`introducer`]: a proxy that says whom its connections are for; [`frames`]: what HTTP/2 is made of; [`websocket`]: a server that echoes.
//! - [`ports`], [`process`], [`open_files`]: what the others need to start something and to end it.
//!
//! Everything listens on loopback, keeps its files and logs in the folder it was given, is ended by its own process id when it
//! is dropped, and prints the end of its log if the test failed.

// Each test file is a crate that uses a part of this.
#![allow(dead_code, unused_imports)]

pub mod authority;
pub mod beside;
pub mod browser;
pub mod crowd;
pub mod door;
pub mod edge;
pub mod file_system;
pub mod frames;
pub mod haflux;
pub mod haproxy;
pub mod held;
pub mod http;
pub mod http2;
pub mod influxd;
pub mod introducer;
pub mod lab;
pub mod level;
pub mod lock;
pub mod long_run;
pub mod memory;
pub mod neighbours;
pub mod numbered;
pub mod open_files;
pub mod points;
pub mod ports;
pub mod process;
pub mod programs;
pub mod query;
pub mod refusals;
pub mod relay;
pub mod source;
pub mod stand_in;
pub mod status;
pub mod tmux;
pub mod wait;
pub mod websocket;
pub mod wire;
pub mod write;

pub use beside::beside;
pub use browser::Browser;
pub use crowd::{Crowd, Length};
pub use file_system::FileSystem;
pub use haflux::Haflux;
pub use haproxy::Haproxy;
pub use held::Held;
pub use influxd::{Influxd, Options};
pub use lab::Lab;
pub use level::{is_level, wait_until_level};
pub use lock::lock;
pub use numbered::{Follower, Numbered};
pub use points::same_points;
pub use query::{carry_out, query, query_as, query_url, query_with, read};
pub use relay::relay_over;
pub use stand_in::{Behaviour, Request, StandIn};
pub use tmux::Tmux;
pub use wait::{wait_for, wait_until};
pub use write::{
    User, parameters, try_write, try_write_with, write, write_as, write_until_taken, write_with,
};
