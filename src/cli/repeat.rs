//! One experiment, as often as it is asked for: carried out, shown while it goes on, and judged.

use super::command::Command;
use super::exit;
use super::failure::{self, Failure};
use super::judge::{self, Judged};
use super::progress::Progress;
use super::watch_lanes::Lanes;
use crate::engine::environment::handle::ClusterHandle;
use crate::engine::error::RunErrorKind;
use crate::engine::follower::Follower;
use crate::engine::run::Stop;
use crate::engine::seed;
use crate::engine::session::{Ended, Session, Start};
use crate::experiment::{Experiment, Parsed, Step};
use crate::timeline::Moment;

pub(super) struct Repeated {
    pub code: u8,
    pub runs: Vec<Judged>,
    /// Why there are not as many as were asked for; `None`: nothing was refused.
    pub why: Option<String>,
    /// How many of those that were asked for were not started.
    pub not_started: u32,
    /// What became of all of them, where some were not started.
    pub cut_short: Option<String>,
}

impl Command<'_> {
    /// Carries an experiment out as often as it was asked for. Returns the exit code, the runs, and
    /// why those that are missing are.
    pub(super) async fn repeat(&self, parsed: &Parsed, handle: &ClusterHandle) -> Repeated {
        let first_seed = self.execution.seed.unwrap_or_else(|| seed::fresh() >> 32);
        let session =
            Session { parsed, runs_dir: &self.env.runs_dir, environment: &self.environment };
        let (mut codes, mut runs, mut why, mut begun) = (Vec::new(), Vec::new(), None, 0);
        for number in 1..=self.repeat {
            let repetition = (self.repeat > 1).then_some((number, self.repeat));
            let seed = first_seed.wrapping_add(u64::from(number - 1));
            begun = number;
            if repetition.is_some() {
                complain!("run {number} of {} (seed {seed})", self.repeat);
            }
            let mut start = Start::now(seed, repetition);
            start.more_follow = number < self.repeat;
            match self.once(&session, handle, start).await {
                Ok((code, judged)) => {
                    codes.push(code);
                    runs.extend(judged);
                }
                Err(failure) => {
                    why = Some(failure.line());
                    codes.push(failure.report());
                }
            }
            let more = number < self.repeat;
            if more && self.abort.signal().is_some() {
                codes.push(exit::INTERRUPTED);
            }
            if codes.last().is_some_and(|code| exit::ends_series(*code)) {
                break;
            }
        }
        codes.extend(self.release(handle).await.err().map(|failure| failure.report()));
        let not_started = self.repeat - begun;
        let done = runs.iter().filter(|run| run.is_complete()).count() as u32;
        let cut_short = (not_started > 0).then(|| cut_short(done, begun, not_started));
        Repeated { code: exit::gravest(codes), runs, why, not_started, cut_short }
    }

    /// One run, shown while it goes on, and judged.
    pub(super) async fn once(
        &self,
        session: &Session<'_>,
        handle: &ClusterHandle,
        start: Start,
    ) -> Result<(u8, Option<Judged>), Failure> {
        let (follower, seen) = Follower::new();
        let Experiment { name, method, .. } = &session.parsed.experiment;
        let method = method.iter().map(Step::lasts).sum();
        let lanes = self.watch.then(|| Lanes::new(name, method, Moment::now()));
        let progress = Progress::of_run(self.env.stderr, &self.warned, lanes);
        // A thread of its own: a terminal that stands still (Ctrl-S) must not hold the run.
        let shown = std::thread::spawn(move || progress.follow(seen));
        let ended = session.run(handle, start, follower, self.abort).await;
        let _ = shown.join();
        let ended = ended?;
        let judged = judge::judge(&ended.folder);
        let code =
            self.code(&ended, judged.as_ref().map_or(exit::INCONCLUSIVE, |judged| judged.code()));
        Ok((code, judged.map_err(|failure| failure.report()).ok()))
    }

    /// The exit code of one run, after what went wrong in it is printed.
    fn code(&self, ended: &Ended, verdict: u8) -> u8 {
        if let Some(Stop::RunError(error)) = &ended.end.stop {
            complain!("{}", failure::text_of(error));
        }
        for not_undone in &ended.end.not_undone {
            let by_hand = not_undone
                .by_hand
                .as_ref()
                .map_or(String::new(), |command| format!("; by hand: {command}"));
            let why = failure::text_of(&not_undone.why);
            complain!(
                "NOT UNDONE: {}\n{why}\n\nhint: `kubectl outage recover` retries{by_hand}",
                not_undone.what
            );
        }
        match &ended.end.stop {
            _ if !ended.end.not_undone.is_empty() => exit::NOT_UNDONE,
            Some(Stop::Interrupted(_)) => exit::INTERRUPTED,
            Some(Stop::RunError(error)) if error.kind == RunErrorKind::Refused => exit::REFUSED,
            Some(Stop::RunError(_)) => exit::INCONCLUSIVE,
            None => verdict,
        }
    }
}

/// What became of all the runs that were asked for, where some were not started.
fn cut_short(done: u32, begun: u32, not_started: u32) -> String {
    let ended = match begun - done {
        0 => String::new(),
        1 => ", 1 did not finish".into(),
        // One that fails on the way ends no other.
        early => format!(", {early} did not finish"),
    };
    format!("{done} of {} runs finished{ended}, {not_started} not started", begun + not_started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_were_not_started_are_counted() {
        assert_eq!(cut_short(2, 3, 17), "2 of 20 runs finished, 1 did not finish, 17 not started");
        assert_eq!(cut_short(0, 3, 17), "0 of 20 runs finished, 3 did not finish, 17 not started");
        assert_eq!(cut_short(3, 3, 17), "3 of 20 runs finished, 17 not started");
    }
}
