//! Secrets that come from files, and who else can read them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{toml, with, yaml};
use crate::config::{Config, Loaded};

const SECRET: &str = "s3cr3t";

/// A file with that text and mode.
fn file(path: &Path, text: impl AsRef<[u8]>, mode: u32) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

/// Loads a configuration whose frontend has these `keys`; it is readable for everybody if `is_public`.
fn load(folder: &Path, keys: &str, is_public: bool) -> Result<Loaded, String> {
    let configuration = folder.join("haflux.toml");
    let data_dir = folder.join("data").display().to_string();
    let text = format!(
        "[server]\ndata_dir = {data_dir:?}\n{}",
        with(keys, "", "", "")
    );
    file(&configuration, text, if is_public { 0o644 } else { 0o640 });
    Config::load(&configuration).map_err(|errors| errors.to_string())
}

#[test]
fn a_secret_comes_from_a_file_and_is_shown_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let user = file(
        &folder.path().join("user"),
        format!("admin:{SECRET}\n"),
        0o600,
    );
    let token = file(&folder.path().join("token"), format!("{SECRET}\r\n"), 0o600);
    let keys = format!(
        "stats_uri = \"/s\"\nstats_auth = \"${{file:{user}}}\"\n\
         http_request = [{{ set_header = {{ Authorization = \"Token ${{file:{token}}}\" }} }}]"
    );
    let loaded = load(folder.path(), &keys, true).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let front = &loaded.config.frontends[0];
    // Base64 of admin:s3cr3t.
    assert!(front.stats_auth[0].is_meant_by(b"Basic YWRtaW46czNjcjN0"));
    assert!(!format!("{:?}", loaded.config).contains(SECRET));
}

#[test]
fn what_a_file_holds_is_taken_by_no_key_that_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    for (held, keys) in [
        ("/s3cr3t", "stats_uri = \"FILE\""),
        ("10", "maxconn = \"FILE\""),
        ("true", "forwarded_for = \"FILE\""),
        ("10s", "timeout = { client = \"FILE\" }"),
        ("64KiB", "max_header_size = \"FILE\""),
        ("10.0.0.0/8", "allow = \"FILE\""),
        (
            "x-forwarded-for",
            "trust_forwarded = \"::1\"\nforwarded_header = \"FILE\"",
        ),
        (
            "s3cr3t",
            "use_backend = [{ backend = \"pool\", if = { path_reg = \"FILE\" } }]",
        ),
        (
            "s3cr3t",
            "use_backend = [{ backend = \"FILE\", if = { path = \"/\" } }]",
        ),
        ("s3cr3t", "rules = { users = \"FILE\", read_only = true }"),
        ("select", "rules = { statements = \"FILE\" }"),
        (
            "/s3cr3t",
            "tls = { certificate = \"/x\", certificates = [\"FILE\"] }",
        ),
        (
            "/s3cr3t",
            "http_request = [{ redirect = { prefix = \"FILE\" } }]",
        ),
    ] {
        let path = file(&folder.path().join("held"), held, 0o600);
        let keys = keys.replace("FILE", &format!("${{file:{path}}}"));
        let said = load(folder.path(), &keys, false).unwrap_err();
        assert!(
            said.contains("what a file holds is a secret, and this value is shown"),
            "{keys}: {said}"
        );
        assert!(!said.contains(SECRET), "{said}");
    }
}

#[test]
fn a_file_without_a_secret_is_an_error_that_shows_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let held = folder.path().join("held");
    let path = held.display().to_string();
    for (text, said) in [
        (
            Vec::new(),
            "must hold one line of text, of 1 to 65536 bytes",
        ),
        (b"s3cr3t\ns3cr3t".to_vec(), "must hold one line of text"),
        (b"s3cr3t\xff".to_vec(), "must hold one line of text"),
        (b"s3cr3t".repeat(20_000), "must hold one line of text"),
        (b"s3cr3t".to_vec(), "stats_auth: expected \"user:password\""),
    ] {
        file(&held, text, 0o600);
        let keys = format!("stats_uri = \"/s\"\nstats_auth = \"${{file:{path}}}\"");
        let errors = load(folder.path(), &keys, false).unwrap_err();
        assert!(
            errors.contains(said) && !errors.contains(SECRET),
            "{errors}"
        );
    }
    let header = "http_request = [{ set_header = { Authorization = \"VALUE\" } }]";
    for (value, said) in [
        ("${file:held}", "expected an absolute path behind \"file:\""),
        (
            "${file:/nowhere/held}",
            "set_header.Authorization: the file /nowhere/held cannot be read: No such file",
        ),
        (
            "${file:/dev/zero}",
            "the file /dev/zero cannot be read: it is no file",
        ),
        (
            "${credential:influx}",
            "there is no credential \"influx\", because CREDENTIALS_DIRECTORY is not set",
        ),
        (
            "${credential:../held}",
            "expected the name of a credential behind \"credential:\"",
        ),
        ("s3cr3t\\u0001", "expected a value that a header can hold"),
    ] {
        let errors = load(folder.path(), &header.replace("VALUE", value), false).unwrap_err();
        assert!(
            errors.contains(said) && !errors.contains(SECRET),
            "{errors}"
        );
    }
}

