//! Attempts as records of a few bytes each, in the order in which they ended.
//!
//! A record is a byte of flags and unsigned LEB128 numbers; durations are whole microseconds. One
//! hour at 1000 attempts a second takes about 30 MB.

use super::outcome::{Outcome, Phase};

/// One attempt. Times are microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The slot: attempt i is due at start + i x interval.
    pub slot: u64,
    /// How long after it was due it was sent. Never negative: nothing is sent early.
    pub late_us: u64,
    pub outcome: Outcome,
    /// How long each phase took; 0 for one that did not take place. A phase that was cut off has
    /// the time until then.
    pub phases: Phases,
    /// The back end that answered, as an index into the file's back ends; `None` where it can't be
    /// known.
    pub backend: Option<u32>,
    /// Whether an existing connection was used.
    pub reused: bool,
    /// How the peer ended that existing connection; `None`: it did not, or an older version wrote
    /// this.
    pub ended: Option<ConnectionEnd>,
}

/// How a peer ended a connection that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// In order: it closed its side (FIN), or said so in its answer (`Connection: close`).
    Closed,
    /// With a reset (RST).
    Reset,
}

/// How long each phase of an attempt took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    pub dns_us: u64,
    /// Opening the TCP connection.
    pub connect_us: u64,
    pub tls_us: u64,
    /// Sending the request and waiting for the answer's first byte.
    pub first_byte_us: u64,
    /// The rest, until the outcome was known.
    pub body_us: u64,
}

impl Phases {
    pub fn total_us(&self) -> u64 {
        let connected = self.dns_us.saturating_add(self.connect_us).saturating_add(self.tls_us);
        connected.saturating_add(self.first_byte_us).saturating_add(self.body_us)
    }

    /// The time of one phase, to be written. `Send`, `FirstByte` and a canary's `Accepted` are one,
    /// and so is what follows.
    pub fn of_mut(&mut self, phase: Phase) -> &mut u64 {
        match phase {
            Phase::Dns => &mut self.dns_us,
            Phase::Connect => &mut self.connect_us,
            Phase::Tls => &mut self.tls_us,
            Phase::Send | Phase::FirstByte | Phase::Accepted => &mut self.first_byte_us,
            Phase::Body | Phase::Bound | Phase::Running | Phase::Observed => &mut self.body_us,
        }
    }
}

impl Attempt {
    /// The time from sent to the outcome, in microseconds.
    pub fn duration_us(&self) -> u64 {
        self.phases.total_us()
    }
}

const ATTEMPT: u8 = 1;
const FAILED: u8 = 2;
const BACKEND: u8 = 4;
const REUSED: u8 = 8;
/// An attempt on an existing connection looks nothing up and opens nothing. There, a time of 0 says
/// how the peer ended the connection: older versions read nothing but that 0.
const DNS: u8 = 16;
const CLOSED: u8 = DNS;
const CONNECT: u8 = 32;
const RESET: u8 = CONNECT;
const TLS: u8 = 64;
const ANSWER: u8 = 128;
/// The tag of a back end's name (even, so no attempt).
const NAME: u8 = 2;
/// The tag of a gap: attempts are missing here, the next one counts from the slot that follows.
const GAP: u8 = 4;

/// Encodes attempts and the names of back ends.
#[derive(Debug, Default)]
pub struct AttemptEncoder {
    previous_slot: u64,
}

impl AttemptEncoder {
    pub fn attempt(&mut self, attempt: &Attempt, out: &mut Vec<u8>) {
        let Phases { dns_us, connect_us, tls_us, first_byte_us, body_us } = attempt.phases;
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let ended = match attempt.ended {
            Some(ConnectionEnd::Closed) => CLOSED,
            Some(ConnectionEnd::Reset) => RESET,
            None => 0,
        };
        let ended = if attempt.reused && dns_us == 0 && connect_us == 0 { ended } else { 0 };
        out.push(
            ATTEMPT
                | ended
                | flag(!attempt.outcome.is_ok(), FAILED)
                | flag(attempt.backend.is_some(), BACKEND)
                | flag(attempt.reused, REUSED)
                | flag(dns_us > 0, DNS)
                | flag(connect_us > 0, CONNECT)
                | flag(tls_us > 0, TLS)
                | flag(first_byte_us > 0, ANSWER),
        );
        let step = attempt.slot.wrapping_sub(self.previous_slot) as i64;
        self.previous_slot = attempt.slot;
        put(out, ((step << 1) ^ (step >> 63)) as u64);
        put(out, attempt.late_us);
        if !attempt.outcome.is_ok() {
            put(out, u64::from(attempt.outcome.code()));
        }
        if ended != 0 {
            put(out, 0);
        }
        for phase in [dns_us, connect_us, tls_us, first_byte_us] {
            if phase > 0 {
                put(out, phase);
            }
        }
        put(out, body_us);
        if let Some(backend) = attempt.backend {
            put(out, u64::from(backend));
        }
    }

