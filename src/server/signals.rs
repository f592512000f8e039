//! The signals that stop the process or have it read its configuration again, heeded from before anything is served: one that comes while
//! the parts are still being put together is not lost, and does not end the process without its graceful stop.

use std::io;
use std::sync::Arc;
use std::thread;

use log::error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, oneshot, watch};

/// The name of the signal that came, as soon as one has.
pub(super) type Asked = watch::Receiver<Option<&'static str>>;

/// Told when SIGHUP came; several that come before anybody looks are one.
pub(super) type Reload = Arc<Notify>;

/// Begins to heed SIGTERM, SIGINT and SIGHUP.
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

fn wait(
    ready: oneshot::Sender<io::Result<()>>,
    asked: &watch::Sender<Option<&'static str>>,
    reload: &Notify,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let terminate = signal(SignalKind::terminate());
        let interrupt = signal(SignalKind::interrupt());
        let hangup = signal(SignalKind::hangup());
        let (mut terminate, mut interrupt, mut hangup) = match (terminate, interrupt, hangup) {
            (Ok(terminate), Ok(interrupt), Ok(hangup)) => (terminate, interrupt, hangup),
            (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => {
                // The other side is waiting.
                let _ = ready.send(Err(error));
                return Ok(());
            }
        };
        let _ = ready.send(Ok(()));
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hangup.recv() => {
                    reload.notify_one();
                    continue;
                }
            };
            // The first one counts. SIGHUP is taken on, so that it does not cut the stop short.
            asked.send_if_modified(|asked| asked.replace(name).is_none());
        }
    })
}
