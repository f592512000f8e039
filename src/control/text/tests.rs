use super::*;
use crate::control::message::Answer;
use crate::control::replicas::ControlError;
use crate::control::servers::ServerReport;
use crate::stats::csv::StatQuery;
use crate::stats::{AdminState, CheckCode};

fn said(line: &str, level: Level) -> Step {
    let mut commands = commands(line);
    assert_eq!(commands.len(), 1, "{line}");
    read(&commands.remove(0), level)
}

fn report(backend: &str, name: &str, admin: AdminState) -> ServerReport {
    ServerReport {
        backend_id: 3,
        backend: backend.to_owned(),
        id: 2,
        name: name.to_owned(),
        address: "127.0.0.1:45873".to_owned(),
        ip: Some("127.0.0.1".to_owned()),
        fqdn: None,
        port: 45_873,
        status: "UP".to_owned(),
        admin,
        up: true,
        checked: true,
        last_check: Some(CheckCode::L7Ok),
        check_port: None,
        tls: false,
        rise: 2,
        fall: 3,
        weight: 5,
        initial_weight: 10,
        sessions: 0,
        since: 4,
    }
}

#[test]
fn a_line_is_taken_apart_as_haproxy_does() {
    let of = |line| commands(line);
    assert_eq!(of("show stat"), [["show", "stat"]]);
    assert_eq!(of("  a \t b\r"), [["a", "b"]]);
    assert_eq!(of("a;b c ;"), [vec!["a"], vec!["b", "c"]]);
    assert_eq!(of("a\\;b a\\ b"), [["a;b", "a b"]]);
    assert_eq!(of(""), [Vec::<String>::new()]);
}

#[test]
fn commands_become_requests() {
    let place = || ("b".to_owned(), "s".to_owned());
    let state = |state| {
        let (backend, server) = place();
        let request = Request::ServerState {
            backend,
            server,
            state,
        };
        Step::Ask(request, View::Silent)
    };
    for (line, step) in [
        ("set server b/s state drain", state(AdminState::Drain)),
        ("set server b/s state maint", state(AdminState::Maint)),
        ("enable server b/s", state(AdminState::Ready)),
        ("disable server b/s", state(AdminState::Maint)),
        ("prompt", Step::Prompt),
        ("quit", Step::Quit),
        (
            "set timeout cli 30s",
            Step::Timeout(Duration::from_secs(30)),
        ),
        (
            "set timeout cli 99h",
            Step::Timeout(Duration::from_secs(3600)),
        ),
        (
            "show stat -1 4 -1",
            Step::Ask(
                Request::Statistics(StatQuery {
                    kinds: Some(4),
                    ..StatQuery::default()
                }),
                View::Plain,
            ),
        ),
        (
            "show stat back 6 2 no-maint typed json",
            Step::Ask(
                Request::Statistics(StatQuery {
                    proxy: Some("back".to_owned()),
                    kinds: Some(6),
                    server: Some(2),
                    no_maint: true,
                    up: false,
                    format: Format::Json,
                }),
                View::Plain,
            ),
        ),
        (
            "show stat typed desc up",
            Step::Ask(
                Request::Statistics(StatQuery {
                    up: true,
                    format: Format::Typed,
                    ..StatQuery::default()
                }),
                View::Plain,
            ),
        ),
        (
            "show info typed",
            Step::Ask(Request::Process {}, View::Process(Format::Typed)),
        ),
        (
            "show info",
            Step::Ask(Request::Process {}, View::Process(Format::Plain)),
        ),
        (
            "replica skip one 41",
            Step::Ask(
                Request::Skip {
                    name: "one".to_owned(),
                    sequence: 41,
                    relay: None,
                },
                View::Plain,
            ),
        ),
    ] {
        assert_eq!(said(line, Level::Admin), step, "{line}");
    }
    for line in ["set server b/s weight 5%", "set weight b/s 5%"] {
        let Step::Ask(Request::ServerWeight { weight, .. }, View::Silent) =
            said(line, Level::Admin)
        else {
            panic!("{line}")
        };
        assert_eq!(weight, "5%");
    }
}

