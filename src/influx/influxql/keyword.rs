//! The reserved words of InfluxQL (token.go).
//!
//! The list is that of the oldest parser in use (1.6). Later ones added `FUTURE`, `PAST` and `VERBOSE`; they are plain names
//! here, which only matters where an old node and a new one would disagree whether a text parses at all.

macro_rules! keywords {
    ($($name:ident $text:literal,)*) => {
        /// A reserved word, which is one in any case of its letters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Keyword {
            $(#[doc = $text] $name,)*
        }

        /// All reserved words, sorted by their text.
        const KEYWORDS: &[(&str, Keyword)] = &[$(($text, Keyword::$name),)*];
    };
}

keywords! {
    All "ALL", Alter "ALTER", Analyze "ANALYZE", And "AND", Any "ANY", As "AS", Asc "ASC", Begin "BEGIN", By "BY",
    Cardinality "CARDINALITY", Continuous "CONTINUOUS", Create "CREATE", Database "DATABASE", Databases "DATABASES",
    Default "DEFAULT", Delete "DELETE", Desc "DESC", Destinations "DESTINATIONS", Diagnostics "DIAGNOSTICS",
    Distinct "DISTINCT", Drop "DROP", Duration "DURATION", End "END", Every "EVERY", Exact "EXACT", Explain "EXPLAIN",
    False "FALSE", Field "FIELD", For "FOR", From "FROM", Grant "GRANT", Grants "GRANTS", Group "GROUP", Groups "GROUPS",
    In "IN", Inf "INF", Insert "INSERT", Into "INTO", Key "KEY", Keys "KEYS", Kill "KILL", Limit "LIMIT",
    Measurement "MEASUREMENT", Measurements "MEASUREMENTS", Name "NAME", Offset "OFFSET", On "ON", Or "OR", Order "ORDER",
    Password "PASSWORD", Policies "POLICIES", Policy "POLICY", Privileges "PRIVILEGES", Queries "QUERIES", Query "QUERY",
    Read "READ", Replication "REPLICATION", Resample "RESAMPLE", Retention "RETENTION", Revoke "REVOKE", Select "SELECT",
    Series "SERIES", Set "SET", Shard "SHARD", Shards "SHARDS", Show "SHOW", Slimit "SLIMIT", Soffset "SOFFSET",
    Stats "STATS", Subscription "SUBSCRIPTION", Subscriptions "SUBSCRIPTIONS", Tag "TAG", To "TO", True "TRUE", User "USER",
    Users "USERS", Values "VALUES", Where "WHERE", With "WITH", Write "WRITE",
}

/// The longest reserved word has this many letters.
const LONGEST: usize = 13;

/// For each letter, where the words that begin with it begin; and where those of the last letter end.
const FIRST: [usize; 27] = {
    let mut first = [0; 27];
    let mut letter = 0;
    while letter < first.len() {
        let mut at = 0;
        while at < KEYWORDS.len() {
            if ((KEYWORDS[at].0.as_bytes()[0] - b'A') as usize) < letter {
                first[letter] = at + 1;
            }
            at += 1;
        }
        letter += 1;
    }
    first
};

impl Keyword {
    /// The reserved word that `word` is, in any case; nothing if it is a plain name.
    pub(crate) fn lookup(word: &[u8]) -> Option<Self> {
        if word.len() > LONGEST {
            return None;
        }
        let letter = word.first()?.to_ascii_uppercase().checked_sub(b'A')?;
        let letter = usize::from(letter);
        let begin_like_it = KEYWORDS.get(*FIRST.get(letter)?..*FIRST.get(letter + 1)?)?;
        let found = begin_like_it.iter().find(|(text, _)| {
            text.len() == word.len() && text.as_bytes().eq_ignore_ascii_case(word)
        });
        found.map(|&(_, keyword)| keyword)
    }

    /// Whether a statement that changes something begins with this word. None of them occurs elsewhere in a statement that
    /// only reads.
    pub(crate) fn begins_a_change(self) -> bool {
        matches!(
            self,
            Self::Alter
                | Self::Create
                | Self::Delete
                | Self::Drop
                | Self::Grant
                | Self::Kill
                | Self::Revoke
                | Self::Set
        )
    }
}

/// Whether one of `wanted` could stand in `text` as a reserved word, however the text is cut into tokens: in any case, not
/// inside a longer name. Needs no understanding of quotes, comments or regular expressions, so it holds for a text that
/// cannot be read.
///
/// A name or a duration runs on over letters, digits and `_`, so no token can end before a letter that follows one of
/// these; only a number such as `1.5` may end right before a letter. Hence a digit before the word does not rule it out.
pub(crate) fn may_hold(text: &[u8], wanted: &[Keyword]) -> bool {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(begin) = rest
            .iter()
            .position(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        else {
            return false;
        };
        let word = rest.get(begin..).unwrap_or_default();
        let length = word
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
            .unwrap_or(word.len());
        let word = word.get(..length).unwrap_or_default();
        if Keyword::lookup(word).is_some_and(|keyword| wanted.contains(&keyword)) {
            return true;
        }
        at += begin + length;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_found() {
        assert!(KEYWORDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(
            KEYWORDS.iter().map(|(text, _)| text.len()).max(),
            Some(LONGEST)
        );
        for (text, keyword) in KEYWORDS {
            assert_eq!(Keyword::lookup(text.as_bytes()), Some(*keyword));
            assert_eq!(
                Keyword::lookup(text.to_lowercase().as_bytes()),
                Some(*keyword)
            );
        }
        assert_eq!(Keyword::lookup(b"INTOX"), None);
        assert_eq!(Keyword::lookup(b""), None);
    }

    #[test]
    fn a_word_is_held_unless_it_is_part_of_a_name() {
        for text in [
            "INTO",
            "a into b",
            "1.5INTO x",
            "'INTO'",
            "/into/",
            "(drop)",
            "x;DROP",
        ] {
            assert!(
                may_hold(text.as_bytes(), &[Keyword::Into, Keyword::Drop]),
                "{text}"
            );
        }
        for text in [
            "", "intox", "xinto", "_into", "in to", "into_", "into1", "offset",
        ] {
            assert!(
                !may_hold(text.as_bytes(), &[Keyword::Into, Keyword::Set]),
                "{text}"
            );
        }
    }
}
