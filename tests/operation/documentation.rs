//! Links between the pages of the documentation lead somewhere.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The text without blocks of code and without what stands between backticks.
fn prose(text: &str) -> String {
    let outside = text.split("\n```").step_by(2);
    let outside: String = outside.collect::<Vec<_>>().join("\n");
    outside.split('`').step_by(2).collect()
}

/// The anchors of a page: those that it names, and those that a forge makes of its headings.
fn anchors(text: &str) -> Vec<String> {
    let named = text.split("<a id=\"").skip(1);
    let named = named.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()));
    let headings = text.lines().filter_map(|line| {
        let title = line.trim_start_matches('#').strip_prefix(' ')?;
        let title = line.starts_with('#').then_some(title)?;
        let title = title.split("<a id").next().unwrap_or_default().trim();
        let kept = title.to_lowercase();
        let kept = kept.chars().filter_map(|one| match one {
            ' ' | '-' => Some('-'),
            '_' => Some('_'),
            one => one.is_alphanumeric().then_some(one),
        });
        Some(kept.collect())
    });
    named.chain(headings).collect()
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

#[test]
fn every_link_leads_to_a_page_and_a_place_in_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["", "docs", "docs/decisions"];
    let pages = folders.iter().flat_map(|folder| pages(&root.join(folder)));
    let texts: HashMap<PathBuf, String> = pages
        .map(|page| {
            let text = fs::read_to_string(&page).expect("a page");
            (page, text)
        })
        .collect();
    assert!(texts.len() > 15, "{}", texts.len());
    let mut broken = Vec::new();
    for (page, text) in &texts {
        let prose = prose(text);
        let links = prose.split("](").skip(1);
        let links = links.filter_map(|rest| Some(rest.split_once(')')?.0));
        for link in links.filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().expect("a folder").join(file),
            };
            let target = target.canonicalize().unwrap_or(target);
            let is_there = match texts.get(&target) {
                Some(text) => anchor.is_empty() || anchors(text).iter().any(|one| one == anchor),
                None => target.exists(),
            };
            if !is_there {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
