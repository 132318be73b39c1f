//! The exit codes: one table, in `--help` and in docs/commands.md (a test compares them).

use clap::ValueEnum;

use crate::engine::error::RunErrorKind;
use crate::engine::run::{RunEnd, Stop};

/// Pass: every expectation was met. Also a run without expectations, which is not judged.
pub(super) const PASS: u8 = 0;
/// Fail: an expectation was not met.
pub(super) const FAIL: u8 = 1;
/// Bad usage, or an invalid experiment.
pub(super) const USAGE: u8 = 2;
/// Inconclusive, or an error during the run that was undone.
pub(super) const INCONCLUSIVE: u8 = 3;
/// Refused before any fault was injected: safety, lock, precondition.
pub(super) const REFUSED: u8 = 4;
/// Something could not be undone: `kubectl outage recover`.
pub(super) const NOT_UNDONE: u8 = 5;
/// Interrupted (SIGINT, SIGTERM, SIGHUP), and undone.
pub(super) const INTERRUPTED: u8 = 130;

/// The least severe outcome of a run for which the exit code is not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// Only FAIL: an INCONCLUSIVE run that came to its end exits with 0
    Fail,
    /// FAIL (1) and INCONCLUSIVE (3)
    #[default]
    Inconclusive,
    /// Also a measurement outside its prediction (1): `unexpected` in the report
    #[value(alias = "surprise")]
    Unexpected,
}

/// Whether no further run follows one that ended so: the next would be refused, or harm what is not
/// undone.
pub(super) fn ends_series(code: u8) -> bool {
    matches!(code, INTERRUPTED | NOT_UNDONE | REFUSED)
}

/// The code of a run: what it left behind counts more than how it ended, and that more than what its
/// verdict asks for.
pub(super) fn of_run(end: &RunEnd, verdict: u8) -> u8 {
    match &end.stop {
        _ if !end.not_undone.is_empty() => NOT_UNDONE,
        Some(Stop::Interrupted(_)) => INTERRUPTED,
        Some(Stop::RunError(error)) if error.kind == RunErrorKind::Refused => REFUSED,
        Some(Stop::RunError(_)) => INCONCLUSIVE,
        None => verdict,
    }
}

/// The code of several runs: the most severe of 5 > 130 > 1 > 2 > 3 > 4 > 0.
pub(super) fn gravest(codes: impl IntoIterator<Item = u8>) -> u8 {
    const ORDER: [u8; 7] = [NOT_UNDONE, INTERRUPTED, FAIL, USAGE, INCONCLUSIVE, REFUSED, PASS];
    let rank = |code: &u8| ORDER.iter().position(|other| other == code).unwrap_or(0);
    codes.into_iter().min_by_key(rank).unwrap_or(PASS)
}

/// The table as help shows it.
pub(super) const HELP: &str = "\
Exit codes:
  0    pass, or a run without expectations
  1    fail; with --fail-on unexpected also a measurement outside its prediction
  2    bad usage, or an invalid experiment
  3    inconclusive, or an error during the run that was undone
  4    refused before any fault was injected (safety, lock, precondition)
  5    something could not be undone: run `kubectl outage recover`
  130  interrupted (SIGINT, SIGTERM, SIGHUP), and undone
Over several runs the most severe counts: 5, 130, 1, 2, 3, 4, 0.";

/// The table of `lint`, which does not judge a run.
pub(super) const LINT_HELP: &str = "\
Exit codes:
  0    no errors
  1    errors; with --strict also warnings
  2    bad usage, or a file that is not a kind config
  4    the cluster cannot be queried";

/// The table of `preflight`, which runs nothing.
pub(super) const PREFLIGHT_HELP: &str = "\
Exit codes:
  0    no errors: a run would begin
  2    bad usage, or an invalid experiment
  4    errors: a run would be refused";

/// The table of `predict`, which does not run anything.
pub(super) const PREDICT_HELP: &str = "\
Exit codes:
  0    predicted
  2    bad usage, or an invalid experiment
  3    no prediction: the model does not know such a fault or cluster
  4    the cluster cannot be queried";

/// The table of `tune`.
pub(super) const TUNE_HELP: &str = "\
Exit codes:
  0    settings that meet the goals are recommended
  1    no settings meet the goals; with --verify also: detection missing or not as predicted
  2    bad usage, or a file that is not a kind config
  3    with --verify: an error during a run that was undone
  4    the cluster cannot be queried, or a run was refused
  5    with --verify: something could not be undone: run `kubectl outage recover`
  130  with --verify: interrupted, and undone";

/// The table of `compare`.
pub(super) const COMPARE_HELP: &str = "\
Exit codes:
  0    nothing got worse
  1    something got worse, by more than chance explains and by at least the floor
  2    bad usage, or a baseline that cannot be read
  3    not everything could be compared: no runs of this kind before, or too few
  4    refused: runs on the embedded model beside runs on a real cluster";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::RunError;
    use crate::engine::undo::passes::NotUndone;

    #[test]
    fn the_gravest_counts() {
        assert_eq!(gravest([]), PASS);
        assert_eq!(gravest([PASS, INCONCLUSIVE, FAIL]), FAIL);
        assert_eq!(gravest([FAIL, INTERRUPTED]), INTERRUPTED);
        assert_eq!(gravest([INTERRUPTED, NOT_UNDONE, PASS]), NOT_UNDONE);
        assert_eq!(gravest([REFUSED, PASS]), REFUSED);
    }

    #[test]
    fn a_run_has_the_code_of_its_ending() {
        let not_undone = || NotUndone {
            what: "start node w".into(),
            by_hand: None,
            why: RunError::failed("no answer"),
        };
        let refused = || Stop::RunError(RunError::refused("no such node"));
        let failed = || Stop::RunError(RunError::failed("no room on the disk"));
        for (stop, left, verdict, code) in [
            (None, false, PASS, PASS),
            (None, false, FAIL, FAIL),
            (None, false, INCONCLUSIVE, INCONCLUSIVE),
            (None, true, PASS, NOT_UNDONE),
            (Some(refused()), false, REFUSED, REFUSED),
            (Some(failed()), false, INCONCLUSIVE, INCONCLUSIVE),
            (Some(failed()), true, INCONCLUSIVE, NOT_UNDONE),
            (Some(Stop::Interrupted("SIGINT")), false, INCONCLUSIVE, INTERRUPTED),
            (Some(Stop::Interrupted("SIGINT")), false, PASS, INTERRUPTED),
            (Some(Stop::Interrupted("SIGINT")), true, INCONCLUSIVE, NOT_UNDONE),
        ] {
            let end = RunEnd { stop, not_undone: left.then(not_undone).into_iter().collect() };
            assert_eq!(of_run(&end, verdict), code, "{end:?}, verdict {verdict}");
        }
    }

    #[test]
    fn help_names_every_code() {
        for code in [PASS, FAIL, USAGE, INCONCLUSIVE, REFUSED, NOT_UNDONE, INTERRUPTED] {
            assert!(
                HELP.lines().any(|line| line.trim_start().starts_with(&format!("{code} "))),
                "{code}"
            );
        }
    }
}
