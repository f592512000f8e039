//! haflux's own users: `[users]`, `auth`, `login`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::{toml, with};
use crate::config::model::{NodeLogin, Pattern};
use crate::config::{Config, Loaded};

const USERS: &str = "[users]\nfile = \"/etc/haflux/users\"\n";

#[test]
fn users_are_read_with_their_defaults() {
    let login = "login = [{ users = [\"a*\", \"b\"], username = \"x\", password_file = \"/x\" }, { username = \"y\", password_file = \"/y\" }]";
    let text = USERS.to_owned() + &with("auth = true", "", login, "");
    let config = toml(&text).unwrap().config;
    let users = config.users.unwrap();
    assert_eq!(users.file, Path::new("/etc/haflux/users"));
    assert_eq!(users.remember_for, Duration::from_secs(300));
    assert_eq!((users.max_waiting, users.max_failures), (256, 30));
    assert!(users.at_once > 0 && config.frontends[0].auth);
    let [first, NodeLogin { users, login }] = &config.backends[0].logins[..] else {
        panic!("two logins")
    };
    assert_eq!(first.users, [Pattern::new("a*"), Pattern::new("b")]);
    assert!(users.is_empty() && login.username == "y");
    let config = toml(&with("auth = false", "", "", "")).unwrap().config;
    assert!(config.users.is_none() && !config.frontends[0].auth);
}

#[test]
fn what_is_wrong_is_said() {
    for (users, frontend, backend, said) in [
        ("", "auth = true", "", "auth: needs [users] beside it"),
        (
            "",
            "",
            "login = { username = \"x\", password_file = \"/x\" }",
            "login: needs [users] beside it",
        ),
        (
            "[users]\n",
            "",
            "",
            "\"file\" is missing; expected the absolute path of a file of users",
        ),
        (
            "[users]\nfile = \"users\"\n",
            "",
            "",
            "users.file: expected the absolute path of a file of users",
        ),
        (
            "[users]\nfile = \"/u\"\nmax_failures = 0\n",
            "",
            "",
            "max_failures: expected a whole number from 1 to 1000000",
        ),
        (USERS, "auth = \"yes\"", "", "auth: expected true or false"),
        (
            USERS,
            "",
            "login = { username = \"x\" }",
            "\"password_file\" is missing",
        ),
        (
            USERS,
            "",
            "login = { password_file = \"/x\" }",
            "\"username\" is missing",
        ),
        (
            USERS,
            "",
            "login = { username = \"x:y\", password_file = \"/x\" }",
            "without \":\"",
        ),
        (
            USERS,
            "",
            "login = [{ users = [], username = \"x\", password_file = \"/x\" }]",
            "login[0].users: expected a name such as",
        ),
    ] {
        let text = users.to_owned() + &with(frontend, "", backend, "");
        let errors = toml(&text).expect_err(said).to_string();
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

const OWN: &str = "username = \"admin\", password_file = \"/own\"";

#[test]
fn a_server_may_know_the_logins_of_its_pool_by_other_accounts() {
    let pool = "login = { username = \"x\", password_file = \"/x\" }";
    let relay = "heal = { username = \"root\", password_file = \"/root\" }";
    let udp = "[[udp]]\nbind = \"127.0.0.1:8089\"\nrelay = \"relay\"\ndb = \"d\"\nusername = \"lines\"\npassword_file = \"/lines\"\n";
    let own = ["x", "root", "lines"].map(|who| format!("{{ instead_of = \"{who}\", {OWN} }}"));
    let own = format!("login = [{}]", own.join(", "));
    let text = USERS.to_owned() + udp + &with("", relay, pool, &own);
    let config = toml(&text).unwrap().config;
    let server = &config.backends[0].servers[0];
    let replaced: Vec<&str> = server
        .logins
        .iter()
        .map(|own| own.instead_of.as_str())
        .collect();
    assert_eq!(replaced, ["x", "root", "lines"]);
    let login = &server.logins[0].login;
    assert_eq!(
        (login.username.as_str(), login.password_file.as_path()),
        ("admin", Path::new("/own"))
    );
    let of_pool = config.logins_of(config.relays[0].pool);
    let of_pool: Vec<&str> = of_pool.map(|login| login.username.as_str()).collect();
    assert_eq!(of_pool, replaced);
}

#[test]
fn what_is_wrong_with_an_account_of_a_server_is_said() {
    let pool = "login = { username = \"writer\", password_file = \"/x\" }";
    for (own, said) in [
        (
            format!("{{ instead_of = \"writr\", {OWN} }}"),
            "login[0].instead_of: no user in login of this backend, or in heal or [[udp]] of its relay, is named \"writr\"; did you mean \"writer\"?",
        ),
        (format!("{{ {OWN} }}"), "\"instead_of\" is missing"),
        (
            "{ instead_of = \"writer\", username = \"y\" }".to_owned(),
            "\"password_file\" is missing",
        ),
        (
            format!("{{ instead_of = \"writer\", {OWN} }}, {{ instead_of = \"writer\", {OWN} }}"),
            "login[1].instead_of: \"writer\" is already replaced in line",
        ),
    ] {
        let text = USERS.to_owned() + &with("", "", pool, &format!("login = [{own}]"));
        let errors = toml(&text).expect_err(said).to_string();
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

#[test]
fn the_file_is_read_and_so_are_its_permissions() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = format!(
        "[users]\nfile = \"{}\"\n[[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:80\"\nauth = true\ndefault_backend = \"pool\"\n\
         [[backend]]\nname = \"pool\"\nservers = [{{ name = \"a\", address = \"10.0.0.1:8086\" }}]\n\
         login = {{ username = \"x\", password_file = \"{}\" }}\n",
        path("users").display(),
        path("password").display()
    );
    let text = text.replace(
        "8086\" }",
        &format!(
            "8086\", login = {{ instead_of = \"x\", username = \"y\", password_file = \"{}\" }} }}",
            path("own").display()
        ),
    );
    fs::write(path("haflux.toml"), text).unwrap();
    let load = || -> Result<Loaded, String> {
        Config::load(&path("haflux.toml")).map_err(|errors| errors.to_string())
    };
    let missing = load().unwrap_err();
    for name in ["users", "password", "own"] {
        let file = path(name).display().to_string();
        assert!(missing.contains(&file), "{missing}");
    }
    fs::write(path("password"), "of the node\n").unwrap();
    fs::write(path("own"), "of one node\n").unwrap();
    fs::write(path("users"), "# nobody\neva:$2y$hidden\n").unwrap();
    let broken = load().unwrap_err();
    let expected = format!(
        "users.file: {}, line 2: expected a whole hash by bcrypt",
        path("users").display()
    );
    assert!(broken.contains(&expected), "{broken}");
    assert!(!broken.contains("hidden"), "{broken}");
    fs::write(path("users"), "# nobody\n").unwrap();
    for name in ["users", "password", "own"] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let warnings: Vec<String> = load()
        .unwrap()
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    let warned = |name: &str| {
        let said = format!("{} holds a secret", path(name).display());
        warnings.iter().any(|warning| warning.contains(&said))
    };
    assert!(
        ["users", "password", "own"].into_iter().all(warned),
        "{warnings:?}"
    );
}
