//! HAProxy's `show info` with types: where each value stands in HAProxy's list, and what it says of the value.

use std::fmt::Write as _;

use serde::Serialize;

use crate::stats::csv::Format;
use crate::stats::csv::typed::{Field, Meaning, Nature, Origin, Scope, Tags, Type, Typed, Value};

/// Where a value stands in HAProxy's list, and what it means.
struct Known {
    name: &'static str,
    place: usize,
    meaning: Meaning,
}

macro_rules! known {
    ($($name:literal $place:literal: $written:ident $origin:ident $nature:ident $scope:ident),* $(,)?) => {
        &[$(Known {
            name: $name,
            place: $place,
            meaning: Meaning {
                written: Type::$written,
                origin: Origin::$origin,
                nature: Nature::$nature,
                scope: Scope::$scope,
            },
        }),*]
    };
}

/// Those of HAProxy's values that haflux has, in the order of HAProxy's list.
const KNOWN: &[Known] = known![
    "Name" 0: Str Product Output Service,
    "Version" 1: Str Product Output Service,
    "Nbthread" 3: U32 Config Gauge Service,
    "Nbproc" 4: U32 Config Gauge Service,
    "Process_num" 5: U32 Key Gauge Process,
    "Pid" 6: U32 Status Gauge Process,
    "Uptime" 7: Str Metric Duration Process,
    "Uptime_sec" 8: U32 Metric Duration Process,
    "Maxconn" 15: U32 Config Limit Process,
    "Hard_maxconn" 16: U32 Config Limit Process,
    "CurrConns" 17: U32 Metric Gauge Process,
    "CumConns" 18: U32 Metric Counter Process,
    "CumReq" 19: U32 Metric Counter Process,
    "Stopping" 52: U32 Metric Gauge Process,
    "Listeners" 55: U32 Metric Gauge Process,
    "TotalBytesOut" 61: U64 Metric Gauge Process,
    "Start_time_sec" 70: U32 Metric Duration Process,
];

/// haflux is one process, which HAProxy calls the first.
const PROCESS: u8 = 1;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    field: Field<'a>,
    process_num: u8,
    tags: Tags,
    value: Value<'a>,
}

/// The values, each on a line or in JSON.
pub(super) fn show_info(values: &[(String, String)], format: Format) -> String {
    match format {
        Format::Plain => values
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect(),
        Format::Typed => {
            let mut text = String::new();
            for (known, value) in typed(values) {
                let Known { name, place, .. } = known;
                // Writing to a `String` does not fail.
                let _ = writeln!(text, "{place}.{name}.{PROCESS}:{value}");
            }
            text
        }
        Format::Json => {
            let items = typed(values).map(|(known, value)| Item {
                field: Field {
                    pos: known.place,
                    name: known.name,
                },
                process_num: PROCESS,
                tags: value.tags(),
                value: value.value(),
            });
            let items: Vec<Item<'_>> = items.collect();
            // Texts, numbers and names do not refuse to be serialised.
            serde_json::to_string(&items).unwrap_or_default() + "\n"
        }
    }
}

/// In the order of HAProxy's list.
fn typed(values: &[(String, String)]) -> impl Iterator<Item = (&'static Known, Typed<'_>)> {
    KNOWN.iter().filter_map(move |known| {
        let (_, value) = values.iter().find(|(name, _)| name == known.name)?;
        Some((known, Typed::new(known.meaning, value)))
    })
}
