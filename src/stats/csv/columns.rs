//! HAProxy's columns.

/// Makes a row of cells and the header line out of the list of columns. A column whose name is no Rust name has another one here.
macro_rules! columns {
    ($($field:ident $(= $name:literal)?),* $(,)?) => {
        /// One line, cell by cell, under HAProxy's names; an empty cell is empty in the line.
        #[derive(Debug, Default)]
        pub(super) struct Row {
            $(pub(super) $field: String,)*
        }

        /// The names of the columns.
        const NAMES: &[&str] = &[$(columns!(@name $field $($name)?)),*];

        impl Row {
            fn cells(&self) -> [&str; NAMES.len()] {
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
}

columns! {
    pxname,
    svname,
    qcur,
    qmax,
    scur,
    smax,
    slim,
    stot,
    bin,
    bout,
    dreq,
    dresp,
    ereq,
    econ,
    eresp,
    wretr,
    wredis,
    status,
    weight,
    act,
    bck,
    chkfail,
    chkdown,
    lastchg,
    downtime,
    qlimit,
    pid,
    iid,
    sid,
    throttle,
    lbtot,
    tracked,
    kind = "type",
    rate,
    rate_lim,
    rate_max,
    check_status,
    check_code,
    check_duration,
    hrsp_1xx,
    hrsp_2xx,
    hrsp_3xx,
    hrsp_4xx,
    hrsp_5xx,
    hrsp_other,
    hanafail,
    req_rate,
    req_rate_max,
    req_tot,
    cli_abrt,
    srv_abrt,
    comp_in,
    comp_out,
    comp_byp,
    comp_rsp,
    lastsess,
    last_chk,
    last_agt,
    qtime,
    ctime,
    rtime,
    ttime,
    agent_status,
    agent_code,
    agent_duration,
    check_desc,
    agent_desc,
    check_rise,
    check_fall,
    check_health,
    agent_rise,
    agent_fall,
    agent_health,
    addr,
    cookie,
    mode,
    algo,
    conn_rate,
    conn_rate_max,
    conn_tot,
    intercepted,
    dcon,
    dses,
    wrew,
    connect,
    reuse,
    cache_lookups,
    cache_hits,
    srv_icur,
    src_ilim,
    qtime_max,
    ctime_max,
    rtime_max,
    ttime_max,
    eint,
    idle_conn_cur,
    safe_conn_cur,
    used_conn_cur,
    need_conn_est,
    uweight,
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

/// The first line.
pub(super) fn header() -> String {
    format!("# {},\n", NAMES.join(","))
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
