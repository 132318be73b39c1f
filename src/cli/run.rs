//! `run`: carries experiments out and reports. `suite.rs` has their order, `repeat.rs` what is done
//! with one.

use super::args::{ClusterChoice, Run};
use super::cluster::default_config;
use super::dry_run::{self, DryRun};
use super::env::Env;
use super::failure::Failure;
use super::load::Place;
use super::progress::Progress;
use super::suite::Suite;
use super::{block_on, exit, load};
use crate::cluster::kubeconfig_paths;
use crate::docker::Endpoint;
use crate::engine::abort::Abort;
use crate::engine::environment::provision::{
    self, ClusterHandle, ClusterSpec, Environment, Found, Nodes,
};
use crate::engine::environment::restore;
use crate::engine::error::RunError;
use crate::engine::leaders;
use crate::experiment::{Cluster, Parsed};
use crate::kind_config::{DEFAULT_KUBERNETES, Kubernetes, version_of_image};
use crate::plan;
use crate::report::view;

/// Runs; exits with the gravest code.
pub(super) fn run(args: &Run, env: &Env) -> Result<u8, Failure> {
    let experiments = load::even_open(&args.filename, &args.names, place(args), env)?;
    block_on(async {
        let abort = Abort::listen(|signal, first| match first {
            true => complain!("   {signal}: undoing all faults, please wait"),
            false => {
                complain!("   {signal} again: still undoing, please wait (this cannot be skipped)")
            }
        });
        let abort =
            abort.map_err(|e| RunError::refused("cannot listen for signals").because(&e))?;
        let command = Command { args, env, abort: &abort, environment: environment(args, env)? };
        if args.access.context.is_some()
            && experiments.iter().any(|p| matches!(p.experiment.cluster, Cluster::Kind { .. }))
        {
            complain!("warning: --context overrides the experiment's kind config and tuning");
        }
        if args.access.kubeconfig.is_some()
            && args.access.context.is_none()
            && experiments.iter().all(|p| command.is_made(p))
        {
            complain!(
                "warning: --kubeconfig has no effect without --context: the experiment's own kind cluster is used"
            );
        }
        if args.cluster == Some(ClusterChoice::Embedded) {
            warn_of_ignored(args);
        }
        warn_of_guess(args);
        if args.dry_run {
            args.output.refuse_unplanned()?;
        }
        command.refuse_open(&experiments).await?;
        match args.dry_run {
            true => Ok(command.dry_run(&experiments).await),
            false => Ok(Suite::new(&command, &experiments).carry_out().await),
        }
    })
}

/// A context is another cluster than an experiment's own, unless the command says that it is not
/// used.
fn place(args: &Run) -> Place<'_> {
    // kind gives all nodes the image of its command line, whatever the config says.
    match (args.cluster, &args.access.context, &args.node_image) {
        (Some(ClusterChoice::Embedded), ..) | (_, None, None) => Place::OWN,
        (_, None, Some(image)) => Place::Own(
            version_of_image(image)
                .map_or(Kubernetes::Guess(DEFAULT_KUBERNETES), Kubernetes::Exactly),
        ),
        _ => Place::Other,
    }
}

/// Flags about machines, which a model has none of.
fn warn_of_ignored(args: &Run) {
    let ignored = [
        ("--node-image", args.node_image.is_some(), "the model has no node images"),
        ("--delete-cluster", args.delete_cluster, "the model always ends with the run"),
        ("--agent-binary", args.agent_binary.is_some(), "probes run in this process"),
        ("--docker-host", args.access.docker_host.is_some(), "the model needs no container engine"),
    ];
    for (flag, _, why) in ignored.iter().filter(|(_, given, _)| *given) {
        complain!("warning: {flag} has no effect with --cluster embedded: {why}");
    }
}

/// Says that the version of the nodes is a guess, where the command names their image.
fn warn_of_guess(args: &Run) {
    if let (Place::Own(Kubernetes::Guess(version)), Some(image)) = (place(args), &args.node_image) {
        complain!(
            "warning: --node-image {image} names no version: Kubernetes {version} is assumed"
        );
    }
}

