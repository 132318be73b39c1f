//! How the API server fares.

use tokio::sync::watch;

/// What clients of the API server see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Availability {
    #[default]
    Serving,
    /// It is frozen: connections are accepted (by the kernel) and nothing is answered; watches are
    /// silent. What waited is answered when it is unfrozen.
    Hanging,
    /// It is gone: connections are cut, new ones refused.
    Down,
    /// It lives, its etcd does not: what the cache can answer (lists and reads with
    /// `resourceVersion=0`, open watches) is answered, everything else fails after some seconds.
    EtcdDown,
}

/// How the server fares now, and those who wait for a change of it.
#[derive(Debug, Default)]
pub(super) struct Switch(watch::Sender<Availability>);

impl Switch {
    pub(super) fn now(&self) -> Availability {
        *self.0.borrow()
    }

    pub(super) fn set(&self, availability: Availability) {
        self.0.send_replace(availability);
    }

    /// Waits until this is so; ends immediately when it is.
    pub(super) async fn until(&self, so: impl Fn(Availability) -> bool) {
        // The sender is here, so it can't be gone.
        drop(self.0.subscribe().wait_for(|now| so(*now)).await);
    }
}
