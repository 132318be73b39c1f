//! The processes that a program of ours starts: they end with it when it is given up.

use tokio::process::{Child, Command};

/// Kills the whole group of a program when it is dropped before the program has ended.
pub(crate) struct ProcessGroup(#[cfg(unix)] Option<rustix::process::Pid>);

impl ProcessGroup {
    /// Has a command run in its own group, which the terminal's Ctrl-C does not reach.
    pub(crate) fn own(command: &mut Command) {
        #[cfg(unix)]
        command.process_group(0);
    }

    /// The group of a child that was started in its own.
    pub(crate) fn of(child: &Child) -> Self {
        #[cfg(unix)]
        return Self(child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32)));
        #[cfg(not(unix))]
        Self()
    }

    /// Kills a group by its id.
    pub(crate) fn kill(id: i32) {
        #[cfg(unix)]
        if let Some(group) = rustix::process::Pid::from_raw(id) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    /// The program has ended and was waited for: its id may soon be another's.
    pub(crate) fn ended(&mut self) {
        #[cfg(unix)]
        self.0.take();
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.0 {
            Self::kill(group.as_raw_nonzero().get());
        }
    }
}
