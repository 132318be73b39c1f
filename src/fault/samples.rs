//! A fault of each kind, as an experiment of this repository has it, and its record, for tests.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;

use super::record::NodeTarget;
use super::*;
use crate::cluster::ServedKind;
use crate::experiment::{self, NodeSelector, load};
use crate::node::{Access, NodeAccess, NodeFile, NodeHandle, NodeState, Output, ProcessStream};
use crate::timeline::{NodeRole, Taint, TaintEffect};

/// A node into which the way leads through its kubelet, and what it answers to a command.
pub(crate) struct ThroughKubelet<F>(Mutex<F>);

impl<F: FnMut(&str) -> Result<&'static str, AccessErrorKind> + Send> ThroughKubelet<F> {
    pub(crate) fn new(answer: F) -> Self {
        Self(Mutex::new(answer))
    }

    fn answer(&self, command: &str) -> Result<&'static str, AccessError> {
        let message = "run a command: the kubelet refuses".into();
        let error = |kind| AccessError { kind, message, hint: None };
        (self.0.lock().unwrap())(command).map_err(error)
    }

    pub(crate) fn way(&self) -> Way<'_> {
        Way { access: self, docker: None }
    }
}

impl<F: FnMut(&str) -> Result<&'static str, AccessErrorKind> + Send> NodeAccess
    for ThroughKubelet<F>
{
    fn state<'a>(&'a self, _: &'a NodeHandle) -> Access<'a, NodeState> {
        async move { self.answer("true").map(|_| NodeState::Up) }.boxed()
    }

    fn run<'a>(
        &'a self,
        _: &'a NodeHandle,
        _: Duration,
        argv: &'a [&'a str],
    ) -> Access<'a, Output> {
        async move {
            let text = self.answer(&argv.join(" "))?;
            // A failure is its code.
            let code = text.parse().unwrap_or(0);
            Ok(Output { code, stdout: text.into(), ..Output::default() })
        }
        .boxed()
    }

    fn upload<'a>(&'a self, _: &'a NodeHandle, _: NodeFile<'a>) -> Access<'a, ()> {
        unreachable!()
    }

    fn open<'a>(&'a self, _: &'a NodeHandle, _: &'a [&'a str]) -> Access<'a, ProcessStream> {
        unreachable!()
    }
}

/// The files of all experiments.
pub(crate) fn experiments() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect()
}

/// The fault of this kind in an experiment; `None`: no experiment has one.
pub(crate) fn in_experiments(kind: FaultKind) -> Option<Fault> {
    let key = format!("{kind}:");
    let with = experiments()
        .into_iter()
        .filter(|path| std::fs::read_to_string(path).unwrap().contains(&key));
    with.flat_map(|path| experiment::read(load(path.to_str().unwrap()).unwrap()).experiments)
        .flat_map(|parsed| {
            let steps = parsed.experiment.steps();
            steps
                .iter()
                .filter_map(|step| step.fault().map(|(fault, _)| fault.clone()))
                .collect::<Vec<_>>()
        })
        .find(|fault| fault.kind() == kind)
}

pub(crate) fn fault(kind: FaultKind) -> Fault {
    in_experiments(kind).unwrap_or_else(|| panic!("no experiment has a fault {kind}"))
}

/// Those on a part of the control plane.
pub(crate) fn component_faults(component: Component) -> [Fault; 3] {
    let target = NodeSelector::default;
    [
        Fault::ComponentStop { component, target: target() },
        Fault::ComponentKill { component, target: target() },
        Fault::ComponentPause { component, target: target() },
    ]
}

pub(crate) fn target() -> NodeTarget {
    let addresses = ["172.18.0.3", "fc00::3"].map(|address| address.parse().unwrap());
    NodeTarget {
        node: "c-worker".into(),
        container_id: "id-c-worker".into(),
        container_name: "c-worker".into(),
        role: NodeRole::Worker,
        addresses: [("kind".to_owned(), addresses.to_vec())].into(),
        cluster: "c".into(),
    }
}

/// The target in a cluster with a control plane, and with a pod on it.
pub(crate) fn plan_of(fault: &Fault) -> Result<Undo, FaultError> {
    let control_plane = NodeTarget {
        node: "c-control-plane".into(),
        container_id: "id-c-control-plane".into(),
        container_name: "c-control-plane".into(),
        role: NodeRole::ControlPlane,
        addresses: [("kind".to_owned(), vec!["172.18.0.2".parse().unwrap()])].into(),
        cluster: "c".into(),
    };
    let cluster = [target(), control_plane];
    let (ids, undo_after) = (["a".to_owned()], UndoAfter::both(Duration::from_secs(60)));
    let pod = Some(PodContainers { pod: "p", ids: &ids, number: 0 });
    let (target, run, step) = (&target(), "r", 0);
    let facts = NodeFacts { provider_id: Some("kind://docker/c/c-worker"), ..NodeFacts::default() };
    plan(&Plan { fault, target, facts, cluster: &cluster, pod, run, step, undo_after })
}

pub(crate) fn object_faults() -> [ObjectFaultRecord; 6] {
    let (namespace, name) = (|| "kube-system".to_owned(), || "coredns".to_owned());
    let deployment =
        || PlannedDeployment { namespace: namespace(), name: name(), uid: "u".into(), ready: 2 };
    [
        ObjectFaultRecord::DeploymentScale(DeploymentScale {
            deployment: deployment(),
            before: 2,
            replicas: 0,
        }),
        ObjectFaultRecord::PodDelete(PodDelete {
            namespace: namespace(),
            pod: name(),
            uid: "u".into(),
            node: None,
            known_as: None,
        }),
        ObjectFaultRecord::NodeDrain(NodeDrain {
            node: "w".into(),
            namespaces: vec![namespace()],
            options: Default::default(),
        }),
        ObjectFaultRecord::DeploymentPlace(DeploymentPlace {
            deployment: deployment(),
            nodes: vec!["w".into()],
            before: json!({"podAffinity": {}}),
            placed: json!({"nodeAffinity": {}}),
        }),
        ObjectFaultRecord::NodeTaint(NodeTaint {
            node: "w".into(),
            taint: Taint {
                key: "node.kubernetes.io/out-of-service".into(),
                value: "nodeshutdown".into(),
                effect: TaintEffect::NoExecute,
            },
        }),
        ObjectFaultRecord::Manifest(Manifest {
            kind: ServedKind {
                api_version: "networking.k8s.io/v1".into(),
                kind: "NetworkPolicy".into(),
                plural: "networkpolicies".into(),
                namespaced: true,
            },
            namespace: Some(namespace()),
            applied: fault(FaultKind::Manifest).applied().unwrap().clone(),
            target: "NetworkPolicy/deny".into(),
        }),
    ]
}
