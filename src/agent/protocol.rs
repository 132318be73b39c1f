//! The messages between runner and agent, over the agent's input and output.
//!
//! A frame is its length (4 bytes, little endian), a byte for its form, and its payload: JSON, or
//! for attempts a name and records.
//!
//! ```text
//! agent  -> hello                     who and where it is, what its clock says
//! runner -> ping, ping, ...           and each is answered with a pong: heartbeat and clock
//! runner -> start                     what to ask
//! agent  -> span, ..., attempts, ...  as they come
//!        -> record, ..., observedUntil, ...  of one that observes the node
//! runner -> stop
//! agent  -> bye                       or, at any time, bye with the error that ended it
//! ```

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::probe::ProbeSpec;
use crate::timeline::{Moment, ProbeHeader, ProbeSpan, Record};

/// The protocol's version: runner and agent must have the same.
pub const VERSION: u32 = 4;
/// No frame is longer.
const MAX_FRAME: usize = 16 << 20;
const JSON: u8 = b'J';
const ATTEMPTS: u8 = b'A';

/// Why a stream can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// Not the start of a frame. What a container engine says of a program that it can't run comes
    /// this way.
    #[error("unexpected output: {0}")]
    NoFrame(String),
    /// A frame whose payload is not understood.
    #[error("invalid frame: {0}")]
    Payload(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ToAgent {
    Start(Box<Start>),
    /// A heartbeat with the runner's clock. To be answered immediately.
    Ping(Moment),
    Stop,
}

/// What an agent is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    pub probes: Vec<ProbeSpec>,
    /// How the control probe is called; `None`: there is none.
    pub control: Option<ProbeHeader>,
    /// The agent ends when it has not heard from the runner for so long.
    pub heartbeat_timeout_ms: u64,
    /// Ask from this pod's network, and with its DNS; `None`: the node's.
    pub pod_uid: Option<String>,
    /// Ask on loopback from this address of loopback; `None`: the system chooses.
    #[serde(default)]
    pub source: Option<std::net::IpAddr>,
    /// Look at the node's own processes, instead of asking: the node's name. `None`: ask.
    #[serde(default)]
    pub observe: Option<String>,
}

