//! The ground that a run stands on: the container engine, the cluster (made when absent), its lock and its ledger. All refusals that need no
//! look at the experiment's method are here.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::abort::Abort;
use super::inotify;
use super::ledger::{Access, Debtor, Ledger, Obligation};
use super::state_dir::{Lock, StateDir};
use super::trouble::{Trouble, TroubleKind};
use crate::cluster::{Cluster, Kind, KindConfig, KindCreate, KindError, NodeContainer, differences, with_tuning};
use crate::docker::{Container, Docker, Endpoint};
use crate::experiment::TuningRequest;
use crate::timeline::{ClusterFacts, ClusterKind, NodeRole, Ready, Tuning};

/// How long the nodes of a new cluster may take to become ready.
const JOINING: Duration = Duration::from_secs(300);

/// What the command line and the environment say about the ground.
#[derive(Clone, Debug)]
pub struct Site<'a> {
    /// The container engine.
    pub engine: Endpoint,
    /// Where programs are looked for.
    pub path: &'a OsStr,
    /// The directory of all state.
    pub state_dir: &'a Path,
    /// The node image for a cluster that is made.
    pub node_image: Option<&'a str>,
    /// The context whose cluster may be harmed although it is not kind's.
    pub allow_context: Option<&'a str>,
    /// Whether nothing may be changed, not even in the state directory.
    pub only_look: bool,
}

/// The cluster that is wanted.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// A kind cluster.
    Kind {
        /// Its name.
        name: String,
        /// The kind config to make it from.
        config: String,
    },
    /// The cluster of a context.
    Context {
        /// The kubeconfig's files.
        kubeconfig: Vec<PathBuf>,
        /// The context; `None`: the current one.
        context: Option<String>,
    },
}

impl Wanted {
    /// The kind cluster of a config, with other settings where they are asked for; its name then ends in them.
    pub fn kind(path: &str, config: &str, tuning: Option<TuningRequest>) -> Result<Self, Trouble> {
        let cannot = |e: &dyn std::error::Error| Trouble::refused(format!("cannot use the kind config {path}")).because(e);
        let tuning = tuning.unwrap_or_default();
        let tuning = Tuning {
            node_status_update_frequency: tuning.node_status_update_frequency,
            node_monitor_period: tuning.node_monitor_period,
            node_monitor_grace_period: tuning.node_monitor_grace_period,
            ..Tuning::default()
        };
        let (name, config) = with_tuning(config, &tuning).map_err(|e| cannot(&e))?;
        Ok(Wanted::Kind { name, config })
    }
}

/// The ground, ready: the lock is held as long as this lives.
pub struct Ground {
    /// The container engine.
    pub docker: Docker,
    /// The cluster.
    pub cluster: Cluster,
    /// How a later process reaches it.
    pub access: Access,
    /// Its containers; none where it is not kind's.
    pub containers: Vec<Container>,
    /// What it is.
    pub facts: ClusterFacts,
    /// What a reader should know of its settings.
    pub warnings: Vec<String>,
    /// Where its ledger is.
    pub state: StateDir,
    /// Whether this program has just made it.
    pub made: bool,
    _lock: Lock,
}

/// What a dry run finds.
pub enum Found {
    /// The cluster is there.
    Ground(Box<Ground>),
    /// It would be made, with this name.
    Absent(String),
}

/// Tells how far the making of a cluster has come.
pub type Say<'a> = &'a mut (dyn FnMut(&str) + Send);

/// Finds the cluster, or makes it. Refuses what must be refused; nothing of the cluster is changed.
pub async fn prepare(wanted: &Wanted, site: &Site<'_>, abort: &Abort, say: Say<'_>) -> Result<Ground, Trouble> {
    match find(wanted, site, say).await? {
        Found::Ground(ground) => Ok(*ground),
        Found::Absent(_) => make(wanted, site, abort, say).await,
    }
}

/// Finds the cluster and makes nothing.
pub async fn find(wanted: &Wanted, site: &Site<'_>, say: Say<'_>) -> Result<Found, Trouble> {
    match wanted {
        Wanted::Kind { name, config } => find_kind(name, config, site, say).await,
        Wanted::Context { kubeconfig, context } => {
            context_ground(kubeconfig, context.as_deref(), site).await.map(|g| Found::Ground(Box::new(g)))
        }
    }
}

async fn find_kind(name: &str, config: &str, site: &Site<'_>, say: Say<'_>) -> Result<Found, Trouble> {
    let docker = connect(&site.engine).await?;
    let kind = kind_program(site, &docker)?;
    let (state, lock) = claim(site, name)?;
    let clusters = kind.clusters().await.map_err(Trouble::refused_by)?;
    if !clusters.iter().any(|other| other == name) {
        return Ok(Found::Absent(name.to_owned()));
    }
    say(&format!("kind cluster {name} is there"));
    let mut ground = kind_ground(name, docker, &kind, state, lock).await?;
    ground.warnings.extend(inotify::warning(clusters.len() - 1));
    refuse_other_settings(name, config, &ground)?;
    Ok(Found::Ground(Box::new(ground)))
}

