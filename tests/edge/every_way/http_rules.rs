//! Rules about HTTP that refuse nothing.

use super::{Site, WAYS};
use crate::support::edge::counted;

#[test]
fn clients_are_sent_elsewhere_by_each_way() {
    let site = Site::start(&[(
        "front",
        "http_request = [\n\
         { redirect = { location = \"/ping\" }, if = { path = \"/\" } },\n\
         { redirect = { scheme = \"https\", code = 308 }, if = { path_beg = \"/secure\" } },\n\
         { redirect = { prefix = \"http://other.example/x\", code = 301 }, if = { path_beg = \"/other\" } },\n]",
    )]);
    for way in WAYS {
        let host = site.address("front", way);
        for (path, status, location) in [
            ("/", 302, "/ping".to_owned()),
            ("/secure/a?b=c", 308, format!("https://{host}/secure/a?b=c")),
            (
                "/other/a?b=c",
                301,
                "http://other.example/x/other/a?b=c".to_owned(),
            ),
        ] {
            for more in [&["-i"][..], &["-I"], &["-i", "--data-binary", "m v=1 1"]] {
                let shown = site.ask("front", way, path, more);
                shown.assert_status(way, status);
                let found = shown.header("location");
                assert_eq!(found, Some(location.as_str()), "{way:?}: {shown:?}");
            }
        }
        // Where they are sent is served. (curl 7.88 cannot ask twice on one plain connection of HTTP/2, of HAProxy either.)
        if way.how != "--http2-prior-knowledge" {
            site.ask("front", way, "/", &["-L"]).assert_status(way, 204);
        }
    }
    assert_eq!(counted(&site.haflux, "front", "denied_requests"), 0);
}

#[test]
fn headers_are_changed_by_each_way() {
    let site = Site::start(&[(
        "front",
        "http_request = [{ set_header = { Accept = \"application/csv\" }, if = { path = \"/query\" } }, { del_header = \"X-Odd\" }, \
         { deny = 400, unless = { path_beg = \"/\" } }]\n\
         http_response = [{ set_header = { \"X-Frame-Options\" = \"DENY\" }, del_header = \"X-Influxdb-Build\" }]",
    )]);
    assert_eq!(site.node.write("a", "m v=7 1").status, 204);
    for way in WAYS {
        // The node hears another wish than the client's.
        let asked = ["-i", "-H", "accept: application/json", "-H", "x-odd: 1"];
        let shown = site.ask("front", way, "/query?db=a&q=SELECT+v+FROM+m", &asked);
        shown.assert_status(way, 200);
        assert!(shown.body.ends_with("m,,1,7\n"), "{way:?}: {shown:?}");
        let shown = site.ask(
            "front",
            way,
            "/write?db=a",
            &["-i", "--data-binary", "w v=1 1"],
        );
        shown.assert_status(way, 204);
        for (name, value) in [
            ("x-frame-options", Some("DENY")),
            ("x-influxdb-build", None),
        ] {
            assert_eq!(shown.header(name), value, "{way:?}: {shown:?}");
        }
    }
}