    /// Appends the name of the next back end (they count from 0).
    pub fn backend(&mut self, name: &str, out: &mut Vec<u8>) {
        out.push(NAME);
        put(out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
    }
}

/// Appends a gap: what was recorded here is lost, and the last of it was an attempt of this slot.
pub(crate) fn put_gap(out: &mut Vec<u8>, previous_slot: u64) {
    out.push(GAP);
    put(out, previous_slot);
}

/// Appends a number as LEB128.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads records, in one pass and without allocating for an attempt.
#[derive(Clone, Debug)]
pub struct AttemptReader<'a> {
    bytes: &'a [u8],
    previous_slot: u64,
    backends: Vec<&'a str>,
    gaps: usize,
    truncated: bool,
}

impl<'a> AttemptReader<'a> {
    pub fn records(bytes: &'a [u8]) -> Self {
        Self { bytes, previous_slot: 0, backends: Vec::new(), gaps: 0, truncated: false }
    }

    /// Reads records that follow an attempt of `previous_slot` in the same file: slots are written
    /// as steps.
    pub fn records_after(bytes: &'a [u8], previous_slot: u64) -> Self {
        Self { previous_slot, ..Self::records(bytes) }
    }

    /// The back ends named so far, by index.
    pub fn backends(&self) -> &[&'a str] {
        &self.backends
    }

    /// Whether attempts are missing: there is a gap, or the records end in one that cannot be read
    /// (known at the end).
    pub fn truncated(&self) -> bool {
        self.truncated || self.gaps > 0
    }

    /// How many gaps were met so far.
    pub(super) fn gaps(&self) -> usize {
        self.gaps
    }