impl Start {
    /// Of a prober that asks nothing but its control probe.
    pub fn of_control(control: ProbeHeader, heartbeat_timeout_ms: u64) -> Self {
        Self {
            probes: Vec::new(),
            control: Some(control),
            heartbeat_timeout_ms,
            pod_uid: None,
            source: None,
            observe: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FromAgent {
    Hello(Hello),
    Pong {
        ping: Moment,
        agent: Moment,
    },
    /// A probe has begun; its start is on the agent's clock.
    Span(ProbeSpan),
    /// Attempts of a probe: whole encoded records.
    #[serde(skip)]
    Attempts {
        probe: String,
        records: Vec<u8>,
    },
    /// What an observer has seen, on the agent's clock.
    Record(Record),
    /// Everything that an observer saw up to this moment was sent.
    ObservedUntil(Moment),
    /// Something to know; `warning` when it weakens a number.
    Note {
        /// Whether it weakens a number.
        warning: bool,
        text: String,
    },
    Bye {
        /// What ended it, if it was not asked to.
        error: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    pub protocol: u32,
    pub program: String,
    /// The kernel's boot id; empty where there is none.
    pub boot_id: String,
    /// The processor: `x86_64`, `aarch64`.
    pub arch: String,
    pub now: Moment,
}

impl Hello {
    pub fn here() -> Self {
        Self {
            protocol: VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            boot_id: crate::timeline::clock::boot_id(),
            arch: std::env::consts::ARCH.into(),
            now: Moment::now(),
        }
    }
}

/// Something that travels in frames.
pub trait Message: Sized {
    fn encode(&self) -> Vec<u8>;
    fn decode(form: u8, payload: &[u8]) -> Result<Self, ProtocolError>;
}

impl Message for ToAgent {
    fn encode(&self) -> Vec<u8> {
        json_frame(self)
    }

    fn decode(form: u8, payload: &[u8]) -> Result<Self, ProtocolError> {
        json_payload(form, payload)
    }
}

impl Message for FromAgent {
    fn encode(&self) -> Vec<u8> {
        let Self::Attempts { probe, records } = self else { return json_frame(self) };
        let name_length = (probe.len() as u16).to_le_bytes();
        frame(ATTEMPTS, &[&name_length, probe.as_bytes(), records])
    }

    fn decode(form: u8, payload: &[u8]) -> Result<Self, ProtocolError> {
        if form != ATTEMPTS {
            return json_payload(form, payload);
        }
        let cut = || ProtocolError::Payload("attempts without a probe name".into());
        let (length, rest) = payload.split_at_checked(2).ok_or_else(cut)?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        let (name, records) = rest.split_at_checked(length).ok_or_else(cut)?;
        let probe = String::from_utf8(name.to_vec()).map_err(|_| cut())?;
        Ok(Self::Attempts { probe, records: records.to_vec() })
    }
}

fn frame(form: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(4 + length);
    bytes.extend_from_slice(&(length as u32).to_le_bytes());
    bytes.push(form);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

fn json_frame(value: &impl Serialize) -> Vec<u8> {
    frame(JSON, &[&serde_json::to_vec(value).expect("messages are plain data")])
}

fn json_payload<T: DeserializeOwned>(form: u8, payload: &[u8]) -> Result<T, ProtocolError> {
    if form != JSON {
        return Err(ProtocolError::Payload(format!("unknown form {form}")));
    }
    serde_json::from_slice(payload).map_err(|error| ProtocolError::Payload(error.to_string()))
}

/// Puts frames together again from pieces of a stream.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn message<M: Message>(&mut self) -> Result<Option<M>, ProtocolError> {
        let Some(head) = self.bytes.get(..5) else { return Ok(None) };
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let form = head[4];
        if !(1..=MAX_FRAME).contains(&length) || !matches!(form, JSON | ATTEMPTS) {
            return Err(ProtocolError::NoFrame(self.text()));
        }
        let Some(payload) = self.bytes.get(5..4 + length) else { return Ok(None) };
        let message = M::decode(form, payload)?;
        self.bytes.drain(..4 + length);
        Ok(Some(message))
    }

    /// What is left, as a person can read it.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let clean = text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c });
        clean.collect::<String>().trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gone() -> crate::timeline::Event {
        let (component, state) =
            (crate::timeline::Component::Etcd, crate::timeline::ProcessState::Gone);
        crate::timeline::Event::Process { node: "cp".into(), component, pid: None, state }
    }

    fn messages() -> Vec<FromAgent> {
        vec![
            FromAgent::Hello(Hello::here()),
            FromAgent::Pong { ping: Moment(1), agent: Moment(u64::MAX) },
            FromAgent::Attempts { probe: "web".into(), records: vec![0, 1, 255] },
            FromAgent::ObservedUntil(Moment(7)),
            FromAgent::Record(Record { at: Moment(9), since: Some(Moment(8)), event: gone() }),
            FromAgent::Note { warning: true, text: "ü\n".into() },
            FromAgent::Bye { error: None },
        ]
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(piece in 1usize..40) {
            let bytes: Vec<u8> = messages().iter().flat_map(Message::encode).collect();
            let (mut frames, mut read) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(piece) {
                frames.push(piece);
                while let Some(message) = frames.message::<FromAgent>().unwrap() {
                    read.push(message);
                }
            }
            prop_assert_eq!(read.len(), messages().len());
            prop_assert_eq!(&read[1..], &messages()[1..]);
        }

        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>(), form in prop_oneof![Just(JSON), Just(ATTEMPTS), any::<u8>()]) {
            let mut frames = Frames::default();
            frames.push(&frame(form, &[&bytes]));
            let _ = frames.message::<FromAgent>();
            let _ = FromAgent::decode(form, &bytes);
        }
    }

    #[test]
    fn an_engines_complaint_is_shown() {
        let mut frames = Frames::default();
        frames.push(b"OCI runtime exec failed: exec format error\r\n");
        let error = frames.message::<FromAgent>().unwrap_err().to_string();
        assert_eq!(error, "unexpected output: OCI runtime exec failed: exec format error");
    }
}
