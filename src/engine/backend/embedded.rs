//! The embedded cluster as a run's backend: faults act on the model, probers ask from this process,
//! by a node's address.

use std::collections::BTreeMap;

use tokio::sync::mpsc::UnboundedSender;

use crate::agent::{self, AgentHandle, AgentMessage};
use crate::embedded::{Action, Embedded, NodeId};
use crate::engine::backend::Backend;
use crate::engine::backend::run_scope::{ProberGroup, RunScope, Running};
use crate::engine::error::RunError;
use crate::engine::fault_reporter::Progress;
use crate::engine::plan::canaries::{self, ON_KIND};
use crate::engine::plan::placement::Place;
use crate::engine::seed::Seed;
use crate::engine::undo::ledger::UndoEntry;
use crate::engine::undo::recover::NAMESPACE_REMOVAL;
use crate::experiment::{ApiServer, Ask, Experiment, Fault, From, Probe, Target, Via};
use crate::fault::{self, ModelNode, Modelled, UndoAfter};
use crate::plan::Node;
use crate::probe::control;
use crate::timeline::{FaultPhase, Record};
use crate::workload::{Manifest, container_ports};

pub(crate) struct EmbeddedBackend<'a> {
    pub scope: RunScope<'a>,
    pub embedded: &'a Embedded,
}

impl EmbeddedBackend<'_> {
    fn node(&self, name: &str) -> Result<NodeId, RunError> {
        self.embedded
            .node(name)
            .ok_or_else(|| RunError::refused(format!("the embedded cluster has no node {name}")))
    }

    fn modelled(&self, fault: &Fault, name: &str) -> Result<Option<Modelled>, RunError> {
        Ok(fault::modelled(fault, ModelNode { id: self.node(name)?, name }))
    }

    async fn act(&self, action: Action) -> Result<(), RunError> {
        self.embedded.act(action).await.map_err(RunError::failed_by)
    }
}

/// What stands for a container engine's address in an entry of the ledger.
pub(crate) const ENGINE: &str = "embedded";

fn not_supported(fault: &Fault) -> RunError {
    let why = match fault.traits().by_command {
        true => Some("commands cannot reach its nodes"),
        false => fault.target().and_then(|_| Action::of_fault(fault.facts(), NodeId(0)).err()),
    };
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    RunError::refused(format!("the embedded cluster does not support {}{why}", fault.kind()))
}

/// Refuses what the model can't show, before anything is made.
pub(crate) fn refuse_unmodelled(experiment: &Experiment) -> Result<(), RunError> {
    let steps = experiment.steps();
    let mut faults = steps.iter().filter_map(|step| Some(step.fault()?.0));
    let unmodelled = faults.find(|fault| !fault::runs_embedded(fault));
    if let Some(fault) = unmodelled {
        return Err(not_supported(fault).hint(ON_KIND));
    }
    for probe in &experiment.probes {
        let name = &probe.name;
        if let Some(what) = probe.ask.kind().not_embedded() {
            return Err(RunError::refused(format!(
                "probe {name} uses {what}: the embedded cluster does not support it"
            ))
            .hint(ON_KIND));
        }
        if let From::Pod(_) = &probe.from {
            return Err(no_pods_network(name));
        }
        if let Some(NotModelled { asks, lacks, hint }) = not_modelled(probe) {
            let text = format!("probe {name} {asks}: the embedded cluster {lacks}");
            return Err(RunError::refused(text).hint(format!("{hint}{ON_KIND}")));
        }
    }
    canaries::refuse_unmodelled(experiment)
}

/// A probe of something that a model has not.
struct NotModelled {
    asks: &'static str,
    lacks: &'static str,
    /// What to use in its place; empty: nothing.
    hint: &'static str,
}

fn not_modelled(probe: &Probe) -> Option<NotModelled> {
    Some(match (&probe.ask, probe.ask.target()) {
        (Ask::Api { server: ApiServer::Each, .. }, _) => NotModelled {
            asks: "targets each API server",
            lacks: "has only one",
            hint: "use `server: balancer`, or ",
        },
        (_, Some(target)) if probe.from != From::Host && is_on_its_own_node(target) => {
            NotModelled {
                asks: "targets a port of its own node",
                lacks: "has no such ports",
                hint: "",
            }
        }
        (ask, Some(target)) if ask.uses_tls() && !matches!(target, Target::Address { .. }) => {
            NotModelled {
                asks: "uses TLS",
                lacks: "has no certificates",
                hint: "leave out `tls: true`, or ",
            }
        }
        (_, Some(Target::Published { via: Via::LoadBalancer, .. })) => NotModelled {
            asks: "targets a load balancer",
            lacks: "has no load balancer controller",
            hint: "use `via: nodePort`, or ",
        },
        (_, Some(Target::Ingress { .. })) => NotModelled {
            asks: "targets an Ingress",
            lacks: "has no ingress controller",
            hint: "use `service` instead of `ingress`, or ",
        },
        _ => return None,
    })
}

