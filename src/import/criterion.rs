//! What an ACL asks of a request, in haflux's keys.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use regex::RegexBuilder;

use super::formula::{Formula, Key, Reason, network};
use super::secrets::{without_arguments, without_query};
use super::word::Word;

/// Reads the file of a `-f`; an error says why it cannot.
pub(super) type ReadFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// How much memory one compiled expression may take, in bytes: what haflux allows.
const REGEX_SIZE: usize = 1024 * 1024;

/// Values of one ACL line beyond this many are not taken over.
const MOST_VALUES: usize = 2000;

const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
];

/// The ACL that HAProxy defines itself.
pub(super) fn predefined(name: &str) -> Option<Formula> {
    let methods = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Formula::test(Key::Method, names)
    };
    Some(match name {
        "TRUE" | "HTTP" | "HTTP_URL_SLASH" | "REQ_CONTENT" | "WAIT_END" => Formula::always(),
        "FALSE" => Formula::never(),
        "LOCALHOST" => Formula::test(Key::Src, vec!["127.0.0.0/8".to_owned(), "::1".to_owned()]),
        "METH_GET" => methods(&["GET", "HEAD"]),
        _ => match name.strip_prefix("METH_") {
            Some(method) if METHODS.contains(&method) => methods(&[method]),
            _ => return None,
        },
    })
}

/// Whether HAProxy defines an ACL of this name itself that has no counterpart.
pub(super) fn is_predefined(name: &str) -> bool {
    name.starts_with("METH_")
        || matches!(
            name,
            "HTTP_1.0"
                | "HTTP_1.1"
                | "HTTP_2.0"
                | "HTTP_3.0"
                | "HTTP_CONTENT"
                | "HTTP_URL_ABS"
                | "HTTP_URL_STAR"
                | "RDP_COOKIE"
        )
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matching {
    Whole,
    Beginning,
    End,
    Anywhere,
    Directory,
    Regex,
}

impl Matching {
    fn of(name: &str) -> Option<Matching> {
        Some(match name {
            "str" => Matching::Whole,
            "beg" => Matching::Beginning,
            "end" => Matching::End,
            "sub" => Matching::Anywhere,
            "dir" => Matching::Directory,
            "reg" => Matching::Regex,
            _ => return None,
        })
    }
}

/// `CRITERION [flags] values…`.
pub(super) fn criterion(words: &[Word], read: ReadFile<'_>) -> Result<Formula, Reason> {
    let Some(expression) = words.first() else {
        return Err("it asks for nothing".to_owned());
    };
    let (fetch, converters) = split_converters(expression.as_str());
    let (name, argument) = match fetch.split_once('(') {
        Some((name, rest)) => (name, rest.trim_end_matches(')').to_ascii_lowercase()),
        None => (fetch, String::new()),
    };
    let (base, suffix) = match name.rsplit_once('_') {
        Some((base, suffix)) if Matching::of(suffix).is_some() => (base, Matching::of(suffix)),
        _ => (name, None),
    };
    let pattern = patterns(words.get(1..).unwrap_or_default(), read)?;
    let matching = match &pattern.method {
        Some(method) => Matching::of(method)
            .ok_or_else(|| format!("haflux does not compare by \"-m {method}\""))?,
        None => suffix.unwrap_or(Matching::Whole),
    };
    let no_counterpart = || {
        let shown = without_arguments(expression.as_str());
        format!("haflux has no condition for {shown}")
    };
    match (base, argument.as_str(), converters) {
        ("always_true", ..) => Ok(Formula::always()),
        ("always_false", ..) => Ok(Formula::never()),
        ("path", "", "") => path(matching, &pattern),
        ("url", "", "")
            if matching == Matching::Beginning
                && !pattern
                    .values
                    .iter()
                    .any(|value| value.as_str().contains('?')) =>
        {
            path(matching, &pattern)
        }
        (
            "hdr" | "req.hdr" | "req.fhdr" | "hdr_host",
            "host" | "host,1" | "host,-1",
            "" | "lower" | "host_only" | "field(1,:)" | "word(1,:)" | "lower,host_only"
            | "host_only,lower" | "lower,field(1,:)" | "field(1,:),lower",
        ) => match matching {
            Matching::Whole => host(&pattern),
            _ => Err("haflux compares whole host names only".to_owned()),
        },
        ("method", "", "") if suffix.is_none() && pattern.method.is_none() => method(&pattern),
        ("src", "", "") if suffix.is_none() => source(&pattern),
        _ => Err(no_counterpart()),
    }
}

/// The fetch and what stands after the first comma outside of parentheses.
fn split_converters(expression: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    for (at, byte) in expression.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                let (fetch, converters) =
                    expression.split_at_checked(at).unwrap_or((expression, ""));
                return (fetch, converters.trim_start_matches(','));
            }
            _ => {}
        }
    }
    (expression, "")
}

struct Patterns {
    ignore_case: bool,
    /// `-m`.
    method: Option<String>,
    values: Vec<Word>,
}

