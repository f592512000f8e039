//! What is found on a disk.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::runtime::Runtime;

use crate::config::{Config, Format, changes};
use crate::import::{self, Source};
use crate::journal::inspection::{Item, inspect, records, verify};
use crate::journal::{DirectoryDisk, Journal, Kind, Options, ReadError, Sequence};

/// A configuration in TOML.
pub(super) fn toml(bytes: &[u8]) {
    configuration(bytes, Format::Toml);
}

/// A configuration in YAML.
pub(super) fn yaml(bytes: &[u8]) {
    configuration(bytes, Format::Yaml);
}

fn configuration(bytes: &[u8], format: Format) {
    let text = String::from_utf8_lossy(bytes);
    let variable = |name: &str| (name == "SECRET").then(|| "x\ny: \"".to_owned());
    match Config::parse(&text, format, "file", &variable) {
        Ok(loaded) => {
            let same = changes(&loaded.config, &loaded.config);
            assert!(same.is_empty(), "a configuration is as itself");
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
}

/// The configuration of HAProxy: what is written for haflux, haflux reads.
pub(super) fn haproxy(bytes: &[u8]) {
    let source = Source {
        name: "haproxy.cfg".to_owned(),
        text: String::from_utf8_lossy(bytes).into_owned(),
    };
    imported(&[source], &[]);
}

/// The configuration of influxdb-relay.
pub(super) fn influxdb_relay(bytes: &[u8]) {
    let source = Source {
        name: "relay.toml".to_owned(),
        text: String::from_utf8_lossy(bytes).into_owned(),
    };
    imported(&[], &[source]);
}

fn imported(haproxy: &[Source], relays: &[Source]) {
    let read = |_: &str| Err("no file".to_owned());
    if let Ok(imported) = import::import(haproxy, relays, &read, &|_| None) {
        let parsed = Config::parse(&imported.text, Format::Toml, "imported", &|_| None);
        // What a person has to fill in is said in a warning; everything else is sound.
        assert!(
            parsed.is_ok() || !imported.warnings.is_empty(),
            "{}\n{parsed:?}",
            imported.text
        );
    }
}

/// A sound journal: its files and what they hold.
struct Sound {
    files: Vec<(String, Vec<u8>)>,
    payloads: Vec<Bytes>,
}

fn options() -> Options {
    Options {
        segment_size: 4096,
        max_record: 512,
        max_queued: 1 << 16,
        cache_size: 0,
        ..Options::default()
    }
}

/// A folder that nobody else has.
fn folder() -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("haflux-fuzz-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let folder = folder();
        let disk = Arc::new(DirectoryDisk::new(&folder).expect("a disk"));
        let (journal, _) = Journal::open(disk, options()).expect("a journal");
        let payloads: Vec<Bytes> = (0..24_u8)
            .map(|number| Bytes::from(vec![number; 40 + 16 * usize::from(number)]))
            .collect();
        runtime().block_on(async {
            for payload in &payloads {
                while journal.append(Kind(1), vec![payload.clone()]).is_err() {
                    tokio::task::yield_now().await;
                }
                journal.flush().await.expect("durable");
            }
            journal.close().await;
        });
        let files = fs::read_dir(&folder)
            .expect("the folder")
            .map(|entry| {
                let path = entry.expect("an entry").path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let bytes = fs::read(&path).expect("a file");
                (name.into_owned(), bytes)
            })
            .collect();
        fs::remove_dir_all(&folder).expect("removed");
        Sound { files, payloads }
    })
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

/// A sound journal whose files are changed, three bytes a change: which file; where, in steps of 16; what stands there then. A file may
/// also be cut there, or removed. Nothing is read that was not written, and nothing in another order.
pub(super) fn journal(bytes: &[u8]) {
    let sound = sound();
    let mut files = sound.files.clone();
    files.sort();
    for change in bytes.chunks_exact(3).take(64) {
        let &[file, place, value] = change else {
            continue;
        };
        let at = usize::from(file) % files.len().max(1);
        let Some((_, content)) = files.get_mut(at) else {
            continue;
        };
        // The high bits of what chooses the file say how it is changed.
        let place = 16 * usize::from(place) + usize::from(file >> 4);
        match (file >> 2) & 3 {
            0 if value == 0 => content.truncate(place),
            1 if value == 0 => drop(files.remove(at)),
            _ => {
                if let Some(byte) = content.get_mut(place) {
                    *byte = value;
                }
            }
        }
    }
    let folder = folder();
    for (name, content) in &files {
        fs::write(folder.join(name), content).expect("written");
    }
    let looked = looked_at(&folder);
    let served = served(&folder);
    fs::remove_dir_all(&folder).expect("removed");
    for found in [looked, served] {
        let mut written = sound.payloads.iter();
        for payload in found {
            assert!(
                written.any(|one| *one == payload),
                "a record that was not written there"
            );
        }
    }
}

/// What a person is shown, without a change to the folder.
fn looked_at(folder: &Path) -> Vec<Bytes> {
    let mut found = Vec::new();
    let _ = inspect(folder);
    let _ = verify(folder, &mut |_| {});
    let last = Sequence::new(u64::MAX);
    let _ = records(folder, Sequence::new(0), last, &mut |item| {
        if let Item::Record(record) = item {
            found.push(record.payload);
        }
        ControlFlow::Continue(())
    });
    found
}

/// What a journal that is opened there gives its readers.
fn served(folder: &Path) -> Vec<Bytes> {
    let mut found = Vec::new();
    let Ok(disk) = DirectoryDisk::new(folder) else {
        return found;
    };
    let Ok((journal, _)) = Journal::open(Arc::new(disk), options()) else {
        return found;
    };
    runtime().block_on(async {
        let mut reader = journal.reader(Sequence::new(0));
        loop {
            match reader.read(1 << 16).await {
                Ok(read) if read.is_empty() => break,
                Ok(read) => found.extend(read.into_iter().map(|record| record.payload)),
                Err(ReadError::Gap { .. }) => {}
                Err(_) => break,
            }
        }
        journal.close().await;
    });
    found
}
