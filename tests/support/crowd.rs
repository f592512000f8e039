//! Many clients that write and read, each request on a connection of its own, while something is done to haflux.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{beside, http};

/// Clients of a short run, and of one whose length was asked for.
const CLIENTS: [usize; 2] = [6, 48];

/// Series that the points are spread over: a node sorts all of a series that is in its cache, at each snapshot and read.
const SERIES: u64 = 1024;

/// What they read.
const READ: &str = "query?db=telegraf&q=SELECT+v+FROM+r";

/// Failures after which a client stops: that many say enough.
const ENOUGH: usize = 5;

/// How a test run is to be sized.
pub struct Length {
    /// Requests that are to be answered, at least.
    pub requests: u64,
    /// Whether somebody asked for that many.
    pub is_asked: bool,
}

impl Length {
    /// As the environment says, or `short`.
    pub fn from_environment(variable: &str, short: u64) -> Self {
        let asked = std::env::var(variable);
        let requests = asked.as_ref().map(|number| number.parse());
        Self {
            requests: requests.map_or(short, |number| number.expect("a number of requests")),
            is_asked: asked.is_ok(),
        }
    }
}

/// What the clients have seen so far. Two thirds of them write `m` into `telegraf`, the others read `r`.
#[derive(Default)]
pub struct Crowd {
    begun: AtomicU64,
    answered: AtomicU64,
    acknowledged: AtomicU64,
    longest: AtomicU64,
    over_a_second: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl Crowd {
    /// Lets a crowd work at `url` until `steps` have ended; none of its requests may have failed.
    #[track_caller]
    pub fn work_beside(url: &str, length: &Length, steps: impl FnOnce(&Self)) -> Self {
        let crowd = Self::default();
        let line = http::post(&format!("{url}/write?db=telegraf"), "r v=1 1");
        assert_eq!(line.status, 204, "{}", line.text());
        // A read is tried on another node, when its own ended, only if one like it was answered before.
        let read = http::get(&format!("{url}/{READ}"));
        assert_eq!(read.status, 200, "{}", read.text());
        let clients = CLIENTS[usize::from(length.is_asked)];
        let client = |number: usize, is_over: &AtomicBool| {
            let mut failures = 0;
            while !is_over.load(Ordering::Relaxed) && failures < ENOUGH {
                if let Err(failure) = crowd.ask(url, number % 3 == 2) {
                    crowd.failed.lock().expect("failures").push(failure);
                    failures += 1;
                }
            }
        };
        beside(clients, client, || steps(&crowd));
        assert_eq!(*crowd.failed.lock().expect("failures"), [""; 0]);
        crowd
    }

    /// Requests that were answered as they should.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Points of `m` that were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// The longest that a request took.
    pub fn longest(&self) -> Duration {
        Duration::from_millis(self.longest.load(Ordering::Relaxed))
    }

    /// How many requests took over a second.
    pub fn over_a_second(&self) -> u64 {
        self.over_a_second.load(Ordering::Relaxed)
    }

    fn ask(&self, url: &str, is_read: bool) -> Result<(), String> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let (method, path, body, expected) = if is_read {
            ("GET", READ.to_owned(), String::new(), 200)
        } else {
            let line = format!("m,s={} v={number} {number}", number % SERIES);
            ("POST", "write?db=telegraf".to_owned(), line, 204)
        };
        let begun = Instant::now();
        let answer = http::try_request(method, &format!("{url}/{path}"), &[], body.as_bytes());
        let took = u64::try_from(begun.elapsed().as_millis()).expect("a short time");
        self.longest.fetch_max(took, Ordering::Relaxed);
        self.over_a_second
            .fetch_add(u64::from(took > 1000), Ordering::Relaxed);
        match answer {
            Ok(answer) if answer.status == expected => {
                self.acknowledged
                    .fetch_add(u64::from(!is_read), Ordering::Relaxed);
                self.answered.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Ok(answer) => Err(format!(
                "{} after {took} ms: {}",
                answer.status,
                answer.text()
            )),
            Err(error) => Err(format!("after {took} ms: {error}")),
        }
    }
}
