//! HAProxy's columns.

use std::fmt::Write as _;

use serde::Serialize;

use super::rows::{BACKEND, FRONTEND, SERVER};
use super::typed::{Field, Meaning, Nature, Origin, Scope, Tags, Type, Typed, Value};

/// Makes a row of cells and the list of columns. A column whose name is no Rust name has another one here; one that haflux fills
/// has the type, origin, nature and scope of its values.
macro_rules! columns {
    ($($field:ident $(= $name:literal)? $(: $written:ident $origin:ident $nature:ident $scope:ident)?),* $(,)?) => {
        /// One line, cell by cell, under HAProxy's names; an empty cell is empty in the line.
        #[derive(Debug, Default)]
        pub(super) struct Row {
            $(pub(super) $field: String,)*
        }

        /// The columns in their order.
        const COLUMNS: &[Column] = &[$(Column {
            name: columns!(@name $field $($name)?),
            meaning: columns!(@meaning $($written $origin $nature $scope)?),
        }),*];

        impl Row {
            fn cells(&self) -> [&str; COLUMNS.len()] {
                [$(&self.$field),*]
            }
        }
    };
    (@name $field:ident) => {
        stringify!($field)
    };
    (@name $field:ident $name:literal) => {
        $name
    };
    (@meaning) => {
        None
    };
    (@meaning $written:ident $origin:ident $nature:ident $scope:ident) => {
        Some(Meaning {
            written: Type::$written,
            origin: Origin::$origin,
            nature: Nature::$nature,
            scope: Scope::$scope,
        })
    };
}

/// A column.
struct Column {
    name: &'static str,
    /// What its values mean; nothing for a column that haflux leaves empty.
    meaning: Option<Meaning>,
}

columns! {
    pxname: Str Key Name Service,
    svname: Str Key Name Service,
    qcur: U32 Metric Gauge Process,
    qmax: U32 Metric Max Process,
    scur: U32 Metric Gauge Process,
    smax: U32 Metric Max Process,
    slim: U32 Config Limit Process,
    stot: U64 Metric Counter Process,
    bin: U64 Metric Counter Process,
    bout: U64 Metric Counter Process,
    dreq: U64 Metric Counter Process,
    dresp: U64 Metric Counter Process,
    ereq: U64 Metric Counter Process,
    econ: U64 Metric Counter Process,
    eresp: U64 Metric Counter Process,
    wretr: U64 Metric Counter Process,
    wredis: U64 Metric Counter Process,
    status: Str Status Gauge Process,
    weight: U32 Metric Avg Process,
    act: U32 Status Gauge Process,
    bck: U32 Status Gauge Process,
    chkfail: U64 Metric Counter Process,
    chkdown: U64 Metric Counter Process,
    lastchg: U32 Metric Age Process,
    downtime: U32 Metric Counter Process,
    qlimit,
    pid: U32 Key Gauge Process,
    iid: U32 Key Gauge Service,
    sid: U32 Key Gauge Service,
    throttle,
    lbtot: U64 Metric Counter Process,
    tracked,
    kind = "type": U32 Config Gauge Service,
    rate: U32 Metric Rate Process,
    rate_lim: U32 Config Limit Process,
    rate_max: U32 Metric Max Process,
    check_status: Str Metric Output Process,
    check_code: U32 Metric Output Process,
    check_duration: U64 Metric Duration Process,
    hrsp_1xx: U64 Metric Counter Process,
    hrsp_2xx: U64 Metric Counter Process,
    hrsp_3xx: U64 Metric Counter Process,
    hrsp_4xx: U64 Metric Counter Process,
    hrsp_5xx: U64 Metric Counter Process,
    hrsp_other: U64 Metric Counter Process,
    hanafail,
    req_rate: U32 Metric Rate Process,
    req_rate_max: U32 Metric Max Process,
    req_tot: U64 Metric Counter Process,
    cli_abrt: U64 Metric Counter Process,
    srv_abrt: U64 Metric Counter Process,
    comp_in,
    comp_out,
    comp_byp,
    comp_rsp,
    lastsess: S32 Metric Age Process,
    last_chk: Str Metric Output Process,
    last_agt,
    qtime: U32 Metric Avg Process,
    ctime: U32 Metric Avg Process,
    rtime: U32 Metric Avg Process,
    ttime: U32 Metric Avg Process,
    agent_status,
    agent_code,
    agent_duration,
    check_desc: Str Metric Output Process,
    agent_desc,
    check_rise,
    check_fall,
    check_health,
    agent_rise,
    agent_fall,
    agent_health,
    addr: Str Config Gauge Service,
    cookie,
    mode: Str Config Gauge Service,
    algo: Str Config Gauge Service,
    conn_rate: U32 Metric Rate Process,
    conn_rate_max: U32 Metric Max Process,
    conn_tot: U64 Metric Counter Process,
    intercepted: U64 Metric Counter Process,
    dcon: U64 Metric Counter Process,
    dses,
    wrew,
    connect: U64 Metric Counter Process,
    reuse: U64 Metric Counter Process,
    cache_lookups,
    cache_hits,
    srv_icur,
    src_ilim,
    qtime_max: U32 Metric Max Process,
    ctime_max: U32 Metric Max Process,
    rtime_max: U32 Metric Max Process,
    ttime_max: U32 Metric Max Process,
    eint,
    idle_conn_cur,
    safe_conn_cur,
    used_conn_cur,
    need_conn_est,
    uweight: U32 Metric Avg Process,
    agg_server_status,
    agg_server_check_status,
    agg_check_status,
    separator = "-",
    ssl_sess,
    ssl_reused_sess,
    ssl_failed_handshake,
    h2_headers_rcvd,
    h2_data_rcvd,
    h2_settings_rcvd,
    h2_rst_stream_rcvd,
    h2_goaway_rcvd,
    h2_detected_conn_protocol_errors,
    h2_detected_strm_protocol_errors,
    h2_rst_stream_resp,
    h2_goaway_resp,
    h2_open_connections,
    h2_backend_open_streams,
    h2_total_connections,
    h2_backend_total_streams,
    h1_open_connections,
    h1_open_streams,
    h1_total_connections,
    h1_total_streams,
    h1_bytes_in,
    h1_bytes_out,
    h1_spliced_bytes_in,
    h1_spliced_bytes_out,
}

