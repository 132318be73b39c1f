//! One run on a prepared ground: its id, its folder, its world.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::AbortOnDropHandle;

use super::abort::Abort;
use super::kind_world::{KindWorld, Running};
use super::ledger::{Debtor, Ledger};
use super::provision::{Ground, find_kind_program};
use super::recorder::{Recorder, Sight};
use super::recover::Tools;
use super::run::{self, Job, RunEnd};
use super::trouble::Trouble;
use super::{seed::Seed, watchdog};
use crate::cluster::{Manifest, ManifestError, Workload};
use crate::docker::{Container, Endpoint};
use crate::experiment::Parsed;
use crate::timeline::{Anchor, Event, Header, RunFolder};

/// What all runs of an experiment share.
pub struct Session<'a> {
    /// The experiment, with everything that belongs to it.
    pub parsed: &'a Parsed,
    /// Where runs are kept.
    pub runs_dir: &'a Path,
    /// The directory of all state.
    pub state_dir: &'a Path,
    /// This program for the nodes.
    pub binary: Arc<[u8]>,
    /// This program's own file: the watchdog is started from it.
    pub program: PathBuf,
    /// Where programs are looked for.
    pub path: &'a OsStr,
    /// The container engine.
    pub engine: &'a Endpoint,
}

/// A run that has ended.
pub struct Ended {
    /// Its folder.
    pub folder: PathBuf,
    /// How it ended.
    pub end: RunEnd,
}

/// Holds the workload's files against what the cluster can make: all problems at once, nothing made.
pub async fn workload(ground: &Ground, parsed: &Parsed) -> Result<Workload, Trouble> {
    let files = parsed.workload.iter().map(|file| (file.path.as_str(), file.text.as_str()));
    let manifest = Manifest::parse(files).map_err(|problems| refused(&problems))?;
    let checked = ground.cluster.check_workload(&manifest).await.map_err(Trouble::refused_by)?;
    checked.map_err(|problems| refused(&problems))
}

fn refused(problems: &[ManifestError]) -> Trouble {
    let mut trouble = Trouble::refused("the workload can't be used");
    trouble.causes = problems.iter().map(ToString::to_string).collect();
    trouble
}

impl Session<'_> {
    /// Carries the experiment out once. An error means that nothing was done.
    pub async fn run(
        &self,
        ground: &mut Ground,
        seed: u64,
        repetition: Option<(u32, u32)>,
        observer: UnboundedSender<Sight>,
        abort: &Abort,
    ) -> Result<Ended, Trouble> {
        let workload = workload(ground, self.parsed).await?;
        let mut ledger = Ledger::open(&ground.state.ledger())?;
        let anchor = Anchor::take();
        let (id, short) = run_id(&anchor);
        let header = self.header(ground, &id, anchor, seed, repetition);
        let folder = RunFolder::create(self.runs_dir, &header).map_err(|e| {
            let hint = e.hint().unwrap_or("choose another directory with --runs-dir");
            Trouble::refused("cannot record the run").because(&e).hint(hint)
        })?;
        let path = folder.path().to_owned();
        let (recorder, recording) = Recorder::start(folder, observer);
        for text in &ground.warnings {
            recorder.event(Event::Note { warning: true, text: text.clone() });
        }
        let mut world = self.world(ground, &id, format!("outage-{short}"), workload);
        let arm = |dead_man: Duration| self.arm(ground, &id, dead_man);
        let job = Job {
            debtor: Debtor { run: &id, engine: self.engine.docker_host() },
            experiment: &self.parsed.experiment,
            tuning: &ground.facts.tuning,
            seed,
            arm: &arm,
        };
        let beating = AbortOnDropHandle::new(tokio::spawn(watchdog::beat(ground.state.clone())));
        let end = run::carry_out(&job, &mut world, &recorder, &mut ledger, abort).await;
        drop((world, recorder, beating));
        recording.finish().await;
        Ok(Ended { folder: path, end })
    }

    fn header(&self, ground: &Ground, id: &str, anchor: Anchor, seed: u64, repetition: Option<(u32, u32)>) -> Header {
        Header {
            format: Header::FORMAT.into(),
            program: env!("CARGO_PKG_VERSION").into(),
            run: id.into(),
            anchor,
            name: self.parsed.experiment.name.clone(),
            experiment: serde_json::to_value(&self.parsed.experiment).expect("is plain data"),
            source: self.parsed.source.text().to_owned(),
            seed,
            repetition,
            cluster: ground.facts.clone(),
        }
    }

    fn world<'a>(&'a self, ground: &Ground, id: &'a str, namespace: String, workload: Workload) -> KindWorld<'a> {
        let tools = Tools {
            docker: ground.docker.clone(),
            kind: find_kind_program(self.path, self.engine, &ground.docker),
            cluster: Some(ground.cluster.clone()),
        };
        KindWorld {
            experiment: &self.parsed.experiment,
            run: id,
            namespace,
            access: ground.access.clone(),
            docker: ground.docker.clone(),
            cluster: ground.cluster.clone(),
            containers: nodes_of(ground),
            workload,
            binary: self.binary.clone(),
            tools,
            running: Running::default(),
        }
    }

    fn arm(&self, ground: &Ground, run: &str, dead_man: Duration) -> Result<(), Trouble> {
        let arguments = [
            ("--cluster", ground.state.cluster().to_owned()),
            ("--run", run.to_owned()),
            ("--state-dir", self.state_dir.display().to_string()),
            ("--deadline-secs", dead_man.as_secs().to_string()),
            ("--docker-host", self.engine.docker_host().to_owned()),
        ];
        watchdog::start(&self.program, &arguments.map(|(flag, value)| format!("{flag}={value}")))
    }
}

/// The containers that are the cluster's nodes: by label, and by an address that agrees with the Node's. Nothing else is touched.
fn nodes_of(ground: &Ground) -> Vec<Container> {
    let known = |container: &&Container| ground.facts.nodes.iter().any(|node| node.container.as_ref() == Some(&container.id));
    ground.containers.iter().filter(known).cloned().collect()
}

/// A run's id, which sorts by time, and its short form.
fn run_id(anchor: &Anchor) -> (String, String) {
    let short = format!("{:04x}", Seed::fresh() & 0xffff);
    (format!("{}-{short}", anchor.wall.strftime("%Y%m%d-%H%M%S")), short)
}
