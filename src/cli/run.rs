//! `run`: carries experiments out, one after the other, and reports.

use tokio::sync::mpsc;

use super::args::{ClusterChoice, Form, Run};
use super::cluster::DEFAULT_CONFIG;
use super::env::Env;
use super::failure::{self, Failure};
use super::judge::{self, Judged};
use super::progress::Progress;
use super::{block_on, dry_run, exit, load};
use crate::cluster::kubeconfig_paths;
use crate::docker::Endpoint;
use crate::engine::abort::Abort;
use crate::engine::provision::{self, Ground, Nodes, Site, Wanted};
use crate::engine::run::Stop;
use crate::engine::seed;
use crate::engine::session::{Ended, Session};
use crate::engine::trouble::{Trouble, TroubleKind};
use crate::experiment::{Cluster, Parsed};

/// Runs; exits with the gravest code.
pub fn run(args: &Run, env: &Env) -> Result<u8, Failure> {
    let experiments = load::experiments(&args.filename, &args.names, env)?;
    block_on(async {
        let abort = Abort::listen(|signal, first| match first {
            true => complain!("   {signal}: undoing what was done (this can't be cut short)"),
            false => complain!("   {signal} again: still undoing, please wait"),
        });
        let abort = abort.map_err(|e| Trouble::refused("cannot listen for signals").because(&e))?;
        let mut codes = Vec::new();
        let mut runs = Vec::new();
        for parsed in &experiments {
            let command = Command { args, env, parsed, abort: &abort };
            match command.carry_out(&mut runs).await {
                Ok(code) => codes.push(code),
                // One that can't be run does not keep the others from it.
                Err(failure) => codes.push(told(failure)),
            }
            if abort.signal().is_some() {
                break;
            }
        }
        // What was never begun has not passed.
        if abort.signal().is_some() && codes.len() < experiments.len() {
            codes.push(exit::INTERRUPTED);
        }
        if !matches!(args.output, Form::Text | Form::Wide) && !args.dry_run {
            judge::print(&runs, args.output, env);
        }
        Ok(exit::gravest(codes))
    })
}

/// One experiment of the command.
struct Command<'a> {
    args: &'a Run,
    env: &'a Env,
    parsed: &'a Parsed,
    abort: &'a Abort,
}

