//! A graceful stop.

use super::client::Client;
use super::harness::{Running, SOON, plain, replicated, server, until};
use super::stand_in::{Behaviour, StandIn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_is_finished_and_told_to_close() {
    for is_replicated in [true, false] {
        let node = StandIn::start("node", Behaviour::Answer).await;
        let servers = vec![server("a", node.address)];
        let mut proxy = Running::start(if is_replicated {
            replicated(servers)
        } else {
            plain(servers)
        });
        let mut idle = proxy.connect().await;
        idle.get("/query").await;
        let pieces = node.stream().await;
        let mut busy = proxy.connect().await;
        busy.send("GET /query HTTP/1.1\r\nHost: x\r\n\r\n").await;
        until("the node has it", || node.requests().len() == 2).await;

        proxy.stop.send_replace(true);
        tokio::time::timeout(SOON, &mut proxy.listening)
            .await
            .expect("listening ends although a request is in flight")
            .unwrap();
        assert!(idle.is_closed().await);
        let refused = tokio::net::TcpStream::connect(proxy.address()).await;
        assert!(refused.is_err(), "nobody listens any more");
        assert_eq!(proxy.in_flight.count(), 1);

        pieces.send("late").await.unwrap();
        drop(pieces);
        let answer = busy.answer().await;
        assert_eq!(answer.body, "late");
        if is_replicated {
            // A plain pool's header had gone out before the stop.
            assert_eq!(answer.header("connection"), Some("close"));
        }
        assert!(busy.is_closed().await);
        tokio::time::timeout(SOON, proxy.in_flight.none_left())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_on_its_way_is_waited_for() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut proxy = Running::start(replicated(vec![server("a", node.address)]));
    let mut slow = proxy.connect().await;
    slow.send("POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nq=SE")
        .await;
    until("it is counted", || proxy.in_flight.count() == 1).await;
    proxy.stop.send_replace(true);
    tokio::time::timeout(SOON, &mut proxy.listening)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(proxy.in_flight.count(), 1);
    slow.send("LECT").await;
    let answer = slow.answer().await;
    assert_eq!(answer.body, "node");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(slow.is_closed().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_request_is_dropped() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let proxy = Running::start(replicated(vec![server("a", node.address)]));
    let address = proxy.address();
    let clients: Vec<_> = (0..8).map(|_| tokio::spawn(load_kept(address))).collect();
    until("there is load", || node.requests().len() > 200).await;
    proxy.stop.send_replace(true);
    let mut answered = 0;
    for client in clients {
        answered += tokio::time::timeout(SOON, client).await.unwrap().unwrap();
    }
    tokio::time::timeout(SOON, proxy.in_flight.none_left())
        .await
        .unwrap();
    assert_eq!(answered, node.requests().len());
}

/// Sends one request after the other on one connection until an answer says that it closes.
async fn load_kept(address: std::net::SocketAddr) -> usize {
    let mut client = Client::connect(address).await;
    let mut answered = 0;
    loop {
        let answer = client.post("/query", "q=SELECT").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "node"));
        answered += 1;
        if answer.header("connection") == Some("close") {
            return answered;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_kernel_had_taken_are_served() {
    use std::io::{Read, Write};
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut clients = Vec::new();
    let mut proxy = Running::start_after(
        replicated(vec![server("a", node.address)]),
        |stop, addresses| {
            clients.extend((0..50).map(|_| {
                let mut client = std::net::TcpStream::connect(addresses[0][0]).unwrap();
                client
                    .write_all(b"GET /query HTTP/1.1\r\nHost: x\r\n\r\n")
                    .unwrap();
                client.set_read_timeout(Some(SOON)).unwrap();
                client
            }));
            stop.send_replace(true);
        },
    );
    tokio::time::timeout(SOON, &mut proxy.listening)
        .await
        .unwrap()
        .unwrap();
    tokio::time::timeout(SOON, proxy.in_flight.none_left())
        .await
        .unwrap();
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("node"), "{answer}");
    }
}
