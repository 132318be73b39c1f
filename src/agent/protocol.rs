//! The messages between runner and agent, over a connection that may break.
//!
//! A frame is its length (4 bytes, little endian), a byte for its form, and its payload: JSON, for
//! attempts a name and records, or for a kept message its number and the message.
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
//!
//! From span to bye, what an agent finds is numbered, and kept until a ping acknowledges it. After
//! a break another connection begins with hello and attach, and goes on where the last one ended.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::probe::ProbeSpec;
use crate::timeline::{Moment, ProbeHeader, ProbeSpan, Record};

/// The protocol's version: runner and agent must have the same.
pub const VERSION: u32 = 6;
/// No frame is longer.
const MAX_FRAME: usize = 16 << 20;
const JSON: u8 = b'J';
const ATTEMPTS: u8 = b'A';
const KEPT: u8 = b'K';

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
    /// The first message of a connection to an agent that was started over another one.
    Attach {
        token: String,
        /// How many kept messages have arrived.
        received: u64,
    },
    /// A heartbeat. To be answered immediately.
    Ping {
        /// The runner's clock.
        at: Moment,
        /// How many kept messages have arrived: they need not be kept any longer.
        received: u64,
    },
    Stop,
}

/// What an agent is to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    pub probes: Vec<ProbeSpec>,
    /// How the control probe is called; `None`: there is none.
    pub control: Option<ProbeHeader>,
    /// The agent ends when it has not heard from the runner for so long, attached or not.
    pub grace_ms: u64,
    /// How it can be attached to again; `None`: it ends with its first connection.
    pub attach: Option<AttachPoint>,
    /// Attempts that the runner has not acknowledged are kept up to so many bytes.
    pub memory_bytes: usize,
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
    pub fn of_control(control: ProbeHeader, grace_ms: u64) -> Self {
        Self { control: Some(control), grace_ms, memory_bytes: 1 << 20, ..Self::default() }
    }
}

/// Where an agent waits for another connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachPoint {
    /// The name of its socket, and of its file.
    pub name: String,
    /// What a connection must know to be its runner's.
    pub token: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FromAgent {
    Hello(Hello),
    Pong {
        ping: Moment,
        agent: Moment,
        /// Its wall clock, in nanoseconds since 1970.
        wall_ns: u64,
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
    /// This connection is not served.
    Refused(String),
    /// One of the messages from span to bye, and its number, from 0.
    #[serde(skip)]
    Kept(u64, Box<FromAgent>),
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
    /// Its process, as the node numbers it.
    pub pid: u32,
    /// Its [`AttachPoint`]'s name; empty before it has one.
    pub name: String,
    /// How many attempts it had no room for.
    pub lost: u64,
}

impl Hello {
    pub fn here(name: &str, lost: u64) -> Self {
        Self {
            protocol: VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            boot_id: crate::timeline::clock::boot_id(),
            arch: std::env::consts::ARCH.into(),
            now: Moment::now(),
            pid: std::process::id(),
            name: name.into(),
            lost,
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
        match self {
            Self::Attempts { probe, records } => {
                let name_length = (probe.len() as u16).to_le_bytes();
                frame(ATTEMPTS, &[&name_length, probe.as_bytes(), records])
            }
            Self::Kept(number, message) => {
                frame(KEPT, &[&number.to_le_bytes(), &message.encode()[LENGTH..]])
            }
            _ => json_frame(self),
        }
    }

    fn decode(form: u8, payload: &[u8]) -> Result<Self, ProtocolError> {
        if form == KEPT {
            let cut = || ProtocolError::Payload("a kept message without a number".into());
            let (number, rest) = payload.split_first_chunk().ok_or_else(cut)?;
            let (form, rest) =
                rest.split_first().filter(|(form, _)| **form != KEPT).ok_or_else(cut)?;
            let message = Self::decode(*form, rest)?;
            return Ok(Self::Kept(u64::from_le_bytes(*number), Box::new(message)));
        }
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

/// Bytes of a frame's length.
const LENGTH: usize = 4;

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
        if !(1..=MAX_FRAME).contains(&length) || !matches!(form, JSON | ATTEMPTS | KEPT) {
            return Err(ProtocolError::NoFrame(self.text()));
        }
        let Some(payload) = self.bytes.get(5..4 + length) else { return Ok(None) };
        let message = M::decode(form, payload)?;
        self.bytes.drain(..4 + length);
        Ok(Some(message))
    }

    /// Whether what is left is the beginning of a frame, rather than a text: the length of a frame
    /// ends in 0.
    pub fn is_cut(&self) -> bool {
        self.bytes.get(3) == Some(&0)
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
            FromAgent::Hello(Hello::here("", 0)),
            FromAgent::Pong { ping: Moment(1), agent: Moment(u64::MAX), wall_ns: 1 },
            FromAgent::Attempts { probe: "web".into(), records: vec![0, 1, 255] },
            FromAgent::ObservedUntil(Moment(7)),
            FromAgent::Record(Record { at: Moment(9), since: Some(Moment(8)), event: gone() }),
            FromAgent::Note { warning: true, text: "ü\n".into() },
            FromAgent::Kept(
                3,
                Box::new(FromAgent::Attempts { probe: "web".into(), records: vec![7] }),
            ),
            FromAgent::Kept(u64::MAX, Box::new(FromAgent::Bye { error: None })),
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
        fn garbage_never_panics(bytes in any::<Vec<u8>>(), form in prop_oneof![Just(JSON), Just(ATTEMPTS), Just(KEPT), any::<u8>()]) {
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
