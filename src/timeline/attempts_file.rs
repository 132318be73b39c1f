//! A probe's file of attempts, appended while the run goes on.
//!
//! It is one line of JSON (the [`ProbeSpan`]) and then blocks: a mark, a checksum, a head that lets
//! what follows a damaged block be read, and records (see [`super::attempts`]). A block without
//! records is the end of the file: without it, the file was cut. Files of earlier versions are
//! records without blocks.

use std::io::{self, Write};
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attempts::{Attempt, AttemptReader, put, put_gap};
use super::bounded::json_problem;
use super::checked_line::{self, Checksum};
use super::clock::Moment;
use super::damage::{Damage, Extent, Stream};
use super::header::ProbeHeader;

const MARK: [u8; 2] = [0xA5, 0xB1];
const CHECKSUM: usize = 4;

/// What a file of attempts is about: the first line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeSpan {
    /// The format, `outage.attempts/v2`.
    pub format: String,
    pub probe: ProbeHeader,
    /// When slot 0 is due.
    pub start: Moment,
    /// Nanoseconds between two slots.
    pub interval_ns: u64,
    /// The time that the whole of an attempt may take, in nanoseconds.
    pub timeout_ns: u64,
    /// How far the prober's clock may be off the runner's, in nanoseconds; 0 where both are one
    /// clock.
    pub clock_uncertainty_ns: u64,
}

impl ProbeSpan {
    pub const FORMAT: &'static str = "outage.attempts/v2";
    /// The format of earlier versions, without checksums.
    const EARLIER: &'static str = "outage.attempts/v1";

    pub fn due(&self, slot: u64) -> Moment {
        Moment(self.start.0.saturating_add(slot.saturating_mul(self.interval_ns)))
    }

    /// When an attempt was sent (its first packet handed to the kernel).
    pub fn sent(&self, attempt: &Attempt) -> Moment {
        Moment(self.due(attempt.slot).0.saturating_add(attempt.late_us.saturating_mul(1000)))
    }

    pub fn done(&self, attempt: &Attempt) -> Moment {
        Moment(self.sent(attempt).0.saturating_add(attempt.duration_us().saturating_mul(1000)))
    }

    /// The time between two slots.
    pub fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval_ns)
    }

    /// The slots that are due from one moment to before another.
    pub fn slots(&self, from: Moment, until: Moment) -> Range<u64> {
        let slot = |at: Moment| at.0.saturating_sub(self.start.0).div_ceil(self.interval_ns.max(1));
        slot(from)..slot(until)
    }

    /// How long after the end of an attempt a prober that works has another one.
    pub(super) fn patience(&self) -> Duration {
        const SLACK: Duration = Duration::from_secs(2);
        self.interval() + Duration::from_nanos(self.timeout_ns) + SLACK
    }
}

/// Writes a file of attempts: the header line immediately, then what it is given.
#[derive(Debug)]
pub struct AttemptWriter<W: Write> {
    out: W,
    previous_slot: u64,
    backends: usize,
}

impl<W: Write> AttemptWriter<W> {
    pub fn new(mut out: W, span: &ProbeSpan) -> io::Result<Self> {
        out.write_all(&checked_line::write(span, &mut 0)?)?;
        Ok(Self { out, previous_slot: 0, backends: 0 })
    }

    /// Appends encoded records (see [`super::attempts::AttemptEncoder`]), which must be whole.
    pub fn append(&mut self, records: &[u8]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut reader = self.reader(records);
        reader.by_ref().for_each(drop);
        self.block(records, reader.backends().len())?;
        self.previous_slot = reader.previous_slot();
        Ok(())
    }

    /// A reader of records that are appended next: slots are written as steps.
    pub fn reader<'a>(&self, records: &'a [u8]) -> AttemptReader<'a> {
        AttemptReader::records_after(records, self.previous_slot)
    }

    /// Hands what is buffered to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends the file: nothing is missing of it.
    pub fn finish(mut self) -> io::Result<()> {
        self.block(&[], 0)?;
        self.flush()
    }

    fn block(&mut self, records: &[u8], named: usize) -> io::Result<()> {
        let before = self.backends;
        self.backends += named;
        let mut head = Vec::with_capacity(16);
        let numbers =
            [records.len() as u64, self.previous_slot, before as u64, self.backends as u64];
        numbers.into_iter().for_each(|number| put(&mut head, number));
        let checksum = checksum(&head, records).to_le_bytes();
        [&MARK[..], &checksum, &head, records]
            .into_iter()
            .try_for_each(|part| self.out.write_all(part))
    }
}

fn checksum(head: &[u8], records: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(records);
    hasher.finalize()
}

/// A block whose checksum matches.
struct Block<'a> {
    records: &'a [u8],
    /// The slot of the last attempt before it.
    previous_slot: u64,
    /// How many back ends are named before it, and with it.
    backends: Range<u64>,
    length: usize,
}

