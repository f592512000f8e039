//! The limits of a frontend's connections.

use std::net::SocketAddr;
use std::time::Duration;

use super::client::Client;
use super::harness::{Running, plain, server, until};
use super::stand_in::{Behaviour, StandIn};
use crate::inherited::Inherited;
use crate::proxy::BoundListeners;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_above_the_limit_wait() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = plain(vec![server("a", node.address)]);
    config.frontends[0].max_connections = 1;
    let proxy = Running::start(config);
    let mut first = proxy.connect().await;
    assert_eq!(first.get("/").await.body, "node");
    let mut second = proxy.connect().await;
    second.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let early = tokio::time::timeout(Duration::from_millis(100), second.stream.readable()).await;
    assert!(early.is_err(), "it was served above the limit");
    assert_eq!(first.get("/").await.body, "node");
    let sessions = &proxy.stats.frontends[0].traffic.sessions;
    assert_eq!((sessions.get(), sessions.highest()), (1, 1));
    drop(first);
    assert_eq!(second.answer().await.body, "node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_header_is_cut_off_and_a_slow_body_or_answer_is_not() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = plain(vec![server("a", node.address)]);
    config.frontends[0].request_header_timeout = Duration::from_millis(300);
    let proxy = Running::start(config);
    let errors = &proxy.stats.frontends[0].request_errors;

    let mut patient = proxy.connect().await;
    patient
        .send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n")
        .await;
    let mut dripping = proxy.connect().await;
    let mut silent = proxy.connect().await;
    dripping.send("GET / HTTP/1.1\r\nA: ").await;
    for _ in 0..8 {
        patient.send("x").await;
        // A reset may meet it: it is to be cut off.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut dripping.stream, b"X").await;
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    until("both are cut off", || errors.get() == 2).await;
    assert_eq!(dripping.answer().await.status, 408);
    assert!(dripping.is_closed().await);
    assert_eq!(proxy.stats.frontends[0].slow_requests.get(), 1);
    assert!(silent.is_closed().await);
    assert_eq!(patient.answer().await.body, "node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_end_and_closing_ones_are_told() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = plain(vec![server("a", node.address)]);
    config.frontends[0].keep_alive_timeout = Duration::from_secs(1);
    let proxy = Running::start(config);
    let mut idle = proxy.connect().await;
    idle.get("/").await;
    assert!(idle.is_closed().await);
    let mut closing = proxy.connect().await;
    closing
        .send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(closing.answer().await.header("connection"), Some("close"));
    assert!(closing.is_closed().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_families_are_listened_on() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = plain(vec![server("a", node.address)]);
    config.frontends[0]
        .bind
        .push(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0)));
    config.frontends[0].forwarded_for = true;
    let proxy = Running::start(config);
    let mut client = Client::connect(proxy.addresses[0][1]).await;
    assert_eq!(client.get("/").await.body, "node");
    let request = node.requests().pop().unwrap();
    assert!(request.contains("X-Forwarded-For: ::1\r\n"), "{request}");
}

#[tokio::test]
async fn a_busy_address_is_an_error_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = plain(Vec::new());
    config.frontends[0].bind.push(address);
    let error = BoundListeners::bind(&config.frontends, &mut Inherited::default()).unwrap_err();
    let text = error.to_string();
    let expected = format!("frontend \"front\": cannot listen on {address}: ");
    assert!(text.starts_with(&expected), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_are_refused() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let proxy = Running::start(plain(vec![server("a", node.address)]));
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        ("GET / HTTP/9.9\r\n\r\n", 505),
    ] {
        let mut client = proxy.connect().await;
        client.send(request).await;
        assert_eq!(client.answer().await.status, status, "{request}");
        assert!(client.is_closed().await);
    }
    assert!(node.requests().is_empty());
}