#[test]
fn no_error_shows_what_may_be_a_secret_in_the_wrong_place() {
    let frontend = |keys: &str| with(keys, "", "", "");
    let backend = |keys: &str| with("", "", keys, "");
    let relay = |keys: &str| with("", keys, "", "");
    for text in [
        frontend("http_request = [{ set_header = \"Authorization: Leak\" }]"),
        frontend("http_request = [{ set_header = { \"Authorization: Leak\" = \"x\" } }]"),
        frontend("http_request = [\"set_header Authorization Leak\"]"),
        frontend("http_request = \"set_header Authorization Leak\""),
        frontend("stats_uri = \"/s\"\nstats_auth = \"admin:${Leak!}\""),
        frontend("stats_uri = \"/s\"\nstats_auth = \"admin:${file:Leak}\""),
        frontend("stats_uri = \"/s\"\nstats_auth = \"admin:${credential:/Leak}\""),
        frontend("stats_uri = \"http://u:Leak@h/s\""),
        backend("check = { http = \"http://u:Leak@h/ping\" }"),
        backend("check = \"http://u:Leak@h/ping\""),
        backend("check = { tcp = \"/ping?p=Leak\" }"),
        backend("check = { http = \"/ping\", expect = \"/ping?p=Leak\" }"),
        backend("check = { http = \"/ping\", host = \"/Leak\", port = \"Leak\", rise = \"Leak\" }"),
        backend("check = { http = \"/ping\", interval = \"Leak\" }"),
        backend("timeout = { server = \"/ping?p=Leak\" }"),
        backend("tls = { verify = \"Leak\", server_name = \"Leak Leak\" }"),
        frontend("stats_uri = \"admin:Leak\"\nmetrics_uri = \"admin:Leak\""),
        frontend(
            "stats_uri = \"/s\"\nstats_admin = \"admin:Leak\"\nstats_refresh = \"admin:Leak\"",
        ),
        frontend("http_request = [{ redirect = { location = \"Leak Leak\", code = \"Leak\" } }]"),
        frontend("http_request = [{ deny = \"Leak\" }, { redirect = { scheme = \"Leak\" } }]"),
        frontend(
            "tls = { certificate = \"x\", min_version = \"Leak\", max_handshakes = \"Leak\" }",
        ),
        frontend("tls = { certificate = \"x\", key = \"-----BEGIN\\nLeak\" }"),
        relay("heal = { parallel = \"Leak\", max_rate = \"Leak\", gate = \"Leak\" }"),
        format!(
            "{}[[udp]]\nbind = \"Leak\"\nrelay = \"relay\"\ndb = \"a\"\nprecision = \"Leak\"\nread_buffer = \"Leak\"",
            frontend("")
        ),
        format!(
            "{}[users]\nfile = \"Leak\"\nat_once = \"Leak\"\nremember_for = \"Leak\"",
            frontend("")
        ),
        backend("login = { username = \"u\", password_file = \"Leak\" }"),
        backend("login = \"u:Leak\""),
        relay("heal = { username = \"u\", password_file = \"Leak\" }"),
        relay("heal = { username = \"admin:Leak\", password_file = \"/p\" }"),
        relay("heal = \"admin:Leak\""),
        with(
            "",
            "",
            "",
            "login = { instead_of = \"a\", username = \"u\", password_file = \"Leak\" }",
        ),
        with(
            "",
            "",
            "",
            "login = { instead_of = \"a:Leak\", username = \"u\", password_file = \"/p\" }",
        ),
        with("", "", "", "").replace("10.0.0.1:8086", "http://u:Leak@h:8086"),
        with("", "", "", "").replace("10.0.0.1:8086", "http://h/?p=Leak"),
    ] {
        let said = toml(&text).unwrap_err().to_string();
        assert!(!said.contains("Leak"), "{text}\n{said}");
    }
}

