//! Answers as HAProxy writes them.

use std::fmt::Write as _;

use super::View;
use super::info::show_info;
use crate::control::message::Answer;
use crate::control::replicas::{ControlError, ReplicaReport};
use crate::control::servers::ServerReport;
use crate::stats::csv::Format;
use crate::stats::{AdminState, RunningQueryView};

/// The columns of `show servers state`, version 1.
const SERVERS_STATE: &str = "\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change \
srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn \
srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
";

/// The text of an answer, each line of it ended.
pub(in crate::control) fn show(answer: Answer, view: &View) -> String {
    match (answer, view) {
        (Answer::Servers(servers), View::ServersState(backend)) => {
            servers_state(&servers, backend.as_deref())
        }
        (Answer::Servers(servers), View::Backends) => backends(&servers),
        (Answer::Servers(servers), View::Weight { backend, server }) => {
            weight(&servers, backend, server)
        }
        (Answer::Servers(servers), _) => servers_state(&servers, None),
        (Answer::Replicas(replicas), _) => show_replicas(&replicas),
        (Answer::Heal(report), _) => format!("{}\n", one_line(&report.step)),
        (Answer::Users(users), _) => users.iter().map(|user| one_line(user) + "\n").collect(),
        (Answer::Queries(view), _) => view.running.iter().map(running_query).collect(),
        (Answer::Statistics(text) | Answer::Snapshot(text), _) => text,
        (Answer::Process(values), View::Process(format)) => show_info(&values, *format),
        (Answer::Process(values), _) => show_info(&values, Format::Plain),
        (Answer::Done(_), View::Silent) => String::new(),
        (Answer::Done(next), _) => format!("{}\n", one_line(&next)),
        (Answer::Refused(error), _) => refusal(&error),
        (Answer::Misunderstood(why), _) => format!("{}\n", one_line(&why)),
    }
}

fn running_query(query: &RunningQueryView) -> String {
    format!("{} {} {}\n", query.id, query.age, one_line(&query.query))
}

fn refusal(error: &ControlError) -> String {
    match error {
        ControlError::UnknownBackend { .. } => "No such backend.\n".to_owned(),
        ControlError::UnknownServer { .. } => "No such server.\n".to_owned(),
        ControlError::NotAllowed { .. } => "Permission denied\n".to_owned(),
        other => format!("{}\n", one_line(&other.to_string())),
    }
}

fn backends(servers: &[ServerReport]) -> String {
    let mut text = "# name\n".to_owned();
    for backend in servers.chunk_by(|one, other| one.backend_id == other.backend_id) {
        if let Some(server) = backend.first() {
            let _ = writeln!(text, "{}", server.backend);
        }
    }
    text
}

fn weight(servers: &[ServerReport], backend: &str, name: &str) -> String {
    let mut of_backend = servers
        .iter()
        .filter(|server| server.backend == backend)
        .peekable();
    if of_backend.peek().is_none() {
        return "No such backend.\n".to_owned();
    }
    match of_backend.find(|server| server.name == name) {
        Some(server) => format!("{} (initial {})\n", server.weight, server.initial_weight),
        None => "No such server.\n".to_owned(),
    }
}

fn servers_state(servers: &[ServerReport], backend: Option<&str>) -> String {
    let is_meant = |server: &&ServerReport| backend.is_none_or(|name| server.backend == name);
    let mut servers = servers.iter().filter(is_meant).peekable();
    if backend.is_some() && servers.peek().is_none() {
        return "Can't find backend.\n".to_owned();
    }
    let lines = servers.map(server_state);
    std::iter::once(SERVERS_STATE.to_owned())
        .chain(lines)
        .collect()
}

/// One line. What haflux has not (agents, SRV records, other addresses of checks) is said as HAProxy says it where it is not used.
fn server_state(server: &ServerReport) -> String {
    let (status, result) = check(server);
    let is_in_maint = server.admin == AdminState::Maint;
    let runs = server.up && !is_in_maint;
    let operational = if runs { 2 } else { 0 };
    let admin = match server.admin {
        AdminState::Ready => 0,
        AdminState::Drain => 8,
        AdminState::Maint => 1,
    };
    let health = match (runs, server.checked) {
        (false, _) => 0,
        (true, true) => (server.rise + server.fall).saturating_sub(1),
        (true, false) => server.rise,
    };
    let check_state = match (server.checked, is_in_maint) {
        (false, _) => 0,
        (true, false) => 6,
        (true, true) => 14,
    };
    // HAProxy's `port` is that of agents, too.
    let check_port = server.check_port.unwrap_or_default();
    format!(
        "{} {} {} {} {} {operational} {admin} {} {} {} {status} {result} {health} {check_state} 0 0 0 {} {} - {} {check_port} - - {check_port}\n",
        server.backend_id,
        server.backend,
        server.id,
        server.name,
        server.ip.as_deref().unwrap_or("-"),
        server.weight,
        server.initial_weight,
        server.since,
        server.fqdn.as_deref().unwrap_or("-"),
        server.port,
        u8::from(server.tls),
    )
}

/// HAProxy's numbers for the last check, and for what came of it.
fn check(server: &ServerReport) -> (u8, u8) {
    const INITIALIZING: (u8, u8) = (1, 0);
    const FAILED: u8 = 2;
    const PASSED: u8 = 3;
    server.last_check.map_or(INITIALIZING, |code| {
        let result = if code.is_passed() { PASSED } else { FAILED };
        (code.number(), result)
    })
}

/// In the manner of `show servers state`: a line each, and its reason last, because only that has spaces.
fn show_replicas(replicas: &[ReplicaReport]) -> String {
    let mut text =
        "# relay name addr state since_ms cursor lag_records lag_bytes oldest_pending_ms reason\n"
            .to_owned();
    for replica in replicas {
        let _ = writeln!(
            text,
            "{} {} {} {} {} {} {} {} {} {}",
            replica.relay,
            replica.name,
            replica.address,
            replica.state,
            replica.since,
            replica.cursor,
            replica.lag_records,
            replica.lag_bytes,
            replica.oldest_pending_ms,
            one_line(replica.reason.as_deref().unwrap_or("-")),
        );
    }
    text
}

/// A node's answer may hold line ends and what moves the cursor of a terminal.
fn one_line(text: &str) -> String {
    let printed = |one: char| if one.is_control() { ' ' } else { one };
    text.chars().map(printed).collect()
}
