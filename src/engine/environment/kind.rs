//! A kind cluster as handle: found by its name or behind a context, or made.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Cluster, ClusterError, Kind, KindCreate, KindError, NodeContainer};
use crate::docker::{Container, Docker, Endpoint};
use crate::engine::abort::Abort;
use crate::engine::diagnosis::{described, out_of_inotify};
use crate::engine::environment::claim::{
    claim, claim_identity, refuse_pending, refuse_pending_but,
};
use crate::engine::environment::differences::differences;
use crate::engine::environment::handle::{
    ClusterHandle, Environment, Found, KindNodes, Nodes, Preparing, Say,
};
use crate::engine::environment::kind_addresses::refuse_moved;
use crate::engine::environment::state_dir::Claim;
use crate::engine::environment::{inotify, left_behind};
use crate::engine::error::{RunError, RunErrorKind};
use crate::engine::undo::hit_control_planes::HitControlPlanes;
use crate::engine::undo::ledger::{Access, Ledger, RunRef, UndoEntry};
use crate::engine::undo::recover::Tools;
use crate::engine::undo::uploads;
use crate::kind_config::KindConfig;
use crate::timeline::leader::SYSTEM_NAMESPACE;
use crate::timeline::{ClusterFacts, ClusterKind, NodeRole, Ready, format_seconds};

/// How long the nodes of a new cluster may take to become ready.
const JOINING: Duration = Duration::from_secs(300);

/// Finds the cluster of this name; refuses one whose nodes or settings are not the config's.
pub(crate) async fn find(
    config: &KindConfig,
    environment: &Environment<'_>,
    say: Say<'_>,
) -> Result<Found, RunError> {
    let name = config.name.as_str();
    let docker = connect(environment).await.map_err(|error| without_engine(error, name))?;
    let kind = kind_program(environment, &docker)?;
    let claimed = take(name, &docker, &Ok(kind.clone()), environment, say).await?;
    let clusters = kind.clusters().await.map_err(RunError::refused_by)?;
    if !clusters.iter().any(|other| other == name) {
        return Ok(Found::Absent(name.to_owned()));
    }
    say(Preparing::Step(&format!("kind cluster {name} exists")));
    let running = running_nodes(&docker).await?;
    let mut handle = of_kind(name, docker, &kind, claimed, environment).await?;
    let shortage = inotify::shortage(running, inotify::KUBELET);
    handle.warnings.extend(shortage.map(|shortage| {
        format!(
            "{}: a node may fail to restart; raise it with {}",
            shortage.describe(),
            inotify::RAISE
        )
    }));
    refuse_other_settings(config, &handle)?;
    Ok(Found::ClusterHandle(Box::new(handle)))
}

/// Takes the lock, and strikes from the ledger what an earlier run left and is undone by now.
/// Refused while something is not.
async fn take(
    name: &str,
    docker: &Docker,
    kind: &Result<Kind, RunError>,
    environment: &Environment<'_>,
    say: Say<'_>,
) -> Result<Claim, RunError> {
    let claimed = claim(environment, name)?;
    if !environment.only_look {
        let tools = || Tools {
            docker: Some(docker.clone()),
            helpers: None,
            kind: kind.clone(),
            cluster: None,
            hit: HitControlPlanes::default(),
        };
        left_behind::strike_undone(&claimed.state, tools, say).await?;
        uploads::sweep(docker, &claimed.state.all_uploads()).await;
    }
    refuse_pending(&claimed.state)?;
    Ok(claimed)
}

/// The nodes of all kind clusters that the engine runs.
pub(crate) async fn running_nodes(docker: &Docker) -> Result<Vec<NodeRole>, RunError> {
    let mut roles = Vec::new();
    for cluster in docker.kind_clusters().await.map_err(RunError::refused_by)? {
        let nodes = docker.kind_nodes(&cluster).await.map_err(RunError::refused_by)?;
        roles.extend(nodes.iter().filter(|node| node.running).map(|node| node.role));
    }
    Ok(roles)
}

pub(super) async fn connect(environment: &Environment<'_>) -> Result<Docker, RunError> {
    Docker::connect(environment.engine()?).await.map_err(RunError::refused_by)
}

/// With what can be done without an engine, where the cluster exists.
fn without_engine(error: RunError, name: &str) -> RunError {
    let through_api = format!(
        "if the cluster is running, `--context kind-{name} --allow-context kind-{name}` uses it \
         through its API alone, without nodeStop, nodeKill and nodePause"
    );
    let hint = error.hint.iter().cloned().chain([through_api]).collect::<Vec<_>>().join("; ");
    error.hint(hint)
}