/// A configuration in YAML with more keys in its frontend, relay, backend and server, and more tables.
fn yaml_with(frontend: &str, relay: &str, backend: &str, server: &str, top: &str) -> String {
    format!(
        "frontend: [{{name: front, bind: \"127.0.0.1:80\", default_backend: pool, {frontend}}}]\n\
         relay: [{{name: relay, replicate_to: pool, {relay}}}]\n\
         backend: [{{name: pool, servers: [{{name: a, address: \"10.0.0.1:8086\", {server}}}], {backend}}}]\n\
         {top}\n"
    )
}

#[test]
fn no_error_shows_the_name_of_a_key_that_a_secret_may_stand_in() {
    let frontend = |keys: &str| yaml_with(keys, "", "", "", "");
    let relay = |keys: &str| yaml_with("", keys, "", "", "");
    let backend = |keys: &str| yaml_with("", "", keys, "", "");
    let server = |keys: &str| yaml_with("", "", "", keys, "");
    let top = |keys: &str| yaml_with("", "", "", "", keys);
    let behind = |key: &str| format!("a space is missing behind \"{key}:\"");
    for (text, says) in [
        (
            backend("check: {http:\"/ping?u=a&p=Leak\"}"),
            format!("check.…: unknown key; {}", behind("http")),
        ),
        (
            frontend("stats_uri: /s, stats_auth:\"admin:Leak\""),
            format!(
                "frontend \"front\", …: unknown key; {}",
                behind("stats_auth")
            ),
        ),
        (
            backend("login: {username: root, password:\"Leak\"}"),
            "login.…: unknown key; did you mean \"password_file\"?".to_owned(),
        ),
        (backend("login: {username:Leak}"), behind("username")),
        (
            backend("login: {root, Leak}"),
            "login.…: unknown key; known here".to_owned(),
        ),
        (
            backend("login: {root, pass Leak}"),
            "login.…: unknown key".to_owned(),
        ),
        (
            server("login: {instead_of: a, username:Leak}"),
            behind("username"),
        ),
        (
            relay("heal: {username: root, password:Leak}"),
            "heal.…: unknown key".to_owned(),
        ),
        (
            frontend("http_request: [{Authorization:\"Basic Leak\"}]"),
            "http_request[0].…: unknown key".to_owned(),
        ),
        (
            frontend("http_request: [{\"Authorization: Basic Leak\": 1}]"),
            "http_request[0].…: unknown key".to_owned(),
        ),
        (
            top("udp: [{relay: relay, db: x, password:\"Leak\"}]"),
            "udp[0], …: unknown key".to_owned(),
        ),
        (top("users: {file:\"Leak\"}"), behind("file")),
        (
            top("\"stats_auth:Leak\": 1"),
            "x.yaml:4:1: …: unknown key".to_owned(),
        ),
        // Nor where something else is wrong with the key or its value.
        (
            top("\"stats_auth:Leak\": [\"${UNSET}\"]"),
            "…[0]: the environment variable".to_owned(),
        ),
        (
            backend("check: {\"http:Leak\": \"${UNSET}\"}"),
            "check.…: the environment variable".to_owned(),
        ),
        (
            backend("check: {http:Leak, http:Leak}"),
            "the key \"…\" is given twice".to_owned(),
        ),
        (
            backend("login: {Leak, Leak}"),
            "the key \"…\" is given twice".to_owned(),
        ),
        (
            backend("login: {<<: Leak}"),
            "takes a table or a list of tables, not a text".to_owned(),
        ),
        (
            backend("login: {80861: x}"),
            "a key must be a text, not a number".to_owned(),
        ),
    ] {
        let said = yaml(&text).unwrap_err().to_string();
        assert!(said.contains(&says), "{text}\n{said}");
        assert!(
            !said.contains("Leak") && !said.contains("80861"),
            "{text}\n{said}"
        );
    }
    for text in [
        with("", "", "check = { \"/ping?u=a&p=Leak\" = \"http\" }", ""),
        with(
            "",
            "",
            "login = { \"root:Leak\" = 1, \"root:Leak\" = 2 }",
            "",
        ),
    ] {
        let said = toml(&text).unwrap_err().to_string();
        assert!(!said.contains("Leak"), "{text}\n{said}");
    }
}

