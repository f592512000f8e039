//! `[[relay]]`.

use std::path::PathBuf;
use std::time::Duration;

use super::sizes::{LARGEST_BODY, LARGEST_INFLIGHT, SMALLEST, at_least, or_default, size};
use super::{Spelled, healing, name};
use crate::config::error::{Notice, Origin, Problem};
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{
    Ack, BackendId, Healing, Judging, Near, OnUnavailable, Relay, SyncPolicy,
};
use crate::config::suggest::nearest;
use crate::config::tree::quote;
use crate::config::units::format_duration;

const KEYS: Keys = Keys::of(&[
    "name",
    "replicate_to",
    "ack",
    "on_unavailable",
    "timeout",
    "statement_timeout",
    "sync",
    "max_body",
    "max_unpacked_body",
    "max_batch",
    "max_inflight",
    "max_inflight_share",
    "body_wait",
    "max_tags",
    "max_statement_answer_buffer",
    "max_refusal_texts",
    "hold_for",
    "max_pending_refusals",
    "max_dead_letters",
    "max_dead_letter_bytes",
    "judging",
    "max_statements",
    "max_statements_per_source",
    "max_attempts",
    "retry",
    "near",
    "rewind",
    "trust_for",
    "max_backlog",
    "max_backlog_age",
    "heal",
    "compare",
    "rerun_continuous_queries",
]);

const NEAR: Keys = Keys::of(&["bytes", "time"]);
const RETRY: Keys = Keys::of(&["min", "max"]);

const JUDGING: Keys = Keys::of(&["at_once", "max_waiting", "refused_for", "max_known"]);

/// The most requests that may wait to be judged, or statements that may be under way: each holds a client's connection.
const MOST_WAITING: i128 = 100_000;

pub(in crate::config) const ACKS: [(&str, Ack); 4] = [
    ("any", Ack::Any),
    ("quorum", Ack::Quorum),
    ("all", Ack::All),
    ("journal", Ack::Journal),
];

pub(in crate::config) const ON_UNAVAILABLE: [(&str, OnUnavailable); 2] = [
    ("accept", OnUnavailable::Accept),
    ("reject", OnUnavailable::Reject),
];

/// InfluxDB's own limit of a write, unless it was changed there.
const INFLUXDB_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The least and the most that may be kept for a replica that is behind.
const SMALLEST_BACKLOG: usize = 1 << 20;
const LARGEST_BACKLOG: usize = 1 << 50;

/// The least and the most of answers that may wait for clients.
const SMALLEST_ANSWERS: usize = 64 << 10;
const LARGEST_ANSWERS: usize = 1 << 30;

/// The most dead letters that may be kept: each is a file, and an entry in memory.
const MOST_DEAD_LETTERS: i128 = 1_000_000;

/// The least and the most refused records that may be remembered: each takes some 150 bytes of memory.
const LEAST_PENDING: i128 = 1000;
const MOST_PENDING: i128 = 100_000_000;

/// The most credentials that may be remembered: each takes some 60 bytes.
const MOST_KNOWN: i128 = 1 << 20;

/// The most attempts at one record.
const MOST_ATTEMPTS: i128 = 1_000;

/// The most bytes that dead letters may take.
const LARGEST_DEAD_LETTERS: usize = 1 << 40;

/// The most that `max_tags` can be: more have no room in the longest series key that InfluxDB takes.
const MOST_TAGS: i128 = 16_384;

/// A relay whose pool is still a name.
pub(super) struct RelayDraft<'a> {
    pub(super) name: Option<Spelled<'a>>,
    /// Everything but `pool`.
    pub(super) relay: Relay,
    pub(super) pool: Option<Spelled<'a>>,
    /// The whole relay.
    pub(super) field: Field<'a>,
    /// `heal.password_file`, and where it is named.
    pub(super) password_file: Option<(PathBuf, Origin)>,
}