fn kind_program(environment: &Environment<'_>, docker: &Docker) -> Result<Kind, RunError> {
    find_kind_program(environment.path, environment.engine()?, docker)
}

/// The kind program, told of the engine that we speak to.
pub(crate) fn find_kind_program(
    path: &OsStr,
    engine: &Endpoint,
    docker: &Docker,
) -> Result<Kind, RunError> {
    let kind = Kind::find(path, Some(engine.docker_host().to_owned()))
        .map_err(RunError::refused_by)?
        .with_certificates(engine.certificates());
    Ok(if docker.is_podman() { kind.with_podman() } else { kind })
}

/// Makes the cluster. What is half made when that fails or is interrupted is deleted again.
pub(in crate::engine) async fn make(
    config: &KindConfig,
    environment: &Environment<'_>,
    abort: &Abort,
    say: Say<'_>,
) -> Result<ClusterHandle, RunError> {
    let name = config.name.as_str();
    let docker = connect(environment).await?;
    let kind = kind_program(environment, &docker)?;
    let claimed = claim(environment, name)?;
    refuse_pending(&claimed.state)?;
    let mut ledger = Ledger::open(&claimed.state.ledger())?;
    let needs = inotify::needs(config.nodes.iter().map(|node| node.role));
    if let Some(shortage) = inotify::shortage(running_nodes(&docker).await?, needs) {
        let (why, raise) = (shortage.describe(), inotify::RAISE);
        say(Preparing::Detail(&format!(
            "warning: {why}: nodes may fail to start; raise it with {raise}"
        )));
    }
    say(Preparing::Step(&format!("creating the kind cluster {name}")));
    // kind wants a file for the kubeconfig; the user's own would have its context switched.
    let kubeconfig = claimed.state.scratch("kubeconfig");
    let run_ref = RunRef { run: "cluster", engine: &environment.engine()?.address, access: None };
    let pending = ledger.record(run_ref, UndoEntry::KindCluster { name: name.to_owned() })?;
    let create = KindCreate {
        name,
        config_text: config.text(),
        image: environment.node_image,
        kubeconfig: &kubeconfig,
        progress: &mut |line| say(Preparing::Detail(line)),
    };
    let whole = async {
        kind.create(create).await.map_err(|error| match error {
            KindError::Exists { .. } => Half::NotOurs(RunError::refused_by(error)),
            other => Half::Ours(RunError::refused_by(other)),
        })?;
        joined(name, docker, &kind, claimed, environment).await.map_err(Half::Ours)
    };
    let made = tokio::select! {
        made = whole => made,
        signal = abort.interrupted() => Err(Half::Ours(RunError::failed(format!("interrupted by {signal} while the kind cluster was being created")))),
    };
    match made {
        Ok(handle) => ledger.settle(pending).and(Ok(handle)),
        // Somebody else has made it in the meantime: it is theirs.
        Err(Half::NotOurs(error)) => ledger.settle(pending).and(Err(error)),
        Err(Half::Ours(error)) => {
            kind.delete(name, &kubeconfig).await.map_err(|e| RunError {
                kind: RunErrorKind::NotUndone,
                ..RunError::failed_by(e)
            })?;
            ledger.settle(pending).and(Err(error))
        }
    }
}

/// Why a cluster was not made, and whose what is there now.
enum Half {
    /// Half a cluster of ours: it is deleted.
    Ours(RunError),
    NotOurs(RunError),
}

