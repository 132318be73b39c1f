//! Interruptions: Ctrl-C, SIGTERM, SIGHUP. The first ends the run, which then undoes its faults;
//! later ones don't cut that short.

use tokio::sync::watch;

/// Whether the run was interrupted, and by what.
#[derive(Clone, Debug)]
pub(crate) struct Abort {
    signal: watch::Receiver<Option<&'static str>>,
}

impl Abort {
    /// Listens for signals from now on; `tell` is called for every one, and whether it is the
    /// first. Errors when the system refuses a handler.
    pub(crate) fn listen(
        tell: impl Fn(&'static str, bool) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, signal) = watch::channel(None);
        let mut signals = Signals::new()?;
        tokio::spawn(async move {
            loop {
                let name = signals.next().await;
                let first =
                    sender.send_if_modified(|seen| seen.is_none() && seen.replace(name).is_none());
                tell(name, first);
            }
        });
        Ok(Self { signal })
    }

    #[cfg(test)]
    pub(crate) fn by_hand() -> (watch::Sender<Option<&'static str>>, Self) {
        let (sender, signal) = watch::channel(None);
        (sender, Self { signal })
    }

    /// Waits for an interruption; for ever when none comes.
    pub(crate) async fn interrupted(&self) -> &'static str {
        let mut signal = self.signal.clone();
        let interrupted = signal.wait_for(Option::is_some).await.ok().and_then(|signal| *signal);
        match interrupted {
            Some(name) => name,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn signal(&self) -> Option<&'static str> {
        *self.signal.borrow()
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_signal_is_kept() {
        let (sender, abort) = Abort::by_hand();
        assert_eq!(abort.signal(), None);
        sender.send(Some("SIGTERM")).unwrap();
        assert_eq!(abort.interrupted().await, "SIGTERM");
        drop(sender);
        assert_eq!(abort.signal(), Some("SIGTERM"));
    }
}
