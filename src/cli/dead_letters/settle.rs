//! `haflux dead-letters replay` and `drop`.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::list::row;
use super::{Wanted, folder};
use crate::cli::USAGE;
use crate::cli::output::{self, tell};
use crate::cli::place::Chosen;
use crate::cli::text;
use crate::config::PasswordFileError;
use crate::config::model::ServerAddress;
use crate::dial::{Dialer, OwnAccounts};
use crate::relay::dead_letters::{Claim, ClaimError, FoundLetter, LetterError, LetterId};
use crate::relay::record::reason::without_secrets;
use crate::relay::replay::{ReplayError, Replayed, replay as send};
use crate::tls::{Connector, TlsError};

/// For the question for an address.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

const TITLES: [&str; 5] = ["ID", "TIME", "DATABASE", "LINES", "REASON"];

const REPLAY_WARNING: &str = "\
WARNING: these records are older than everything that was written after them. Where newer writes went to the same points
(same series, same time), replaying puts the OLDER value back over the newer one on that replica, and the replicas differ
there from then on. Replay only what nothing has written over since, or write the newest values again afterwards.";

const DROP_WARNING: &str = "\
WARNING: dropped letters are gone. Their replicas stay without these records, and serve queries for the database again.";

/// Why a letter is not settled.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("{0}; it can only be dropped")]
    Letter(#[from] LetterError),
    #[error("it is damaged and was set aside; it can only be dropped")]
    Damaged,
    #[error("the pool has no server {0} any more: where would it be sent?")]
    NoReplica(String),
    #[error("{host} cannot be resolved: {reason}")]
    Resolve { host: String, reason: String },
    #[error("no TLS can be spoken to the server: {0}")]
    Tls(#[from] TlsError),
    #[error("who haflux is on the server is not known: {0}")]
    Account(#[from] PasswordFileError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("refused again with status {status}: {reason}; the letter stays")]
    Refused { status: u16, reason: String },
    #[error("settled, but its file cannot be removed: {0}")]
    Remove(io::Error),
}

pub(super) fn replay(chosen: &Chosen, wanted: &Wanted) -> Result<(), ExitCode> {
    let (letters, missing) = announce(chosen, wanted, "sent", REPLAY_WARNING)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        tell!("cannot start: {error}");
        ExitCode::FAILURE
    })?;
    each(&letters, &missing, |letter| {
        runtime.block_on(replay_one(chosen, letter))
    })
}

pub(super) fn drop_letters(chosen: &Chosen, wanted: &Wanted) -> Result<(), ExitCode> {
    let (letters, missing) = announce(chosen, wanted, "removed", DROP_WARNING)?;
    each(&letters, &missing, |letter| {
        claim(chosen, letter)?.settle().map_err(Failure::Remove)?;
        Ok("dropped".to_owned())
    })
}

/// Says what is about to be done; goes on only with `--yes`.
fn announce(
    chosen: &Chosen,
    wanted: &Wanted,
    done: &str,
    warning: &str,
) -> Result<(Vec<FoundLetter>, Vec<LetterId>), ExitCode> {
    let (letters, missing) = wanted.find(chosen)?;
    if letters.is_empty() {
        return Ok((letters, missing));
    }
    let folder = folder(chosen);
    let rows: Vec<[String; 5]> = letters
        .iter()
        .map(|letter| {
            let [id, _, time, database, lines, _, reason] = row(&folder, letter);
            [id, time, database, lines, reason]
        })
        .collect();
    let mut err = io::stderr().lock();
    // Nobody listens: then nobody can be told more.
    let _ = text::table(&mut err, &TITLES, &rows);
    let _ = io::Write::write_fmt(&mut err, format_args!("\n{warning}\n\n"));
    if wanted.yes {
        return Ok((letters, missing));
    }
    let _ = io::Write::write_fmt(
        &mut err,
        format_args!("Nothing was {done}. Say it again with --yes to go on.\n"),
    );
    Err(ExitCode::from(USAGE))
}

/// Works on each letter, the oldest first, and says what came of it.
fn each(
    letters: &[FoundLetter],
    missing: &[LetterId],
    mut work: impl FnMut(&FoundLetter) -> Result<String, Failure>,
) -> Result<(), ExitCode> {
    let mut failed = !missing.is_empty();
    for id in missing {
        tell!("{id}: there is no such letter");
    }
    for letter in letters {
        match work(letter) {
            Ok(done) => {
                failed |= output::write(|out| writeln!(out, "{}: {done}", letter.id)).is_err();
            }
            Err(failure) => {
                failed = true;
                tell!("{}: {}", letter.id, text::one_line(&failure.to_string()));
            }
        }
    }
    if failed {
        Err(ExitCode::FAILURE)
    } else {
        Ok(())
    }
}

fn claim(chosen: &Chosen, letter: &FoundLetter) -> Result<Claim, Failure> {
    Ok(folder(chosen).claim(&letter.id, letter.damaged)?)
}

async fn replay_one(chosen: &Chosen, letter: &FoundLetter) -> Result<String, Failure> {
    if letter.damaged {
        return Err(Failure::Damaged);
    }
    let claim = claim(chosen, letter)?;
    let record = claim.read()?.record;
    let replica = &letter.id.replica;
    let server = chosen
        .replica(replica)
        .ok_or_else(|| Failure::NoReplica(replica.clone()))?;
    let timeout = chosen.relay().timeout;
    let connector = server.tls.as_ref().map(Connector::build).transpose()?;
    let dialer = Arc::new(Dialer::default());
    dialer.speak(connector.map(Arc::new));
    let accounts = OwnAccounts::new(chosen.own_accounts(server)?);
    dialer.know(Arc::new(accounts));
    let mut addresses = resolve(&server.address).await?.into_iter();
    let first = addresses.next().ok_or_else(|| Failure::Resolve {
        host: server.address.to_string(),
        reason: "it has no address".to_owned(),
    })?;
    let mut replayed = send(&record, first, &dialer, timeout).await;
    for address in addresses {
        if !matches!(replayed, Err(ReplayError::Unreachable { .. })) {
            break;
        }
        replayed = send(&record, address, &dialer, timeout).await;
    }
    let done = match replayed? {
        Replayed::Applied => "applied, the letter is removed".to_owned(),
        Replayed::Expired { dropped } => format!(
            "applied but for {}, which were older than the retention policy keeps; the letter is removed",
            dropped.map_or("some points".to_owned(), |count| format!("{count} points"))
        ),
        Replayed::Refused { status, reason } => {
            let reason = without_secrets(&reason, &record);
            return Err(Failure::Refused { status, reason });
        }
    };
    claim.settle().map_err(Failure::Remove)?;
    Ok(done)
}

async fn resolve(address: &ServerAddress) -> Result<Vec<SocketAddr>, Failure> {
    let (host, port) = match address {
        ServerAddress::Ip(address) => return Ok(vec![*address]),
        ServerAddress::Dns { host, port } => (host, *port),
    };
    let failed = |reason: String| Failure::Resolve {
        host: host.clone(),
        reason,
    };
    let lookup = tokio::net::lookup_host((host.as_str(), port));
    match tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("no answer in time".to_owned())),
    }
}