/// kind is done when the control plane is: workers join a while later.
async fn joined(
    name: &str,
    docker: Docker,
    kind: &Kind,
    claimed: Claim,
    environment: &Environment<'_>,
) -> Result<ClusterHandle, RunError> {
    let containers = docker.kind_nodes(name).await.map_err(RunError::refused_by)?;
    let text = kind.kubeconfig(name).await.map_err(RunError::refused_by)?;
    let cluster = Cluster::of_new(&text, JOINING).await.map_err(RunError::refused_by)?;
    let wanted = containers
        .iter()
        .filter(|container| container.role != NodeRole::ExternalLoadBalancer)
        .count();
    let all_ready = async {
        while !cluster.nodes().await.is_ok_and(|nodes| {
            nodes.iter().filter(|node| node.ready == Ready::True).count() >= wanted
        }) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    if tokio::time::timeout(JOINING, all_ready).await.is_err() {
        return Err(not_joined(name, &cluster, &docker).await);
    }
    let mut handle = of_kind(name, docker, kind, claimed, environment).await?;
    if let Nodes::Kind(nodes) = &mut handle.nodes {
        nodes.made = true;
    }
    Ok(handle)
}

/// What keeps the nodes from being ready: the cluster is deleted before anybody else can look.
async fn not_joined(name: &str, cluster: &Cluster, docker: &Docker) -> RunError {
    let nodes = cluster.nodes().await.unwrap_or_default();
    let unready = nodes.iter().filter(|node| node.ready != Ready::True);
    let unready = unready.map(|node| format!("node {} is not Ready", node.name));
    let since = jiff::Timestamp::now() - JOINING;
    let pods = cluster.pod_problems(SYSTEM_NAMESPACE, since).await.unwrap_or_default();
    let running = running_nodes(docker).await.unwrap_or_default();
    let shortage = inotify::shortage(running, inotify::KUBELET).map(|shortage| shortage.describe());
    let limit = format_seconds(JOINING);
    let error = RunError::failed(format!(
        "the nodes of the new cluster {name} were not all ready within {limit}"
    ));
    let is_short = shortage.is_some();
    let error = error.caused_by_all(unready.chain(shortage).chain(described(&pods)));
    match out_of_inotify(&pods) {
        Some(hint) => error.hint(hint),
        None if is_short => error.hint(format!("raise it with {}", inotify::RAISE)),
        None => error.hint(
            "`kind create cluster --config FILE --retain` keeps the nodes, so that you can read their logs",
        ),
    }
}

async fn of_kind(
    name: &str,
    docker: Docker,
    kind: &Kind,
    claimed: Claim,
    environment: &Environment<'_>,
) -> Result<ClusterHandle, RunError> {
    let containers = docker.kind_nodes(name).await.map_err(RunError::refused_by)?;
    refuse_stopped(name, &docker, &containers).await?;
    refuse_moved(name, &docker, &containers).await?;
    let text = kind.kubeconfig(name).await.map_err(RunError::refused_by)?;
    let cluster = Cluster::from_kubeconfig(&text).await.map_err(RunError::refused_by)?;
    let access = Access::Kind { cluster: name.to_owned() };
    handle(name, docker, cluster, access, containers, claimed, environment).await
}

/// The same cluster once more, after a run in it: containers and addresses may be others.
pub(in crate::engine) async fn look_again(handle: &mut ClusterHandle) -> Result<(), RunError> {
    let kept = handle.kept();
    let Nodes::Kind(nodes) = &mut handle.nodes else { return Ok(()) };
    let name = handle.state.cluster();
    let containers = nodes.docker.kind_nodes(name).await.map_err(RunError::refused_by)?;
    refuse_stopped(name, &nodes.docker, &containers).await?;
    refuse_pending_but(&handle.state, &kept)?;
    let engine = Some(nodes.docker.describe().to_owned());
    let facts =
        handle.cluster.facts(ClusterKind::Kind, name, engine, &node_containers(&containers)).await;
    let (mut facts, warnings) = facts.map_err(RunError::refused_by)?;
    facts.tuning.learn(handle.facts.tuning);
    nodes.containers = containers;
    handle.facts = ClusterFacts { context: handle.facts.context.take(), ..facts };
    let news = warnings
        .into_iter()
        .filter(|warning| !handle.warnings.contains(warning))
        .collect::<Vec<_>>();
    handle.warnings.extend(news);
    Ok(())
}

/// A stopped node is told as such, before the API that may be on it is asked.
async fn refuse_stopped(
    name: &str,
    docker: &Docker,
    containers: &[Container],
) -> Result<(), RunError> {
    for container in containers {
        let state = docker.inspect(&container.id).await.map_err(RunError::refused_by)?;
        let (what, command) = match (state.running, state.paused) {
            (true, false) => continue,
            (_, true) => ("paused", "unpause"),
            (false, _) => ("not running", "start"),
        };
        return Err(RunError::refused(format!(
            "{} of cluster {name} is {what}, but not because of a fault",
            container.name
        ))
        .hint(format!(
            "run `docker {command} {}`, or `kind delete cluster --name {name}` to let the next \
             run recreate it",
            container.name
        )));
    }
    Ok(())
}

async fn handle(
    name: &str,
    docker: Docker,
    cluster: Cluster,
    access: Access,
    containers: Vec<Container>,
    claim: Claim,
    environment: &Environment<'_>,
) -> Result<ClusterHandle, RunError> {
    let identity = cluster.identity().await.map_err(RunError::refused_by)?;
    let claim = claim_identity(environment, (name, &identity), Some(claim))?;
    let described = Some(docker.describe().to_owned());
    let facts =
        cluster.facts(ClusterKind::Kind, name, described, &node_containers(&containers)).await;
    let facts = facts.map_err(RunError::refused_by)?;
    let kind = kind_program(environment, &docker);
    let engine = environment.engine()?.address.clone();
    let nodes = KindNodes {
        docker,
        engine,
        kind,
        access,
        containers,
        binary: binary(environment)?,
        made: false,
        hit: HitControlPlanes::default(),
        retuned: None,
    };
    Ok(ClusterHandle::new(cluster, facts, claim, Nodes::Kind(Box::new(nodes))))
}

/// This program for the nodes.
pub(super) fn binary(environment: &Environment<'_>) -> Result<Arc<[u8]>, RunError> {
    let path = environment.agent_binary.unwrap_or(&environment.program);
    let unreadable = |e: std::io::Error| {
        RunError::refused(format!("cannot read the program for the nodes, {}", path.display()))
            .because(&e)
    };
    read_shared(path).map_err(unreadable)
}

/// Read to where it stays: `fs::read` would need the same memory once more, and nothing else that a
/// run holds is as large.
fn read_shared(path: &Path) -> std::io::Result<Arc<[u8]>> {
    let mut file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, length).collect();
    file.read_exact(Arc::make_mut(&mut bytes))?;
    Ok(bytes)
}

