//! The configuration is read again while a relay has replicas: what a person ordered stays, and a replica that moves is who it was before
//! anything is read from it.
//!
//! The first test has stand-ins, because a real node cannot be made to hold back the answer to one write only, and a real stranger would be
//! found out before a read comes.

use crate::support::wait::SOON;
use crate::support::{
    Behaviour, Haflux, Influxd, Lab, StandIn, http, read, relay_over, status, wait_until,
};
use serde_json::Value;

const NODE1: &str = "influx_back/influxlab";
const NODE2: &str = "influx_back/influxlab2";

/// A node that takes everything and answers every query with this name.
fn named(name: &'static str) -> StandIn {
    StandIn::start(move |request| match request.path() {
        "/query" => answer_of(name),
        _ => Behaviour::no_content(),
    })
}

fn answer_of(name: &str) -> Behaviour {
    let body =
        format!("{{\"results\":[{{\"statement_id\":0,\"series\":[{{\"name\":\"{name}\"}}]}}]}}\n");
    Behaviour::status(200, &body)
}

#[test]
fn a_replica_is_read_where_it_was_proven_and_not_where_the_file_says_it_is() {
    let (first, second) = (named("first"), named("second"));
    // It never says who it is.
    let stranger = StandIn::start(|request| match request.path() {
        "/query" if request.target.contains("SELECT") => answer_of("stranger"),
        _ => Behaviour::Hang,
    });
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = relay_over(&[&first, &second], "rewind = \"100ms\"");
    let haflux = Haflux::start(folder.path(), &configuration);
    let ask = || read(&haflux.url("reads"), "db", "SELECT v FROM m").text();
    wait_until("both to take writes and to answer reads", SOON, || {
        let taken = haflux.write("db", "m v=1 1").status == 204;
        let answers = [ask(), ask()];
        taken && answers.iter().any(|text| text.contains("second"))
    });
    // Of another database something is under way to the second one, so that nobody asks who is at the new address.
    second.behave(|request| match request.path() {
        "/query" => answer_of("second"),
        "/write" if request.target.contains("held") => Behaviour::Hang,
        _ => Behaviour::no_content(),
    });
    assert_eq!(haflux.write("held", "m v=1 1").status, 204);
    wait_until("the write to be held", SOON, || {
        let writes = second.writes();
        writes.iter().any(|write| write.target.contains("held"))
    });
    haflux.edit(&[(&second.address(), &stranger.address())]);
    assert!(haflux.order(&["reload"]).ends_with("taken\n"));
    let answers: Vec<String> = (0..20).map(|_| ask()).collect();
    let of = |name: &str| answers.iter().filter(|text| text.contains(name)).count();
    assert_eq!((of("first"), of("second"), of("stranger")), (10, 10, 0));
}

fn reload(lab: &Lab) {
    let said = lab.haflux.order(&["reload"]);
    assert!(said.ends_with("taken\n"), "{said}");
}

#[test]
fn a_replica_that_moved_with_its_data_gets_what_it_missed() {
    let mut lab = Lab::start_brisk();
    lab.write_points(0..10);
    lab.both_hold("telegraf", "m", 10);
    let before = lab.node2.address();
    lab.node2.stop();
    lab.write_points(10..20);
    let moved = Influxd::start(lab.node2.folder());
    assert_ne!(moved.address(), before);
    lab.haflux.edit(&[(&before, &moved.address())]);
    reload(&lab);
    wait_until("the node to have what it missed", SOON, || {
        moved.count("telegraf", "m", "v") == 20
            && status::replica(&lab.influx_url(), 1)["status"] == "fresh"
    });
    lab.write_points(20..25);
    lab.node2 = moved;
    lab.both_hold("telegraf", "m", 25);
}

#[test]
fn another_node_at_a_replicas_new_address_is_not_taken_for_it() {
    let lab = Lab::start_brisk();
    lab.write_points(0..10);
    lab.both_hold("telegraf", "m", 10);
    let empty = Influxd::start(&lab.folder().join("empty"));
    lab.haflux.edit(&[(&lab.node2.address(), &empty.address())]);
    reload(&lab);
    for _ in 0..30 {
        let answer = read(&lab.influx_url(), "telegraf", "SELECT count(v) FROM m");
        assert_eq!(answer.json()["results"][0]["series"][0]["values"][0][1], 10);
    }
    wait_until("it to be found out", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "diverged"
    });
}

/// What the page says of the servers of the nodes' pool.
fn servers(lab: &Lab) -> [Value; 2] {
    let mut page = status::page(&lab.influx_url());
    let backends = page["backends"].as_array_mut().expect("backends");
    let mut backends = backends.iter_mut();
    let pool = backends.find(|backend| backend["name"] == "influx_back");
    let servers = &mut pool.expect("the pool")["servers"];
    [servers[0].take(), servers[1].take()]
}

#[test]
fn orders_weights_and_counters_stay_and_new_orders_reach_the_servers_of_the_new_file() {
    let lab = Lab::start_brisk();
    lab.write_points(0..5);
    lab.both_hold("telegraf", "m", 5);
    let ask = || {
        let answer = read(&lab.influx_url(), "telegraf", "SELECT count(v) FROM m");
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    lab.haflux.order(&["server", "drain", NODE2]);
    lab.haflux.order(&["server", "weight", NODE1, "7"]);
    (0..10).for_each(|_| ask());
    let requests = |server: &Value| server["traffic"]["requests"].as_u64().expect("a number");
    let before = servers(&lab).map(|server| requests(&server));

    lab.haflux.edit(&[(
        "balance = \"roundrobin\"",
        "balance = \"random\"\nretries = 1",
    )]);
    reload(&lab);
    (0..10).for_each(|_| ask());
    let [first, second] = servers(&lab);
    assert_eq!(
        [requests(&first), requests(&second)],
        [before[0] + 10, before[1]]
    );
    assert_eq!(
        (&first["weight"], &second["admin"]),
        (&7.into(), &"drain".into())
    );
    lab.haflux.order(&["server", "ready", NODE2]);
    wait_until("reads at the second node again", SOON, || {
        ask();
        requests(&servers(&lab)[1]) > before[1]
    });

    // A weight that the file changes counts from then on.
    lab.haflux.edit(&[(
        "{ name = \"influxlab\",  ",
        "{ name = \"influxlab\", weight = 3, ",
    )]);
    reload(&lab);
    assert_eq!(servers(&lab)[0]["weight"], 3);

    // Who may see the page is the new file's to say.
    lab.haflux.edit(&[(
        "name = \"influx_front\"",
        "name = \"influx_front\"\nstats_auth = \"guest:one\"",
    )]);
    reload(&lab);
    let page = format!("{}/haproxy?stats;json", lab.influx_url());
    assert_eq!(http::get(&page).status, 401);
    lab.haflux.edit(&[("guest:one", "guest:other")]);
    let said = lab.haflux.order(&["reload"]);
    assert!(said.contains("stats_auth: 1 -> 1 (others)"), "{said}");
    assert!(!lab.haflux.log().contains("other\""));
}
