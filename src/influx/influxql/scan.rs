//! Cuts a query into tokens exactly where InfluxDB's scanner does (scanner.go, and parser.go for regular expressions).
//!
//! - Space, tab, newline and `\r` are whitespace; `\r` ends a `--` comment as a newline does.
//! - A word is `[A-Za-z_][A-Za-z0-9_]*`. A word glued to a quote (`INTO"x"`) is not that word: the token is the identifier `x`.
//! - Strings and quoted identifiers know the escapes `\n \\ \" \'` only, and hold no raw newline.
//! - Comments are `-- …` and `/* … */`, the latter not nested. `/*` is always a comment here. Where InfluxDB looks for a
//!   regular expression it takes it for one, but none can begin with `*`, so such a text parses nowhere; but for one behind a bound
//!   parameter, which is taken for the regular expression then, and the comment for a comment.
//! - `/` divides after an operand and begins a regular expression after anything else. Inside one, `/` is escaped if and
//!   only if the byte before it is a backslash, and a newline is an error.
//! - After a dot both exist: `FROM db.rp./x/` is a regular expression, `v./2` divides. The scanner knows whether it stands in
//!   a list of sources; anywhere else it gives up ([`Unreadable::Slash`]) rather than guess.
//! - A number swallows the dot after it (`1./v` divides); digits followed by a letter are one duration token.
//!
//! Bytes above ASCII only matter inside quotes, regular expressions and comments, where nothing is decoded, so any bytes at
//! all can be scanned. After the first thing that is no token the scanner stops: InfluxDB's parser refuses any text that holds
//! one, whatever stands around it.
//!
//! The scanner looks at each byte a bounded number of times and keeps one flag for each open parenthesis.

use memchr::{memchr2, memmem};
use thiserror::Error;

use super::keyword::Keyword;

/// Why a text is no sequence of tokens. InfluxDB's parser refuses such a text as a whole, except for [`Unreadable::Slash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unreadable {
    /// A string or quoted identifier without an end on its line, or with an escape that does not exist.
    #[error("a quoted string does not end on its line, or has an unknown escape")]
    Quote,
    /// A regular expression without an end on its line.
    #[error("a regular expression does not end on its line")]
    Regex,
    /// A comment without an end.
    #[error("a comment does not end")]
    Comment,
    /// A `/` that may divide or begin a regular expression.
    #[error("a `/` after a dot may divide or begin a regular expression")]
    Slash,
    /// A byte that begins no token.
    #[error("a character that stands for nothing")]
    Character,
}

/// How two sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    NotMatches,
}

impl Comparison {
    /// The same with its sides exchanged.
    pub(crate) fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Equal | Self::NotEqual | Self::Matches | Self::NotMatches => self,
        }
    }
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Keyword(Keyword),
    /// A bare identifier.
    Name,
    /// An identifier in double quotes; word characters may be glued in front, which do not count.
    Quoted,
    /// A string in single quotes.
    Text,
    Number,
    Duration,
    Regex,
    /// `$name` or `$"any name"`.
    Parameter,
    Comparison(Comparison),
    /// `+ - % & | ^` and `/` as a division.
    Operator,
    Star,
    Dot,
    Comma,
    Colon,
    DoubleColon,
    Semicolon,
    LeftParen,
    RightParen,
}

/// One token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Its first byte.
    pub(crate) start: usize,
    /// The byte behind its last one.
    pub(crate) end: usize,
    /// Whether whitespace or a comment stands before it.
    pub(crate) spaced: bool,
}

impl Token {
    /// The keyword that this token is.
    pub(crate) fn keyword(self) -> Option<Keyword> {
        match self.kind {
            Kind::Keyword(keyword) => Some(keyword),
            _ => None,
        }
    }

    /// Its bytes in the text it was cut from.
    pub(crate) fn text(self, query: &[u8]) -> &[u8] {
        query.get(self.start..self.end).unwrap_or_default()
    }

    /// What a name means, quotes taken off and escapes undone; nothing if this is no name or not in UTF-8, where InfluxDB
    /// replaces the bad bytes by its own rules.
    pub(crate) fn name(self, query: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(self.text(query)).ok()?;
        match self.kind {
            Kind::Name => Some(text.to_owned()),
            Kind::Quoted => {
                let (_, quoted) = text.split_once('"')?;
                let quoted = quoted.strip_suffix('"')?;
                let mut name = String::with_capacity(quoted.len());
                let mut characters = quoted.chars();
                while let Some(character) = characters.next() {
                    name.push(match character {
                        '\\' => match characters.next()? {
                            'n' => '\n',
                            escaped => escaped,
                        },
                        plain => plain,
                    });
                }
                Some(name)
            }
            _ => None,
        }
    }

