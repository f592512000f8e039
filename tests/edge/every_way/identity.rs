//! haflux's own users.

use std::fs;

use super::{Plan, Shown, Site, WAYS};
use crate::support::edge::counted;
use crate::users::{line, users_command};

const WRITE: &str = "/write?db=a";
const POINT: [&str; 2] = ["--data-binary", "m v=1 1"];
const FRONT: (&str, &str) = (
    "front",
    "auth = true\nrules = [{ users = \"eva\" }, { users = \"ida\", read_only = true }, { users = \"cert\" }]",
);

#[test]
fn users_are_known_and_nobody_else_is_by_each_way() {
    let (token, drawn) = users_command(&["token", "eva"], "");
    let site = Site::start_as(
        |home, authority| {
            authority.sign("cert.pem", "cert.example", 90);
            authority.sign("other.pem", "other.example", 90);
            let users = [
                line("eva", "pa+ss"),
                line("ida", "i"),
                line("lost", "l"),
                token,
                "cert:$certificate$cert.example\n".to_owned(),
            ];
            fs::write(home.join("users"), users.concat()).expect("a file");
        },
        &Plan {
            head: "[users]\nfile = \"FOLDER/users\"\nmax_failures = 10000",
            tls: ", client_certificate = \"optional\", client_ca = \"FOLDER/authority/ca.pem\"",
            frontends: &[FRONT],
        },
    );
    let bearer = format!("Authorization: Bearer {}", drawn.trim());
    for way in WAYS {
        let write =
            |path: &str, more: &[&str]| site.ask("front", way, path, &[&POINT, more].concat());
        write(WRITE, &["-u", "eva:pa+ss"]).assert_status(way, 204);
        write(WRITE, &["-H", "Authorization: Token eva:pa+ss"]).assert_status(way, 204);
        write(WRITE, &["-H", &bearer]).assert_status(way, 204);
        write("/write?db=a&u=eva&p=pa%2Bss", &[]).assert_status(way, 204);
        // What a node tells everybody.
        site.ask("front", way, "/ping", &[]).assert_status(way, 204);

        let unreadable = "unable to parse authentication credentials";
        let nobody: [(&[&str], &str); 5] = [
            (&[], unreadable),
            (&["-H", "Authorization: Basic !"], unreadable),
            (&["-u", ":x"], "username required"),
            (&["-u", "eva:wrong"], "authorization failed"),
            (&["-H", "Authorization: Bearer 0"], "authorization failed"),
        ];
        for (more, words) in nobody {
            let refused = counting(&site, "auth_refusals", || {
                write(WRITE, &[&["-i"], more].concat())
            });
            refused.assert_refused(way, 401, words);
            let wants = refused.header("www-authenticate");
            assert_eq!(wants, Some("Basic realm=\"InfluxDB\""), "{way:?}");
        }
        for (user, words) in [
            ("ida:i", "only reads are allowed"),
            ("lost:l", "no rule is for this user"),
        ] {
            let refused = counting(&site, "rule_refusals", || write(WRITE, &["-u", user]));
            refused.assert_refused(way, 403, words);
        }
        if way.address == "secure" {
            let shown = |file: &str| write(WRITE, &["--cert", &site.authority.file(file)]);
            shown("cert.pem").assert_status(way, 204);
            let refused = counting(&site, "auth_refusals", || shown("other.pem"));
            refused.assert_refused(way, 401, unreadable);
        }
    }
    assert_eq!(site.node.count("a", "m", "v"), 1);
}

/// What `ask` shows, and the counter with one more.
#[track_caller]
fn counting(site: &Site, counter: &str, ask: impl FnOnce() -> Shown) -> Shown {
    let before = counted(&site.haflux, "front", counter);
    let shown = ask();
    let after = counted(&site.haflux, "front", counter);
    assert_eq!(after, before + 1, "{counter}: {shown:?}");
    shown
}
