//! What is said about wrong and odd files, word for word, in both formats: `cases.txt`.

use super::{toml, yaml};

const CASES: &str = include_str!("cases.txt");

/// Repeats a file of cases with what is really said.
fn rendered(cases: &str) -> String {
    let mut rendered = String::new();
    let mut text: Option<(&str, String)> = None;
    let mut answering = false;
    for line in cases.split_inclusive('\n') {
        if line.starts_with("--- says") {
            rendered.push_str(line);
            let (format, text) = text.take().expect("a text before what is said about it");
            rendered.push_str(&said(format, &text));
            answering = true;
        } else if let Some(format) = line.strip_prefix("--- ") {
            rendered.push_str(line);
            text = Some((format.trim_end(), String::new()));
            answering = false;
        } else if let Some((_, text)) = &mut text {
            rendered.push_str(line);
            text.push_str(line);
        } else if line.starts_with("=== ") || line == "\n" || !answering {
            rendered.push_str(line);
            answering = answering && line == "\n";
        }
    }
    rendered
}

fn said(format: &str, text: &str) -> String {
    let outcome = match format {
        "toml" => toml(text),
        _ => yaml(text),
    };
    match outcome {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}\n"))
            .collect(),
        Err(errors) => format!("{errors}\n"),
    }
}

#[test]
fn everything_wrong_is_said_as_written_down() {
    let rendered = rendered(CASES);
    for (expected, found) in CASES.lines().zip(rendered.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(rendered.lines().count(), CASES.lines().count());
}