/// The block at the beginning of `bytes`, if there is a whole one.
fn block(bytes: &[u8]) -> Option<Block<'_>> {
    let (expected, rest) = bytes.strip_prefix(&MARK)?.split_at_checked(CHECKSUM)?;
    let mut numbers = AttemptReader::records(rest);
    let length = usize::try_from(numbers.number()?).ok()?;
    let previous_slot = numbers.number()?;
    let backends = numbers.number()?..numbers.number()?;
    let head = rest.len() - numbers.rest().len();
    let records = numbers.rest().get(..length)?;
    let matches = checksum(&rest[..head], records).to_le_bytes() == expected;
    let length = MARK.len() + CHECKSUM + head + length;
    matches.then_some(Block { records, previous_slot, backends, length })
}

/// A probe's file of attempts, read but not decoded.
#[derive(Clone, Debug)]
pub struct ProbeFile {
    pub span: ProbeSpan,
    records: Vec<u8>,
    pub(super) damage: Vec<Damage>,
    /// Whether the file ends as it should; of files of earlier versions that is not known.
    pub(super) finished: Option<bool>,
}

impl ProbeFile {
    /// Reads a whole file. Errors when the header line is missing, cut, or of another format.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let end = bytes.iter().position(|&b| b == b'\n').ok_or("its first line is truncated")?;
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let span: ProbeSpan = serde_json::from_slice(line)
            .map_err(|error| format!("its first line is damaged: {}", json_problem(&error)))?;
        let checked = checked_line::check(line, 0);
        match span.format.as_str() {
            _ if checked == Checksum::Bad => {
                return Err("its first line does not match its checksum".into());
            }
            ProbeSpan::FORMAT if checked == Checksum::Good => {}
            ProbeSpan::FORMAT => return Err("its first line has no checksum".into()),
            ProbeSpan::EARLIER => {
                let records = rest.to_vec();
                return Ok(Self { span, records, damage: Vec::new(), finished: None }.examined());
            }
            other => {
                let known = ProbeSpan::FORMAT;
                return Err(format!("its format is {other}, and this program reads {known}"));
            }
        }
        let Unpacked { records, finished, damaged } = unpacked(rest);
        let file = Self { span, records, damage: Vec::new(), finished: Some(finished) };
        Ok(if damaged { file.examined() } else { file })
    }

    /// The attempts, in the order in which they ended.
    pub fn attempts(&self) -> AttemptReader<'_> {
        AttemptReader::records(&self.records)
    }

    /// When the outcome of the last attempt was known, as far as the file can be read.
    pub fn last(&self) -> Option<Moment> {
        self.attempts().map(|attempt| self.span.done(&attempt)).max()
    }

    /// Whether it lacks its end: its run died, say.
    pub fn is_truncated(&self) -> bool {
        self.finished == Some(false)
    }

    /// Says from when until when attempts are missing.
    fn examined(mut self) -> Self {
        let mut reader = self.attempts();
        let (mut damage, mut gaps, mut last) = (Vec::new(), 0, None);
        while let Some(attempt) = reader.next() {
            if reader.gaps() > gaps {
                let until = Some(self.span.done(&attempt));
                damage.push(self.gap(Extent::Part, last, until));
                gaps = reader.gaps();
            }
            last = last.max(Some(self.span.done(&attempt)));
        }
        if reader.gaps() > gaps {
            damage.push(self.gap(Extent::ToTheEnd, last, None));
        } else if reader.truncated() && damage.is_empty() {
            let why = "a record is truncated or cannot be read";
            damage.push(Damage::ends_early(&self.span.probe.name, last, why));
        }
        self.damage = damage;
        self
    }

    fn gap(&self, extent: Extent, from: Option<Moment>, until: Option<Moment>) -> Damage {
        let stream = Stream::Attempts(self.span.probe.name.clone());
        Damage {
            stream,
            extent,
            from,
            until,
            why: "a block is missing or does not match its checksum".into(),
        }
    }
}

/// The records of a file's blocks, with a gap for each stretch that could not be read.
struct Unpacked {
    records: Vec<u8>,
    finished: bool,
    damaged: bool,
}

