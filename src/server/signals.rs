//! The signals that stop the process or have it read its configuration again, heeded from before anything is served: one that comes while
//! the parts are still being put together is not lost, and does not end the process without its graceful stop.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use log::error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, oneshot, watch};

/// The name of the signal that came, as soon as one has.
pub(super) type Asked = watch::Receiver<Option<&'static str>>;

/// Told when SIGHUP or SIGUSR2 came; several that come before anybody looks are one.
pub(super) type Reload = Arc<Notify>;

/// Begins to heed SIGTERM, SIGINT and SIGHUP, and what scripts send to HAProxy: SIGUSR1 to stop gently, SIGUSR2 to reload.
///
/// # Errors
/// The system does not let us.
pub(super) fn heed() -> io::Result<(Asked, Reload)> {
    let (ready, is_ready) = oneshot::channel();
    let (asked, asked_for) = watch::channel(None);
    let reload = Reload::default();
    let reload_asked = Arc::clone(&reload);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if let Err(error) = wait(ready, &asked, &reload) {
                error!("signals cannot be waited for: {error}");
            }
        })?;
    match is_ready.blocking_recv() {
        Ok(result) => result.map(|()| (asked_for, reload_asked)),
        Err(_) => Err(io::Error::other("the thread that waits for signals ended")),
    }
}

/// Signals, and the names of those that stop the process; the others have it reload, while it stops too, so that they do not cut the
/// stop short.
const HEEDED: [(SignalKind, Option<&str>); 5] = [
    (SignalKind::terminate(), Some("SIGTERM")),
    (SignalKind::interrupt(), Some("SIGINT")),
    (SignalKind::user_defined1(), Some("SIGUSR1")),
    (SignalKind::hangup(), None),
    (SignalKind::user_defined2(), None),
];

fn wait(
    ready: oneshot::Sender<io::Result<()>>,
    asked: &watch::Sender<Option<&'static str>>,
    reload: &Notify,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let heard: io::Result<Vec<_>> = HEEDED
            .into_iter()
            .map(|(kind, stops)| Ok((signal(kind)?, stops)))
            .collect();
        let mut heard = match heard {
            Ok(heard) => heard,
            Err(error) => {
                // The other side is waiting.
                let _ = ready.send(Err(error));
                return Ok(());
            }
        };
        let _ = ready.send(Ok(()));
        loop {
            let stops = poll_fn(|context| {
                let came = heard.iter_mut().find_map(|(signal, stops)| {
                    signal.poll_recv(context).is_ready().then_some(*stops)
                });
                came.map_or(Poll::Pending, Poll::Ready)
            });
            match stops.await {
                // The first one counts.
                Some(name) => {
                    asked.send_if_modified(|asked| asked.replace(name).is_none());
                }
                None => reload.notify_one(),
            }
        }
    })
}
