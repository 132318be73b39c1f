//! The embedded cluster as handle: started for this command, and gone with it.

use std::path::Path;

use crate::cluster::Cluster;
use crate::embedded::{Embedded, EmbeddedSpec, NodeSpec, Topology};
use crate::engine::environment::embedded_folder::{Folder, Made, NAME};
use crate::engine::environment::handle::{
    ClusterHandle, EmbeddedNodes, Environment, Nodes, Preparing, Say,
};
use crate::engine::environment::state_dir::{Claim, StateDir};
use crate::engine::error::RunError;
use crate::kind_config::{KindConfig, KindNode};
use crate::timeline::ClusterKind;

/// The port that nearly every Service has.
const HTTP: u16 = 80;

/// What the model of a kind cluster is to be like.
pub(crate) fn spec(config: &KindConfig) -> EmbeddedSpec {
    let node = |node: &KindNode| NodeSpec {
        name: node.name.clone(),
        role: node.role,
        labels: node.labels.clone(),
        tainted: node.tainted,
    };
    EmbeddedSpec {
        topology: Topology { nodes: config.nodes.iter().map(node).collect() },
        kubernetes: config.kubernetes.clone(),
        tuning: config.tuning(),
        tolerations: config.default_tolerations,
        seed: crate::engine::seed::fresh(),
    }
}

/// Starts an embedded cluster. Its lock and its ledger are in a folder of this process: its faults
/// end with it, and none blocks another. Who only looks has no folder, no lock and no ledger.
pub(crate) async fn start(
    config: &KindConfig,
    environment: &Environment<'_>,
    say: Say<'_>,
) -> Result<ClusterHandle, RunError> {
    let (folder, claim) = if environment.only_look {
        let state = StateDir::nameless(&Path::new(environment.state_dir).join(NAME), NAME);
        let lock = state.look()?;
        (None, Claim { state, lock })
    } else {
        let Made { folder, state, lock } = Folder::make(environment.state_dir)?;
        (Some(folder), Claim { state, lock })
    };
    let embedded = Embedded::start(spec(config)).map_err(RunError::refused_by)?;
    let (wanted, given) = (HTTP, embedded.port(HTTP, &[HTTP]));
    if wanted != given {
        say(Preparing::Step(&format!(
            "cannot listen on port {wanted} (ports below 1024 need root): Services publish \
             {given} instead"
        )));
    }
    if let Some(folder) = &folder {
        let kubeconfig = folder.kubeconfig(embedded.kubeconfig())?;
        say(Preparing::Step(&format!(
            "the embedded cluster is up; to watch it: `kubectl --kubeconfig {} get nodes -w`",
            kubeconfig.display()
        )));
    }
    let cluster =
        Cluster::from_kubeconfig(embedded.kubeconfig()).await.map_err(RunError::refused_by)?;
    let facts = cluster
        .facts(ClusterKind::Embedded, NAME, None, &[])
        .await
        .map_err(RunError::refused_by)?;
    let nodes = Nodes::Embedded(EmbeddedNodes { embedded, _folder: folder });
    Ok(ClusterHandle::new(cluster, facts, claim, nodes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_look_writes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let config = crate::kind_config::testing::config(
            "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nnodes: [{role: control-plane}, {role: worker}]\n",
        );
        let environment = Environment {
            only_look: true,
            ..crate::engine::existing_tests::environment(root.path())
        };
        let handle = start(&config, &environment, &mut |_| {}).await.unwrap();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        drop(handle);
        let handle = start(&config, &Environment { only_look: false, ..environment }, &mut |_| {})
            .await
            .unwrap();
        assert_eq!(std::fs::read_dir(root.path().join(NAME)).unwrap().count(), 1);
        drop(handle);
        assert!(!root.path().join(NAME).exists());
    }

    #[test]
    fn nodes_version_and_tolerations_are_those_of_the_config() {
        let config = crate::kind_config::testing::config(
            "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\n\
             nodes:\n- {role: worker, image: 'kindest/node:v1.31.0', labels: {zone: z}}\n\
             - {role: control-plane, image: 'kindest/node:v1.31.0'}\n\
             kubeadmConfigPatches: ['{kind: ClusterConfiguration, apiServer: {extraArgs: {default-unreachable-toleration-seconds: \"20\"}}}']\n",
        );
        let spec = spec(&config);
        assert_eq!(
            (spec.kubernetes.as_str(), spec.tolerations.unreachable.as_secs()),
            ("v1.31.0", 20)
        );
        let [worker, control_plane] = &spec.topology.nodes[..] else { panic!("{spec:?}") };
        assert_eq!((worker.name.as_str(), worker.labels["zone"].as_str()), ("a-worker", "z"));
        assert!(control_plane.tainted && !worker.tainted);
        assert_eq!(spec.tuning.node_monitor_grace_period, Some(std::time::Duration::from_secs(40)));
    }
}
