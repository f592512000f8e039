//! A query as an uploaded file, as `curl -F q=@file` sends it.
//!
//! A node writes what stands in a URL or a form into its log of requests: InfluxDB 1.8 and later forms as they are, and all releases
//! passwords in a URL behind their first space, or behind a comment. A file stands in no log of any release.

use std::fmt::Write as _;

use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};

/// A query as the body of a request by POST or GET.
#[derive(Debug)]
pub(crate) struct Uploaded {
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Uploaded {
    pub(crate) fn new(query: &[u8]) -> Self {
        // No query holds its own hash.
        let hash = Blake2b::<U16>::digest(query);
        let mut boundary = "haflux-".to_owned();
        for byte in hash {
            // A text takes whatever is written to it.
            let _ = write!(boundary, "{byte:02x}");
        }
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"q\"; filename=\"q\"\r\n\r\n"
        );
        let end = format!("\r\n--{boundary}--\r\n");
        Self {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            body: [head.as_bytes(), query, end.as_bytes()].concat(),
        }
    }
}