fn unpacked(mut bytes: &[u8]) -> Unpacked {
    let mut records = Vec::with_capacity(bytes.len());
    let (mut finished, mut damaged, mut gap) = (false, false, false);
    let (mut backends, mut slot) = (0, 0);
    while !bytes.is_empty() {
        // The back ends that a lost block named would be taken for others: what follows is lost. A
        // block that goes back was read before.
        let is_next =
            |next: &Block<'_>| next.backends.start == backends && next.previous_slot >= slot;
        let Some(next) = block(bytes).filter(is_next) else {
            (gap, damaged) = (true, true);
            let mark = bytes[1..].windows(MARK.len()).position(|found| found == MARK);
            bytes = mark.map_or(&[], |at| &bytes[at + 1..]);
            continue;
        };
        let is_missing = next.previous_slot != slot;
        damaged |= is_missing;
        if std::mem::take(&mut gap) || is_missing {
            put_gap(&mut records, next.previous_slot);
        }
        records.extend_from_slice(next.records);
        let mut reader = AttemptReader::records_after(next.records, next.previous_slot);
        reader.by_ref().for_each(drop);
        slot = reader.previous_slot();
        backends = next.backends.end;
        finished = next.records.is_empty();
        bytes = &bytes[next.length..];
    }
    if gap {
        put_gap(&mut records, 0);
    }
    Unpacked { records, finished: finished && !gap, damaged }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::attempts::AttemptEncoder;
    use crate::timeline::{Outcome, ProbeKind};

    fn span() -> ProbeSpan {
        ProbeSpan {
            format: ProbeSpan::FORMAT.into(),
            probe: ProbeHeader {
                name: "web".into(),
                kind: ProbeKind::Http,
                target: "http://web/".into(),
                service: None,
                from: "host".into(),
                from_node: None,
                reused: false,
                control: false,
                paths: Vec::new(),
                needs: None,
            },
            start: Moment(1_000_000_000),
            interval_ns: 10_000_000,
            timeout_ns: 100_000_000,
            clock_uncertainty_ns: 0,
        }
    }

    fn attempt(slot: u64) -> Attempt {
        Attempt { slot, outcome: Outcome::Ok, backend: Some(slot as u32 % 2), ..Attempt::default() }
    }

    /// Twenty blocks of five attempts; the first names two back ends.
    fn written(finish: bool) -> Vec<u8> {
        let (mut encoder, mut out) = (AttemptEncoder::default(), Vec::new());
        let mut writer = AttemptWriter::new(&mut out, &span()).unwrap();
        for number in 0..20 {
            let mut records = Vec::new();
            if number == 0 {
                ["a", "b"].iter().for_each(|name| encoder.backend(name, &mut records));
            }
            (number * 5..number * 5 + 5)
                .for_each(|slot| encoder.attempt(&attempt(slot), &mut records));
            writer.append(&records).unwrap();
        }
        if finish {
            writer.finish().unwrap();
        }
        out
    }

    #[test]
    fn what_is_written_is_read() {
        let file = ProbeFile::new(written(true)).unwrap();
        assert!(file.attempts().eq((0..100).map(attempt)));
        assert_eq!((file.finished, file.damage.len()), (Some(true), 0));
        assert_eq!(ProbeFile::new(written(false)).unwrap().finished, Some(false));
    }

    /// Whatever byte changes: the attempts that are read are those that were written, and where
    /// some are missing there is damage that spans them.
    #[test]
    fn a_changed_byte_changes_no_attempt() {
        let whole = written(true);
        let (all, span): (Vec<Attempt>, _) = ((0..100).map(attempt).collect(), span());
        for at in 0..whole.len() {
            for bit in [0, 3, 7] {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                let Ok(file) = ProbeFile::new(changed) else { continue };
                let read: Vec<Attempt> = file.attempts().collect();
                assert!(read.iter().all(|one| all.contains(one)), "byte {at}");
                let missing = all.iter().filter(|one| !read.contains(one));
                let spanned = |one: &Attempt| {
                    let done = span.done(one);
                    file.damage.iter().any(|damage| damage.overlaps(done, done))
                };
                assert!(missing.into_iter().all(spanned), "byte {at}: {:?}", file.damage);
                assert!(!file.damage.is_empty(), "byte {at}");
            }
        }
    }

    #[test]
    fn what_follows_a_damaged_block_is_read() {
        let mut bytes = written(true);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let file = ProbeFile::new(bytes).unwrap();
        assert_eq!(file.attempts().count(), 95);
        let [damage] = &file.damage[..] else { panic!("{:?}", file.damage) };
        assert_eq!(damage.extent, Extent::Part);
        let gap = damage.until.unwrap().since(damage.from.unwrap());
        assert_eq!(gap, 6 * span().interval());
        assert_eq!(
            damage.to_string(),
            "the attempts of web are damaged: a block is missing or does not match its checksum"
        );
    }

    #[test]
    fn a_cut_file_is_read_up_to_the_cut() {
        let whole = written(true);
        let header = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
        for cut in header..whole.len() {
            let file = ProbeFile::new(whole[..cut].to_vec()).unwrap();
            let read: Vec<Attempt> = file.attempts().collect();
            assert!(read.iter().cloned().eq((0..read.len() as u64).map(attempt)));
            assert_eq!(file.finished, Some(false), "{cut}");
        }
    }

    #[test]
    fn a_file_of_an_earlier_version_is_read() {
        let earlier = ProbeSpan { format: ProbeSpan::EARLIER.into(), ..span() };
        let mut bytes = serde_json::to_vec(&earlier).unwrap();
        bytes.push(b'\n');
        let mut encoder = AttemptEncoder::default();
        (0..10).for_each(|slot| {
            encoder.attempt(&Attempt { backend: None, ..attempt(slot) }, &mut bytes)
        });
        let file = ProbeFile::new(bytes.clone()).unwrap();
        assert_eq!((file.attempts().count(), file.damage.len()), (10, 0));
        bytes.pop();
        let cut = ProbeFile::new(bytes).unwrap();
        assert_eq!(cut.attempts().count(), 9);
        assert!(matches!(&cut.damage[..], [Damage { extent: Extent::ToTheEnd, until: None, .. }]));
    }
}
