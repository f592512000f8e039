//! How a health check ended, in HAProxy's codes: the word in tables, the number in `show servers state`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The outcome of a health check, as HAProxy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckCode {
    /// The connection was made.
    #[serde(rename = "L4OK")]
    L4Ok,
    /// The connection was not made in time.
    #[serde(rename = "L4TOUT")]
    L4Timeout,
    /// The connection was refused or failed.
    #[serde(rename = "L4CON")]
    L4Connection,
    /// The TLS handshake was made.
    #[serde(rename = "L6OK")]
    L6Ok,
    /// The TLS handshake did not end in time.
    #[serde(rename = "L6TOUT")]
    L6Timeout,
    /// The TLS handshake failed.
    #[serde(rename = "L6RSP")]
    L6Response,
    /// HTTP answered with an expected status.
    #[serde(rename = "L7OK")]
    L7Ok,
    /// HTTP did not answer in time.
    #[serde(rename = "L7TOUT")]
    L7Timeout,
    /// The answer was no sound HTTP.
    #[serde(rename = "L7RSP")]
    L7Response,
    /// HTTP answered with another status.
    #[serde(rename = "L7STS")]
    L7Status,
}

impl CheckCode {
    /// HAProxy's word for it.
    pub fn word(self) -> &'static str {
        self.facts().0
    }

    /// HAProxy's number for it, in its `enum healthcheck_status`.
    pub fn number(self) -> u8 {
        self.facts().1
    }

    /// HAProxy's sentence about it.
    pub fn description(self) -> &'static str {
        self.facts().2
    }

    /// Whether the check passed.
    pub fn is_passed(self) -> bool {
        matches!(self, CheckCode::L4Ok | CheckCode::L6Ok | CheckCode::L7Ok)
    }

    fn facts(self) -> (&'static str, u8, &'static str) {
        match self {
            CheckCode::L4Ok => ("L4OK", 6, "Layer4 check passed"),
            CheckCode::L4Timeout => ("L4TOUT", 7, "Layer4 timeout"),
            CheckCode::L4Connection => ("L4CON", 8, "Layer4 connection problem"),
            CheckCode::L6Ok => ("L6OK", 9, "Layer6 check passed"),
            CheckCode::L6Timeout => ("L6TOUT", 10, "Layer6 timeout"),
            CheckCode::L6Response => ("L6RSP", 11, "Layer6 invalid response"),
            CheckCode::L7Ok => ("L7OK", 15, "Layer7 check passed"),
            CheckCode::L7Timeout => ("L7TOUT", 12, "Layer7 timeout"),
            CheckCode::L7Response => ("L7RSP", 13, "Layer7 invalid response"),
            CheckCode::L7Status => ("L7STS", 17, "Layer7 wrong status"),
        }
    }
}

impl fmt::Display for CheckCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_words() {
        for code in [
            CheckCode::L4Ok,
            CheckCode::L4Timeout,
            CheckCode::L4Connection,
            CheckCode::L6Ok,
            CheckCode::L6Timeout,
            CheckCode::L6Response,
            CheckCode::L7Ok,
            CheckCode::L7Timeout,
            CheckCode::L7Response,
            CheckCode::L7Status,
        ] {
            let word = serde_json::to_value(code).unwrap();
            assert_eq!(word, code.word());
            assert_eq!(code.is_passed(), code.word().ends_with("OK"));
        }
    }
}
