//! Attempts as JSON lines, for other tools.

use std::io::{self, Write};

use serde::Serialize;

use super::printable::data;
use crate::analysis::Zero;
use crate::stats::Seconds;
use crate::timeline::ProbeFile;
use crate::timeline::attempts::{ConnectionEnd, Phases};
use crate::timeline::{Attempt, Timeline};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    run: &'a str,
    probe: &'a str,
    slot: u64,
    due: Seconds,
    sent: Seconds,
    done: Seconds,
    wall: String,
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    failed: bool,
    backend: Option<&'a str>,
    reused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'static str>,
    dns_us: u64,
    connect_us: u64,
    tls_us: u64,
    first_byte_us: u64,
    body_us: u64,
}

/// Writes every attempt, a line each, in the order in which they ended: one probe after the other.
/// `due`, `sent` and `done` are seconds after +0, `wall` the wall time of sending, the phases
/// microseconds. Errors are the writer's.
pub fn write(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    let zero = Zero::of(timeline).0;
    for file in &timeline.probes {
        let mut attempts = file.attempts();
        while let Some(attempt) = attempts.next() {
            let backend =
                attempt.backend.and_then(|index| attempts.backends().get(index as usize).copied());
            writeln!(out, "{}", data(&line(timeline, file, &attempt, backend, zero)))?;
        }
    }
    Ok(())
}

fn line<'a>(
    timeline: &'a Timeline,
    file: &'a ProbeFile,
    attempt: &Attempt,
    backend: Option<&'a str>,
    zero: Zero,
) -> Line<'a> {
    let span = &file.span;
    let Phases { dns_us, connect_us, tls_us, first_byte_us, body_us } = attempt.phases;
    Line {
        run: &timeline.header.run,
        probe: &span.probe.name,
        slot: attempt.slot,
        due: zero.at(span.due(attempt.slot)),
        sent: zero.at(span.sent(attempt)),
        done: zero.at(span.done(attempt)),
        wall: timeline.header.anchor.wall_of(span.sent(attempt)).to_string(),
        outcome: attempt.outcome.label(),
        cause: attempt.outcome.cause(),
        failed: attempt.outcome.is_failure(),
        backend,
        reused: attempt.reused,
        ended: attempt.ended.map(|ended| match ended {
            ConnectionEnd::Closed => "closed",
            ConnectionEnd::Reset => "reset",
        }),
        dns_us,
        connect_us,
        tls_us,
        first_byte_us,
        body_us,
    }
}
