//! How an agent comes to outlive the stream that it was started over, and how another stream gets
//! to it.
//!
//! ```text
//! agent --unlink FILE    starts the agent as a process of its own, and connects its input and output to it
//! agent --serve          is that process; its input is the connection
//! agent --attach NAME    connects its input and output to one that runs
//! ```

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::connection::thread;
use super::serve::{ServeError, serve};
use super::socket;

/// This program, though its file is gone.
const SELF: &str = "/proc/self/exe";

/// Starts the agent, and serves its first connection, until that is closed at either end. `file` is
/// this program's own, removed immediately: nothing is left behind, however the agent ends.
pub(crate) fn launch(file: Option<&Path>) -> io::Result<()> {
    let (ours, its) = UnixStream::pair()?;
    let mut agent = Command::new(SELF);
    if let Some(file) = file {
        // The name by which it is found among the node's processes.
        agent.arg0(file);
        let _ = std::fs::remove_file(file);
    }
    agent.args(["agent", "--serve"]).stdin(OwnedFd::from(its));
    // The container engine waits for whoever holds a command's output.
    agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // It holds the agent's end of the connection.
    drop(agent);
    relay(ours)
}

/// Serves the connection that [`launch`] made.
pub(crate) fn serve_inherited() -> Result<(), ServeError> {
    // What ends the stream that it was started over (a signal to its group) does not end it.
    let _ = rustix::process::setsid();
    serve(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Connects input and output to an agent that runs.
pub(crate) fn attach(name: &str) -> io::Result<()> {
    relay(socket::connect(name)?)
}

/// Until one of the two ends.
fn relay(stream: UnixStream) -> io::Result<()> {
    let input = stream.try_clone()?;
    thread("agent-input", move || {
        forward(io::stdin(), &input);
        let _ = input.shutdown(Shutdown::Both);
    })?;
    // Standard output itself waits for the end of a line.
    forward(stream, std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?));
    Ok(())
}

/// Hands on what comes as it comes: `io::copy` lets the system wait for more between a socket and a
/// pipe.
fn forward(mut from: impl Read, mut to: impl Write) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) if to.write_all(&buffer[..length]).is_err() => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
