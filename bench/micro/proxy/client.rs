//! The judge of a request's header.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};

#[path = "../../../src/proxy/client/connection.rs"]
mod connection;
#[path = "../../../src/proxy/client/framing.rs"]
#[expect(unused, reason = "a connection uses the rest")]
mod framing;
#[path = "../../../src/proxy/client/header.rs"]
#[expect(unused, reason = "a connection uses the rest")]
mod header;
#[path = "../../../src/proxy/client/rejection.rs"]
#[expect(unused, reason = "a connection uses the rest")]
mod rejection;
#[path = "../../../src/proxy/client/target.rs"]
#[expect(unused, reason = "its tests")]
mod target;

/// As a tool for load sends it.
const BARE: &[u8] =
    b"GET /query?db=d&q=SELECT+last(v)+FROM+m HTTP/1.1\r\nHost: 127.0.0.1:8086\r\n\r\n";

/// As a dashboard's server sends it, behind another proxy.
const DASHBOARD: &[u8] = b"GET /query?db=telegraf&epoch=ms&q=SELECT+mean%28%22usage_idle%22%29+FROM+%22cpu%22+WHERE+%22host%22+%3D~+%2F%5Eserver01%24%2F+AND+time+%3E%3D+1700000000000ms+GROUP+BY+time%2810s%29 HTTP/1.1\r\n\
Host: influx.example.com:8086\r\n\
User-Agent: Grafana/10.2.3\r\n\
Accept: application/json, text/plain, */*\r\n\
Accept-Encoding: gzip\r\n\
Authorization: Basic cmVhZGVyOnNlY3JldA==\r\n\
X-Forwarded-For: 192.0.2.17, 198.51.100.4\r\n\
X-Grafana-Org-Id: 1\r\n\
Fromalert: false\r\n\r\n";

/// As a collector sends it.
const WRITE: &[u8] = b"POST /write?consistency=any&db=telegraf&precision=ns HTTP/1.1\r\n\
Host: influx.example.com:8086\r\n\
User-Agent: Telegraf/1.28.5 Go/1.21.4\r\n\
Content-Length: 12000\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
Accept-Encoding: gzip\r\n\r\n";

#[divan::bench(args = ["bare", "dashboard", "write"])]
fn header_of_request(bencher: Bencher<'_, '_>, name: &str) {
    let bytes = match name {
        "bare" => BARE,
        "dashboard" => DASHBOARD,
        _ => WRITE,
    };
    assert!(matches!(header::understand(bytes), Ok(Some(_))));
    bencher.counter(BytesCount::new(bytes.len())).bench(|| {
        header::understand(black_box(bytes)).is_ok_and(|header| black_box(header).is_some())
    });
}
