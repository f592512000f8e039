//! The least that a write can cost on Pingora: `bare_pingora PORT THREADS` reads each request's body and answers it with 204.
//! It keeps nothing and passes nothing on.

use async_trait::async_trait;
use pingora::http::ResponseHeader;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use std::sync::Arc;

struct Bare;

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn request_filter(&self, session: &mut Session, _: &mut ()) -> Result<bool> {
        while session.read_request_body().await?.is_some() {}
        let header = ResponseHeader::build(204, Some(0))?;
        session
            .write_response_header(Box::new(header), true)
            .await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        Err(Error::explain(ErrorType::InternalError, "it has no server"))
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(port), Some(threads)) = (
        arguments.next(),
        arguments.next().and_then(|threads| threads.parse().ok()),
    ) else {
        eprintln!("usage: bare_pingora PORT THREADS");
        std::process::exit(2);
    };
    let configuration = Arc::new(ServerConf {
        threads,
        ..ServerConf::default()
    });
    let mut service = http_proxy_service(&configuration, Bare);
    service.add_tcp(&format!("127.0.0.1:{port}"));
    let mut server = Server::new_with_opt_and_conf(
        None,
        ServerConf {
            threads,
            ..ServerConf::default()
        },
    );
    server.bootstrap();
    server.add_service(service);
    server.run_forever();
}