/// Docker's containers as the cluster adapter compares them with nodes.
pub(crate) fn node_containers(containers: &[Container]) -> Vec<NodeContainer> {
    let convert = |c: &Container| NodeContainer {
        cluster: c.cluster.clone(),
        id: c.id.clone(),
        name: c.name.clone(),
        role: c.role,
        addresses: c.addresses.values().flatten().map(ToString::to_string).collect(),
    };
    containers.iter().map(convert).collect()
}

fn refuse_other_settings(config: &KindConfig, handle: &ClusterHandle) -> Result<(), RunError> {
    let Nodes::Kind(nodes) = &handle.nodes else { return Ok(()) };
    let name = &config.name;
    let roles = nodes.containers.iter().map(|container| container.role);
    let differences = differences(config, roles, &handle.facts.tuning, &handle.facts.kubernetes);
    if differences.is_empty() {
        return Ok(());
    }
    Err(RunError::refused(format!("the kind cluster {name} does not match the experiment: {}", differences.join("; "))).hint(
        format!("run `kind delete cluster --name {name}` to let the next run recreate it, or use --context kind-{name} to run in it anyway"),
    ))
}

/// The kind cluster of this machine's engine to which a context leads; `None`: it leads to another
/// one.
pub(super) async fn of_context(
    cluster: &Cluster,
    kubeconfig: &[PathBuf],
    docker: &Docker,
    environment: &Environment<'_>,
    say: Say<'_>,
) -> Result<Option<ClusterHandle>, RunError> {
    let mut all = Vec::new();
    for name in docker.kind_clusters().await.map_err(RunError::refused_by)? {
        all.extend(docker.kind_nodes(&name).await.map_err(RunError::refused_by)?);
    }
    let name = match cluster.kind_cluster(&node_containers(&all)).await {
        Ok(Some(name)) => name,
        // Whoever may not list the nodes is refused later, with all that is not allowed.
        Ok(None) | Err(ClusterError::Forbidden { .. }) => return Ok(None),
        Err(error) => return Err(RunError::refused_by(error)),
    };
    let containers: Vec<Container> =
        all.into_iter().filter(|container| container.cluster == name).collect();
    let access = Access::Context {
        kubeconfig: kubeconfig.to_vec(),
        context: cluster.context().to_owned(),
        cluster: name.clone(),
    };
    refuse_moved(&name, docker, &containers).await?;
    // The same lock as a run that reaches the cluster by its name.
    let kind = kind_program(environment, docker);
    let claimed = take(&name, docker, &kind, environment, say).await?;
    let (cluster, context) = (cluster.clone(), Some(cluster.context_facts()));
    let mut handle =
        handle(&name, docker.clone(), cluster, access, containers, claimed, environment).await?;
    handle.facts.context = context;
    Ok(Some(handle))
}