fn patterns(words: &[Word], read: ReadFile<'_>) -> Result<Patterns, Reason> {
    let mut patterns = Patterns {
        ignore_case: false,
        method: None,
        values: Vec::new(),
    };
    let mut words = words.iter().peekable();
    while let Some(word) = words.next_if(|word| word.as_str().starts_with('-')) {
        match word.as_str() {
            "--" => break,
            "-i" => patterns.ignore_case = true,
            "-n" | "-u" => {
                if word.as_str() == "-u" {
                    words.next();
                }
            }
            "-m" => {
                let method = words.next().map(|word| word.as_str().to_owned());
                patterns.method = method.filter(|method| method != "ip");
            }
            "-f" => {
                let file = words.next().map(Word::as_str).unwrap_or_default();
                let text = read(file).map_err(|error| format!("{file} cannot be read: {error}"))?;
                let lines = text.lines().map(str::trim);
                let values = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
                patterns.values.extend(values.map(Word::plain));
            }
            other => return Err(format!("haflux has nothing like the flag {other}")),
        }
    }
    patterns.values.extend(words.cloned());
    if patterns.values.len() > MOST_VALUES {
        return Err(format!("it has more than {MOST_VALUES} values"));
    }
    if patterns.values.is_empty() && patterns.method.as_deref() != Some("found") {
        patterns.values.clear();
    }
    Ok(patterns)
}

fn path(matching: Matching, pattern: &Patterns) -> Result<Formula, Reason> {
    let key = match matching {
        Matching::Whole => Key::Path,
        Matching::Beginning => Key::PathBeg,
        Matching::End => Key::PathEnd,
        Matching::Anywhere | Matching::Directory | Matching::Regex => Key::PathReg,
    };
    let as_it_is = key != Key::PathReg
        && !(pattern.ignore_case
            && pattern
                .values
                .iter()
                .any(|value| value.as_str().contains(|c: char| c.is_ascii_alphabetic())));
    let mut values = Vec::with_capacity(pattern.values.len());
    for value in &pattern.values {
        let text = value.as_str();
        let sound = match key {
            Key::Path | Key::PathBeg => text.starts_with('/'),
            _ => !text.is_empty(),
        };
        let plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if !value.is_variable()
            && matching != Matching::Regex
            && !(sound && plain && !text.contains(['?', '#']))
        {
            return Err(format!("{:?} stands in no path", without_query(text)));
        }
        if as_it_is {
            values.push(value.notation().to_owned());
            continue;
        }
        if value.is_variable() {
            return Err("what a variable holds cannot be made a regular expression".to_owned());
        }
        values.push(expression(matching, text, pattern.ignore_case)?);
    }
    Ok(Formula::test(
        if as_it_is { key } else { Key::PathReg },
        values,
    ))
}

/// The regular expression that finds in a path what HAProxy would find, as haflux's configuration writes it.
fn expression(matching: Matching, text: &str, ignore_case: bool) -> Result<String, Reason> {
    let flag = if ignore_case { "(?i)" } else { "" };
    let escaped = regex::escape(text);
    let expression = match matching {
        Matching::Whole => format!("{flag}^{escaped}$"),
        Matching::Beginning => format!("{flag}^{escaped}"),
        Matching::End => format!("{flag}{escaped}$"),
        Matching::Anywhere => format!("{flag}{escaped}"),
        Matching::Directory => {
            format!("{flag}(^|/){}(/|$)", regex::escape(text.trim_matches('/')))
        }
        Matching::Regex => format!("{flag}{text}"),
    };
    let compiled = RegexBuilder::new(&expression)
        .size_limit(REGEX_SIZE)
        .build();
    match compiled {
        Ok(_) => Ok(Word::plain(&expression).notation().to_owned()),
        Err(error) => {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default().trim();
            Err(format!(
                "haflux cannot read the regular expression: {}",
                reason.trim_start_matches("error: ")
            ))
        }
    }
}

fn host(pattern: &Patterns) -> Result<Formula, Reason> {
    let mut hosts: Vec<String> = Vec::new();
    for value in &pattern.values {
        let text = value.notation();
        let host = match text.rsplit_once(':') {
            // haflux compares without the port.
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => text,
        };
        let is_ip = host.starts_with('[') && host.ends_with(']');
        let blank = host.contains(|c: char| c.is_whitespace() || c.is_control());
        if !value.is_variable() && (blank || host.contains('/') || (host.contains(':') && !is_ip)) {
            return Err(format!("{text:?} is no host name"));
        }
        let host = host.to_owned();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(Formula::test(Key::Host, hosts))
}

fn method(pattern: &Patterns) -> Result<Formula, Reason> {
    let mut methods = Vec::new();
    for value in &pattern.values {
        if !value.is_variable() && !METHODS.contains(&value.as_str()) {
            return Err(format!(
                "haflux does not know the method {}",
                value.as_str()
            ));
        }
        methods.push(value.notation().to_owned());
    }
    Ok(Formula::test(Key::Method, methods))
}

fn source(pattern: &Patterns) -> Result<Formula, Reason> {
    let mut networks = Vec::new();
    for value in &pattern.values {
        if value.is_variable() {
            networks.push(value.notation().to_owned());
            continue;
        }
        let text = value.as_str();
        let network = masked(text)
            .or_else(|| network(text).map(|_| text.to_owned()))
            .ok_or_else(|| format!("{text:?} is no address or network"))?;
        networks.push(network);
    }
    Ok(Formula::test(Key::Src, networks))
}

/// `10.0.0.0/255.0.0.0` as `10.0.0.0/8`.
fn masked(text: &str) -> Option<String> {
    let (address, mask) = text.split_once('/')?;
    let network = Ipv4Net::with_netmask(address.parse().ok()?, mask.parse::<Ipv4Addr>().ok()?);
    Some(IpNet::V4(network.ok()?).to_string())
}
