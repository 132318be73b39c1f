//! How experiments are carried out: what the flags that `run` and `study` share stand for.

use std::time::Duration;

use super::args::{ClusterChoice, Execution, UNDO_TIMER_MARGIN};
use super::env::Env;
use super::load::Place;
use crate::docker::Endpoint;
use crate::engine::abort::Abort;
use crate::engine::environment::handle::{ClusterHandle, Environment};
use crate::engine::error::RunError;
use crate::experiment::{Cluster, Experiment, MonitorSettings, Parsed, typed_image};
use crate::kind_config::{DEFAULT_KUBERNETES, Kubernetes, version_of_image};
use crate::timeline::Tuning;

impl Execution {
    pub(super) fn is_embedded(&self) -> bool {
        self.cluster == Some(ClusterChoice::Embedded)
    }

    /// Allows what a flag allows beside the file.
    pub(super) fn widen(&self, experiment: &mut Experiment) {
        experiment.blast_radius.last_replica |= self.nodes.allow_last_replica;
    }

    /// The controller manager's settings, for where they cannot be read: the flags', else the file's,
    /// which are those of the context that the file names.
    pub(super) fn given_settings(&self, cluster: Option<&Cluster>) -> Tuning {
        let used = |name: &String| self.access.context.as_ref().is_none_or(|flag| flag == name);
        let of_file = match cluster {
            Some(Cluster::NamedContext { name, settings: Some(settings), .. }) if used(name) => {
                *settings
            }
            _ => MonitorSettings::default(),
        };
        let grace = self.monitor.node_monitor_grace_period;
        MonitorSettings {
            node_monitor_period: self.monitor.node_monitor_period.or(of_file.node_monitor_period),
            node_monitor_grace_period: grace.or(of_file.node_monitor_grace_period),
        }
        .into()
    }

    /// The image of new nodes: the flag's, else that of the environment, which is only a default.
    fn image<'a>(&'a self, env: &'a Env) -> Option<&'a str> {
        self.node_image.as_deref().or(env.node_image.as_deref())
    }

    pub(super) fn place<'a>(&'a self, env: &'a Env) -> Place<'a> {
        self.with_image(self.image(env))
    }

    /// A context is another cluster than an experiment's own, unless the command says that it is not
    /// used.
    fn with_image<'a>(&self, image: Option<&'a str>) -> Place<'a> {
        // kind gives all nodes the image of its command line, whatever the config says.
        match (&self.access.context, image) {
            _ if self.is_embedded() => Place::OWN,
            (None, None) => Place::OWN,
            (None, Some(image)) => Place::Own(
                version_of_image(image)
                    .map_or(Kubernetes::Guess(DEFAULT_KUBERNETES), Kubernetes::Exactly),
            ),
            _ => Place::Other,
        }
    }

    pub(super) fn environment<'a>(
        &'a self,
        env: &'a Env,
        only_look: bool,
    ) -> Result<Environment<'a>, RunError> {
        let cannot = |e: std::io::Error| {
            RunError::refused("cannot find this program's executable").because(&e)
        };
        if let Some(Err(why)) = env.helper_image.as_deref().map(typed_image) {
            let text = "OUTAGE_HELPER_IMAGE is not an image";
            return Err(RunError::refused(text).caused_by(why));
        }
        Ok(Environment {
            engine: Endpoint::resolve(self.access.docker_host.as_deref(), &env.engine)
                .map_err(RunError::refused_by),
            path: &env.path,
            program: std::env::current_exe().map_err(cannot)?,
            agent_binary: self.nodes.agent_binary.as_deref(),
            state_dir: &env.state_dir,
            node_image: self.image(env),
            allow_context: self.access.allow_context.as_deref(),
            helper_image: self.nodes.helper_image.as_deref().or(env.helper_image.as_deref()),
            connected: None,
            only_look,
            undo_timer_margin: self.undo_timer_margin,
            granted: Default::default(),
            artifacts: None,
        })
    }

    /// Warns of flags that have no effect, and of what is assumed.
    pub(super) fn warn<'p>(&self, experiments: impl IntoIterator<Item = &'p Parsed>, env: &Env) {
        let mut names_kind = experiments
            .into_iter()
            .map(|parsed| matches!(parsed.experiment.cluster, Cluster::Kind { .. }));
        if self.access.context.is_some() {
            if names_kind.any(|it| it) {
                complain!("warning: --context overrides the experiment's kind config and tuning");
            }
        } else if self.is_embedded() {
            self.warn_of_ignored();
        } else if self.access.kubeconfig.is_some() && names_kind.all(|it| it) {
            complain!(
                "warning: --kubeconfig has no effect without --context: the experiment's own kind cluster is used"
            );
        }
        self.warn_of_guess(env);
    }

    /// Warns of a grace period that this cluster's undo timers do not have.
    pub(super) fn warn_of_margin(&self, handle: &ClusterHandle) {
        let margin = self.undo_timer_margin;
        if margin != UNDO_TIMER_MARGIN && handle.undo_timer_margin(margin) != margin {
            complain!(
                "warning: --undo-timer-margin has no effect through the Kubernetes API: a timer in \
                 the node undoes each fault on time"
            );
        }
    }

    /// Flags about machines, which a model has none of.
    fn warn_of_ignored(&self) {
        let ignored = [
            ("--node-image", self.node_image.is_some(), "the model has no node images"),
            ("--delete-cluster", self.delete_cluster, "the model always ends with the run"),
            ("--agent-binary", self.nodes.agent_binary.is_some(), "probes run in this process"),
            ("--kubeconfig", self.access.kubeconfig.is_some(), "the model has its own API server"),
            (
                "--docker-host",
                self.access.docker_host.is_some(),
                "the model needs no container engine",
            ),
        ];
        for (flag, _, why) in ignored.iter().filter(|(_, given, _)| *given) {
            complain!("warning: {flag} has no effect with --cluster embedded: {why}");
        }
    }

    /// Says that the version of the nodes is a guess, where the command names their image.
    fn warn_of_guess(&self, env: &Env) {
        let Some(image) = self.image(env) else { return };
        if let Place::Own(Kubernetes::Guess(version)) = self.with_image(Some(image)) {
            let source =
                if self.node_image.is_some() { "--node-image" } else { "OUTAGE_NODE_IMAGE" };
            complain!(
                "warning: {source} {image} names no version: Kubernetes {version} is assumed"
            );
        }
    }
}

