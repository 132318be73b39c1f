//! A kind cluster as ground: found by its name or through a context, or made.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{
    Cluster, Kind, KindConfig, KindCreate, KindError, NodeContainer, differences,
};
use crate::docker::{Container, Docker, Endpoint};
use crate::engine::abort::Abort;
use crate::engine::ground::inotify;
use crate::engine::ground::kind_addresses::refuse_moved;
use crate::engine::ground::provision::{Found, Ground, Nodes, Say, Site, claim, refuse_owed};
use crate::engine::ground::state_dir::{Lock, StateDir};
use crate::engine::plan::target::Node;
use crate::engine::trouble::{Trouble, TroubleKind};
use crate::engine::undo::ledger::{Access, Debtor, Ledger, Obligation};
use crate::engine::undo::recover::Harmed;
use crate::timeline::{ClusterKind, NodeRole, Ready};

/// How long the nodes of a new cluster may take to become ready.
const JOINING: Duration = Duration::from_secs(300);

/// Nodes that are the containers of a kind cluster.
pub struct KindNodes {
    /// The container engine.
    pub docker: Docker,
    /// Its address, as kind and a later process are told it.
    pub engine: String,
    /// The kind program, where it is needed.
    pub kind: Result<Kind, Trouble>,
    /// How a later process reaches the cluster.
    pub access: Access,
    /// The containers.
    pub containers: Vec<Container>,
    /// This program for the nodes.
    pub binary: Arc<[u8]>,
    /// Whether this program has just made the cluster.
    pub made: bool,
    /// What this program's runs have hit.
    pub harmed: Harmed,
}

/// Finds the cluster of this name; refuses one whose nodes or settings are not the config's.
pub async fn find(
    name: &str,
    config: &str,
    site: &Site<'_>,
    say: Say<'_>,
) -> Result<Found, Trouble> {
    let docker = connect(site).await?;
    let kind = kind_program(site, &docker)?;
    let claimed = claim(site, name)?;
    let clusters = kind.clusters().await.map_err(Trouble::refused_by)?;
    if !clusters.iter().any(|other| other == name) {
        return Ok(Found::Absent(name.to_owned()));
    }
    say(&format!("kind cluster {name} is there"));
    let mut ground = of_kind(name, docker, &kind, claimed, site).await?;
    ground.warnings.extend(inotify::warning(clusters.len() - 1));
    refuse_other_settings(name, config, &ground)?;
    Ok(Found::Ground(Box::new(ground)))
}

async fn connect(site: &Site<'_>) -> Result<Docker, Trouble> {
    Docker::connect(site.engine()?).await.map_err(Trouble::refused_by)
}

fn kind_program(site: &Site<'_>, docker: &Docker) -> Result<Kind, Trouble> {
    find_kind_program(site.path, site.engine()?, docker)
}

/// The kind program, told of the engine that we speak to.
pub fn find_kind_program(
    path: &OsStr,
    engine: &Endpoint,
    docker: &Docker,
) -> Result<Kind, Trouble> {
    let kind =
        Kind::find(path, Some(engine.docker_host().to_owned())).map_err(Trouble::refused_by)?;
    Ok(if docker.is_podman() { kind.with_podman() } else { kind })
}

