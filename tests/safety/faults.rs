//! What is injected: each kind of fault that the program knows, at least once. A backend that cannot
//! show one refuses its dry run.

/// Each fault lasts so long if nobody ends the run.
pub(crate) const HOLD_SECONDS: u64 = 3;

pub(crate) const FAULTS: [&str; 24] = [
    "nodeStop: {target: {role: worker}, grace: 2s}",
    "nodeKill: {target: {role: worker}}",
    "nodePause: {target: {role: worker}}",
    "nodeFreeze: {target: {role: worker}}",
    "nodeDisconnect: {target: {role: worker}}",
    "partition: {target: {role: worker}}",
    "kubeletStop: {target: {role: worker}}",
    "kubeletPause: {target: {role: worker}}",
    "componentStop: {target: {role: control-plane}, component: kube-scheduler}",
    "componentKill: {target: {role: control-plane}, component: kube-controller-manager}",
    "componentPause: {target: {role: control-plane}, component: kube-apiserver}",
    "componentStop: {target: {role: control-plane}, component: kube-apiserver}",
    "nodeStop: {target: {role: control-plane}, grace: 2s}",
    "nodeDrain: {target: {role: worker}}",
    "deploymentScale: {name: web, replicas: 0}",
    "podDelete: {labels: {app: web}, count: 1}",
    "manifest: {object: {apiVersion: v1, kind: ConfigMap, metadata: {name: fault}}}",
    "nodeTaint: {target: {role: worker}, key: example.com/outage, effect: NoSchedule}",
    "nodeReboot: {target: {role: worker}, hard: true}",
    "kubeletThrottle: {target: {role: worker}, cpu: 5%}",
    "command: {target: {role: worker}, effect: nodeDown, inject: [docker, stop, '{node}'], confirm: {argv: [docker, inspect, '--format={{.State.Running}}', '{node}'], prints: 'false'}, undo: [docker, start, '{node}'], confirmUndone: {argv: [docker, inspect, '--format={{.State.Running}}', '{node}'], prints: 'true'}}",
    "deploymentPlace: {name: web, on: {role: worker, count: 1}}",
    "containerKill: {labels: {app: web}, count: 1}",
    "etcdDataLoss: {target: {role: control-plane}}",
];

/// The kind of a fault of the list.
pub(crate) fn kind(fault: &str) -> &str {
    fault.split(':').next().unwrap_or_default()
}

/// The experiment of one fault; of its `spec` what follows the cluster.
pub(crate) fn spec(fault: &str) -> String {
    format!(
        "  workload: [workloads/web.yaml]
  probes:
  - {{name: api, api: {{verb: read}}, rate: 5/s, timeout: 1s}}
  steadyState:
  - nodesReady: all
  blastRadius: {{maxControlPlanes: 1, quorumLoss: true, dataLoss: true}}
  method:
  - fault: {{{fault}}}
    for: {HOLD_SECONDS}s
"
    )
}
