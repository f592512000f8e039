//! Completions and manual pages, as shells and readers of pages take them.

use std::path::Path;

use crate::support::Haflux;
use crate::support::programs::{run, succeeds};

/// The completions of a shell, in a file of this name.
fn completions(folder: &Path, shell: &str, name: &str) -> String {
    let file = folder.join(name);
    std::fs::write(&file, succeeds(&Haflux::command(&["completions", shell]))).unwrap();
    file.display().to_string()
}

/// What a shell's script says, word by word; it must not complain.
fn words(shell: &str, arguments: &[&str]) -> Vec<String> {
    let output = run(shell, arguments);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}");
    let said = succeeds(&output);
    said.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    let folder = tempfile::tempdir().unwrap();
    let file = completions(folder.path(), "bash", "haflux");
    // What readline does: the words so far, the function that `complete` names, its replies.
    let script = r#"
        source "$1"; shift
        [[ $(complete -p haflux) =~ -F\ ([^ ]+) ]]
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "${BASH_REMATCH[1]}" haflux "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let complete = |line: &[&str]| {
        let arguments = ["--norc", "-c", script, "bash", &file];
        words("bash", &[&arguments, line].concat())
    };
    assert_eq!(complete(&["haflux", "dead-l"]), ["dead-letters"]);
    assert_eq!(complete(&["haflux", "replica", "rea"]), ["readmit"]);
    assert_eq!(
        complete(&["haflux", "replica", "readmit", "--as"]),
        ["--as-it-is"]
    );
    assert_eq!(complete(&["haflux", "completions", "f"]), ["fish"]);
}

#[test]
fn zsh_completes() {
    let folder = tempfile::tempdir().unwrap();
    completions(folder.path(), "zsh", "_haflux");
    // A terminal of its own, in which the key is pressed and the line is read back.
    let script = r#"
        zmodload zsh/zpty
        zpty one zsh -f -i
        zpty -w one "PS1=READY; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; bindkey '^I' complete-word; echo LOADED"
        zpty -r -m one buffer '*LOADED*READY*'
        zpty -w -n one $2$'\t'
        zpty -r -m one buffer "*$3*" && print found
        zpty -d one
    "#;
    let folder = folder.path().display().to_string();
    for (line, completed) in [
        ("haflux dead-l", "dead-letters"),
        ("haflux replica rea", "readmit"),
        ("haflux replica readmit --as", "--as-it-is"),
    ] {
        let said = words(
            "zsh",
            &["-f", "-c", script, "zsh", &folder, line, completed],
        );
        assert_eq!(said, ["found"], "{line}");
    }
}

#[test]
fn fish_completes() {
    let folder = tempfile::tempdir().unwrap();
    let file = completions(folder.path(), "fish", "haflux.fish");
    let first = |line: &str| {
        let script = "source $argv[1]; complete -C $argv[2]";
        words("fish", &["--no-config", "-c", script, &file, line])
            .into_iter()
            .next()
    };
    assert_eq!(first("haflux dead-l").as_deref(), Some("dead-letters"));
    assert_eq!(first("haflux replica rea").as_deref(), Some("readmit"));
    assert_eq!(
        first("haflux replica readmit --as").as_deref(),
        Some("--as-it-is")
    );
}

#[test]
fn every_command_has_a_page_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("pages");
    succeeds(&Haflux::command(&["man", pages.to_str().unwrap()]));
    let mut names = Vec::new();
    for page in std::fs::read_dir(&pages).unwrap() {
        let page = page.unwrap().path();
        names.push(page.file_name().unwrap().to_string_lossy().into_owned());
        let page = page.display().to_string();
        let judged = run("mandoc", &["-T", "lint", "-W", "warning", &page]);
        assert_eq!(String::from_utf8_lossy(&judged.stdout), "");
        let read = run(
            "man",
            &["--warnings", "--encoding=UTF-8", "--local-file", &page],
        );
        assert_eq!(String::from_utf8_lossy(&read.stderr), "");
        assert!(succeeds(&read).contains("SYNOPSIS"), "{page}");
    }
    for name in [
        "haflux.1",
        "haflux-run.1",
        "haflux-status.1",
        "haflux-top.1",
        "haflux-replica.1",
        "haflux-replica-readmit.1",
    ] {
        assert!(names.iter().any(|one| one == name), "{names:?}");
    }
    assert!(!names.iter().any(|one| one.contains("help")), "{names:?}");
}

#[test]
fn the_page_alone_keeps_its_examples_line_by_line() {
    let page = succeeds(&Haflux::command(&["man"]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haflux.1");
    std::fs::write(&file, page).unwrap();
    let text = succeeds(&run("mandoc", &["-T", "utf8", file.to_str().unwrap()]));
    let line = "[[frontend]]";
    assert!(text.lines().any(|one| one.trim() == line), "{text}");
}