async fn connect(engine: &Endpoint) -> Result<Docker, Trouble> {
    Docker::connect(engine).await.map_err(Trouble::refused_by)
}

fn kind_program(site: &Site<'_>, docker: &Docker) -> Result<Kind, Trouble> {
    find_kind_program(site.path, &site.engine, docker)
}

/// The kind program, told of the engine that we speak to.
pub fn find_kind_program(path: &OsStr, engine: &Endpoint, docker: &Docker) -> Result<Kind, Trouble> {
    let kind = Kind::find(path, Some(engine.docker_host().to_owned())).map_err(Trouble::refused_by)?;
    Ok(if docker.is_podman() { kind.with_podman() } else { kind })
}

/// Takes a cluster's lock and refuses while a dead run's faults are not undone.
fn claim(site: &Site<'_>, cluster: &str) -> Result<(StateDir, Lock), Trouble> {
    let (state, lock) = match site.only_look {
        true => StateDir::look(site.state_dir, cluster)?,
        false => {
            let state = StateDir::open(site.state_dir, cluster)?;
            let lock = state.lock()?;
            (state, lock)
        }
    };
    let ledger = Ledger::open(&state.ledger())?;
    let owed: Vec<String> = ledger.owed().iter().map(|entry| entry.obligation.describe()).collect();
    if owed.is_empty() {
        return Ok((state, lock));
    }
    Err(Trouble::refused(format!("an earlier run in cluster {cluster} died and left something to undo: {}", owed.join("; ")))
        .hint("run `kubectl outage recover` first"))
}

async fn make(wanted: &Wanted, site: &Site<'_>, abort: &Abort, say: Say<'_>) -> Result<Ground, Trouble> {
    let Wanted::Kind { name, config } = wanted else { unreachable!("only a kind cluster can be absent") };
    let docker = connect(&site.engine).await?;
    let kind = kind_program(site, &docker)?;
    let (state, lock) = claim(site, name)?;
    let mut ledger = Ledger::open(&state.ledger())?;
    let others = kind.clusters().await.map_err(Trouble::refused_by)?.len();
    inotify::warning(others).into_iter().for_each(|text| say(&format!("warning: {text}")));
    say(&format!("making the kind cluster {name}"));
    // kind wants a file for the kubeconfig; the user's own would have its context switched.
    let kubeconfig = state.scratch("kubeconfig");
    let debt =
        ledger.owe(Debtor { run: "cluster", engine: site.engine.docker_host() }, Obligation::KindCluster { name: name.clone() })?;
    let create = KindCreate { name, config_text: config, image: site.node_image, kubeconfig: &kubeconfig, progress: say };
    let whole = async {
        kind.create(create).await.map_err(|error| match error {
            KindError::Exists { .. } => Half::NotOurs(Trouble::refused_by(error)),
            other => Half::Ours(Trouble::refused_by(other)),
        })?;
        joined(name, docker, &kind, state, lock).await.map_err(Half::Ours)
    };
    let made = tokio::select! {
        made = whole => made,
        signal = abort.interrupted() => Err(Half::Ours(Trouble::failed(format!("interrupted by {signal} while the kind cluster was made")))),
    };
    match made {
        Ok(mut ground) => {
            ledger.settle(debt)?;
            ground.made = true;
            Ok(ground)
        }
        // Somebody else has made it in the meantime: it is theirs.
        Err(Half::NotOurs(trouble)) => ledger.settle(debt).and(Err(trouble)),
        Err(Half::Ours(trouble)) => {
            kind.delete(name, &kubeconfig).await.map_err(|e| Trouble { kind: TroubleKind::NotUndone, ..Trouble::failed_by(e) })?;
            ledger.settle(debt).and(Err(trouble))
        }
    }
}

/// Why a cluster was not made, and whose what is there now.
enum Half {
    /// Half a cluster of ours: it is deleted.
    Ours(Trouble),
    /// Not ours.
    NotOurs(Trouble),
}