#[test]
fn what_is_wrong_is_said_as_haproxy_says_it() {
    for (line, text) in [
        ("set server", "Require 'backend/server'.\n"),
        ("set server b state drain", "Require 'backend/server'.\n"),
        ("get weight", "Require 'backend/server'.\n"),
        (
            "set server b/s state away",
            "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n",
        ),
    ] {
        assert_eq!(said(line, Level::Admin), Step::Say(text.to_owned()));
    }
    for (line, beginning) in [
        ("nonsense", "Unknown command. Please enter one of"),
        ("", "Unknown command. Please enter one of"),
        ("show", "Unknown command, but maybe one of"),
        (
            "help set",
            "The following commands are valid at this level:\n  set server",
        ),
    ] {
        let Step::Say(text) = said(line, Level::Admin) else {
            panic!("{line}")
        };
        assert!(text.starts_with(beginning), "{line}: {text}");
        assert!(text.ends_with("  quit                                    : disconnect\n"));
    }
}

#[test]
fn a_level_allows_what_those_below_it_do_and_no_more() {
    let denied = Step::Say("Permission denied\n".to_owned());
    for line in [
        "set server b/s state drain",
        "replica readmit one",
        "enable server b/s",
    ] {
        assert_eq!(said(line, Level::Operator), denied, "{line}");
        assert_ne!(said(line, Level::Admin), denied, "{line}");
    }
    assert_eq!(said("show backend", Level::User), denied);
    assert_ne!(said("show stat", Level::User), denied);
    assert_eq!(
        said("show cli level", Level::Operator),
        Step::Say("operator\n".to_owned())
    );
}

#[test]
fn servers_are_shown_as_haproxy_shows_them() {
    let all = || {
        Answer::Servers(vec![
            report("back", "one", AdminState::Ready),
            report("back", "two", AdminState::Drain),
        ])
    };
    let text = show(all(), &View::ServersState(None));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[2],
        "3 back 2 one 127.0.0.1 2 0 5 10 4 15 3 4 6 0 0 0 - 45873 - 0 0 - - 0"
    );
    let columns = |line: &str| line.split(' ').count();
    assert_eq!(columns(lines[1]), columns(lines[2]) + 1, "and the #");
    let drained: Vec<&str> = lines[3].split(' ').collect();
    assert_eq!(drained[5..7], ["2", "8"]);
    assert_eq!(show(all(), &View::Backends), "# name\nback\n");
    let weight = |backend: &str, server: &str| {
        show(
            all(),
            &View::Weight {
                backend: backend.to_owned(),
                server: server.to_owned(),
            },
        )
    };
    assert_eq!(weight("back", "one"), "5 (initial 10)\n");
    assert_eq!(weight("back", "three"), "No such server.\n");
    assert_eq!(weight("other", "one"), "No such backend.\n");
    let nowhere = View::ServersState(Some("other".to_owned()));
    assert_eq!(show(all(), &nowhere), "Can't find backend.\n");
}

#[test]
fn a_server_behind_tls_is_shown_with_its_check() {
    let server = ServerReport {
        last_check: Some(CheckCode::L6Response),
        check_port: Some(8087),
        tls: true,
        up: false,
        ..report("back", "one", AdminState::Ready)
    };
    let text = show(Answer::Servers(vec![server]), &View::ServersState(None));
    assert_eq!(
        text.lines().last(),
        Some("3 back 2 one 127.0.0.1 0 0 5 10 4 11 2 0 6 0 0 0 - 45873 - 1 8087 - - 8087")
    );
}

#[test]
fn an_order_that_was_carried_out_is_silent_as_haproxys_is() {
    let done = || Answer::Done("it is drained".to_owned());
    assert_eq!(show(done(), &View::Silent), "");
    assert_eq!(show(done(), &View::Plain), "it is drained\n");
    let invalid = Answer::Refused(ControlError::Invalid {
        reason: "Require <weight> or <weight%>.".to_owned(),
    });
    assert_eq!(
        show(invalid, &View::Silent),
        "Require <weight> or <weight%>.\n"
    );
}
