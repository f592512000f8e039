use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

const LASTS: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn user(name: &str) -> Credentials {
    Credentials::Authorization(name.as_bytes().to_vec())
}

/// Entries of a table.
const MOST: usize = 4096;

impl TrustTable {
    fn writer(&self, credentials: &Credentials, database: &str) -> Tag {
        self.tag(credentials, Scope::Write(database))
    }

    fn holds(&self, credentials: &Credentials, database: &str, now: Instant) -> bool {
        self.trust(self.writer(credentials, database), now) != Trust::Unknown
    }

    fn accept(&self, credentials: &Credentials, database: &str, now: Instant) -> bool {
        self.accepted(self.writer(credentials, database), self.withdrawals(), now)
    }
}

fn open(folder: &Path, now: Instant, wall: SystemTime) -> TrustTable {
    let file = TrustFile::new(folder, MOST);
    let saved = file.read().unwrap_or(None);
    TrustTable::restore(file, saved, LASTS, MOST, now, wall).expect("a key")
}

/// A folder in which `a` was accepted for `db` at this moment, which was saved ten seconds later.
fn saved(now: Instant, wall: SystemTime) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let trust = open(folder.path(), now, wall);
    trust.accept(&user("a"), "db", now);
    let later = 10 * SECOND;
    trust.save(now + later, wall + later).expect("written");
    folder
}

#[test]
fn only_who_wrote_to_the_database_lately_is_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = Instant::now();
    let trust = open(folder.path(), start, SystemTime::now());
    assert!(!trust.holds(&Credentials::None, "db", start));
    trust.accept(&Credentials::None, "db", start);
    trust.accept(&user("a"), "db", start);
    assert!(trust.holds(&Credentials::None, "db", start));
    assert!(trust.holds(&user("a"), "db", start));
    assert!(!trust.holds(&user("b"), "db", start));
    assert!(!trust.holds(&user("a"), "other", start));
    assert!(!trust.holds(&user("a"), "db", start + LASTS));
    let later = |after| trust.trust(trust.writer(&user("a"), "db"), start + after);
    assert_eq!(later(3 * SECOND), Trust::Known);
    assert_eq!(later(4 * SECOND), Trust::Due);
    trust.refused(trust.writer(&user("a"), "db"));
    assert_eq!(later(3 * SECOND), Trust::Unknown);
}

#[test]
fn what_runs_together_is_not_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let trust = open(folder.path(), Instant::now(), SystemTime::now());
    let parameters = |user: &str, password: &str| Credentials::Parameters {
        user: user.into(),
        password: password.into(),
    };
    let tags = [
        trust.writer(&Credentials::None, "adb"),
        trust.writer(&user("a"), "db"),
        trust.writer(&user("ad"), "b"),
        trust.writer(&parameters("a", "d"), "b"),
        trust.writer(&parameters("ad", ""), "b"),
        trust.writer(&parameters("", "ad"), "b"),
    ];
    for (number, tag) in tags.iter().enumerate() {
        assert!(!tags[..number].contains(tag), "{number}");
    }
}

#[test]
fn a_crowd_pushes_out_itself_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let (start, wall) = (Instant::now(), SystemTime::now());
    let trust = open(folder.path(), start, wall);
    for _ in 0..2 {
        assert!(trust.accept(&user("regular"), "db", start));
    }
    let mut now = start;
    for number in 0..3 * MOST {
        now += Duration::from_millis(1);
        assert!(trust.accept(&user(&number.to_string()), "db", now));
    }
    assert!(trust.holds(&user("regular"), "db", now));
    let last = user(&(3 * MOST - 1).to_string());
    assert!(trust.holds(&last, "db", now), "there is room for newcomers");
    let known = trust.known().entries.len();
    assert!(known <= MOST);
    trust.save(now, wall).expect("written");
    let again = open(folder.path(), now, wall);
    assert_eq!(again.known().entries.len(), known);
    for number in 0..MOST {
        again.accept(&user(&number.to_string()), "other", now);
    }
    assert!(
        again.holds(&user("regular"), "db", now),
        "a restart knows who came again"
    );
}

#[test]
fn where_everybody_came_again_a_newcomer_is_not_remembered() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = Instant::now();
    let trust = open(folder.path(), start, SystemTime::now());
    for number in (0..MOST).chain(0..MOST) {
        assert!(trust.accept(&user(&number.to_string()), "db", start));
    }
    assert!(!trust.accept(&user("newcomer"), "db", start));
    assert!(trust.holds(&user("0"), "db", start));
    assert!(
        trust.accept(&user("newcomer"), "db", start + LASTS),
        "the others have expired"
    );
}

#[test]
fn a_restart_neither_forgets_nor_begins_anew() {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let folder = saved(now, wall);
    let down = 20 * SECOND;
    let trust = open(folder.path(), now, wall + 10 * SECOND + down);
    assert!(trust.holds(&user("a"), "db", now));
    assert!(!trust.holds(&user("b"), "db", now));
    assert!(!trust.holds(&user("a"), "other", now));
    // Thirty seconds of its minute are over.
    assert!(trust.holds(&user("a"), "db", now + 29 * SECOND));
    assert!(!trust.holds(&user("a"), "db", now + 30 * SECOND));
    let trust = open(folder.path(), now, wall + LASTS);
    assert!(!trust.holds(&user("a"), "db", now), "its time is over");
}