    pub(crate) fn previous_slot(&self) -> u64 {
        self.previous_slot
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Most numbers have a byte or two.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Option<u64> {
        match *self.bytes {
            [low, ref rest @ ..] if low < 0x80 => {
                self.bytes = rest;
                Some(u64::from(low))
            }
            [low, high, ref rest @ ..] if high < 0x80 => {
                self.bytes = rest;
                Some(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => self.long_number(),
        }
    }

    #[cold]
    fn long_number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0u64, 0);
        loop {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }

    /// What is not an attempt.
    #[cold]
    fn other(&mut self, tag: u8) -> Option<()> {
        let number = self.number()?;
        match tag {
            GAP => {
                self.previous_slot = number;
                self.gaps += 1;
            }
            NAME => {
                let length = usize::try_from(number).ok()?;
                let name = std::str::from_utf8(self.bytes.get(..length)?).ok()?;
                self.bytes = &self.bytes[length..];
                self.backends.push(name);
            }
            _ => return None,
        }
        Some(())
    }

    /// Reads the next attempt into a place that can be used again: a copy of each costs as much as
    /// reading it. False at the end, where the place is of no meaning.
    pub fn read(&mut self, into: &mut Attempt) -> bool {
        while let Some((&tag, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            let is_attempt = tag & ATTEMPT != 0;
            let whole = if is_attempt { self.attempt(tag, into) } else { self.other(tag) };
            if whole.is_none() {
                (self.truncated, self.bytes) = (true, &[]);
            } else if is_attempt {
                return true;
            }
        }
        false
    }

    #[inline(always)]
    fn attempt(&mut self, flags: u8, into: &mut Attempt) -> Option<()> {
        let zigzag = self.number()?;
        let step = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        into.slot = self.previous_slot.wrapping_add(step as u64);
        into.late_us = self.number()?;
        into.outcome = match flags & FAILED {
            0 => Outcome::Ok,
            _ => Outcome::from_code(u16::try_from(self.number()?).ok()?)?,
        };
        into.phases.dns_us = self.phase(flags & DNS)?;
        into.phases.connect_us = self.phase(flags & CONNECT)?;
        into.phases.tls_us = self.phase(flags & TLS)?;
        into.phases.first_byte_us = self.phase(flags & ANSWER)?;
        into.phases.body_us = self.number()?;
        into.backend = match flags & BACKEND {
            0 => None,
            _ => Some(u32::try_from(self.number()?).ok()?),
        };
        into.reused = flags & REUSED != 0;
        let opened = into.phases.dns_us > 0 || into.phases.connect_us > 0;
        into.ended = match flags & (CLOSED | RESET) {
            CLOSED if into.reused && !opened => Some(ConnectionEnd::Closed),
            RESET if into.reused && !opened => Some(ConnectionEnd::Reset),
            _ => None,
        };
        self.previous_slot = into.slot;
        Some(())
    }

    #[inline(always)]
    fn phase(&mut self, flag: u8) -> Option<u64> {
        if flag == 0 { Some(0) } else { self.number() }
    }
}

impl Iterator for AttemptReader<'_> {
    type Item = Attempt;

    fn next(&mut self) -> Option<Attempt> {
        let mut attempt = Attempt::default();
        self.read(&mut attempt).then_some(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcomes() -> impl Strategy<Value = Outcome> {
        (0u16..700).prop_map(|code| Outcome::from_code(code).unwrap_or(Outcome::Ok))
    }

    fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
        let attempt = (
            0u64..1 << 40,
            0u64..1 << 30,
            outcomes(),
            any::<[u32; 5]>(),
            proptest::option::of(0u32..300),
            any::<bool>(),
            prop_oneof![
                Just(None),
                Just(Some(ConnectionEnd::Closed)),
                Just(Some(ConnectionEnd::Reset))
            ],
        )
            .prop_map(|(slot, late_us, outcome, phases, backend, reused, ended)| {
                let [dns_us, connect_us, tls_us, first_byte_us, body_us] = phases.map(u64::from);
                let ended = ended.filter(|_| reused);
                let opened = if ended.is_some() { 0 } else { 1 };
                let (dns_us, connect_us) = (dns_us * opened, connect_us * opened);
                let phases = Phases { dns_us, connect_us, tls_us, first_byte_us, body_us };
                Attempt { slot, late_us, outcome, phases, backend, reused, ended }
            });
        proptest::collection::vec(attempt, 0..50)
    }

    fn encode(attempts: &[Attempt]) -> Vec<u8> {
        let (mut encoder, mut bytes) = (AttemptEncoder::default(), Vec::new());
        encoder.backend("web-1", &mut bytes);
        for attempt in attempts {
            encoder.attempt(attempt, &mut bytes);
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(attempts in attempts()) {
            let bytes = encode(&attempts);
            let mut reader = AttemptReader::records(&bytes);
            prop_assert_eq!(reader.by_ref().collect::<Vec<_>>(), attempts);
            prop_assert_eq!(reader.backends(), ["web-1"]);
            prop_assert!(!reader.truncated());
        }

        #[test]
        fn a_cut_file_is_read_up_to_the_cut(attempts in attempts(), cut in any::<prop::sample::Index>()) {
            let bytes = encode(&attempts);
            let cut = cut.index(bytes.len());
            let read = AttemptReader::records(&bytes[..cut]).collect::<Vec<_>>();
            prop_assert_eq!(&read[..], &attempts[..read.len()]);
        }

        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>()) {
            let _ = AttemptReader::records(&bytes).count();
        }
    }

    #[test]
    fn how_a_connection_ended_is_no_more_than_a_time_of_0_to_older_versions() {
        let kept = Attempt { slot: 1, reused: true, ..Attempt::default() };
        let bytes = |ended| {
            let mut bytes = Vec::new();
            let attempt = Attempt { ended, ..kept.clone() };
            AttemptEncoder::default().attempt(&attempt, &mut bytes);
            bytes
        };
        // Flags, the slot's step, how late, the body's time.
        assert_eq!(bytes(None), [ATTEMPT | REUSED, 2, 0, 0]);
        assert_eq!(bytes(Some(ConnectionEnd::Closed)), [ATTEMPT | REUSED | DNS, 2, 0, 0, 0]);
        assert_eq!(bytes(Some(ConnectionEnd::Reset)), [ATTEMPT | REUSED | CONNECT, 2, 0, 0, 0]);
    }

    #[test]
    fn an_hour_at_a_thousand_a_second_takes_less_than_40_mb() {
        let (mut encoder, mut bytes) = (AttemptEncoder::default(), Vec::new());
        for slot in 0..10_000u64 {
            let phases =
                Phases { connect_us: 90, first_byte_us: 300, body_us: 10, ..Phases::default() };
            encoder.attempt(
                &Attempt {
                    slot,
                    late_us: 60,
                    outcome: Outcome::Ok,
                    phases,
                    backend: Some(1),
                    reused: false,
                    ended: None,
                },
                &mut bytes,
            );
        }
        assert!(bytes.len() * 360 < 40_000_000, "{} bytes for 10 000 attempts", bytes.len());
    }
}