    /// Whether this is the identifier `name`, bare or quoted, in any case of ASCII letters.
    pub(crate) fn is_name(self, query: &[u8], name: &str) -> bool {
        let text = self.text(query);
        match self.kind {
            Kind::Name => text.eq_ignore_ascii_case(name.as_bytes()),
            Kind::Quoted => {
                let quote = text
                    .iter()
                    .position(|byte| *byte == b'"')
                    .map_or(0, |at| at + 1);
                let inside = text
                    .get(quote..text.len().saturating_sub(1))
                    .unwrap_or_default();
                inside.eq_ignore_ascii_case(name.as_bytes())
            }
            _ => false,
        }
    }
}

/// Yields the tokens of a query; the first error is the last item.
pub(crate) struct Scanner<'query> {
    query: &'query [u8],
    at: usize,
    before: Option<Kind>,
    /// Whether a division may follow what came before.
    operand: bool,
    /// Whether what came before stands in a list of sources: behind `FROM`, or `WITH MEASUREMENT =`.
    sources: bool,
    /// The value of `sources` outside of each open parenthesis.
    outside: Vec<bool>,
    finished: bool,
}

impl<'query> Scanner<'query> {
    /// Scans `query` from its beginning.
    pub(crate) fn new(query: &'query [u8]) -> Self {
        Self {
            query,
            at: 0,
            before: None,
            operand: false,
            sources: false,
            outside: Vec::new(),
            finished: false,
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.query.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'query [u8] {
        self.query.get(self.at..).unwrap_or_default()
    }

    /// Moves over bytes for as long as `wanted` holds.
    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        let rest = self.rest();
        self.at += rest
            .iter()
            .position(|byte| !wanted(*byte))
            .unwrap_or(rest.len());
    }

    /// Moves over whitespace and comments; says whether there was any.
    fn skip_blanks(&mut self) -> Result<bool, Unreadable> {
        let begin = self.at;
        loop {
            self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
            match (self.peek(0), self.peek(1)) {
                (Some(b'-'), Some(b'-')) => {
                    let rest = self.rest();
                    self.at += memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                }
                (Some(b'/'), Some(b'*')) => {
                    self.at += 2;
                    self.at += memmem::find(self.rest(), b"*/").ok_or(Unreadable::Comment)? + 2;
                }
                _ => return Ok(self.at > begin),
            }
        }
    }

    fn token(&mut self) -> Result<Kind, Unreadable> {
        let Some(first) = self.peek(0) else {
            return Err(Unreadable::Character);
        };
        match first {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => self.word(),
            b'"' => self.quoted(b'"').map(|()| Kind::Quoted),
            b'\'' => self.quoted(b'\'').map(|()| Kind::Text),
            b'0'..=b'9' => Ok(self.number()),
            b'.' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => Ok(self.number()),
            b'$' => {
                self.at += 1;
                self.skip_while(is_word);
                if self.peek(0) == Some(b'"') {
                    self.quoted(b'"')?;
                }
                Ok(Kind::Parameter)
            }
            b'/' => self.slash(),
            _ => self.symbol(first),
        }
    }

    fn word(&mut self) -> Result<Kind, Unreadable> {
        let begin = self.at;
        self.skip_while(is_word);
        if self.peek(0) == Some(b'"') {
            self.quoted(b'"')?;
            return Ok(Kind::Quoted);
        }
        let word = self.query.get(begin..self.at).unwrap_or_default();
        Ok(Keyword::lookup(word).map_or(Kind::Name, Kind::Keyword))
    }

