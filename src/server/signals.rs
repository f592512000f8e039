//! The signals that stop the process, heeded from before anything is served: one that comes while the parts are still being
//! put together is not lost, and does not end the process without its graceful stop.

use std::io;
use std::thread;

use log::error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// The name of the signal that came, as soon as one has.
pub(super) type Asked = watch::Receiver<Option<&'static str>>;

/// Begins to heed SIGTERM and SIGINT.
///
/// # Errors
/// The system does not let us.
pub(super) fn heed() -> io::Result<Asked> {
    let (ready, is_ready) = oneshot::channel();
    let (asked, asked_for) = watch::channel(None);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if let Err(error) = wait(ready, &asked) {
                error!("signals cannot be waited for: {error}");
            }
        })?;
    match is_ready.blocking_recv() {
        Ok(result) => result.map(|()| asked_for),
        Err(_) => Err(io::Error::other("the thread that waits for signals ended")),
    }
}

fn wait(
    ready: oneshot::Sender<io::Result<()>>,
    asked: &watch::Sender<Option<&'static str>>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let terminate = signal(SignalKind::terminate());
        let interrupt = signal(SignalKind::interrupt());
        let (mut terminate, mut interrupt) = match (terminate, interrupt) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => {
                // The other side is waiting.
                let _ = ready.send(Err(error));
                return Ok(());
            }
        };
        let _ = ready.send(Ok(()));
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        asked.send_replace(Some(name));
        Ok(())
    })
}
