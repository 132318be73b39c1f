//! Probes from the runner's own machine: the same handle and messages, without a stream.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::protocol::Start;
use super::{AgentError, AgentHandle, AgentMessage, STOP_TIMEOUT, StopSignal, names, serve};
use crate::probe::{ProbeSpec, Sink};
use crate::resolver::NameService;
use crate::timeline::{ProbeHeader, ProbeSpan};

const HERE: &str = "host";

/// Starts the probes on their own thread. Errors when the system has none; what is wrong with a
/// probe comes as [`AgentMessage::Ended`].
pub(crate) fn start(
    probes: Vec<ProbeSpec>,
    control: Option<ProbeHeader>,
    messages: UnboundedSender<AgentMessage>,
) -> Result<AgentHandle, AgentError> {
    start_from(None, probes, control, messages)
}

/// The same, with an address of loopback from which what is on loopback is asked: the embedded
/// cluster tells its nodes apart by it.
pub(crate) fn start_from(
    source: Option<IpAddr>,
    probes: Vec<ProbeSpec>,
    control: Option<ProbeHeader>,
    messages: UnboundedSender<AgentMessage>,
) -> Result<AgentHandle, AgentError> {
    let flag = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&flag);
    let names = names(&probes, control.as_ref());
    let (done, ended) = oneshot::channel();
    let work = move || {
        let start = Start { probes, control, source, ..Start::default() };
        let result =
            serve::ask(start, NameService::of_system(), &stop, &mut Messages(messages.clone()));
        let _ = messages
            .send(AgentMessage::Ended { probes: names, error: result.as_ref().err().cloned() });
        let _ = done.send(result);
    };
    let thread = std::thread::Builder::new().name("probes".into()).spawn(work);
    thread.map_err(|error| AgentError::Agent { node: HERE.into(), why: error.to_string() })?;
    Ok(AgentHandle {
        node: HERE.into(),
        stop: StopSignal::Flag(flag),
        stop_timeout: STOP_TIMEOUT,
        ended,
        _task: None,
    })
}

struct Messages(UnboundedSender<AgentMessage>);

impl Sink for Messages {
    fn started(&mut self, span: &ProbeSpan) {
        let _ = self.0.send(AgentMessage::Started(span.clone()));
    }

    fn attempts(&mut self, probe: &str, records: Vec<u8>) {
        let _ = self.0.send(AgentMessage::Attempts { probe: probe.into(), records });
    }
}
