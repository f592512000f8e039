//! How much a request that holds a query may hold of everything that a client can repeat.
//!
//! InfluxDB parses and evaluates by recursion: a million open parentheses overflow its stack and end its process, and the
//! time and memory that it needs grow with the square of a chain of operands, whether its client still waits or not: 10,000 of
//! them keep a core for a minute. No honest client comes
//! near the defaults. What is past one is refused before any node sees it, as a read and as a statement.

use thiserror::Error;

/// The most of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Pairs of name and value in the query string and form, and parts of a multipart form, all together.
    pub parameters: usize,
    /// Bytes of one parameter's name or value, escapes undone; for an endpoint that has its query as the body, of the body.
    pub length: usize,
    /// Statements of one query, empty ones between two `;` too.
    pub statements: usize,
    /// Operators, comparisons and commas in one statement.
    pub terms: usize,
    /// Parentheses that are open at once; brackets and braces count where a language has them.
    pub depth: usize,
}

impl Limits {
    /// Nothing is too much.
    pub(crate) const NONE: Self = Self {
        parameters: usize::MAX,
        length: usize::MAX,
        statements: usize::MAX,
        terms: usize::MAX,
        depth: usize::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parameters: 1000,
            length: 1 << 20,
            statements: 10_000,
            terms: 4000,
            depth: 500,
        }
    }
}

/// The limit that a request is past, with its value; the text is for the client, in InfluxDB's words for what cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Exceeded {
    /// [`Limits::parameters`]
    #[error("error parsing query: more than {0} parameters (max_query_parameters)")]
    Parameters(usize),
    /// [`Limits::length`]
    #[error("error parsing query: a parameter of more than {0} bytes (max_query_length)")]
    Length(usize),
    /// [`Limits::statements`]
    #[error("error parsing query: more than {0} statements (max_query_statements)")]
    Statements(usize),
    /// [`Limits::terms`]
    #[error(
        "error parsing query: a statement of more than {0} operators and commas (max_query_terms)"
    )]
    Terms(usize),
    /// [`Limits::depth`]
    #[error("error parsing query: nested deeper than {0} levels (max_query_depth)")]
    Depth(usize),
}

/// All opening brackets of a text that is not cut into tokens may be this many times the depth.
const BRACKETS_A_LEVEL: usize = 100;

/// Checks the nesting of a text in a language that is not parsed here: regular expressions, JSON, Flux.
///
/// Quotes and comments are not known, so a closing bracket inside quotes could hide an open one: that is why the opening ones
/// are counted too, with a limit that is a hundred times higher.
pub(crate) fn check_nesting(text: &[u8], limits: &Limits) -> Result<(), Exceeded> {
    let (mut open, mut opened, mut deepest) = (0_usize, 0_usize, 0_usize);
    for byte in text {
        match byte {
            b'(' | b'[' | b'{' => {
                open += 1;
                opened += 1;
                deepest = deepest.max(open);
            }
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    let most = limits.depth.saturating_mul(BRACKETS_A_LEVEL);
    if deepest > limits.depth || opened > most {
        return Err(Exceeded::Depth(limits.depth));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_counted_whatever_closes_them() {
        let limits = Limits {
            depth: 3,
            ..Limits::default()
        };
        let check = |text: &str| check_nesting(text.as_bytes(), &limits);
        assert_eq!(check("((()))[{}](())"), Ok(()));
        assert_eq!(check("([{("), Err(Exceeded::Depth(3)));
        assert_eq!(check(&"()".repeat(300)), Ok(()));
        assert_eq!(check(&"(\")\"".repeat(301)), Err(Exceeded::Depth(3)));
    }
}
