//! Headers that speak of one connection only and must not be passed on (RFC 9110, section 7.6.1).

const ALWAYS: [&[u8]; 7] = [
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// Whether every message has a header of this name for one connection only. What a client's `Connection` names beside them was taken
/// out before rules could set it.
pub(super) fn is_always(name: &[u8]) -> bool {
    ALWAYS.iter().any(|one| one.eq_ignore_ascii_case(name))
}

/// Names of headers, in any case, that an answer's `Connection` names beside those that every message has them from.
#[derive(Debug, Default)]
pub(super) struct HopByHop(Vec<Vec<u8>>);

impl HopByHop {
    /// Notes what this value of `Connection` names, but for the headers that say whose message it is, where it ends and how its body is
    /// read: it was judged with them.
    pub(super) fn note(&mut self, value: &[u8]) {
        let names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let is_header = |name: &&[u8]| {
            let is_one_of =
                |words: &[&[u8]]| words.iter().any(|word| name.eq_ignore_ascii_case(word));
            !name.is_empty()
                && !is_one_of(&ALWAYS)
                && !is_one_of(&[
                    b"close",
                    b"host",
                    b"content-length",
                    b"content-encoding",
                    b"content-type",
                ])
        };
        self.0.extend(names.filter(is_header).map(<[u8]>::to_vec));
    }

    /// Whether a header of this name is one.
    pub(super) fn holds(&self, name: &[u8]) -> bool {
        is_always(name) || self.0.iter().any(|one| one.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_of_the_connection_is_told_apart() {
        let mut all = HopByHop::default();
        all.note(b"close, X-Mine,,Host , content-length,Content-Encoding,content-type");
        all.note(b"upgrade");
        for name in [
            "Connection",
            "x-mine",
            "Upgrade",
            "keep-alive",
            "TE",
            "Transfer-Encoding",
        ] {
            assert!(all.holds(name.as_bytes()), "{name}");
        }
        for name in [
            "Host",
            "X-Other",
            "Content-Length",
            "Content-Encoding",
            "Content-Type",
            "close",
            "",
        ] {
            assert!(!all.holds(name.as_bytes()), "{name}");
        }
    }
}
