//! Passwords in logs.

use super::super::{may_hold_secret, redact};

#[rustfmt::skip]
const SHOWN: &[(&str, &str)] = &[
    ("SELECT v FROM m", "SELECT v FROM m"),
    ("CREATE USER u WITH PASSWORD 'secret'", "CREATE USER u WITH PASSWORD [REDACTED]"),
    ("create user \"a b\" with password 'secret' with all privileges", "create user \"a b\" with password [REDACTED] with all privileges"),
    ("CREATE USER u WITH /* x */ PASSWORD--\n'sec\\'ret;'; SHOW USERS", "CREATE USER u WITH PASSWORD [REDACTED]; SHOW USERS"),
    ("CREATE USER u WITH PASSWORD'secret'", "CREATE USER u WITH PASSWORD[REDACTED]"),
    ("SET PASSWORD FOR u = 'secret'", "SET PASSWORD FOR u = [REDACTED]"),
    ("set password for \"u\"='secret'", "set password for \"u\"=[REDACTED]"),
    ("SHOW USERS; SET PASSWORD FOR u = 'se cret'; SHOW USERS;", "SHOW USERS; SET PASSWORD FOR u = [REDACTED]; SHOW USERS;"),
    ("CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL 'http://u:secret@h', 'x'", "CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL [REDACTED], [REDACTED]"),
    ("SELECT v\nFROM\tm -- secret", "SELECT v FROM m"),
    ("SELECT v FROM m WHERE h = 'a\u{7f}b'", "SELECT v FROM m WHERE h = 'a b'"),
    ("SELECT 'x FROM m", "SELECT 'x FROM m"),
];

#[rustfmt::skip]
const HIDDEN: &[&str] = &[
    "CREATE USER u WITH PASSWORD \"secret\"", "CREATE USER u WITH PASSWORD secret", "CREATE USER u WITH PASSWORD 'secret", "CREATE USER u WITH PASSWORD 'x' secret",
    "CREATE USER u PASSWORD 'secret'", "CREATE USER u WITH PASSWORT 'secret'", "CREATE USER u 'secret'", "CREATE USER u WITH PASSWORD = 'secret'", "CREATE USER u WITH PASSWORDsecret",
    "CREATE USER 'a WITH PASSWORD 'secret' WITH ALL 'x'", "CREATE USER u WITH PASSWORD\"secret\"", "CREATE USER u WITH PASSWORD 'a' 'secret'", "CREATE USER it's WITH PASSWORD 'secret'",
    "SET PASSWORD FOR u 'secret'", "SET PASSWORD FOR u = \"secret\"", "SET PASSWORD FOR u = secret", "SET PASSWORD u = 'secret'", "SET PASSWORD FOR u = 'x' 'secret'", "SET PASSWORD FOR 'x' = 'secret'",
    "SELECT 'WITH PASSWORD secret' FROM m", "SELECT v FROM m WHERE a =~ /password secret/", "SELECT \"x\", password, 'secret' FROM m", "PASS\0WORD FOR u = 'secret'", "CREATE USER u WITH PASS\0WORD 'secret'",
    "CREATE US'ER u secret", "DESTINATIONS 'secret", "CREATE SUBSCRIPTION s ON d.r DESTINATIONS ALL \"http://u:secret@h\"", "ALTER USER u SET PASSWORD 'secret'", "SHOW USERS; SET PASSWORD FOR u 'secret'",
    "CREATE USER \"password secret\" WITH PASSWORD 'x'",
];

#[test]
fn what_is_shown_is_shown_without_secrets() {
    for (query, shown) in SHOWN {
        assert_eq!(redact(query.as_bytes()), *shown, "{query:?}");
        let is_redacted = shown.contains("[REDACTED]");
        assert_eq!(may_hold_secret(query.as_bytes()), is_redacted, "{query:?}");
    }
}

#[test]
fn what_is_unsure_is_not_shown() {
    for query in HIDDEN {
        let shown = redact(query.as_bytes());
        assert!(!shown.contains("secret"), "{query:?} is shown as {shown:?}");
        assert!(may_hold_secret(query.as_bytes()), "{query:?}");
    }
}

#[test]
fn a_secret_behind_what_is_shown_is_one() {
    let long = "SHOW USERS; ".repeat(300) + "SET PASSWORD FOR u = 'secret'";
    assert!(may_hold_secret(long.as_bytes()));
}

#[test]
fn a_line_is_bounded() {
    let shown = redact("SELECT é FROM ".repeat(1000).as_bytes());
    assert!(
        shown.len() < 2100 && shown.ends_with('…'),
        "{}",
        shown.len()
    );
}
