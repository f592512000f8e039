//! Servers go down and come back.

use std::time::Duration;

use super::harness::{Running, plain, server, until};
use super::stand_in::{Behaviour, StandIn};
use crate::config::Config;
use crate::config::model::Probe;
use crate::stats::{CheckCode, LastCheck, ServerStatus};

fn checked(mut config: Config, probe: Probe) -> Config {
    config.backends[0].check.probe = probe;
    config
}

fn ping() -> Probe {
    Probe::Http {
        path: "/ping".into(),
        expect: vec![(200, 399)],
        host: None,
    }
}

fn last_check(proxy: &Running, index: usize) -> Option<LastCheck> {
    let check = proxy.stats.backends[0].servers[index].last_check.load();
    check.as_deref().cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_can_ask_another_port() {
    let data = StandIn::start("data", Behaviour::Answer).await;
    let mut side = StandIn::start("side", Behaviour::Answer).await;
    let mut config = checked(plain(vec![server("a", data.address)]), ping());
    config.backends[0].check.port = Some(side.address.port());
    let proxy = Running::start(config);
    until("a first check", || last_check(&proxy, 0).is_some()).await;
    assert_eq!(
        last_check(&proxy, 0).map(|check| check.code),
        Some(CheckCode::L7Ok)
    );
    assert_eq!(proxy.get("/").await.body, "data");
    side.refuse().await;
    until("it is down", || !proxy.pools[0].server_is_up(0)).await;
    side.come_back().await;
    until("it is up again", || proxy.pools[0].server_is_up(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_falls_and_rises() {
    let mut a = StandIn::start("a", Behaviour::Answer).await;
    let b = StandIn::start("b", Behaviour::Answer).await;
    let servers = vec![server("a", a.address), server("b", b.address)];
    let proxy = Running::start(checked(plain(servers), Probe::Tcp));
    let pool = &proxy.pools[0];
    assert!(pool.server_is_up(0), "servers start as up");
    until("a first check", || last_check(&proxy, 0).is_some()).await;
    assert_eq!(
        last_check(&proxy, 0).map(|check| check.code),
        Some(CheckCode::L4Ok)
    );

    let handle = pool.handles().remove(0);
    let mut changes = handle.changed();
    a.refuse().await;
    tokio::time::timeout(super::harness::SOON, changes.changed())
        .await
        .unwrap()
        .unwrap();
    assert!(!handle.is_up());
    let stats = &proxy.stats.backends[0].servers[0];
    let state = stats.state.load_full();
    assert_eq!(state.status, ServerStatus::Down);
    assert_eq!(state.reason, "L4CON connection refused");
    assert!(stats.check_failures.get() >= 3, "fall is 3");
    assert_eq!(stats.outages.read().count, 1);
    for _ in 0..4 {
        assert_eq!(proxy.get("/").await.body, "b");
    }
    assert_eq!(stats.connect_errors.get(), 0, "no request tried it");

    a.come_back().await;
    until("it is up again", || pool.server_is_up(0)).await;
    assert_eq!(stats.state.load().status, ServerStatus::Up);
    let mut client = proxy.connect().await;
    let both = client.get("/").await.body + &client.get("/").await.body;
    assert!(both == "ab" || both == "ba", "{both}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_check_judges_the_status() {
    let node = StandIn::start("node", Behaviour::Status(204)).await;
    let mut config = checked(plain(vec![server("a", node.address)]), ping());
    config.backends[0].check.timeout = Duration::from_millis(200);
    let proxy = Running::start(config);
    let up = || proxy.pools[0].server_is_up(0);
    until("a check", || last_check(&proxy, 0).is_some()).await;
    assert_eq!(
        last_check(&proxy, 0).map(|check| check.code),
        Some(CheckCode::L7Ok)
    );
    let request = node.requests().remove(0);
    assert!(request.starts_with("GET /ping HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains(&format!("Host: {}\r\n", node.address)),
        "{request}"
    );

    node.set(Behaviour::Status(503));
    until("it is down", || !up()).await;
    let reason = || {
        proxy.stats.backends[0].servers[0]
            .state
            .load()
            .reason
            .clone()
    };
    assert_eq!(reason(), "L7STS HTTP status 503");
    assert_eq!(proxy.get("/").await.status, 503);

    node.set(Behaviour::Status(204));
    until("it is up", up).await;
    node.set(Behaviour::Hang);
    until("it is down", || !up()).await;
    assert_eq!(reason(), "L7TOUT no answer in time");
    let took = last_check(&proxy, 0).unwrap().took;
    assert!(took < Duration::from_secs(2), "{took:?}");

    node.set(Behaviour::Status(204));
    until("it is up", up).await;
    node.set(Behaviour::Reset);
    until("it is down", || !up()).await;
    assert_eq!(reason(), "L7RSP no valid HTTP answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_server_does_not_delay_the_checks_of_others() {
    let hanging = StandIn::start("a", Behaviour::Hang).await;
    let well = StandIn::start("b", Behaviour::Status(204)).await;
    let servers = vec![server("a", hanging.address), server("b", well.address)];
    let mut config = checked(plain(servers), ping());
    config.backends[0].check.timeout = Duration::from_secs(30);
    let proxy = Running::start(config);
    until("the other one's check", || last_check(&proxy, 1).is_some()).await;
    assert!(last_check(&proxy, 0).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_be_exempt() {
    let mut a = StandIn::start("a", Behaviour::Answer).await;
    let b = StandIn::start("b", Behaviour::Answer).await;
    let mut servers = vec![server("a", a.address), server("b", b.address)];
    servers[0].check = false;
    let proxy = Running::start(checked(plain(servers), Probe::Tcp));
    a.refuse().await;
    let checks = || last_check(&proxy, 1);
    until("a check of the other", || checks().is_some()).await;
    let first = checks().map(|check| check.at);
    until("another", || checks().map(|check| check.at) != first).await;
    assert!(proxy.pools[0].server_is_up(0));
    assert!(last_check(&proxy, 0).is_none());
    assert_eq!(
        proxy.stats.backends[0].servers[0].state.load().status,
        ServerStatus::NoCheck
    );
    // It is tried, and the request moves on.
    assert_eq!(proxy.get("/").await.body, "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_resolved_before_it_is_checked() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let named = super::harness::named_server("a", "localhost", node.address.port());
    let proxy = Running::start(checked(plain(vec![named]), Probe::Tcp));
    until("it is resolved", || proxy.pools[0].address(0).is_some()).await;
    // `localhost` may be ::1 first, where nobody listens; then its check says so.
    if proxy.pools[0].address(0) == Some(node.address) {
        assert_eq!(proxy.get("/").await.body, node.name);
    }
    until("it is checked", || last_check(&proxy, 0).is_some()).await;
}