/// What of a backend HAProxy tags as gauges, whatever it is of a server.
const GAUGES_OF_BACKENDS: [&str; 4] = ["rate", "rate_max", "act", "bck"];

/// The first line.
pub(super) fn header() -> String {
    let mut text = "# ".to_owned();
    for column in COLUMNS {
        text.push_str(column.name);
        text.push(',');
    }
    text.push('\n');
    text
}

/// One value of a row, as HAProxy's JSON has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    obj_type: &'static str,
    proxy_id: u64,
    id: u64,
    field: Field<'a>,
    process_num: u64,
    tags: Tags,
    value: Value<'a>,
}

impl Row {
    /// Appends the line.
    pub(super) fn write(&self, text: &mut String) {
        for cell in self.cells() {
            write_cell(cell, text);
            text.push(',');
        }
        text.push('\n');
    }

    /// The cells that are filled, each with its place and its name.
    fn typed(&self) -> impl Iterator<Item = (usize, &'static str, Typed<'_>)> {
        let columns = COLUMNS.iter().zip(self.cells()).enumerate();
        let is_backend = self.kind == BACKEND.to_string();
        columns.filter_map(move |(place, (column, cell))| {
            let mut meaning = column.meaning.filter(|_| !cell.is_empty())?;
            if is_backend && GAUGES_OF_BACKENDS.contains(&column.name) {
                (meaning.origin, meaning.nature) = (Origin::Metric, Nature::Gauge);
            }
            Some((place, column.name, Typed::new(meaning, cell)))
        })
    }

    /// What the row is about: the letter and the word for it.
    fn object(&self) -> (char, &'static str) {
        match self.kind.parse() {
            Ok(FRONTEND) => ('F', "Frontend"),
            Ok(BACKEND) => ('B', "Backend"),
            Ok(SERVER) => ('S', "Server"),
            _ => ('?', "Unknown"),
        }
    }

    /// Appends a line for each value, in HAProxy's typed format.
    pub(super) fn write_typed(&self, text: &mut String) {
        let Row { iid, sid, pid, .. } = self;
        let (letter, _) = self.object();
        for (place, name, value) in self.typed() {
            // Writing to a `String` does not fail.
            let _ = writeln!(text, "{letter}.{iid}.{sid}.{place}.{name}.{pid}:{value}");
        }
    }

    /// Appends the list of its values, in HAProxy's JSON.
    pub(super) fn write_json(&self, text: &mut String) {
        let number = |cell: &str| cell.parse().unwrap_or_default();
        let items = self.typed().map(|(pos, name, value)| Item {
            obj_type: self.object().1,
            proxy_id: number(&self.iid),
            id: number(&self.sid),
            field: Field { pos, name },
            process_num: number(&self.pid),
            tags: value.tags(),
            value: value.value(),
        });
        let items: Vec<Item<'_>> = items.collect();
        // Texts, numbers and names do not refuse to be serialised.
        text.push_str(&serde_json::to_string(&items).unwrap_or_default());
    }
}

/// Quotes what needs it. A line break would end the line for readers that know no quotes: it becomes a space.
fn write_cell(cell: &str, text: &mut String) {
    if !cell.contains(['"', ',', '\n', '\r']) {
        text.push_str(cell);
        return;
    }
    text.push('"');
    for character in cell.chars() {
        match character {
            '"' => text.push_str("\"\""),
            '\n' | '\r' => text.push(' '),
            other => text.push(other),
        }
    }
    text.push('"');
}
