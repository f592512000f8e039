//! `[[udp]]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::login::{LONGEST_NAME, login};
use super::{Spelled, frontend};
use crate::config::error::Origin;
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{RelayId, Udp};
use crate::config::tree::quote;
use crate::influx::Precision;

const KEYS: Keys = Keys::with_secret(&[
    "bind",
    "relay",
    "db",
    "rp",
    "username",
    "password_file",
    "precision",
    "read_buffer",
]);

pub(in crate::config) const PRECISIONS: [(&str, Precision); 6] = [
    ("ns", Precision::Nanoseconds),
    ("u", Precision::Microseconds),
    ("ms", Precision::Milliseconds),
    ("s", Precision::Seconds),
    ("m", Precision::Minutes),
    ("h", Precision::Hours),
];

/// Less holds no whole datagram.
const SMALLEST_BUFFER: usize = 64 * 1024;
const LARGEST_BUFFER: usize = 1 << 30;

/// A listener whose relay is still a name.
pub(super) struct UdpDraft<'a> {
    /// Everything but `relay`.
    pub(super) udp: Udp,
    pub(super) relay: Option<Spelled<'a>>,
    /// Its address as a message shows it, and where it stands: `bind`, or the whole listener if that has none. Nothing if
    /// it is wrong.
    pub(super) bind: Option<(String, Field<'a>)>,
    /// `password_file`.
    password_file: Option<Field<'a>>,
}

impl UdpDraft<'_> {
    /// The file with its password, and where it is named.
    pub(super) fn password_file(&self) -> Option<(PathBuf, Origin)> {
        let login = self.udp.login.as_ref()?;
        let field = self.password_file.as_ref()?;
        Some((login.password_file.clone(), field.origin()))
    }
}

pub(super) fn decode<'a>(field: &Field<'a>) -> UdpDraft<'a> {
    let mut draft = UdpDraft {
        udp: default(),
        relay: None,
        bind: None,
        password_file: None,
    };
    let Some(table) = field.table(KEYS, "a table") else {
        return draft;
    };
    let udp = &mut draft.udp;
    draft.bind = match table.get("bind") {
        None => Some((quote(&udp.bind.to_string()), field.clone())),
        Some(field) => frontend::bind(&field).map(|address| {
            udp.bind = address;
            (field.shown().describe(), field)
        }),
    };
    draft.relay = table
        .require("relay", "the name of a relay")
        .and_then(|field| {
            let text = field.text("the name of a relay")?;
            Some(Spelled { text, field })
        });
    if let Some(database) = table
        .require("db", "the name of a database")
        .and_then(|field| database(&field))
    {
        udp.database = database;
    }
    udp.retention_policy = retention_policy(&table).unwrap_or_default();
    udp.login = login(&table);
    draft.password_file = table.get("password_file");
    udp.precision = table.choice("precision", &PRECISIONS, udp.precision);
    if let Some(bytes) = table
        .get("read_buffer")
        .and_then(|field| field.size(SMALLEST_BUFFER..=LARGEST_BUFFER))
    {
        udp.read_buffer = bytes;
    }
    draft
}

fn default() -> Udp {
    Udp {
        bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8089)),
        relay: RelayId(0),
        database: String::new(),
        retention_policy: String::new(),
        login: None,
        precision: Precision::Nanoseconds,
        read_buffer: 8 << 20,
    }
}

fn database(field: &Field<'_>) -> Option<String> {
    const EXPECTED: &str = "the name of a database, of up to 255 bytes";
    let text = field.text(EXPECTED)?;
    if text.value.len() > LONGEST_NAME {
        field.expected(EXPECTED);
        return None;
    }
    Some(text.value.clone())
}

/// An empty name is the database's default policy.
fn retention_policy(table: &Table<'_>) -> Option<String> {
    let field = table.get("rp")?;
    let name = field
        .as_text()
        .filter(|text| text.value.len() <= LONGEST_NAME);
    if name.is_none() {
        field.expected(
            "the name of a retention policy, of up to 255 bytes, or \"\" for the default one",
        );
    }
    name.map(|text| text.value.clone())
}
