//! The form of an answer: JSON, CSV or MessagePack, by the request's `Accept` header, for writes too.
//!
//! Follows InfluxDB 1.8 and newer, which read lists with weights; 1.6 and 1.7 compare the whole header with one type.

use http::HeaderValue;

use super::go_text::{csv_field, json_string};
use super::message_pack::Packer;

/// How an answer is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The default.
    #[default]
    Json,
    /// Asked for as `application/csv`; answers name the type that was asked for.
    ApplicationCsv,
    /// Asked for as `text/csv`.
    TextCsv,
    /// `application/x-msgpack`
    MessagePack,
}

/// In InfluxDB's order: the first that matches a range such as `application/*` is taken.
const FORMATS: [Format; 4] = [
    Format::Json,
    Format::ApplicationCsv,
    Format::TextCsv,
    Format::MessagePack,
];

impl Format {
    /// The format that an `Accept` header asks for: the highest weight, the first of equals, and what cannot be read is passed over.
    /// As in InfluxDB a weight of 0 excludes nothing.
    pub fn accepted(accept: Option<&HeaderValue>) -> Self {
        let Some(header) = accept else {
            return Self::default();
        };
        let header = String::from_utf8_lossy(header.as_bytes());
        let mut best: Option<(f64, Self)> = None;
        for range in header.split(',').filter_map(MediaRange::parse) {
            let format = FORMATS
                .into_iter()
                .find(|format| range.matches(format.content_type()));
            if let Some(format) = format
                && best.is_none_or(|(weight, _)| range.weight > weight)
            {
                best = Some((range.weight, format));
            }
        }
        best.map(|(_, format)| format).unwrap_or_default()
    }

    /// The value of the answer's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::ApplicationCsv => "application/csv",
            Self::TextCsv => "text/csv",
            Self::MessagePack => "application/x-msgpack",
        }
    }

    /// The body of an error. `pretty` shapes JSON only.
    pub fn error(self, message: &str, pretty: bool) -> Vec<u8> {
        match self {
            Self::Json if message.is_empty() => b"{}\n".to_vec(),
            Self::Json if pretty => {
                format!("{{\n    \"error\": {}\n}}\n", json_string(message)).into_bytes()
            }
            Self::Json => format!("{{\"error\":{}}}\n", json_string(message)).into_bytes(),
            Self::ApplicationCsv | Self::TextCsv => {
                format!("error\n{}\n", csv_field(message)).into_bytes()
            }
            Self::MessagePack => message_pack_error(message),
        }
    }
}

/// A map of one entry, `error`.
fn message_pack_error(message: &str) -> Vec<u8> {
    let mut packer = Packer::default();
    packer.map(1);
    packer.string("error");
    packer.string(message);
    packer.finish()
}

/// One clause of an `Accept` header.
struct MediaRange {
    kind: String,
    subtype: String,
    weight: f64,
}

impl MediaRange {
    /// As Go's `mime.ParseMediaType` reads it, strict about what is not a token.
    fn parse(clause: &str) -> Option<Self> {
        let mut parts = clause.split(';');
        let range = parts.next()?.trim().to_ascii_lowercase();
        let (kind, subtype) = match range.split_once('/') {
            Some((kind, subtype)) => (kind, subtype),
            None if range == "*" => ("*", "*"),
            None => return None,
        };
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let mut weight = 1.0;
        for parameter in parts
            .map(str::trim)
            .filter(|parameter| !parameter.is_empty())
        {
            let (name, value) = parameter.split_once('=')?;
            let value = value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .unwrap_or(value);
            if !is_token(name) || value.is_empty() {
                return None;
            }
            if name.eq_ignore_ascii_case("q") {
                weight = value
                    .parse()
                    .ok()
                    .filter(|weight: &f64| weight.is_finite())
                    .unwrap_or(0.0);
            }
        }
        Some(Self {
            kind: kind.to_owned(),
            subtype: subtype.to_owned(),
            weight,
        })
    }

    fn matches(&self, content_type: &str) -> bool {
        let (kind, subtype) = content_type.split_once('/').unwrap_or_default();
        (self.kind == "*" || self.kind == kind) && (self.subtype == "*" || self.subtype == subtype)
    }
}

/// RFC 2045's token.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_accept_headers_as_influxdb_does() {
        let table = [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("*", Format::Json),
            ("text/html", Format::Json),
            ("application/json", Format::Json),
            ("application/csv", Format::ApplicationCsv),
            ("text/csv", Format::TextCsv),
            ("TEXT/CSV", Format::TextCsv),
            ("text/*", Format::TextCsv),
            ("application/*", Format::Json),
            ("application/x-msgpack", Format::MessagePack),
            ("text/html, application/x-msgpack", Format::MessagePack),
            ("application/json;q=0.5, text/csv;q=0.9", Format::TextCsv),
            ("application/json;q=x, text/csv;q=0.1", Format::TextCsv),
            (
                "text/csv;q=0.5, application/x-msgpack;q=0.5",
                Format::TextCsv,
            ),
            ("text/csv;q=0", Format::TextCsv),
            ("text/csv; charset=\"utf-8\"", Format::TextCsv),
            ("text/csv; charset", Format::Json),
            ("text/, application/csv", Format::ApplicationCsv),
        ];
        for (accept, expected) in table {
            let header = HeaderValue::from_static(accept);
            assert_eq!(Format::accepted(Some(&header)), expected, "{accept}");
        }
        assert_eq!(Format::accepted(None), Format::Json);
    }

    #[test]
    fn writes_errors_in_each_format() {
        assert_eq!(
            Format::Json.error("a <b>", false),
            b"{\"error\":\"a \\u003cb\\u003e\"}\n"
        );
        assert_eq!(
            Format::Json.error("a", true),
            b"{\n    \"error\": \"a\"\n}\n"
        );
        assert_eq!(Format::TextCsv.error("a, b", true), b"error\n\"a, b\"\n");
        assert_eq!(
            Format::MessagePack.error("abc", false),
            b"\x81\xa5error\xa3abc"
        );
    }

    proptest! {
        #[test]
        fn never_panics(accept in proptest::collection::vec(any::<u8>(), 0..60), message in ".{0,60}") {
            if let Ok(header) = HeaderValue::from_bytes(&accept) {
                Format::accepted(Some(&header)).error(&message, true);
            }
        }
    }
}
