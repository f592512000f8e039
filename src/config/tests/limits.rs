//! Files, nesting, aliases and variables that are too much; files that cannot be read; folders that cannot be written.

use std::fs;
use std::path::Path;

use super::{environment, toml, with, yaml};
use crate::config::{Config, Format, MAX_FILE_SIZE, create_data_dir};
use crate::identity::Identity;

fn said(path: &Path) -> String {
    let said = Config::load(path).unwrap_err().to_string();
    said.replace(&path.display().to_string(), "FILE")
}

#[test]
fn no_limit_may_be_said_in_any_unit() {
    for zero in ["0", "\"0\"", "\"0s\"", "\"0MiB\""] {
        let keys = format!(
            "compare = {zero}\nrerun_continuous_queries = {zero}\nheal = {{ max_rate = {zero}, max_load = {zero}, rpc_port = {zero} }}"
        );
        let config = toml(&with("", &keys, "", "")).expect(zero).config;
        let (relay, heal) = (&config.relays[0], &config.relays[0].heal);
        assert_eq!(
            (relay.compare, relay.rerun_continuous_queries),
            (None, None)
        );
        assert_eq!((heal.max_rate, heal.max_load), (None, None));
        assert_eq!(heal.rpc_port, None);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    assert_eq!(
        said(&missing),
        "FILE: cannot be read: No such file or directory (os error 2)\nFILE: 1 error"
    );
    let other = folder.path().join("haflux.cfg");
    fs::write(&other, "").unwrap();
    assert_eq!(
        said(&other),
        "FILE: expected a file name that ends in .toml, .yaml or .yml\nFILE: 1 error"
    );
    let binary = folder.path().join("binary.toml");
    fs::write(&binary, b"# a\n# \xff\n").unwrap();
    assert_eq!(said(&binary), "FILE: not UTF-8 in line 2\nFILE: 1 error");
    let large = folder.path().join("large.yml");
    fs::write(&large, " ".repeat(MAX_FILE_SIZE as usize + 1)).unwrap();
    assert_eq!(
        said(&large),
        "FILE: larger than 1048576 bytes\nFILE: 1 error"
    );
    fs::create_dir(folder.path().join("folder.toml")).unwrap();
    assert!(said(&folder.path().join("folder.toml")).starts_with("FILE: cannot be read: "));
}

#[test]
fn endings_name_formats() {
    for (name, format) in [
        ("a.toml", Some(Format::Toml)),
        ("a.b.TOML", Some(Format::Toml)),
        ("/x/a.yaml", Some(Format::Yaml)),
        ("a.yml", Some(Format::Yaml)),
        ("toml", None),
        ("a.json", None),
    ] {
        assert_eq!(Format::of(Path::new(name)), format, "{name}");
    }
}

#[test]
fn text_in_memory_has_the_same_limit() {
    let large = "#".repeat(MAX_FILE_SIZE as usize + 1);
    assert_eq!(
        toml(&large).unwrap_err().to_string(),
        "x.toml: larger than 1048576 bytes\nx.toml: 1 error"
    );
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{ a: ", "}"), ("- ", ""), ("? ", "")] {
        let deep = format!(
            "frontend: \n  {}{}",
            open.repeat(100_000),
            close.repeat(100_000)
        );
        let said = yaml(&deep).unwrap_err().to_string();
        assert!(said.len() < 500, "{open}: {} bytes", said.len());
    }
    let said = yaml(&format!("a: {}", "[".repeat(100)))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("more than 64 lists and tables inside each other"),
        "{said}"
    );
    let said = toml(&format!(
        "a = {}{}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    ))
    .unwrap_err()
    .to_string();
    assert!(said.contains("recurs"), "{said}");
}

#[test]
fn aliases_do_not_grow() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in [
        ("b", "a"),
        ("c", "b"),
        ("d", "c"),
        ("e", "d"),
        ("f", "e"),
        ("g", "f"),
        ("h", "g"),
    ] {
        bomb.push_str(&format!(
            "{name}: &{name} [{}]\n",
            vec![format!("*{of}"); 10].join(", ")
        ));
    }
    let said = yaml(&bomb).unwrap_err().to_string();
    assert!(
        said.contains("YAML anchors and aliases stand for too much"),
        "{said}"
    );
    let anchors = format!("a: {}x{}", "&a [".repeat(60), "]".repeat(60));
    assert!(yaml(&anchors).is_err());
}

#[test]
fn the_environment_does_not_grow() {
    let text = with(
        &format!("stats_uri = \"{}\"", "${BIG}".repeat(100)),
        "",
        "",
        "",
    );
    let big = |name: &str| {
        if name == "BIG" {
            Some("/".repeat(100_000))
        } else {
            environment(name)
        }
    };
    let said = Config::parse(&text, Format::Toml, "x.toml", &big)
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("stats_uri: environment variables put too much into this file"),
        "{said}"
    );
}

/// A file with a relay whose journal is to live in `data_dir`.
fn file_with(folder: &Path, data_dir: &Path, more: &str) -> std::path::PathBuf {
    let file = folder.join("haflux.toml");
    let text = format!(
        "[server]\ndata_dir = {:?}\n{}",
        data_dir.display().to_string(),
        with(more, "", "", "")
    );
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_data_dir_is_tried_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("a/b/c");
    Config::load(&file_with(folder.path(), &data_dir, "")).unwrap();
    assert!(
        !folder.path().join("a").exists(),
        "what was made for the trial is gone"
    );
    create_data_dir(&data_dir, &Identity::current().unwrap()).unwrap();
    Config::load(&file_with(folder.path(), &data_dir, "")).unwrap();
    assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 0);
}

#[test]
fn a_data_dir_that_cannot_be_used_is_one_error_among_others() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();
    let file = file_with(folder.path(), &blocked.join("journal"), "maxcon = 5");
    let said = said(&file).replace(&blocked.display().to_string(), "BLOCKED");
    assert_eq!(
        said,
        "FILE:2:12: server.data_dir: BLOCKED is not a folder\n\
         FILE:8:1: frontend \"front\", maxcon: unknown key; did you mean \"maxconn\"?\n\
         FILE: 2 errors"
    );
    let nowhere = file_with(folder.path(), Path::new("/proc/haflux/journal"), "");
    let said = self::said(&nowhere);
    assert!(
        said.contains("server.data_dir: the folder /proc/haflux cannot be made: "),
        "{said}"
    );
}

#[test]
fn without_a_relay_no_data_dir_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_with(folder.path(), Path::new("/proc/haflux"), "");
    let text = fs::read_to_string(&file).unwrap();
    let without = text.replace("[[relay]]\nname = \"relay\"\nreplicate_to = \"pool\"\n", "");
    assert_ne!(text, without);
    fs::write(&file, without).unwrap();
    Config::load(&file).unwrap();
}

#[test]
fn new_folders_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("journal");
    create_data_dir(&data_dir, &Identity::current().unwrap()).unwrap();
    assert_eq!(
        fs::metadata(&data_dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
}
