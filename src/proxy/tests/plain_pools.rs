//! Pools that no relay replicates to.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tungstenite::{Message, accept, client};

use super::harness::{self, Running, SOON, plain, server, until};
use super::stand_in::{Behaviour, StandIn};

async fn pair(first: Behaviour, second: Behaviour) -> (StandIn, StandIn, Running) {
    let a = StandIn::start("a", first).await;
    let b = StandIn::start("b", second).await;
    let proxy = Running::start(plain(vec![server("a", a.address), server("b", b.address)]));
    (a, b, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_take_turns_and_connections_are_kept() {
    let (a, b, proxy) = pair(Behaviour::Answer, Behaviour::Answer).await;
    let mut client = proxy.connect().await;
    let mut bodies = String::new();
    for _ in 0..8 {
        bodies += &client.get("/").await.body;
    }
    assert_eq!(bodies, "abababab");
    assert_eq!((a.connections(), b.connections()), (1, 1));
    let stats = &proxy.stats.backends[0];
    until("all are counted", || stats.traffic.requests.get() == 8).await;
    assert_eq!(stats.servers[0].traffic.requests.get(), 4);
    assert_eq!(stats.traffic.responses.of_class(2), 8);
}

/// What queries may hold says nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_body_passes_whatever_queries_may_hold() {
    let a = StandIn::start("a", Behaviour::Answer).await;
    let mut config = plain(vec![server("a", a.address)]);
    config.server.max_query_body = 2;
    let proxy = Running::start(config);
    let mut client = proxy.connect().await;
    assert_eq!(client.post("/api/ds/query", "body").await.body, "a");
    assert!(a.requests().iter().all(|request| request.ends_with("body")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_moves_any_request() {
    let (mut a, b, proxy) = pair(Behaviour::Answer, Behaviour::Answer).await;
    a.refuse().await;
    for _ in 0..4 {
        let mut client = proxy.connect().await;
        assert_eq!(client.post("/api/ds/query", "body").await.body, "b");
    }
    assert!(b.requests().iter().all(|request| request.ends_with("body")));
    let refused = &proxy.stats.backends[0].servers[0];
    assert!(refused.connect_errors.get() >= 2);
    assert_eq!(refused.connect_errors.get(), refused.redispatches.get());
}

/// Small requests and uploads take different ways to a plain pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_judge_an_odd_answer_alike() {
    for (answer, status) in [
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", 200),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            502,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            502,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
            502,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            502,
        ),
    ] {
        for length in [4, 20_000] {
            let node = StandIn::start("node", Behaviour::Raw(answer)).await;
            let proxy = Running::start(plain(vec![server("a", node.address)]));
            let mut client = proxy.connect().await;
            let got = client.post("/x", &"x".repeat(length)).await;
            assert_eq!(got.status, status, "{length} bytes: {answer}");
            if status == 200 {
                assert_eq!(got.body, "abc", "{length} bytes: {answer}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_moves_what_repeats_safely_and_nothing_else() {
    let (a, b, proxy) = pair(Behaviour::Reset, Behaviour::Answer).await;
    for _ in 0..4 {
        assert_eq!(proxy.get("/").await.body, "b");
    }
    let mut client = proxy.connect().await;
    client
        .send("PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        .await;
    assert_eq!(client.answer().await.body, "b");
    b.set(Behaviour::Reset);
    let before = a.requests().len() + b.requests().len();
    let mut client = proxy.connect().await;
    assert_eq!(client.post("/x", "body").await.status, 502);
    assert_eq!(a.requests().len() + b.requests().len(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_sent_upload_is_not_sent_again() {
    let (a, b, proxy) = pair(Behaviour::ResetInside, Behaviour::ResetInside).await;
    let mut client = proxy.connect().await;
    client
        .send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n")
        .await;
    client.send(&"x".repeat(10_000)).await;
    until("a server has it", || {
        a.requests().len() + b.requests().len() > 0
    })
    .await;
    // More may fail to go out: the answer can be there before it.
    let _ = client.stream.write_all(&[b'x'; 10_000]).await;
    assert_eq!(client.answer().await.status, 502);
    assert_eq!(a.requests().len() + b.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_server_up_is_a_503_at_once_that_names_the_backend() {
    let (a, b, proxy) = pair(Behaviour::Answer, Behaviour::Answer).await;
    proxy.pools[0].mark(0, false, "test");
    proxy.pools[0].mark(1, false, "test");
    let mut client = proxy.connect().await;
    client
        .send("GET /dashboard HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n")
        .await;
    let page = client.answer().await;
    assert_eq!(page.status, 503);
    assert_eq!(page.header("connection"), Some("keep-alive"));
    assert!(
        page.body
            .contains("no server of backend &#34;influx_back&#34; is up")
    );
    let json = client.get("/api/health").await;
    assert_eq!(
        json.body,
        "{\"error\":\"no server of backend \\\"influx_back\\\" is up\"}\n"
    );
    assert_eq!((a.requests().len(), b.requests().len()), (0, 0));
    assert_eq!(proxy.stats.backends[0].no_server.get(), 2);
    proxy.pools[0].mark(1, true, "test");
    assert_eq!(client.get("/").await.body, "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_serve_only_when_nobody_else_is_up() {
    let a = StandIn::start("a", Behaviour::Answer).await;
    let spare = StandIn::start("spare", Behaviour::Answer).await;
    let mut servers = vec![server("a", a.address), server("spare", spare.address)];
    servers[1].backup = true;
    let proxy = Running::start(plain(servers));
    for _ in 0..3 {
        assert_eq!(proxy.get("/").await.body, "a");
    }
    proxy.pools[0].mark(0, false, "test");
    for _ in 0..3 {
        assert_eq!(proxy.get("/").await.body, "spare");
    }
    proxy.pools[0].mark(0, true, "test");
    assert_eq!(proxy.get("/").await.body, "a");
}

/// What differs from node to node is asked of one server, which is a backup only as long as no other one can answer.
#[test]
fn a_backup_is_asked_what_differs_from_node_to_node_only_when_nobody_else_is_up() {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let mut servers = ["spare", "a", "b", "other_spare"].map(|name| server(name, address));
    servers[0].backup = true;
    servers[3].backup = true;
    let pool = harness::pool(servers.to_vec());
    let chosen = |tried: &[usize]| pool.choose_pinned(tried, |_| true).map(|(index, _)| index);
    assert_eq!(chosen(&[]), Some(1));
    assert_eq!(chosen(&[1]), Some(2));
    assert_eq!(chosen(&[1, 2]), None, "as for any other request");
    assert_eq!(
        chosen(&[]),
        Some(1),
        "one that failed once is only passed over"
    );
    let not_a = pool.choose_pinned(&[], |index| index != 1);
    assert_eq!(not_a.map(|(index, _)| index), Some(2));
    let spare_alone = pool.choose_pinned(&[], |index| index == 3);
    assert_eq!(spare_alone.map(|(index, _)| index), Some(3));
    pool.mark(1, false, "test");
    assert_eq!(chosen(&[]), Some(2));
    pool.mark(1, true, "test");
    assert_eq!(chosen(&[]), Some(2), "it keeps its place");
    pool.mark(1, false, "test");
    pool.mark(2, false, "test");
    assert_eq!(chosen(&[]), Some(0));
    pool.mark(2, true, "test");
    assert_eq!(chosen(&[]), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_pass_as_they_come() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let proxy = Running::start(plain(vec![server("a", node.address)]));
    let pieces = node.stream().await;
    let mut client = proxy.connect().await;
    client.send("GET /live HTTP/1.1\r\nHost: x\r\n\r\n").await;
    pieces.send("first").await.unwrap();
    client.header().await;
    assert_eq!(client.chunk().await, "first");
    pieces.send("second").await.unwrap();
    assert_eq!(client.chunk().await, "second");
    drop(pieces);
    assert_eq!(client.chunk().await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_client_without_a_host_is_served() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let proxy = Running::start(plain(vec![server("a", node.address)]));
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.body, "node");
    assert!(client.is_closed().await);
    let request = node.requests().pop().unwrap();
    assert!(
        request.contains(&format!("Host: {}\r\n", node.address)),
        "{request}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_of_any_size_streams_through() {
    let node = StandIn::start("node", Behaviour::Answer).await;
    let mut config = plain(vec![server("a", node.address)]);
    config.frontends[0].forwarded_for = true;
    let proxy = Running::start(config);
    let mut client = proxy.connect().await;
    let body = "0123456789abcdef".repeat(1 << 17);
    assert_eq!(client.post("/import", &body).await.body, "node");
    let request = node.requests().pop().unwrap();
    assert!(request.ends_with(&body));
    assert!(request.contains("X-Forwarded-For: 127.0.0.1\r\n"));
}

const UPGRADE: &str = "GET /api/live/ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_that_is_refused_is_an_answer_like_any_other() {
    let (mut a, b, proxy) = pair(Behaviour::Answer, Behaviour::Answer).await;
    a.refuse().await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        client.send(UPGRADE).await;
        assert_eq!(client.answer().await.body, "b");
    }
    let request = b.requests().pop().unwrap();
    assert!(request.contains("Upgrade: websocket\r\n"), "{request}");
    assert!(request.contains("Connection: Upgrade\r\n"), "{request}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_that_is_silent_for_too_long_ends_and_a_busy_one_does_not() {
    let node = StandIn::start("node", Behaviour::Tunnel).await;
    let mut config = plain(vec![server("a", node.address)]);
    config.frontends[0].tunnel_timeout = Duration::from_millis(400);
    config.frontends[0].client_timeout = Duration::from_millis(100);
    config.backends[0].server_timeout = Duration::from_millis(100);
    let proxy = Running::start(config);
    let mut client = proxy.connect().await;
    client.send(UPGRADE).await;
    let header = client.header().await;
    assert_eq!(
        (header.status, header.header("upgrade")),
        (101, Some("websocket"))
    );
    assert_eq!(header.header("connection"), Some("Upgrade"));
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.send("\r\n").await;
        assert_eq!(client.line().await, "");
    }
    assert!(client.is_closed().await);
    until("its end reaches the server", || node.open() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_passes_both_ways_and_a_stop_does_not_wait_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let echo = tokio::task::spawn_blocking(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = accept(stream).unwrap();
        while let Ok(message) = socket.read() {
            if message.is_text() && socket.send(message).is_err() {
                return;
            }
        }
    });
    let proxy = Running::start(plain(vec![server("grafana", address)]));
    let front = proxy.address();
    let mut socket = tokio::task::spawn_blocking(move || {
        let stream = TcpStream::connect(front).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let (mut socket, answer) = client("ws://grafana/api/live/ws", stream).unwrap();
        assert_eq!(answer.status(), 101);
        for text in ["one", "two"] {
            socket.send(Message::text(text)).unwrap();
            assert_eq!(socket.read().unwrap(), Message::text(text));
        }
        socket
    })
    .await
    .unwrap();
    tokio::time::timeout(SOON, proxy.in_flight.none_left())
        .await
        .expect("a tunnel is not in flight");
    tokio::task::spawn_blocking(move || {
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    })
    .await
    .unwrap();
    tokio::time::timeout(SOON, echo).await.unwrap().unwrap();
}
