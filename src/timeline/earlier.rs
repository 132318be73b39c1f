//! What timelines of earlier versions say in prose only, put where this version has it.

use super::record::{Event, FaultPhase, Record};

/// How the detail of a confirmed fault begins that has ended a container: its exit code follows.
const EXITED: &str = "container exited with ";

/// How the detail of an undo begins that found no packet filter to remove.
const NO_FILTER: &str = "no packet filter was there";

/// Fills in what this version records by itself. `records` are sorted by time.
pub(super) fn complete(records: &mut Vec<Record>) {
    add_exit_codes(records);
    add_worn_off(records);
}

/// An undo that found no packet filter has found that the fault had worn off.
fn add_worn_off(records: &mut Vec<Record>) {
    if records.iter().any(|record| phase_of(record) == Some(FaultPhase::WoreOff)) {
        return;
    }
    let mut all = Vec::with_capacity(records.len());
    for record in records.drain(..) {
        if let Event::Fault { phase: FaultPhase::Undone, detail, .. } = &record.event
            && detail.starts_with(NO_FILTER)
        {
            let mut worn_off = record.clone();
            if let Event::Fault { phase, .. } = &mut worn_off.event {
                *phase = FaultPhase::WoreOff;
            }
            all.push(worn_off);
        }
        all.push(record);
    }
    *records = all;
}

fn phase_of(record: &Record) -> Option<FaultPhase> {
    if let Event::Fault { phase, .. } = &record.event { Some(*phase) } else { None }
}

/// Gives an engine's `die` the exit code that the fault which ended the container has seen.
fn add_exit_codes(records: &mut [Record]) {
    let codes: Vec<(usize, i64)> =
        records.iter().filter_map(|record| exit_of(record, records)).collect();
    for (at, code) in codes {
        if let Event::Docker { exit_code, .. } = &mut records[at].event {
            exit_code.get_or_insert(code);
        }
    }
}

/// The first `die` of the container since the request of the fault that this record confirms, and
/// the exit code.
fn exit_of(confirmed: &Record, records: &[Record]) -> Option<(usize, i64)> {
    let Event::Fault { step, target, phase: FaultPhase::Confirmed, detail, .. } = &confirmed.event
    else {
        return None;
    };
    let code = detail.strip_prefix(EXITED)?.split(' ').next()?.parse().ok()?;
    let requested = records.iter().position(|record| {
        matches!(&record.event, Event::Fault { step: its, target: on, phase: FaultPhase::Requested, .. } if its == step && on == target)
    })?;
    let died = records[requested..].iter().position(|record| {
        matches!(&record.event, Event::Docker { container, action, .. } if container == target && action == "die")
    })?;
    Some((requested + died, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Vec<Option<i64>> {
        let mut records: Vec<Record> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        complete(&mut records);
        let code = |record: &Record| match record.event {
            Event::Docker { exit_code, .. } => Some(exit_code),
            _ => None,
        };
        records.iter().filter_map(code).collect()
    }

    const REQUESTED: &str = r#"{"at":1,"event":"fault","step":0,"fault":"nodeStop","target":"w","phase":"requested","detail":""}"#;
    const CONFIRMED: &str = r#"{"at":9,"event":"fault","step":0,"fault":"nodeStop","target":"w","phase":"confirmed","detail":"container exited with 137 at 2026-11-22T08:36:42Z by the engine's clock"}"#;

    fn died(container: &str, rest: &str) -> String {
        format!(
            r#"{{"at":5,"event":"docker","container":"{container}","action":"die","engineTime":null{rest}}}"#
        )
    }

    #[test]
    fn a_containers_death_has_the_exit_code_that_its_fault_has_seen() {
        let (own, other) = (died("w", ""), died("v", ""));
        let lines = [own.as_str(), REQUESTED, &other, &own, CONFIRMED, &own];
        assert_eq!(read(&lines), [None, None, Some(137), None]);
        assert_eq!(read(&[REQUESTED, CONFIRMED, &own]), [Some(137)], "the engine was slow");
        assert_eq!(read(&[REQUESTED, &own]), [None]);
    }

    #[test]
    fn an_undo_that_found_no_packet_filter_says_so_by_a_phase() {
        let phases = |detail: &str, more: &[&str]| {
            let undone = format!(
                r#"{{"at":9,"event":"fault","step":0,"fault":"nodeDisconnect","target":"w","phase":"undone","detail":"{detail}"}}"#
            );
            let lines = more.iter().copied().chain([undone.as_str()]);
            let mut records = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
            complete(&mut records);
            records.iter().filter_map(phase_of).collect::<Vec<_>>()
        };
        use FaultPhase::{Requested, Undone, WoreOff};
        let gone = "no packet filter was there: never done, or taken away by the dead man's switch";
        assert_eq!(phases(gone, &[REQUESTED]), [Requested, WoreOff, Undone]);
        assert_eq!(phases("the packet filter is gone", &[REQUESTED]), [Requested, Undone]);
        let recorded = REQUESTED.replace("requested", "woreOff");
        assert_eq!(phases(gone, &[&recorded]), [WoreOff, Undone], "as this version writes it");
    }

    #[test]
    fn what_the_engine_said_itself_stays() {
        assert_eq!(read(&[REQUESTED, &died("w", r#","exitCode":0"#), CONFIRMED]), [Some(0)]);
    }
}
