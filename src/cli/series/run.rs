//! One run: shown while it goes on, and judged.

use crate::cli::command::Command;
use crate::cli::events::News;
use crate::cli::exit::{self, FailOn};
use crate::cli::failure::{self, Failure};
use crate::cli::judge::{self, Judged};
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::cli::watch_lanes::Lanes;
use crate::engine::environment::handle::ClusterHandle;
use crate::engine::follower::Follower;
use crate::engine::run::Stop;
use crate::engine::session::{Ended, Session, Start};
use crate::experiment::{Experiment, Step};
use crate::timeline::Moment;

/// What became of a run.
pub(super) struct Outcome {
    pub code: u8,
    /// Whether it may be made again, whatever `--fail-on` makes of its code.
    pub is_inconclusive: bool,
    pub judged: Judged,
}

/// Errors when nothing was done, or what was done cannot be read.
pub(super) async fn run(
    command: &Command<'_>,
    session: &Session<'_>,
    handle: &ClusterHandle,
    start: Start,
) -> Result<Outcome, Failure> {
    let (follower, seen) = Follower::new();
    let Experiment { name, method, .. } = &session.parsed.experiment;
    let method = method.iter().map(Step::lasts).sum();
    let lanes = command.watch.then(|| Lanes::new(name, method, Moment::now()));
    let events = command.events.of_run(name, &start.id);
    events.write(News::run_started(&start));
    let progress = Progress::of_run(command.env.stderr, &command.warned, lanes, events.clone());
    // A thread of its own: a terminal that stands still (Ctrl-S) must not hold the run.
    let label = output::label();
    let shown = std::thread::spawn(move || output::with_label(label, || progress.follow(seen)));
    let ended = session.run(handle, start, follower, command.abort).await;
    let folder = ended.as_ref().ok().map(|ended| ended.folder.clone());
    // Not on this thread: another run may be measuring on it.
    let judged = tokio::task::spawn_blocking(move || {
        let _ = shown.join();
        folder.map(|folder| judge::judge(&folder))
    });
    let judged = judged.await;
    let ended = ended?;
    tell(&ended);
    let judged = match judged {
        Ok(judged) => judged.expect("a run that has ended has a folder"),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    let code = |fail_on| {
        let verdict = judged.as_ref().map_or(exit::INCONCLUSIVE, |judged| judged.code(fail_on));
        exit::of_run(&ended.end, verdict)
    };
    let is_inconclusive = code(FailOn::default()) == exit::INCONCLUSIVE;
    let code = code(command.fail_on);
    events.write(News::run_ended(code, judged.as_ref().ok()));
    match judged {
        Ok(judged) => Ok(Outcome { code, is_inconclusive, judged }),
        Err(failure) => Err(Failure { code, ..failure }),
    }
}

/// Prints what went wrong.
fn tell(ended: &Ended) {
    if let Some(Stop::RunError(error)) = &ended.end.stop {
        complain!("{}", failure::text_of(error));
    }
    for not_undone in &ended.end.not_undone {
        let by_hand = not_undone.by_hand.as_ref();
        let by_hand = by_hand.map_or(String::new(), |command| format!("; by hand: {command}"));
        let why = failure::text_of(&not_undone.why);
        complain!(
            "NOT UNDONE: {}\n{why}\n\nhint: `kubectl outage recover` retries{by_hand}",
            not_undone.what
        );
    }
}