#[test]
fn a_clock_that_is_put_back_does_not_give_back_time_that_was_lived() {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let folder = saved(now, wall);
    let trust = open(folder.path(), now, wall + 9 * SECOND);
    assert!(
        !trust.holds(&user("a"), "db", now),
        "a file from the future"
    );
    // Each life lasts ten seconds, and each time the clock is put back to where the file was saved.
    let moment = wall + 10 * SECOND;
    for life in 1..6 {
        let trust = open(folder.path(), now, moment);
        assert!(trust.holds(&user("a"), "db", now), "life {life}");
        let end = now + 10 * SECOND;
        trust.save_at_the_end(end, moment).expect("written");
    }
    let trust = open(folder.path(), now, moment);
    assert!(!trust.holds(&user("a"), "db", now));
}

#[test]
fn a_damaged_file_trusts_nobody_and_is_replaced() {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let folder = saved(now, wall);
    let path = folder.path().join("trust");
    let sound = fs::read(&path).expect("the file");
    let wall = wall + 10 * SECOND;
    assert!(open(folder.path(), now, wall).holds(&user("a"), "db", now));
    let mut damaged: Vec<Vec<u8>> = (0..sound.len())
        .map(|at| {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            bytes
        })
        .collect();
    damaged.extend((0..sound.len()).map(|length| sound[..length].to_vec()));
    damaged.push([&sound[..], b"x"].concat());
    damaged.push(vec![0; 1 << 20]);
    for bytes in damaged {
        fs::write(&path, &bytes).expect("written");
        assert!(TrustFile::new(folder.path(), MOST).read().is_err());
        let trust = open(folder.path(), now, wall);
        assert!(trust.known().entries.is_empty());
    }
    let trust = open(folder.path(), now, wall);
    trust.accept(&user("b"), "db", now);
    trust.save(now, wall).expect("written");
    assert!(open(folder.path(), now, wall).holds(&user("b"), "db", now));
}

#[test]
fn the_file_is_for_its_owner_only_and_holds_no_credentials() {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let folder = tempfile::tempdir().expect("a folder");
    let trust = open(folder.path(), now, wall);
    trust.accept(&user("a secret"), "a database", now);
    trust.save(now, wall).expect("written");
    let path = folder.path().join("trust");
    let mode = fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = fs::read(&path).expect("the file");
    for text in [&b"secret"[..], b"database"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text));
    }
}

#[test]
fn the_same_writers_again_are_not_written_each_time() {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let folder = saved(now, wall);
    let path = folder.path().join("trust");
    let trust = open(folder.path(), now, wall + 10 * SECOND);
    fs::remove_file(&path).expect("removed");
    trust.save(now, wall).expect("nothing to write");
    trust.accept(&user("a"), "db", now);
    trust.save(now + SECOND, wall).expect("nothing to write");
    assert!(!path.exists());
    trust.save(now + 4 * SECOND, wall).expect("written");
    assert!(path.exists(), "it was accepted again a while ago");
    fs::remove_file(&path).expect("removed");
    trust.accept(&user("b"), "db", now + 4 * SECOND);
    trust.save(now + 4 * SECOND, wall).expect("written");
    assert!(path.exists(), "somebody is new");
}

fn of(database: &str) -> Withdrawal {
    Withdrawal::Databases([database.to_owned()].into())
}

#[test]
fn what_a_statement_withdraws_is_unknown_until_a_node_that_was_asked_later_accepts_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = Instant::now();
    let trust = open(folder.path(), now, SystemTime::now());
    for database in ["db", "other"] {
        trust.accept(&user("a"), database, now);
    }
    trust.withdraw(&Withdrawal::Nothing);
    assert!(trust.holds(&user("a"), "db", now));
    let asked = trust.withdrawals();
    trust.withdraw(&of("db"));
    assert!(!trust.holds(&user("a"), "db", now));
    assert!(trust.holds(&user("a"), "other", now));
    trust.accepted(trust.writer(&user("a"), "db"), asked, now);
    assert!(!trust.holds(&user("a"), "db", now), "it answers for before");
    trust.accept(&user("a"), "db", now);
    assert!(trust.holds(&user("a"), "db", now));
    trust.withdraw(&Withdrawal::All);
    for database in ["db", "other"] {
        assert!(!trust.holds(&user("a"), database, now));
    }
}

#[test]
fn a_crash_does_not_bring_back_what_was_withdrawn() {
    for can_write in [true, false] {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let folder = saved(now, wall);
        let wall = wall + 10 * SECOND;
        let trust = open(folder.path(), now, wall);
        assert!(trust.holds(&user("a"), "db", now));
        trust.accept(&user("a"), "other", now);
        let new = folder.path().join("trust.new");
        if !can_write {
            fs::create_dir(&new).expect("in the way");
        }
        trust.withdraw(&of("db"));
        trust.save_withdrawal(now, wall).expect("no old file");
        let again = open(folder.path(), now, wall);
        assert!(!again.holds(&user("a"), "db", now));
        assert_eq!(again.holds(&user("a"), "other", now), can_write);
    }
}

#[test]
fn what_an_earlier_version_saved_is_withdrawn_with_any_database() {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let folder = saved(now, wall);
    let file = TrustFile::new(folder.path(), MOST);
    let mut saved = file.read().expect("read").expect("saved");
    saved
        .entries
        .iter_mut()
        .for_each(|entry| entry.database = None);
    file.write(&saved).expect("written");
    let trust = open(folder.path(), now, wall + 10 * SECOND);
    assert!(trust.holds(&user("a"), "db", now));
    trust.withdraw(&of("other"));
    assert!(!trust.holds(&user("a"), "db", now));
}
