//! Answers that break off: what has come of one reaches its client before the connection ends.

use crate::support::http::raw;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, wait_until};

#[test]
fn half_an_answer_reaches_its_client() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = StandIn::start(|request| match request.path() {
        "/query" | "/any" => Behaviour::break_off("{\"results\":[half"),
        _ => Behaviour::no_content(),
    });
    let address = node.address();
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"reads\"\nbind = \"127.0.0.1:PORT(reads)\"\ndefault_backend = \"pool\"\n\
         [[frontend]]\nname = \"plain\"\nbind = \"127.0.0.1:PORT(plain)\"\ndefault_backend = \"other\"\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"pool\"\n\
         [[backend]]\nname = \"pool\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n\
         [[backend]]\nname = \"other\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n"
    );
    let haflux = Haflux::start(folder.path(), &configuration);
    let read = "GET /query?db=t&q=SELECT+v+FROM+m HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let any = "GET /any HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let large = format!(
        "POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n{}",
        "x".repeat(20_000)
    );
    for (front, request) in [
        ("reads", &read),
        ("plain", &read),
        ("plain", &any),
        ("plain", &large),
    ] {
        let answer = raw(&haflux.address(front), request.as_bytes(), SOON).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        let what = format!("{front}, {:.9}: {answer:?}", request);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{what}");
        assert!(answer.ends_with("\r\n\r\n{\"results\":[half"), "{what}");
    }
    wait_until("lines in the log", SOON, || {
        haflux.log().matches(" SD-- ").count() == 4
    });
}
