//! No text makes the configuration's parser panic, run away, or repeat what the environment holds.

use proptest::prelude::*;

use super::{toml, yaml};
use crate::config::units::{format_duration, format_size, parse_duration, parse_size};
use crate::config::{Errors, Loaded};

const TOML: &str = include_str!("../../../conf/haflux.toml");
const YAML: &str = include_str!("../../../conf/haflux.yaml");
const CASES: &str = include_str!("cases.txt");

/// What holds for every answer.
fn examine(outcome: Result<Loaded, Errors>) -> Result<(), TestCaseError> {
    let said: Vec<String> = match outcome {
        Ok(loaded) => loaded.warnings.iter().map(ToString::to_string).collect(),
        Err(errors) => {
            prop_assert!(errors.iter().is_sorted_by_key(|error| error.position));
            errors.to_string().lines().map(str::to_owned).collect()
        }
    };
    for line in said {
        prop_assert!(!line.contains("s3cret"), "a secret: {line}");
        prop_assert!(
            !line.contains(|character: char| character.is_control()),
            "{line:?}"
        );
        prop_assert!(line.len() < 4000, "{} bytes", line.len());
    }
    Ok(())
}

/// Pieces from which changed files are made.
fn piece() -> impl Strategy<Value = String> {
    let pieces: Vec<&str> = vec![
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "=",
        ":",
        ",",
        "\n",
        "- ",
        "  ",
        "#",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "---\n",
        "? ",
        "|\n",
        ">-\n",
        "<<",
        "${SECRET}",
        "${",
        "$$",
        "${UNSET}",
        "0",
        "-1",
        "99999999999999999999999999999999999999999",
        "1e9",
        "true",
        "null",
        "~",
        "1979-05-27",
        "\u{feff}",
        "\u{1b}",
        "é",
        "\t",
        "\r",
        "[[backend]]\n",
        "[frontend]\n",
        "name",
        "unless",
        "%YAML 1.2\n",
    ];
    prop_oneof![
        6 => prop::sample::select(pieces).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "\\PC{0,20}",
    ]
}

/// The text with some pieces put in or put over what was there.
fn changed(text: &'static str) -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0_usize..40, piece());
    prop::collection::vec(change, 1..6).prop_map(move |changes| {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, cut, piece) in changes {
            let at = at.index(characters.len() + 1);
            let end = (at + cut).min(characters.len());
            characters.splice(at..end, piece.chars());
        }
        characters.into_iter().collect()
    })
}

/// The texts of `cases.txt`, which reach deeper than a right file does.
fn wrong_texts(format: &str) -> Vec<&'static str> {
    let marker = format!("--- {format}\n");
    CASES
        .split(marker.as_str())
        .skip(1)
        .filter_map(|rest| rest.split("--- says\n").next())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC*|(?s).{0,200}") {
        examine(toml(&text))?;
        examine(yaml(&text))?;
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        examine(toml(&text))?;
        examine(yaml(&text))?;
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        examine(toml(&text))?;
        examine(yaml(&text))?;
    }

    #[test]
    fn changed_toml(text in changed(TOML)) {
        examine(toml(&text))?;
    }

    #[test]
    fn changed_yaml(text in changed(YAML)) {
        examine(yaml(&text))?;
    }

    #[test]
    fn changed_wrong_toml(text in prop::sample::select(wrong_texts("toml")).prop_flat_map(changed)) {
        examine(toml(&text))?;
    }

    #[test]
    fn changed_wrong_yaml(text in prop::sample::select(wrong_texts("yaml")).prop_flat_map(changed)) {
        examine(yaml(&text))?;
    }

    #[test]
    fn durations_and_sizes_read_back(number in 1_u64..1 << 50) {
        let duration = std::time::Duration::from_millis(number);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        prop_assert_eq!(parse_size(&format_size(number)), Ok(number));
    }

    #[test]
    fn units_never_panic(text in "[0-9]{0,25}\\PC{0,4}") {
        let _ = (parse_duration(&text), parse_size(&text));
    }
}