impl Command<'_> {
    async fn carry_out(&self, runs: &mut Vec<Judged>) -> Result<u8, Failure> {
        let cannot = |e: std::io::Error| Trouble::refused("cannot find this program's own file").because(&e);
        let site = Site {
            engine: Endpoint::resolve(self.args.access.docker_host.as_deref(), &self.env.engine).map_err(Trouble::refused_by),
            path: &self.env.path,
            program: std::env::current_exe().map_err(cannot)?,
            agent_binary: self.args.agent_binary.as_deref(),
            state_dir: &self.env.state_dir,
            node_image: self.args.node_image.as_deref(),
            allow_context: self.args.access.allow_context.as_deref(),
            only_look: self.args.dry_run,
        };
        let wanted = self.wanted()?;
        if self.args.dry_run {
            return dry_run::dry_run(self.parsed, &wanted, &site, self.args).await;
        }
        let ground = self.prepare(&wanted, &site).await?;
        let code = self.repeat(&ground, &site, runs).await.unwrap_or_else(told);
        let deleted = self.delete_cluster(&ground).await.map_or_else(told, |()| exit::PASS);
        Ok(exit::gravest([code, deleted]))
    }

    fn wanted(&self) -> Result<Wanted, Trouble> {
        let access = &self.args.access;
        if self.args.cluster == Some(ClusterChoice::Embedded) {
            return self.embedded();
        }
        match (&self.parsed.experiment.cluster, &self.parsed.kind_config, &access.context) {
            (Cluster::Context, ..) if self.args.cluster == Some(ClusterChoice::Kind) => Err(Trouble::refused(
                "--cluster kind: the experiment names no kind config",
            )
            .hint(
                "`cluster: {kind: {config: FILE}}` in the experiment names one; --context NAME runs it in a cluster that is there",
            )),
            (Cluster::Kind { tuning, .. }, Some(config), None) => Wanted::kind(&config.path, &config.text, *tuning),
            (cluster, _, context) => {
                if matches!(cluster, Cluster::Kind { .. }) {
                    complain!("warning: --context is given: the experiment's own kind config and tuning are not used");
                }
                let kubeconfig =
                    kubeconfig_paths(access.kubeconfig.as_deref(), self.env.kubeconfig.as_deref(), self.env.home.as_deref());
                Ok(Wanted::Context { kubeconfig, context: context.clone() })
            }
        }
    }

    /// The model of the experiment's own kind cluster; of one with kind's own defaults where it names none.
    fn embedded(&self) -> Result<Wanted, Trouble> {
        match (&self.parsed.experiment.cluster, &self.parsed.kind_config) {
            (Cluster::Kind { tuning, .. }, Some(config)) => Wanted::embedded(&config.path, &config.text, *tuning),
            _ => Wanted::embedded("built in", DEFAULT_CONFIG, None),
        }
    }

    async fn prepare(&self, wanted: &Wanted, site: &Site<'_>) -> Result<Ground, Failure> {
        let mut progress = Progress::new(self.env.stderr);
        let prepared = provision::prepare(wanted, site, self.abort, &mut |line| match Said::of(line) {
            Some(Said::Step(text)) => progress.step(text),
            Some(Said::Detail(text)) => progress.detail(text),
            None => {}
        })
        .await;
        match &prepared {
            Ok(_) => progress.done(),
            Err(_) => progress.failed(),
        }
        prepared.map_err(|trouble| {
            let failure = Failure::from(trouble);
            // What was half made is deleted again by now, unless it says otherwise.
            let interrupted = self.abort.signal().is_some() && failure.code != exit::NOT_UNDONE;
            Failure { code: if interrupted { exit::INTERRUPTED } else { failure.code }, ..failure }
        })
    }

    async fn repeat(&self, ground: &Ground, site: &Site<'_>, runs: &mut Vec<Judged>) -> Result<u8, Failure> {
        let first_seed = self.args.seed.unwrap_or_else(|| seed::fresh() >> 32);
        let session = Session { parsed: self.parsed, runs_dir: &self.env.runs_dir, site };
        let mut codes = Vec::new();
        let first = runs.len();
        for number in 1..=self.args.repeat {
            let repetition = (self.args.repeat > 1).then_some((number, self.args.repeat));
            let seed = first_seed + u64::from(number - 1);
            match self.once(&session, ground, seed, repetition).await {
                Ok((code, judged)) => {
                    codes.push(code);
                    runs.extend(judged);
                }
                Err(failure) => codes.push(told(failure)),
            }
            let more = number < self.args.repeat;
            if more && self.abort.signal().is_some() {
                codes.push(exit::INTERRUPTED);
            }
            if matches!(codes.last(), Some(&(exit::INTERRUPTED | exit::NOT_UNDONE | exit::REFUSED))) {
                break;
            }
        }
        if matches!(self.args.output, Form::Text | Form::Wide) {
            judge::print(&runs[first..], self.args.output, self.env);
        }
        Ok(exit::gravest(codes))
    }

    /// One run, shown while it goes on, and judged.
    async fn once(
        &self,
        session: &Session<'_>,
        ground: &Ground,
        seed: u64,
        repetition: Option<(u32, u32)>,
    ) -> Result<(u8, Option<Judged>), Failure> {
        if let Some((number, of)) = repetition {
            complain!("run {number} of {of} (seed {seed})");
        }
        let (observer, mut sights) = mpsc::unbounded_channel();
        let mut progress = Progress::new(self.env.stderr);
        // A thread of its own: a terminal that stands still (Ctrl-S) must not hold the run.
        let shown = std::thread::spawn(move || {
            while let Some(sight) = sights.blocking_recv() {
                progress.show(&sight);
            }
            progress.done();
        });
        let ended = session.run(ground, seed, repetition, observer, self.abort).await;
        let _ = shown.join();
        let ended = ended?;
        let judged = judge::judge(&ended.folder);
        let code = self.code(&ended, judged.as_ref().map_or(exit::INCONCLUSIVE, |judged| judged.code()));
        Ok((code, judged.map_err(|failure| complain!("{}", failure.text)).ok()))
    }

    /// The exit code of one run, and what went wrong in it, said.
    fn code(&self, ended: &Ended, verdict: u8) -> u8 {
        if let Some(Stop::Trouble(trouble)) = &ended.end.stop {
            complain!("{}", failure::text_of(trouble));
        }
        for not_undone in &ended.end.not_undone {
            let by_hand = not_undone.by_hand.as_ref().map_or(String::new(), |command| format!(", by hand: {command}"));
            let why = failure::text_of(&not_undone.why);
            complain!("NOT UNDONE: {}\n{why}\n\nhint: `kubectl outage recover` tries again{by_hand}", not_undone.what);
        }
        match &ended.end.stop {
            _ if !ended.end.not_undone.is_empty() => exit::NOT_UNDONE,
            Some(Stop::Interrupted(_)) => exit::INTERRUPTED,
            Some(Stop::Trouble(trouble)) if trouble.kind == TroubleKind::Refused => exit::REFUSED,
            Some(Stop::Trouble(_)) => exit::INCONCLUSIVE,
            None => verdict,
        }
    }

    async fn delete_cluster(&self, ground: &Ground) -> Result<(), Failure> {
        let Nodes::Kind(nodes) = &ground.nodes else { return Ok(()) };
        if !(self.args.delete_cluster && nodes.made) {
            return Ok(());
        }
        let name = ground.state.cluster();
        let failed = |e: crate::cluster::KindError| {
            Trouble::failed(format!("cannot delete the kind cluster {name}")).because(&e).maybe_hint(e.hint())
        };
        let kind = nodes.kind.as_ref().map_err(Clone::clone)?;
        kind.delete(name, &ground.state.scratch("kubeconfig")).await.map_err(failed)?;
        Ok(())
    }
}

