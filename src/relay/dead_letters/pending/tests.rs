use proptest::prelude::*;

use super::*;

fn line(record: u64, replica: &str, words: Option<&str>) -> Line {
    Line {
        record,
        replica: replica.to_owned(),
        said: words.map(|words| Said {
            status: 400,
            words: words.to_owned(),
        }),
    }
}

fn open(folder: &Path) -> (PendingLog, Vec<(u64, String)>) {
    let (log, found) = PendingLog::open(folder).expect("a log");
    assert_eq!(found.damaged, 0);
    (log, found.refusals.into_keys().collect())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("one").path()).collect();
    paths.sort();
    paths
}

fn rewrite(log: &mut PendingLog, lines: Vec<Line>) {
    log.rewrite([lines].into_iter()).expect("written");
}

#[test]
fn what_is_written_comes_back_and_the_last_line_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = &folder.path().join("pending");
    let (mut log, found) = open(folder);
    assert!(found.is_empty() && log.wants_rewrite(0) && log.is_empty());
    assert!(log.append(&[line(1, "a", Some("no"))]).is_err(), "no file");
    rewrite(&mut log, vec![line(1, "a", Some("no\n\"é"))]);
    log.append(&[line(2, "a", Some("x")), line(2, "b", Some("y"))])
        .expect("written");
    log.append(&[line(1, "a", None)]).expect("written");
    let (mut log, found) = open(folder);
    assert_eq!(found, [(2, "a".to_owned()), (2, "b".to_owned())]);
    rewrite(&mut log, vec![line(3, "a", Some("z"))]);
    assert_eq!(files(folder).len(), 1);
    assert_eq!(open(folder).1, [(3, "a".to_owned())]);
    log.clear();
    assert!(files(folder).is_empty() && log.is_empty());
}

#[test]
fn a_file_that_is_not_as_it_was_left_is_cut_or_written_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (mut log, _) = open(folder);
    rewrite(&mut log, vec![line(1, "a", Some("no"))]);
    let path = files(folder).remove(0);
    let mut bytes = fs::read(&path).expect("readable");
    // The beginning of an append that found no room.
    fs::write(&path, [&bytes[..], b"half a l"].concat()).expect("written");
    log.append(&[line(2, "a", Some("no"))]).expect("written");
    assert_eq!(open(folder).1.len(), 2);
    bytes.truncate(5);
    fs::write(&path, &bytes).expect("written");
    assert!(log.append(&[line(3, "a", Some("no"))]).is_err());
    assert!(log.wants_rewrite(3));
    fs::remove_file(&path).expect("removed");
    rewrite(&mut log, vec![line(1, "a", Some("no"))]);
    fs::remove_dir_all(folder).expect("removed");
    assert!(log.append(&[line(3, "a", Some("no"))]).is_err());
    assert!(log.rewrite(std::iter::empty()).is_err());
    assert!(!folder.exists(), "another disk may stand in its place");
}

#[test]
fn what_counts_no_longer_is_written_anew_when_it_is_much() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, _) = open(folder.path());
    rewrite(&mut log, Vec::new());
    let many = vec![line(1, "a", Some("no")); MIN_REWRITE + 1];
    log.append(&many).expect("written");
    assert!(log.wants_rewrite(10) && !log.wants_rewrite(MIN_REWRITE));
}

fn written(words: &[String]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for (record, words) in words.iter().enumerate() {
        line(record as u64, "a", Some(words))
            .encode(&mut bytes)
            .expect("encoded");
    }
    bytes
}

proptest! {
    #[test]
    fn a_cut_costs_only_what_is_behind_it(
        words in prop::collection::vec(".{0,30}", 1..8),
        cut: prop::sample::Index,
    ) {
        let bytes = written(&words);
        let cut = MAGIC.len() + cut.index(bytes.len() - MAGIC.len());
        let whole = memchr::memchr_iter(b'\n', &bytes[..cut]).count() - 1;
        let mut found = Found::default();
        found.read(&bytes[..cut]);
        let records: Vec<u64> = found.refusals.keys().map(|(record, _)| *record).collect();
        prop_assert_eq!(records, (0..whole as u64).collect::<Vec<_>>());
        prop_assert_eq!(found.damaged, 0);
    }

    #[test]
    fn a_flipped_bit_is_noticed_and_costs_no_other_line(
        words in prop::collection::vec(".{0,30}", 2..8),
        place: prop::sample::Index,
        bit in 0..8_u8,
    ) {
        let mut bytes = written(&words);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let mut found = Found::default();
        found.read(&bytes);
        // A flip that makes or takes a line's end touches two lines at most.
        prop_assert!(found.refusals.len() + 2 >= words.len());
        let is_in_the_last_end = place + 1 == bytes.len();
        prop_assert!(found.damaged > 0 || is_in_the_last_end);
        for ((record, _), said) in &found.refusals {
            prop_assert_eq!(&said.words, &words[*record as usize]);
        }
    }
}
