//! Which of status page, relay and pool answers.

use super::harness::{
    BACKEND, RELAY, Running, frontend, path_rule, plain, replicated, server, until,
};
use super::stand_in::{Behaviour, StandIn};
use crate::config::model::StatsUser;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lab_s_routes() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = replicated(vec![server("a", node.address)]);
    config.frontends[0].rules = vec![path_rule("/write", RELAY)];
    let proxy = Running::start(config);
    let mut client = proxy.connect().await;

    let status = client.get("/haproxy?stats").await;
    assert_eq!((status.status, status.body.as_str()), (200, "status"));
    assert_eq!(status.header("content-type"), Some("text/plain"));
    assert_eq!(
        client.get("/haproxy?stats;csv;norefresh").await.body,
        "status;csv;norefresh"
    );
    assert_eq!(client.get("/haproxy?stats/;csv").await.body, "status;csv");
    assert_eq!(
        client
            .get("http://front.example/haproxy?stats/;csv")
            .await
            .body,
        "status;csv"
    );
    assert_eq!(client.get("/haflux/metrics").await.body, "metrics");
    assert_eq!(client.get("/haflux/metrics?x=y").await.body, "metrics");
    assert_eq!(proxy.stats.frontends[0].intercepted.get(), 6);
    assert_eq!(client.get("/haflux/metricsx").await.body, "node");
    assert_eq!(client.get("/haproxy?stats/").await.body, "node");
    assert_eq!(client.get("/haproxy?statsx").await.body, "node");
    assert_eq!(client.get("/haproxy").await.body, "node");

    let written = client.post("/write?db=x", "m v=1\n").await;
    assert_eq!(
        (written.status, written.header("x-relayed")),
        (204, Some("6"))
    );
    // The rule says so, whatever it is.
    assert_eq!(client.get("/writes").await.header("x-relayed"), Some("0"));
    assert_eq!(client.get("/query?db=x&q=SHOW").await.body, "node");

    let pool = &proxy.stats.backends[0].traffic;
    until("all are counted", || pool.requests.get() == 5).await;
    assert_eq!(proxy.stats.relays[0].traffic.requests.get(), 2);
    assert_eq!(proxy.stats.relays[0].traffic.bytes_in.get(), 6);
    assert_eq!(proxy.stats.frontends[0].traffic.requests.get(), 13);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_rule_is_needed_for_the_writes_of_a_replicated_pool() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let proxy = Running::start(replicated(vec![server("a", node.address)]));
    let mut client = proxy.connect().await;
    for target in [
        "/write",
        "/write?db=x",
        "/api/v2/write?bucket=b",
        "/api/v1/prom/write",
    ] {
        let answer = client.post(target, "m v=1").await;
        assert_eq!(answer.header("x-relayed"), Some("5"), "{target}");
    }
    // InfluxDB knows none of these as a write.
    for target in [
        "/write/",
        "/%77rite",
        "//write",
        "/WRITE",
        "/api/v2/writes",
        "/query",
    ] {
        let answer = client.post(target, "m v=1").await;
        assert_eq!(answer.body, "node", "{target}");
    }
    // An upgrade is no way around it, nor into the pool unseen.
    client
        .send("POST /write HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nab")
        .await;
    assert_eq!(client.answer().await.header("x-relayed"), Some("2"));
    let mut client = proxy.connect().await;
    client
        .send("GET /query HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.body, "node");
    assert!(
        !node
            .requests()
            .iter()
            .any(|request| request.contains("pgrade"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_backend_the_answer_says_so() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = plain(vec![server("a", node.address)]);
    config.frontends[0].default_target = None;
    config.frontends[0].rules = vec![path_rule("/ok", BACKEND)];
    config.frontends.push(frontend(BACKEND));
    config.frontends[1].stats_uri = None;
    let proxy = Running::start(config);
    assert_eq!(proxy.get("/ok").await.body, "node");
    let answer = proxy.get("/other").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .body
            .contains("frontend \\\"front\\\" has no backend"),
        "{}",
        answer.body
    );
    // Each frontend has its own rules and its own status page.
    let mut second = super::client::Client::connect(proxy.addresses[1][0]).await;
    assert_eq!(second.get("/other").await.body, "node");
    assert_eq!(second.get("/haproxy?stats").await.body, "node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_without_a_query_of_its_own_takes_any() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = plain(vec![server("a", node.address)]);
    config.frontends[0].stats_uri = Some("/haproxy".into());
    let proxy = Running::start(config);
    let mut client = proxy.connect().await;
    for (target, answer) in [
        ("/haproxy?stats;csv", "status;csv"),
        ("/haproxy?stats/;csv;norefresh", "status;csv;norefresh"),
        ("/haproxy?stats", "status"),
        ("/haproxy/;csv", "status;csv"),
        ("/haproxyx?stats;csv", "node"),
        ("/haproxy/x?;csv", "node"),
    ] {
        assert_eq!(client.get(target).await.body, answer, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_for_a_page_of_a_user() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = plain(vec![server("a", node.address)]);
    let user = StatsUser::new("admin:sesame");
    config.frontends[0].stats_auth = user.into_iter().collect();
    // Without `stats_admin` a POST is no request for the page.
    let proxy = Running::start(config.clone());
    let mut client = proxy.connect().await;
    assert_eq!(client.post("/haproxy?stats", "order").await.body, "node");

    config.frontends[0].stats_admin = true;
    let proxy = Running::start(config);
    let order = |headers: &str, body: &str| {
        format!(
            "POST /haproxy?stats HTTP/1.1\r\nHost: lab\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
    };
    let known = "Authorization: Basic YWRtaW46c2VzYW1l\r\n";
    let page = format!("{known}Origin: http://lab\r\nSec-Fetch-Site: same-origin\r\n");
    for (headers, body, status) in [
        ("", "order", 401),
        ("Authorization: Basic YWRtaW46c2VzYW1m\r\n", "order", 401),
        (&format!("{known}Origin: http://evil\r\n"), "order", 403),
        (
            &format!("{known}Sec-Fetch-Site: cross-site\r\n"),
            "order",
            403,
        ),
        (&page, "anything", 403),
        (&page, "order", 303),
        (known, "order", 303),
    ] {
        let mut client = proxy.connect().await;
        client.send(&order(headers, body)).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{headers} {body}");
        let location = (status == 303).then_some("/haproxy?stats");
        assert_eq!(answer.header("location"), location, "{headers} {body}");
    }
    // The one without `stats_admin`.
    assert_eq!(node.requests().len(), 1);
}
