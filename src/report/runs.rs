//! The table of `get runs`, as kubectl prints tables.

use super::summary::Summary;
use super::table::list;
use crate::stats::Seconds;

/// A table of runs, in the order given. `wide` has more columns; `now` is the time that ages are
/// counted to.
pub fn render(runs: &[Summary], wide: bool, now: jiff::Timestamp, columns: usize) -> String {
    let mut header = vec!["RUN", "EXPERIMENT", "CLUSTER", "VERDICT", "DETECTED", "ERRORS", "AGE"];
    if wide {
        header.extend(["KUBERNETES", "PREDICTED", "UNREADY", "RECOVERY", "FAILED", "WHY"]);
    }
    list(columns, header, runs.iter().map(|run| row(run, wide, now)))
}

fn row(run: &Summary, wide: bool, now: jiff::Timestamp) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "<none>".into());
    let mut row = vec![
        run.run.clone(),
        run.experiment.clone(),
        run.cluster.clone(),
        run.state.clone(),
        or_none(run.detection.map(|detection| detection.to_string())),
        or_none(run.errors()),
        age(&run.started, now),
    ];
    if wide {
        row.extend([
            run.kubernetes.clone(),
            or_none(run.predicted.map(|predicted| format!("{predicted:.1}"))),
            or_none(run.unready()),
            or_none(run.recovery.map(|recovery| recovery.to_string())),
            format!("{}/{}", run.failed, run.attempts),
            run.summary.clone(),
        ]);
    }
    row
}

/// As kubectl says it: `45s`, `12m`, `5h`, `3d`.
pub fn age(started: &str, now: jiff::Timestamp) -> String {
    let Ok(started) = started.parse::<jiff::Timestamp>() else { return "<unknown>".into() };
    match now.duration_since(started).as_secs().max(0) {
        s @ 0..120 => Seconds::from_f64(s as f64).to_string(),
        s @ 120..7200 => format!("{}m", s / 60),
        s @ 7200..172_800 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}