/// Prints why something failed; its exit code.
fn told(failure: Failure) -> u8 {
    complain!("{}", failure.text);
    failure.code
}

/// What is said while a cluster is made.
#[derive(Debug, PartialEq)]
enum Said<'a> {
    /// A step of ours.
    Step(&'a str),
    /// A step of kind's, inside of ours.
    Detail(&'a str),
}

impl<'a> Said<'a> {
    /// kind says a step twice: at its begin (a bullet) and at its end (a tick), which is no news.
    fn of(line: &'a str) -> Option<Self> {
        let bare = |text: &'a str| text.trim().trim_end_matches(|c: char| !c.is_alphanumeric() && c != ')');
        match line.trim_start().chars().next()? {
            '✓' => None,
            '•' | '✗' => Some(Said::Detail(bare(line.trim_start().trim_start_matches('•')))),
            _ if line.starts_with("Pulling image") || line.starts_with("warning: ") => Some(Said::Detail(bare(line))),
            _ => Some(Said::Step(bare(line))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_kind_is_said_once() {
        assert_eq!(Said::of(" • Preparing nodes 📦 📦   ..."), Some(Said::Detail("Preparing nodes")));
        assert_eq!(Said::of(" ✓ Preparing nodes 📦 📦"), None);
        assert_eq!(Said::of("making the kind cluster a"), Some(Said::Step("making the kind cluster a")));
        assert_eq!(Said::of("Pulling image: kindest/node ..."), Some(Said::Detail("Pulling image: kindest/node")));
        assert_eq!(Said::of(""), None);
    }
}