/// Listens for signals: the first ends what is running.
pub(super) fn listen() -> Result<Abort, RunError> {
    let abort = Abort::listen(|signal, first| {
        let text = match first {
            true => "stopping, please wait",
            false => "again: still stopping, please wait (an undo cannot be skipped)",
        };
        let colon = if first { ":" } else { "" };
        complain_beside(format!("   {signal}{colon} {text}"));
    });
    abort.map_err(|e| RunError::refused("cannot listen for signals").because(&e))
}

/// Says something, but waits no longer than this for a terminal that stands still (Ctrl-S): the
/// caller is the thread that undoes.
fn complain_beside(text: String) {
    let (done, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        complain!("{text}");
        let _ = done.send(());
    });
    let _ = said.recv_timeout(Duration::from_millis(100));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::tests::run;

    #[test]
    fn the_settings_in_a_file_are_those_of_its_own_context() {
        let period = Some(Duration::from_secs(7));
        let cluster = Cluster::NamedContext {
            name: "prod".into(),
            allow_context: None,
            helper_image: None,
            settings: Some(MonitorSettings {
                node_monitor_period: period,
                node_monitor_grace_period: None,
            }),
        };
        let of = |typed: &[&str]| run(typed).execution.given_settings(Some(&cluster));
        let given = of(&["run"]);
        assert_ne!(given, MonitorSettings::default().into());
        assert_eq!(of(&["run", "--context", "prod"]), given);
        assert_eq!(of(&["run", "--context", "test"]), MonitorSettings::default().into());
    }

    #[test]
    fn the_own_kind_config_is_for_the_image_of_the_command() {
        assert_eq!(run(&["run"]).execution.with_image(None), Place::OWN);
        let newer = Place::Own(Kubernetes::Exactly("v1.36.1"));
        let at = |typed: &[&str], image| {
            assert_eq!(run(typed).execution.with_image(Some(image)), newer);
        };
        at(&["run"], "kindest/node:v1.36.1@sha256:abc");
        let digest = Some("kindest/node@sha256:abc");
        let guess = Place::Own(Kubernetes::Guess(DEFAULT_KUBERNETES));
        assert_eq!(run(&["run"]).execution.with_image(digest), guess);
        assert_eq!(run(&["run", "--context", "x"]).execution.with_image(None), Place::Other);
        let embedded = run(&["run", "--cluster", "embedded"]);
        assert_eq!(embedded.execution.with_image(digest), Place::OWN);
    }
}