/// Whether it is the very node that the probe asks from: 127.0.0.1, say.
fn is_on_its_own_node(target: &Target) -> bool {
    let Target::Address { host, .. } = target else { return false };
    host.parse::<std::net::IpAddr>().map_or(host == "localhost", |address| address.is_loopback())
}

/// The experiment with the ports that are really listened on (see [`Embedded::port`]), where it
/// names one. `workload` says which ports the Service or the pod has beside it.
pub(crate) fn with_reachable_ports(
    mut experiment: Experiment,
    workload: &Manifest,
    embedded: &Embedded,
) -> Experiment {
    for probe in &mut experiment.probes {
        match probe.ask.target_mut() {
            Some(
                Target::Service { port: Some(port), service }
                | Target::Published { port: Some(port), service, .. },
            ) if service.namespace.is_none() => {
                *port = embedded.port(*port, &service_ports(workload, &service.name))
            }
            Some(Target::Pod { port, pods }) if pods.namespace.is_none() => {
                *port = embedded.port(*port, &pod_ports(workload, &pods.labels()))
            }
            _ => {}
        }
    }
    experiment
}

fn service_ports(workload: &Manifest, name: &str) -> Vec<u16> {
    workload.service(name).map(|service| service.ports()).unwrap_or_default()
}

/// Of the first pod, or template of pods, with these labels.
fn pod_ports(workload: &Manifest, labels: &BTreeMap<String, String>) -> Vec<u16> {
    let pods = workload.pods().find(|pods| pods.have(labels));
    pods.map(|pods| container_ports(pods.template)).unwrap_or_default()
}

/// Starts a prober on a thread of this process. Its control probe asks the cluster's thread, which
/// answers late where the machine is busy, and then all pods do.
fn start(
    embedded: &Embedded,
    group: ProberGroup,
    out: UnboundedSender<AgentMessage>,
) -> Result<AgentHandle, RunError> {
    let ProberGroup { place, node, mut probes, control } = group;
    let address = node.and_then(|node| node.address?.parse().ok());
    match place {
        Place::Pod { .. } => Err(no_pods_network(&probes[0].header.name)),
        Place::Node { .. } | Place::Host => {
            let control = control.map(|header| control::probe(header, embedded.control(), &probes));
            probes.extend(control);
            agent::local::start_from(address, probes, None, out).map_err(RunError::failed_by)
        }
    }
}

/// A probe from a pod's network: the model's pods have none of their own, and no DNS.
fn no_pods_network(probe: &str) -> RunError {
    let text = format!(
        "probe {probe} runs in a pod: pods of the embedded cluster have neither their own \
         network nor DNS"
    );
    RunError::refused(text).hint(
        "use `from: {node: {role: control-plane}}`, or --cluster kind to run the \
             experiment in a kind cluster",
    )
}