/// Makes the cluster. What is half made when that fails or is interrupted is deleted again.
pub(in crate::engine) async fn make(
    name: &str,
    config: &str,
    site: &Site<'_>,
    abort: &Abort,
    say: Say<'_>,
) -> Result<Ground, Trouble> {
    let docker = connect(site).await?;
    let kind = kind_program(site, &docker)?;
    let (state, lock) = claim(site, name)?;
    let mut ledger = Ledger::open(&state.ledger())?;
    let others = kind.clusters().await.map_err(Trouble::refused_by)?.len();
    inotify::warning(others).into_iter().for_each(|text| say(&format!("warning: {text}")));
    say(&format!("making the kind cluster {name}"));
    // kind wants a file for the kubeconfig; the user's own would have its context switched.
    let kubeconfig = state.scratch("kubeconfig");
    let debtor = Debtor { run: "cluster", engine: site.engine()?.docker_host() };
    let debt = ledger.owe(debtor, Obligation::KindCluster { name: name.to_owned() })?;
    let create = KindCreate {
        name,
        config_text: config,
        image: site.node_image,
        kubeconfig: &kubeconfig,
        progress: say,
    };
    let whole = async {
        kind.create(create).await.map_err(|error| match error {
            KindError::Exists { .. } => Half::NotOurs(Trouble::refused_by(error)),
            other => Half::Ours(Trouble::refused_by(other)),
        })?;
        joined(name, docker, &kind, (state, lock), site).await.map_err(Half::Ours)
    };
    let made = tokio::select! {
        made = whole => made,
        signal = abort.interrupted() => Err(Half::Ours(Trouble::failed(format!("interrupted by {signal} while the kind cluster was made")))),
    };
    match made {
        Ok(ground) => ledger.settle(debt).and(Ok(ground)),
        // Somebody else has made it in the meantime: it is theirs.
        Err(Half::NotOurs(trouble)) => ledger.settle(debt).and(Err(trouble)),
        Err(Half::Ours(trouble)) => {
            kind.delete(name, &kubeconfig)
                .await
                .map_err(|e| Trouble { kind: TroubleKind::NotUndone, ..Trouble::failed_by(e) })?;
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
async fn joined(
    name: &str,
    docker: Docker,
    kind: &Kind,
    claimed: (StateDir, Lock),
    site: &Site<'_>,
) -> Result<Ground, Trouble> {
    let containers = docker.kind_nodes(name).await.map_err(Trouble::refused_by)?;
    let text = kind.kubeconfig(name).await.map_err(Trouble::refused_by)?;
    let cluster = Cluster::from_kubeconfig(&text).await.map_err(Trouble::refused_by)?;
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
    tokio::time::timeout(JOINING, all_ready).await.map_err(|_| {
        Trouble::failed(format!("the nodes of the new cluster {name} were not all ready within {} s", JOINING.as_secs()))
            .hint("`kubectl describe nodes` may say why; a common cause is fs.inotify.max_user_instances (kind's known issues)")
    })?;
    let mut ground = of_kind(name, docker, kind, claimed, site).await?;
    if let Nodes::Kind(nodes) = &mut ground.nodes {
        nodes.made = true;
    }
    Ok(ground)
}

async fn of_kind(
    name: &str,
    docker: Docker,
    kind: &Kind,
    claimed: (StateDir, Lock),
    site: &Site<'_>,
) -> Result<Ground, Trouble> {
    let containers = docker.kind_nodes(name).await.map_err(Trouble::refused_by)?;
    refuse_stopped(name, &docker, &containers).await?;
    refuse_moved(name, &docker, &containers).await?;
    let text = kind.kubeconfig(name).await.map_err(Trouble::refused_by)?;
    let cluster = Cluster::from_kubeconfig(&text).await.map_err(Trouble::refused_by)?;
    let access = Access::Kind { cluster: name.to_owned() };
    ground(name, docker, cluster, access, containers, claimed, site).await
}

/// The same cluster once more, after a run in it: containers and addresses may be others.
pub(in crate::engine) async fn look_again(ground: &mut Ground) -> Result<(), Trouble> {
    let Nodes::Kind(nodes) = &mut ground.nodes else { return Ok(()) };
    let name = ground.state.cluster();
    let containers = nodes.docker.kind_nodes(name).await.map_err(Trouble::refused_by)?;
    refuse_stopped(name, &nodes.docker, &containers).await?;
    refuse_owed(&ground.state)?;
    let engine = Some(nodes.docker.describe().to_owned());
    let facts =
        ground.cluster.facts(ClusterKind::Kind, name, engine, &node_containers(&containers)).await;
    let (facts, warnings) = facts.map_err(Trouble::refused_by)?;
    nodes.containers = containers;
    ground.facts = facts;
    let news = warnings
        .into_iter()
        .filter(|warning| !ground.warnings.contains(warning))
        .collect::<Vec<_>>();
    ground.warnings.extend(news);
    Ok(())
}

/// A stopped node is told as such, before the API that may be on it is asked.
async fn refuse_stopped(
    name: &str,
    docker: &Docker,
    containers: &[Container],
) -> Result<(), Trouble> {
    for container in containers {
        let state = docker.inspect(&container.id).await.map_err(Trouble::refused_by)?;
        let (what, command) = match (state.running, state.paused) {
            (true, false) => continue,
            (_, true) => ("paused", "unpause"),
            (false, _) => ("not running", "start"),
        };
        return Err(Trouble::refused(format!(
            "{} of cluster {name} is {what}, and not by a run of ours",
            container.name
        ))
        .hint(format!(
            "`docker {command} {}`, or `kind delete cluster --name {name}` for a fresh one",
            container.name
        )));
    }
    Ok(())
}

async fn ground(
    name: &str,
    docker: Docker,
    cluster: Cluster,
    access: Access,
    containers: Vec<Container>,
    (state, lock): (StateDir, Lock),
    site: &Site<'_>,
) -> Result<Ground, Trouble> {
    let described = Some(docker.describe().to_owned());
    let facts =
        cluster.facts(ClusterKind::Kind, name, described, &node_containers(&containers)).await;
    let (facts, warnings) = facts.map_err(Trouble::refused_by)?;
    let kind = kind_program(site, &docker);
    let engine = site.engine()?.docker_host().to_owned();
    let nodes = KindNodes {
        docker,
        engine,
        kind,
        access,
        containers,
        binary: binary(site)?,
        made: false,
        harmed: Harmed::default(),
    };
    Ok(Ground { cluster, facts, warnings, state, nodes: Nodes::Kind(Box::new(nodes)), _lock: lock })
}

/// This program for the nodes.
fn binary(site: &Site<'_>) -> Result<Arc<[u8]>, Trouble> {
    let path = site.agent_binary.unwrap_or(&site.program);
    let unreadable = |e: std::io::Error| {
        Trouble::refused(format!("cannot read the program for the nodes, {}", path.display()))
            .because(&e)
    };
    Ok(std::fs::read(path).map_err(unreadable)?.into())
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

/// kind's load balancer: a machine, and no node of Kubernetes. Selection knows it; nobody waits for it to be Ready.
pub fn machines(containers: &[Container]) -> Vec<Node> {
    let balancers =
        containers.iter().filter(|container| container.role == NodeRole::ExternalLoadBalancer);
    let machine = |c: &Container| Node {
        name: c.name.clone(),
        role: c.role,
        labels: Default::default(),
        ready: true,
        address: c.addresses.values().flatten().next().map(ToString::to_string),
    };
    balancers.map(machine).collect()
}

fn refuse_other_settings(name: &str, config: &str, ground: &Ground) -> Result<(), Trouble> {
    let config = KindConfig::parse(config)
        .map_err(|e| Trouble::refused("cannot use the kind config").because(&e))?;
    let Nodes::Kind(nodes) = &ground.nodes else { return Ok(()) };
    let differences = differences(
        &config,
        &node_containers(&nodes.containers),
        &ground.facts.tuning,
        &ground.facts.kubernetes,
    );
    if differences.is_empty() {
        return Ok(());
    }
    Err(Trouble::refused(format!("the kind cluster {name} is not what the experiment asks for: {}", differences.join("; "))).hint(
        format!("`kind delete cluster --name {name}` lets the next run make it anew; --context kind-{name} runs in it as it is"),
    ))
}

/// Finds the kind cluster of a context. One that is none of kind's is refused.
pub async fn of_context(
    kubeconfig: &[PathBuf],
    context: Option<&str>,
    site: &Site<'_>,
) -> Result<Ground, Trouble> {
    let cluster = Cluster::from_files(kubeconfig, context).await.map_err(Trouble::refused_by)?;
    let docker = connect(site).await?;
    let mut all = Vec::new();
    for name in docker.kind_clusters().await.map_err(Trouble::refused_by)? {
        all.extend(docker.kind_nodes(&name).await.map_err(Trouble::refused_by)?);
    }
    let kind_cluster =
        cluster.kind_cluster(&node_containers(&all)).await.map_err(Trouble::refused_by)?;
    let Some(name) = kind_cluster else { return Err(not_kind(&cluster, site.allow_context)) };
    let containers: Vec<Container> =
        all.into_iter().filter(|container| container.cluster == name).collect();
    // A later process may be started in another directory.
    let kubeconfig = kubeconfig
        .iter()
        .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
        .collect();
    let access = Access::Context {
        kubeconfig,
        context: cluster.context().to_owned(),
        cluster: name.clone(),
    };
    refuse_moved(&name, &docker, &containers).await?;
    // The same lock as a run that reaches the cluster by its name.
    let claimed = claim(site, &name)?;
    ground(&name, docker, cluster, access, containers, claimed, site).await
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
