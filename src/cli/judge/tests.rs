//! Recorded runs whose files were changed.

use super::*;
use crate::analysis::Warning;
use crate::timeline::attempts::AttemptEncoder;
use crate::timeline::{AttemptWriter, ProbeFile, ProbeSpan, RunFolder};

/// A recorded run, written again as this version writes it.
fn written_again(name: &str, runs: &Path) -> std::path::PathBuf {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name);
    let mut old = Timeline::read(&recorded).unwrap();
    old.header.format = crate::timeline::Header::FORMAT.into();
    let mut folder = RunFolder::create(runs, &old.header).unwrap();
    old.records.iter().for_each(|record| folder.record(record).unwrap());
    for file in &old.probes {
        let path = folder.path().join(format!("{}.attempts", file.span.probe.name));
        std::fs::write(path, attempts_again(file, file.span.clone(), str::to_owned)).unwrap();
    }
    folder.path().to_owned()
}

/// A probe's file as this version writes it, with other names of its back ends.
pub(super) fn attempts_again(
    file: &ProbeFile,
    span: ProbeSpan,
    name: impl Fn(&str) -> String,
) -> Vec<u8> {
    let span = ProbeSpan { format: ProbeSpan::FORMAT.into(), ..span };
    let mut out = Vec::new();
    let mut writer = AttemptWriter::new(&mut out, &span).unwrap();
    let mut encoder = AttemptEncoder::default();
    let (mut reader, mut records, mut named, mut count) = (file.attempts(), Vec::new(), 0, 0);
    while let Some(attempt) = reader.next() {
        reader.backends()[named..].iter().for_each(|it| encoder.backend(&name(it), &mut records));
        named = reader.backends().len();
        encoder.attempt(&attempt, &mut records);
        count += 1;
        if count % 10 == 0 {
            writer.append(&std::mem::take(&mut records)).unwrap();
        }
    }
    writer.append(&records).and_then(|()| writer.finish()).unwrap();
    out
}

/// What a report says of a run, without its warnings.
fn numbers(run: &Judged) -> serde_json::Value {
    let mut report = serde_json::to_value(json::Report::new(&run.view())).unwrap();
    report["findings"].as_object_mut().unwrap().remove("warnings");
    report
}

/// What an edit, a bad disk or a copy that failed makes of a file, drawn.
fn changed(bytes: &[u8], below: &mut impl FnMut(usize) -> usize) -> (String, Vec<u8>) {
    let at = below(bytes.len());
    let to = (at + 1 + below(200)).min(bytes.len());
    let (before, after) = bytes.split_at(at);
    let line = |at: usize| {
        let start = bytes[..at].iter().rposition(|&b| b == b'\n').map_or(0, |found| found + 1);
        let end = bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| at + n + 1);
        start..end
    };
    // A file of attempts has blocks where events have lines.
    let blocks: Vec<usize> =
        (1..bytes.len() - 1).filter(|&at| bytes[at..at + 2] == [0xA5, 0xB1]).collect();
    let piece = match &blocks[..] {
        [] => line(at),
        [.., last] => {
            let first = blocks[below(blocks.len())];
            first..blocks.iter().copied().find(|&next| next > first).unwrap_or(*last)
        }
    };
    let (start, end) = (piece.start, piece.end);
    match below(7) {
        0 => {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 + below(255) as u8;
            (format!("byte {at} changed"), changed)
        }
        1 => (format!("bytes {at} to {to} removed"), [before, &bytes[to..]].concat()),
        2 => {
            let new: Vec<u8> = (0..1 + below(40)).map(|_| below(256) as u8).collect();
            (format!("{} bytes inserted at {at}", new.len()), [before, &new, after].concat())
        }
        3 => (format!("cut at {at}"), before.to_vec()),
        4 => (format!("cut at {start}, where a piece begins"), bytes[..start].to_vec()),
        5 => (format!("piece {start} to {end} removed"), [&bytes[..start], &bytes[end..]].concat()),
        _ => {
            let what = format!("piece {start} to {end} written again at {end}");
            (what, [&bytes[..end], &bytes[start..]].concat())
        }
    }
}

/// A file of a run that was changed: either that is an error or a warning, and each expectation has the
/// same verdict or is inconclusive, or every number is the same.
#[test]
fn a_changed_file_is_reported_or_changes_nothing() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut names: Vec<_> = std::fs::read_dir(recorded)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() > 5, "{names:?}");
    let mut random = crate::analysis::testing::Random(300);
    let mut below = |bound: usize| (random.share() * bound as f64) as usize;
    let mut bad = Vec::new();
    for name in names {
        let runs = tempfile::tempdir().unwrap();
        let folder = written_again(&name, runs.path());
        let whole = judge(&folder).map_err(|failure| failure.text()).unwrap();
        assert_eq!(whole.timeline.damage, [], "{name}");
        let (known, expected) = (numbers(&whole), outcomes(&whole));
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for number in 0..30 {
            let path = &files[number % files.len()];
            let bytes = std::fs::read(path).unwrap();
            let (what, new) = changed(&bytes, &mut below);
            std::fs::write(path, &new).unwrap();
            if let Ok(run) = judge(&folder) {
                let is_reported =
                    run.findings.warnings.iter().any(|warning| {
                        matches!(warning, Warning::Damaged { .. } | Warning::RunDied)
                    });
                let is_sound = if is_reported {
                    let found = outcomes(&run);
                    found
                        .iter()
                        .zip(&expected)
                        .all(|(now, before)| now == before || *now == Outcome::Inconclusive)
                } else {
                    numbers(&run) == known
                };
                if !is_sound {
                    bad.push(format!(
                        "{name}: {what} of {}: {is_reported} {:?}",
                        path.display(),
                        outcomes(&run)
                    ));
                }
            }
            std::fs::write(path, &bytes).unwrap();
        }
    }
    assert!(bad.is_empty(), "{}:\n{}", bad.len(), bad.join("\n"));
}

/// Of a run, then of each of its expectations.
fn outcomes(run: &Judged) -> Vec<Outcome> {
    let each = run.verdict.assertions.iter().map(|assertion| assertion.outcome);
    std::iter::once(run.verdict.outcome).chain(each).collect()
}