    fn quoted(&mut self, quote: u8) -> Result<(), Unreadable> {
        self.at += 1;
        loop {
            let byte = self.peek(0).ok_or(Unreadable::Quote)?;
            self.at += 1;
            match byte {
                b'\n' | b'\r' => return Err(Unreadable::Quote),
                b'\\' => {
                    if !matches!(self.peek(0), Some(b'n' | b'\\' | b'"' | b'\'')) {
                        return Err(Unreadable::Quote);
                    }
                    self.at += 1;
                }
                _ if byte == quote => return Ok(()),
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Kind {
        self.skip_while(|byte| byte.is_ascii_digit());
        if self.peek(0) == Some(b'.') {
            self.at += 1;
            self.skip_while(|byte| byte.is_ascii_digit());
            return Kind::Number;
        }
        if !self.duration_letter() {
            return Kind::Number;
        }
        while self.duration_letter() || self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += if self.peek(0) == Some(0xC2) { 2 } else { 1 };
        }
        Kind::Duration
    }

    /// Whether a letter that a duration can hold comes next: an ASCII one, or `µ` (U+00B5).
    fn duration_letter(&self) -> bool {
        match self.peek(0) {
            Some(0xC2) => self.peek(1) == Some(0xB5),
            Some(byte) => byte.is_ascii_alphabetic(),
            None => false,
        }
    }

    /// A `/` that begins no comment.
    fn slash(&mut self) -> Result<Kind, Unreadable> {
        if self.operand {
            self.at += 1;
            return Ok(Kind::Operator);
        }
        if self.before == Some(Kind::Dot) && !self.sources {
            return Err(Unreadable::Slash);
        }
        self.at += 1;
        let mut escaped = false;
        loop {
            let byte = self.peek(0).ok_or(Unreadable::Regex)?;
            self.at += 1;
            match byte {
                b'\n' | b'\r' => return Err(Unreadable::Regex),
                b'/' if !escaped => return Ok(Kind::Regex),
                _ => escaped = byte == b'\\',
            }
        }
    }

    fn symbol(&mut self, first: u8) -> Result<Kind, Unreadable> {
        let (length, kind) = match (first, self.peek(1)) {
            (b'=', Some(b'~')) => (2, Kind::Comparison(Comparison::Matches)),
            (b'=', _) => (1, Kind::Comparison(Comparison::Equal)),
            (b'!', Some(b'=')) | (b'<', Some(b'>')) => (2, Kind::Comparison(Comparison::NotEqual)),
            (b'!', Some(b'~')) => (2, Kind::Comparison(Comparison::NotMatches)),
            (b'<', Some(b'=')) => (2, Kind::Comparison(Comparison::LessOrEqual)),
            (b'<', _) => (1, Kind::Comparison(Comparison::Less)),
            (b'>', Some(b'=')) => (2, Kind::Comparison(Comparison::GreaterOrEqual)),
            (b'>', _) => (1, Kind::Comparison(Comparison::Greater)),
            (b'+' | b'-' | b'%' | b'&' | b'|' | b'^', _) => (1, Kind::Operator),
            (b'*', _) => (1, Kind::Star),
            (b'.', _) => (1, Kind::Dot),
            (b',', _) => (1, Kind::Comma),
            (b':', Some(b':')) => (2, Kind::DoubleColon),
            (b':', _) => (1, Kind::Colon),
            (b';', _) => (1, Kind::Semicolon),
            (b'(', _) => (1, Kind::LeftParen),
            (b')', _) => (1, Kind::RightParen),
            _ => return Err(Unreadable::Character),
        };
        self.at += length;
        Ok(kind)
    }

    /// Remembers what decides how a later `/` is read.
    fn note(&mut self, kind: Kind) {
        self.operand = match kind {
            Kind::Name
            | Kind::Quoted
            | Kind::Text
            | Kind::Number
            | Kind::Duration
            | Kind::Parameter => true,
            Kind::Regex | Kind::RightParen | Kind::Star => true,
            Kind::Keyword(Keyword::True | Keyword::False) => true,
            Kind::Keyword(Keyword::Field | Keyword::Tag) => self.before == Some(Kind::DoubleColon),
            _ => false,
        };
        self.sources = match kind {
            Kind::Keyword(Keyword::From) => true,
            Kind::Comparison(Comparison::Equal | Comparison::Matches) => {
                self.before == Some(Kind::Keyword(Keyword::Measurement))
            }
            Kind::Name | Kind::Quoted | Kind::Parameter | Kind::Regex => self.sources,
            Kind::Dot | Kind::Comma | Kind::Colon => self.sources,
            Kind::LeftParen => {
                self.outside.push(self.sources);
                false
            }
            Kind::RightParen => self.outside.pop().unwrap_or(false),
            Kind::Semicolon => {
                self.outside.clear();
                false
            }
            _ => false,
        };
        self.before = Some(kind);
    }
}

impl Iterator for Scanner<'_> {
    type Item = Result<Token, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let scanned = self.skip_blanks().and_then(|spaced| {
            if self.at >= self.query.len() {
                return Ok(None);
            }
            let start = self.at;
            let kind = self.token()?;
            self.note(kind);
            Ok(Some(Token {
                kind,
                start,
                end: self.at,
                spaced,
            }))
        });
        self.finished = !matches!(scanned, Ok(Some(_)));
        scanned.transpose()
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