fn environment<'a>(args: &'a Run, env: &'a Env) -> Result<Environment<'a>, RunError> {
    let cannot =
        |e: std::io::Error| RunError::refused("cannot find this program's executable").because(&e);
    Ok(Environment {
        engine: Endpoint::resolve(args.access.docker_host.as_deref(), &env.engine)
            .map_err(RunError::refused_by),
        path: &env.path,
        program: std::env::current_exe().map_err(cannot)?,
        agent_binary: args.agent_binary.as_deref(),
        state_dir: &env.state_dir,
        node_image: args.node_image.as_deref(),
        allow_context: args.access.allow_context.as_deref(),
        only_look: args.dry_run,
        undo_timer_margin: args.undo_timer_margin,
    })
}

/// The command, as it was typed.
pub(super) struct Command<'a> {
    /// The flags.
    pub args: &'a Run,
    /// The environment.
    pub env: &'a Env,
    /// Whether it was interrupted.
    pub abort: &'a Abort,
    /// Where it stands.
    pub environment: Environment<'a>,
}

impl Command<'_> {
    /// Prints what would be done by each.
    async fn dry_run(&self, experiments: &[Parsed]) -> u8 {
        let (mut codes, mut plans) = (Vec::new(), DryRun::default());
        for parsed in experiments {
            let shown = match self.wanted(parsed) {
                Ok(wanted) => plans.add(parsed, &wanted, &self.environment, self.args).await,
                Err(error) => Err(error.into()),
            };
            // One that can't be run does not keep the others from it.
            codes.push(shown.unwrap_or_else(|failure| {
                if experiments.len() > 1 {
                    complain!("cannot run {}:", parsed.experiment.name);
                }
                failure.report()
            }));
        }
        plans.print(self.args.output);
        exit::gravest(codes)
    }

    /// Errors when an experiment leaves open which leader it means, and says who leads now where
    /// its cluster is there.
    async fn refuse_open(&self, experiments: &[Parsed]) -> Result<(), Failure> {
        let mut now = Vec::new();
        for parsed in experiments {
            now.push(if parsed.open().next().is_some() {
                self.who_leads(parsed).await
            } else {
                None
            });
        }
        load::refuse_open(experiments, &now, self.env)
    }

    /// Who leads in the cluster of an experiment; `None`: it is not there, or does not say.
    async fn who_leads(&self, parsed: &Parsed) -> Option<String> {
        let (wanted, environment) = (
            self.wanted(parsed).ok()?,
            Environment { only_look: true, ..self.environment.clone() },
        );
        match provision::find(&wanted, &environment, &mut |_| {}).await.ok()? {
            Found::ClusterHandle(handle) => {
                Some(plan::who_leads(&leaders::now(&handle).await.ok()?))
            }
            Found::Absent(_) => None,
        }
    }

    /// Whether the experiment names its own cluster.
    fn is_made(&self, parsed: &Parsed) -> bool {
        self.args.cluster == Some(ClusterChoice::Embedded)
            || matches!(parsed.experiment.cluster, Cluster::Kind { .. })
    }

    /// The cluster that an experiment is to run on.
    pub(super) fn wanted(&self, parsed: &Parsed) -> Result<ClusterSpec, RunError> {
        let access = &self.args.access;
        if self.args.cluster == Some(ClusterChoice::Embedded) {
            return Ok(embedded(parsed));
        }
        match (&parsed.experiment.cluster, &parsed.kind_config, &access.context) {
            (Cluster::Context, ..) if self.args.cluster == Some(ClusterChoice::Kind) => Err(RunError::refused(
                "--cluster kind: the experiment does not name a kind config",
            )
            .hint(
                "set `cluster: {kind: {config: FILE}}` in the experiment, or use --context NAME \
                 to run it in an existing cluster",
            )),
            (Cluster::Kind { .. }, Some(config), None) => Ok(ClusterSpec::Kind { config: config.clone() }),
            (_, _, context) => {
                let kubeconfig =
                    kubeconfig_paths(access.kubeconfig.as_deref(), self.env.kubeconfig.as_deref(), self.env.home.as_deref());
                Ok(ClusterSpec::Context { kubeconfig, context: context.clone() })
            }
        }
    }

    /// The cluster, found or made.
    pub(super) async fn prepare(&self, wanted: &ClusterSpec) -> Result<ClusterHandle, Failure> {
        let mut progress = Progress::new(self.env.stderr);
        let prepared = provision::prepare(wanted, &self.environment, self.abort, &mut |news| {
            progress.news(news)
        })
        .await;
        let handle = self.shown(progress, prepared)?;
        complain!("   {}", on(&handle));
        Ok(handle)
    }

    /// The same cluster for the next experiment, when it is whole again.
    pub(super) async fn restore(&self, handle: &mut ClusterHandle) -> Result<(), Failure> {
        let mut progress = Progress::new(self.env.stderr);
        let restored = restore::restore(handle, self.abort, &mut |news| progress.news(news)).await;
        self.shown(progress, restored)
    }

    /// Ends a step's progress; what was interrupted is told as such.
    fn shown<T>(&self, mut progress: Progress, result: Result<T, RunError>) -> Result<T, Failure> {
        match &result {
            Ok(_) => progress.done(),
            Err(_) => progress.failed(),
        }
        result.map_err(|error| {
            let failure = Failure::from(error);
            // What was half made is deleted again by now, unless it says otherwise.
            let interrupted = self.abort.signal().is_some() && failure.code != exit::NOT_UNDONE;
            Failure { code: if interrupted { exit::INTERRUPTED } else { failure.code }, ..failure }
        })
    }

    /// Deletes a kind cluster, and with it what was owed to it; any other stays.
    pub(super) async fn delete(&self, handle: &ClusterHandle) -> Result<(), Failure> {
        let Nodes::Kind(nodes) = &handle.nodes else { return Ok(()) };
        let name = handle.state.cluster();
        let failed = |e: crate::cluster::KindError| {
            RunError::failed(format!("cannot delete the kind cluster {name}"))
                .because(&e)
                .maybe_hint(e.hint())
        };
        let kind = nodes.kind.as_ref().map_err(Clone::clone)?;
        kind.delete(name, &handle.state.scratch("kubeconfig")).await.map_err(failed)?;
        let mut progress = Progress::new(self.env.stderr);
        let settled = restore::settle(handle, &mut |news| progress.news(news)).await;
        self.shown(progress, settled)
    }
}