#[test]
fn credentials_are_looked_for_where_the_service_manager_puts_them() {
    let folder = tempfile::tempdir().unwrap();
    file(
        &folder.path().join("page"),
        format!("admin:{SECRET}"),
        0o600,
    );
    let place = folder.path().display().to_string();
    let variable = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| place.clone());
    let keys = "stats_uri = \"/s\"\nstats_auth = [\"guest:x\", \"${credential:page}\"]";
    let text = with(keys, "", "", "");
    let loaded = Config::parse(&text, crate::config::Format::Toml, "x.toml", &variable).unwrap();
    let [_, admin] = &loaded.config.frontends[0].stats_auth[..] else {
        panic!("two users");
    };
    assert!(admin.is_meant_by(b"Basic YWRtaW46czNjcjN0"));
}

#[test]
fn files_with_secrets_that_everybody_can_read_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let warnings = |keys: &str, is_public| {
        let loaded = load(folder.path(), keys, is_public).unwrap();
        let each = loaded.warnings.iter().map(ToString::to_string);
        each.collect::<Vec<_>>().join("\n")
    };
    let literal = "stats_uri = \"/s\"\nstats_auth = \"admin:s3cr3t\"";
    let header = "http_request = [{ set_header = { X-Api-Key = \"s3cr3t\" } }]";
    let other_header = "http_request = [{ set_header = { X-Influx-Pass = \"s3cr3t\" } }]";
    let configuration = folder.path().join("haflux.toml").display().to_string();
    let said = format!(
        "{configuration}: {configuration} holds a secret, and everybody on this machine can read it: \"chmod o-rwx {configuration}\""
    );
    assert_eq!(warnings(literal, true), said);
    assert_eq!(warnings(header, true), said);
    assert_eq!(warnings(other_header, true), said);
    let check = "[[backend]]\nname = \"other\"\nservers = [{ name = \"a\", address = \"10.0.0.9:1\" }]\ncheck = { http = \"CHECK\" }\n[[frontend]]\nname = \"second\"\nbind = \"127.0.0.1:81\"\ndefault_backend = \"other\"";
    let asks_with = |path: &str| warnings(&check.replace("CHECK", path), true);
    assert_eq!(asks_with("/ping?u=x&p=s3cr3t"), said);
    assert_eq!(asks_with("/query?q=SHOW+DATABASES"), "");
    assert_eq!(warnings(literal, false), "");
    assert_eq!(
        warnings(
            "http_request = [{ set_header = { X-Frame-Options = \"DENY\" } }]",
            true
        ),
        ""
    );
    let path = file(&folder.path().join("user"), "admin:s3cr3t", 0o644);
    let from_file = format!("stats_uri = \"/s\"\nstats_auth = \"${{file:{path}}}\"");
    let said = format!("{path} holds a secret, and everybody on this machine can read it");
    assert!(warnings(&from_file, true).contains(&said));
    file(&folder.path().join("user"), "admin:s3cr3t", 0o602);
    let said = format!("everybody on this machine can write {path}");
    assert!(warnings(&from_file, true).contains(&said));
}

#[test]
fn files_that_everybody_can_replace_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open");
    fs::create_dir_all(open.join("inner")).unwrap();
    let path = file(&open.join("inner/user"), "admin:s3cr3t", 0o600);
    let keys = format!("stats_uri = \"/s\"\nstats_auth = \"${{file:{path}}}\"");
    let warnings = |mode| {
        fs::set_permissions(&open, Permissions::from_mode(mode)).unwrap();
        let loaded = load(folder.path(), &keys, false).unwrap();
        let each = loaded.warnings.iter().map(ToString::to_string);
        each.collect::<Vec<_>>()
    };
    let open = open.canonicalize().unwrap();
    let open = open.display();
    let said = format!(
        "everybody on this machine can write the folder {open}, and so put something else in the place of {path}: \"chmod o-w {open}\""
    );
    assert!(warnings(0o777)[0].ends_with(&said));
    assert_eq!(warnings(0o1777), [""; 0]);
    assert_eq!(warnings(0o755), [""; 0]);
}