/// kind is done when the control plane is: workers join a while later.
async fn joined(name: &str, docker: Docker, kind: &Kind, state: StateDir, lock: Lock) -> Result<Ground, Trouble> {
    let containers = docker.kind_nodes(name).await.map_err(Trouble::refused_by)?;
    let text = kind.kubeconfig(name).await.map_err(Trouble::refused_by)?;
    let cluster = Cluster::from_kubeconfig(&text).await.map_err(Trouble::refused_by)?;
    let wanted = containers.iter().filter(|container| container.role != NodeRole::ExternalLoadBalancer).count();
    let all_ready = async {
        while !cluster.nodes().await.is_ok_and(|nodes| nodes.iter().filter(|node| node.ready == Ready::True).count() >= wanted) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(JOINING, all_ready).await.map_err(|_| {
        Trouble::failed(format!("the nodes of the new cluster {name} were not all ready within {} s", JOINING.as_secs()))
            .hint("`kubectl describe nodes` may say why; a common cause is fs.inotify.max_user_instances (kind's known issues)")
    })?;
    kind_ground(name, docker, kind, state, lock).await
}

async fn kind_ground(name: &str, docker: Docker, kind: &Kind, state: StateDir, lock: Lock) -> Result<Ground, Trouble> {
    let containers = docker.kind_nodes(name).await.map_err(Trouble::refused_by)?;
    refuse_stopped(name, &docker, &containers).await?;
    let text = kind.kubeconfig(name).await.map_err(Trouble::refused_by)?;
    let cluster = Cluster::from_kubeconfig(&text).await.map_err(Trouble::refused_by)?;
    let access = Access::Kind { cluster: name.to_owned() };
    ground(ClusterKind::Kind, name, docker, cluster, access, containers, (state, lock)).await
}

/// A stopped node is told as such, before the API that may be on it is asked.
async fn refuse_stopped(name: &str, docker: &Docker, containers: &[Container]) -> Result<(), Trouble> {
    for container in containers {
        let state = docker.inspect(&container.id).await.map_err(Trouble::refused_by)?;
        let (what, command) = match (state.running, state.paused) {
            (true, false) => continue,
            (_, true) => ("paused", "unpause"),
            (false, _) => ("not running", "start"),
        };
        return Err(Trouble::refused(format!("{} of cluster {name} is {what}, and not by a run of ours", container.name))
            .hint(format!("`docker {command} {}`, or `kind delete cluster --name {name}` for a fresh one", container.name)));
    }
    Ok(())
}

async fn ground(
    kind: ClusterKind,
    name: &str,
    docker: Docker,
    cluster: Cluster,
    access: Access,
    containers: Vec<Container>,
    (state, lock): (StateDir, Lock),
) -> Result<Ground, Trouble> {
    let engine = Some(docker.describe().to_owned());
    let (facts, warnings) = cluster.facts(kind, name, engine, &node_containers(&containers)).await.map_err(Trouble::refused_by)?;
    Ok(Ground { docker, cluster, access, containers, facts, warnings, state, made: false, _lock: lock })
}

/// Docker's containers as the cluster adapter compares them with nodes.
pub fn node_containers(containers: &[Container]) -> Vec<NodeContainer> {
    let convert = |c: &Container| NodeContainer {
        cluster: c.cluster.clone(),
        id: c.id.clone(),
        name: c.name.clone(),
        role: c.role,
        addresses: c.addresses.values().flatten().map(ToString::to_string).collect(),
    };
    containers.iter().map(convert).collect()
}

fn refuse_other_settings(name: &str, config: &str, ground: &Ground) -> Result<(), Trouble> {
    let config = KindConfig::parse(config).map_err(|e| Trouble::refused("cannot use the kind config").because(&e))?;
    let differences = differences(&config, &node_containers(&ground.containers), &ground.facts.tuning, &ground.facts.kubernetes);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Trouble::refused(format!("the kind cluster {name} is not what the experiment asks for: {}", differences.join("; "))).hint(
        format!("`kind delete cluster --name {name}` lets the next run make it anew; --context kind-{name} runs in it as it is"),
    ))
}

async fn context_ground(kubeconfig: &[PathBuf], context: Option<&str>, site: &Site<'_>) -> Result<Ground, Trouble> {
    let cluster = Cluster::from_files(kubeconfig, context).await.map_err(Trouble::refused_by)?;
    let docker = connect(&site.engine).await?;
    let mut all = Vec::new();
    for name in docker.kind_clusters().await.map_err(Trouble::refused_by)? {
        all.extend(docker.kind_nodes(&name).await.map_err(Trouble::refused_by)?);
    }
    let kind_cluster = cluster.is_kind_context(&node_containers(&all)).await.map_err(Trouble::refused_by)?;
    let Some(name) = kind_cluster else { return Err(not_kind(&cluster, site.allow_context)) };
    let containers = all.into_iter().filter(|container| container.cluster == name).collect();
    // A later process may be started in another directory.
    let kubeconfig = kubeconfig.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())).collect();
    let access = Access::Context { kubeconfig, context: cluster.context().to_owned(), cluster: name.clone() };
    // The same lock as a run that reaches the cluster by its name.
    let claimed = claim(site, &name)?;
    ground(ClusterKind::Kind, &name, docker, cluster, access, containers, claimed).await
}

fn not_kind(cluster: &Cluster, allowed: Option<&str>) -> Trouble {
    let context = cluster.context();
    let refused = Trouble::refused(format!(
        "context {context} ({}) is not a kind cluster of this machine's container engine",
        cluster.server()
    ));
    if allowed == Some(context) {
        return refused.hint("faults on nodes are made through the container engine: in other clusters nothing can be harmed yet");
    }
    refused.hint("`kind get clusters` lists those that are; an experiment that names a kind config makes its own")
}