/// What the experiments run on: whoever watches must see it before anything is broken.
fn on(handle: &ClusterHandle) -> String {
    let cluster = view::cluster(&handle.facts);
    let context = dry_run::context_of(handle);
    let context = context.map_or(String::new(), |context| format!(", context {context}"));
    let engine = handle.facts.engine.as_ref().map_or(String::new(), |engine| format!(", {engine}"));
    format!("on {cluster}{context}{engine}")
}

/// The model of the experiment's own kind cluster; of one with kind's own defaults where it names
/// none.
fn embedded(parsed: &Parsed) -> ClusterSpec {
    ClusterSpec::Embedded { config: parsed.kind_config.clone().unwrap_or_else(default_config) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::tests::run;

    #[test]
    fn the_own_kind_config_is_for_the_image_of_the_command() {
        assert_eq!(place(&Run { node_image: None, ..run(&["run"]) }), Place::OWN);
        let newer = Place::Own(Kubernetes::Exactly("v1.36.1"));
        assert_eq!(place(&run(&["run", "--node-image", "kindest/node:v1.36.1@sha256:abc"])), newer);
        let guess = Place::Own(Kubernetes::Guess(DEFAULT_KUBERNETES));
        assert_eq!(place(&run(&["run", "--node-image", "kindest/node@sha256:abc"])), guess);
        assert_eq!(place(&run(&["run", "--context", "x"])), Place::Other);
        assert_eq!(place(&run(&["run", "--cluster", "embedded"])), Place::OWN);
    }
}
