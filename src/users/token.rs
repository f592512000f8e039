//! Tokens: long random texts that prove by themselves whose request it is.

use std::fmt::{self, Write};
use std::io;

use blake2::digest::Digest;
use blake2::{Blake2s256, digest::Output};

use crate::random;

/// The hash of a token as a file of users has it. As nobody can guess a token, a fast hash hides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of what a client says.
    pub(super) fn of(token: &[u8]) -> TokenHash {
        let hash: Output<Blake2s256> = Blake2s256::digest(token);
        TokenHash(hash.into())
    }

    /// Of 64 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<TokenHash> {
        let digits = text.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        };
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else {
                return None;
            };
            *byte = (digit(*high)? << 4) | digit(*low)?;
        }
        Some(TokenHash(hash))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hexadecimal(&self.0).fmt(f)
    }
}

/// A new token.
pub struct Token(String);

impl Token {
    /// Draws one: 256 bits, as hexadecimal digits.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn draw() -> io::Result<Token> {
        let bytes = random::bytes::<32>()?;
        Ok(Token(Hexadecimal(&bytes).to_string()))
    }

    /// The token itself, for who is to have it.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What stands behind the user's name in the file.
    pub fn proof(&self) -> String {
        format!("$token${}", TokenHash::of(self.0.as_bytes()))
    }
}

struct Hexadecimal<'a>(&'a [u8]);

impl fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| {
            f.write_char(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'))?;
            f.write_char(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash() {
        let (one, other) = (Token::draw().unwrap(), Token::draw().unwrap());
        assert_eq!(one.text().len(), 64);
        assert_ne!(one.text(), other.text());
        let proof = one.proof();
        let hash = TokenHash::parse(proof.strip_prefix("$token$").unwrap());
        assert_eq!(hash, Some(TokenHash::of(one.text().as_bytes())));
        assert_ne!(hash, Some(TokenHash::of(other.text().as_bytes())));
        for wrong in ["", "00", &"g".repeat(64), &"0".repeat(63), &"0".repeat(66)] {
            assert_eq!(TokenHash::parse(wrong), None, "{wrong}");
        }
    }
}