pub(super) fn decode<'a>(field: &Field<'a>) -> RelayDraft<'a> {
    let mut draft = RelayDraft {
        name: None,
        relay: default(),
        pool: None,
        field: field.clone(),
        password_file: None,
    };
    let Some(table) = field.table(KEYS, "a table") else {
        return draft;
    };
    draft.name = name(&table);
    draft.pool = table
        .require("replicate_to", "the name of a backend")
        .and_then(|field| {
            let text = field.text("the name of a backend")?;
            Some(Spelled { text, field })
        });
    let relay = &mut draft.relay;
    if let Some(name) = &draft.name {
        relay.name.clone_from(&name.text.value);
    }
    relay.ack = table.choice("ack", &ACKS, relay.ack);
    relay.on_unavailable = table.choice("on_unavailable", &ON_UNAVAILABLE, relay.on_unavailable);
    if let Some(field) = table.get("timeout")
        && let Some(timeout) = field.duration()
    {
        relay.timeout = timeout;
        if timeout <= INFLUXDB_WRITE_TIMEOUT {
            field.warn(Notice::ShortRelayTimeout {
                found: field.describe(),
            });
        }
    }
    if let Some(sync) = table.get("sync").and_then(|field| sync(&field)) {
        relay.sync = sync;
    }
    relay.statement_timeout = table.duration("statement_timeout", relay.statement_timeout);
    relay.rewind = table.duration("rewind", relay.rewind);
    relay.trust_for = table.duration("trust_for", relay.trust_for);
    if let Some(bytes) = table
        .get("max_backlog")
        .and_then(|field| field.size(SMALLEST_BACKLOG..=LARGEST_BACKLOG))
    {
        relay.max_backlog = bytes;
    }
    for (key, value) in [
        (
            "max_statement_answer_buffer",
            &mut relay.max_statement_answer_buffer,
        ),
        ("max_refusal_texts", &mut relay.max_refusal_texts),
    ] {
        if let Some(bytes) = table
            .get(key)
            .and_then(|field| field.size(SMALLEST_ANSWERS..=LARGEST_ANSWERS))
        {
            *value = bytes;
        }
    }
    relay.max_backlog_age = table.duration("max_backlog_age", relay.max_backlog_age);
    sizes(&table, relay);
    dead_letters(&table, relay);
    near(&table, relay);
    judging(&table, relay);
    relay.max_statements = table.whole("max_statements", 1..=MOST_WAITING, relay.max_statements);
    let share = relay.max_statements.div_ceil(4);
    relay.max_statements_per_source =
        table.whole("max_statements_per_source", 1..=MOST_WAITING, share);
    relay.max_attempts = table.whole("max_attempts", 1..=MOST_ATTEMPTS, relay.max_attempts);
    retry(&table, relay);
    draft.password_file = healing::decode(&table, relay);
    draft
}

fn default() -> Relay {
    Relay {
        name: String::new(),
        pool: BackendId(0),
        ack: Ack::Any,
        on_unavailable: OnUnavailable::Accept,
        timeout: Duration::from_secs(15),
        sync: SyncPolicy::Always,
        max_body: 25_000_000,
        max_unpacked_body: 32 << 20,
        max_batch: 1 << 20,
        max_inflight: 32 << 20,
        max_inflight_share: 16 << 20,
        body_wait: Duration::from_secs(5),
        max_tags: 1000,
        max_backlog: 10 << 30,
        max_backlog_age: Duration::from_secs(72 * 60 * 60),
        near: Near {
            bytes: 32 << 20,
            time: Duration::from_secs(5),
        },
        rewind: Duration::from_secs(30),
        trust_for: Duration::from_secs(60 * 60),
        statement_timeout: Duration::from_secs(10 * 60),
        judging: Judging {
            at_once: 4,
            max_waiting: 256,
            refused_for: Duration::from_secs(1),
            max_known: 4096,
        },
        max_statements: 64,
        max_statements_per_source: 16,
        max_attempts: 3,
        max_statement_answer_buffer: 1 << 20,
        max_refusal_texts: 4 << 20,
        hold_for: Duration::from_secs(5 * 60),
        max_pending_refusals: 500_000,
        max_dead_letters: 10_000,
        max_dead_letter_bytes: 256 << 20,
        retry_min: Duration::from_millis(100),
        retry_max: Duration::from_secs(10),
        heal: Healing::default(),
        compare: None,
        rerun_continuous_queries: None,
    }
}

fn sync(field: &Field<'_>) -> Option<SyncPolicy> {
    match field.as_text().map(|text| text.value.as_str()) {
        Some("always") => Some(SyncPolicy::Always),
        Some("never") => Some(SyncPolicy::Never),
        Some(text) if text.starts_with(|first: char| first.is_ascii_digit()) => {
            field.duration().map(SyncPolicy::Interval)
        }
        _ => {
            const EXPECTED: &str = "\"always\", \"never\" or an interval such as \"1s\"";
            let suggestion = field
                .as_text()
                .and_then(|text| nearest(&text.raw, ["always", "never"]));
            field.expected_or(EXPECTED, suggestion.map(str::to_owned));
            None
        }
    }
}