impl Backend for EmbeddedBackend<'_> {
    fn scope(&self) -> &RunScope<'_> {
        &self.scope
    }

    fn running(&mut self) -> &mut Running {
        &mut self.scope.running
    }

    async fn watch(&mut self, out: UnboundedSender<Record>) -> Result<(), RunError> {
        self.embedded.observe(Some(out.clone()));
        self.scope.watch(out).await
    }

    async fn start_probes(
        &mut self,
        at_risk: &[String],
        out: UnboundedSender<AgentMessage>,
    ) -> Result<Vec<String>, RunError> {
        let embedded = self.embedded;
        let start = async |group| start(embedded, group, out.clone());
        self.scope.start_probes(at_risk, out.clone(), start).await
    }

    async fn stop_watching(&mut self) {
        self.embedded.observe(None);
        self.running().stop_watching().await;
    }

    fn plan_fault(
        &self,
        fault: &Fault,
        node: &Node,
        step: u32,
        _undo_after: UndoAfter,
    ) -> Result<UndoEntry, RunError> {
        self.node(&node.name)?;
        let through_api = self.scope.plan_object_fault_on(&node.name, fault, step);
        let modelled =
            || UndoEntry::Modelled { step, node: node.name.clone(), fault: fault.clone() };
        Ok(through_api.unwrap_or_else(modelled))
    }

    async fn plan_object_fault(
        &self,
        fault: &Fault,
        step: u32,
        _undo_after: UndoAfter,
        seed: &mut Seed,
    ) -> Result<Vec<UndoEntry>, RunError> {
        let planned = self.scope.plan_object_fault(fault, step, seed).await?;
        planned.ok_or_else(|| not_supported(fault))
    }

    async fn inject(&self, undo: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError> {
        if let UndoEntry::Object { undo, .. } = undo {
            return fault::inject_object(undo, &self.scope.cluster, progress)
                .await
                .map_err(RunError::failed_by);
        }
        let UndoEntry::Modelled { node, fault, .. } = undo else {
            return Err(undo.not_a_fault_here());
        };
        let modelled = self.modelled(fault, node)?.ok_or_else(|| undo.not_a_fault_here())?;
        progress(FaultPhase::Requested, String::new());
        self.act(modelled.inject).await?;
        progress(FaultPhase::Returned, String::new());
        progress(FaultPhase::Confirmed, modelled.effect.into());
        Ok(())
    }

    async fn undo(&self, undo: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError> {
        if let UndoEntry::Object { undo, .. } = undo {
            return fault::undo_object(undo, &self.scope.cluster, progress)
                .await
                .map_err(RunError::failed_by);
        }
        let undone = self.undo_in_model(undo, &mut *progress).await;
        let is_fault = matches!(undo, UndoEntry::Modelled { .. });
        settle(undone, self.embedded.has_ended(), &mut |phase, words| {
            if is_fault {
                progress(phase, words);
            }
        })
    }
}

/// The result of an undo: what is to be undone in a model ends with it.
fn settle(
    undone: Result<(), RunError>,
    has_ended: bool,
    progress: Progress<'_>,
) -> Result<(), RunError> {
    match undone {
        Ok(()) => Ok(()),
        Err(_) if has_ended => {
            progress(FaultPhase::Undone, "the embedded cluster and its nodes have stopped".into());
            Ok(())
        }
        Err(error) => {
            progress(FaultPhase::NotUndone, error.line());
            Err(error)
        }
    }
}

impl EmbeddedBackend<'_> {
    async fn undo_in_model(
        &self,
        undo: &UndoEntry,
        progress: Progress<'_>,
    ) -> Result<(), RunError> {
        match undo {
            UndoEntry::Modelled { node, fault, .. } => {
                let modelled =
                    self.modelled(fault, node)?.ok_or_else(|| undo.not_a_fault_here())?;
                progress(FaultPhase::UndoRequested, modelled.describe);
                self.act(modelled.undo).await?;
                progress(FaultPhase::Undone, modelled.undone.into());
                Ok(())
            }
            UndoEntry::Namespace { name, .. } => {
                let removed = self
                    .scope
                    .cluster
                    .remove_namespace(name, self.scope.run, NAMESPACE_REMOVAL)
                    .await;
                removed.map_err(RunError::failed_by)
            }
            // None of these is ever recorded for a model.
            UndoEntry::Fault(_)
            | UndoEntry::Object { .. }
            | UndoEntry::Probers { .. }
            | UndoEntry::Settings { .. }
            | UndoEntry::KindCluster { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::NodeSelector;

    #[test]
    fn a_drain_is_undone_in_a_model_as_in_a_cluster() {
        let target = NodeSelector::default();
        let drain = Fault::NodeDrain { target, options: Default::default() };
        assert_eq!(fault::describe_in_model(&drain, "w1"), "uncordon node w1");
    }

    #[test]
    fn what_is_left_in_a_model_ends_with_it() {
        let mut phases = Vec::new();
        let failed =
            || Err(RunError::failed("failed to reach the embedded cluster: it has stopped"));
        assert!(settle(failed(), true, &mut |phase, _| phases.push(phase)).is_ok());
        assert!(settle(failed(), false, &mut |phase, _| phases.push(phase)).is_err());
        assert!(settle(Ok(()), false, &mut |phase, _| phases.push(phase)).is_ok());
        assert_eq!(phases, [FaultPhase::Undone, FaultPhase::NotUndone]);
    }
}