/// The limits on bodies. One that is not given follows those that are; one that is given must not contradict them.
fn sizes(table: &Table<'_>, relay: &mut Relay) {
    let given = size(table, "max_body", LARGEST_BODY);
    let (max_body, max_body_shown) = or_default(&given, relay.max_body);
    let given = size(table, "max_unpacked_body", LARGEST_BODY);
    at_least(&given, "max_body", max_body, &max_body_shown);
    let (max_unpacked, max_unpacked_shown) =
        or_default(&given, relay.max_unpacked_body.max(max_body));
    let given = size(table, "max_inflight", LARGEST_INFLIGHT);
    at_least(
        &given,
        "max_unpacked_body",
        max_unpacked,
        &max_unpacked_shown,
    );
    let (max_inflight, _) = or_default(&given, relay.max_inflight.max(max_unpacked));
    let given = size(table, "max_batch", LARGEST_BODY);
    if let Some((field, bytes)) = &given
        && *bytes > max_body
    {
        field.report(Problem::Above {
            bound: "max_body",
            limit: max_body_shown,
            found: field.describe(),
        });
    }
    let (max_batch, _) = or_default(&given, relay.max_batch.min(max_body));
    relay.max_body = max_body;
    relay.max_unpacked_body = max_unpacked;
    relay.max_inflight = max_inflight;
    let given = size(table, "max_inflight_share", LARGEST_INFLIGHT);
    (relay.max_inflight_share, _) = or_default(&given, max_inflight / 2);
    relay.body_wait = table.duration("body_wait", relay.body_wait);
    relay.max_tags = table.whole("max_tags", 1..=MOST_TAGS, relay.max_tags);
    relay.max_batch = max_batch;
}

fn dead_letters(table: &Table<'_>, relay: &mut Relay) {
    relay.hold_for = table.duration("hold_for", relay.hold_for);
    relay.max_pending_refusals = table.whole(
        "max_pending_refusals",
        LEAST_PENDING..=MOST_PENDING,
        relay.max_pending_refusals,
    );
    relay.max_dead_letters = table.whole(
        "max_dead_letters",
        1..=MOST_DEAD_LETTERS,
        relay.max_dead_letters,
    );
    if let Some(bytes) = table
        .get("max_dead_letter_bytes")
        .and_then(|field| field.size(SMALLEST..=LARGEST_DEAD_LETTERS))
    {
        relay.max_dead_letter_bytes = bytes;
    }
}

fn near(table: &Table<'_>, relay: &mut Relay) {
    relay.near.bytes = relay.max_inflight as u64;
    let Some(near) = table
        .get("near")
        .and_then(|field| field.table(NEAR, "a table with \"bytes\" and \"time\""))
    else {
        return;
    };
    if let Some(bytes) = near
        .get("bytes")
        .and_then(|field| field.size(SMALLEST_BACKLOG..=LARGEST_BACKLOG))
    {
        relay.near.bytes = bytes as u64;
    }
    relay.near.time = near.duration("time", relay.near.time);
}

fn judging(table: &Table<'_>, relay: &mut Relay) {
    let Some(judging) = table.get("judging").and_then(|field| {
        field.table(
            JUDGING,
            "a table with \"at_once\", \"max_waiting\", \"refused_for\" and \"max_known\"",
        )
    }) else {
        return;
    };
    let Judging {
        at_once,
        max_waiting,
        refused_for,
        max_known,
    } = relay.judging;
    relay.judging = Judging {
        at_once: judging.whole("at_once", 1..=MOST_WAITING, at_once),
        max_waiting: judging.whole("max_waiting", 1..=MOST_WAITING, max_waiting),
        refused_for: judging.duration("refused_for", refused_for),
        max_known: judging.whole("max_known", 1..=MOST_KNOWN, max_known),
    };
}

fn retry(table: &Table<'_>, relay: &mut Relay) {
    let Some(retry) = table
        .get("retry")
        .and_then(|field| field.table(RETRY, "a table with \"min\" and \"max\""))
    else {
        return;
    };
    relay.retry_min = retry.duration("min", relay.retry_min);
    relay.retry_max = retry.duration("max", relay.retry_max);
    if relay.retry_min <= relay.retry_max {
        return;
    }
    let shown = |key, default| match retry.get(key) {
        Some(field) => field.describe(),
        None => quote(&format_duration(default)),
    };
    match (retry.get("max"), retry.get("min")) {
        (Some(field), _) => field.report(Problem::Below {
            bound: "retry.min",
            limit: shown("min", relay.retry_min),
            found: field.describe(),
        }),
        (None, Some(field)) => field.report(Problem::Above {
            bound: "retry.max",
            limit: shown("max", relay.retry_max),
            found: field.describe(),
        }),
        (None, None) => {}
    }
}
