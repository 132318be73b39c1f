//! Faults on objects of a namespace: which objects, as the cluster's API tells it now.

use crate::cluster::{self, Pod};
use crate::engine::backend::run_scope::RunScope;
use crate::engine::error::RunError;
use crate::engine::seed::Seed;
use crate::engine::undo::ledger::{Access, UndoEntry};
use crate::experiment::{Count, Fault, NodeSelector, PodSelector};
use crate::fault::{
    DeploymentPlace, DeploymentScale, NodeDrain, ObjectHarm, ObjectUndo, PodDelete,
};
use crate::plan;

impl RunScope<'_> {
    /// What a fault that goes through the API does, and how it is undone. `None`: it does not, and
    /// is another's to plan.
    pub(crate) async fn plan_object_fault(
        &self,
        fault: &Fault,
        step: u32,
        seed: &mut Seed,
        access: &Access,
    ) -> Result<Option<Vec<UndoEntry>>, RunError> {
        let harms = match fault {
            Fault::DeploymentScale { namespace, name, replicas } => {
                vec![self.scale(self.space(namespace.as_deref()), name, *replicas).await?]
            }
            Fault::DeploymentPlace { namespace, name, on } => {
                vec![self.place(self.space(namespace.as_deref()), name, on, seed).await?]
            }
            Fault::PodDelete { pods } => {
                let namespace = self.space(pods.namespace.as_deref()).to_owned();
                let delete = |pod: Pod| {
                    ObjectHarm::PodDelete(PodDelete {
                        namespace: namespace.clone(),
                        pod: pod.name,
                        uid: pod.uid,
                        node: pod.node,
                    })
                };
                self.choose_pods(pods, seed).await?.into_iter().map(delete).collect()
            }
            _ => return Ok(None),
        };
        let owed = |harm| UndoEntry::Object {
            undo: ObjectUndo::new(self.run, step, harm),
            access: access.clone(),
        };
        Ok(Some(harms.into_iter().map(owed).collect()))
    }

    /// What drains a node: pods of the run's namespace, and of those that the experiment allows to
    /// be harmed.
    pub(crate) fn plan_drain(&self, node: &str, step: u32, access: &Access) -> UndoEntry {
        let own = [self.namespace.clone()];
        let namespaces =
            own.iter().chain(&self.experiment.blast_radius.namespaces).cloned().collect();
        let harm = ObjectHarm::NodeDrain(NodeDrain { node: node.to_owned(), namespaces });
        UndoEntry::Object { undo: ObjectUndo::new(self.run, step, harm), access: access.clone() }
    }

    fn space<'a>(&'a self, named: Option<&'a str>) -> &'a str {
        named.unwrap_or(&self.namespace)
    }

    async fn scale(
        &self,
        namespace: &str,
        name: &str,
        replicas: u32,
    ) -> Result<ObjectHarm, RunError> {
        let seen = self.cluster.scale_of(namespace, name).await.map_err(RunError::refused_by)?;
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Ok(ObjectHarm::DeploymentScale(DeploymentScale {
            namespace,
            name,
            uid: seen.uid,
            before: seen.wanted,
            ready: seen.ready,
            replicas,
        }))
    }

    /// All to one node, or each to a node of its own: anything else is neither layout.
    async fn place(
        &self,
        namespace: &str,
        name: &str,
        on: &NodeSelector,
        seed: &mut Seed,
    ) -> Result<ObjectHarm, RunError> {
        let seen =
            self.cluster.placement_of(namespace, name).await.map_err(RunError::refused_by)?;
        let nodes = self.nodes().await?;
        let chosen = plan::placement_node(&nodes, on, seed)?;
        let chosen: Vec<String> = chosen.into_iter().map(|node| node.name.clone()).collect();
        let (pods, nodes) = (seen.wanted, chosen.len());
        if nodes > 1 && nodes != pods as usize {
            let text = format!(
                "the Deployment {namespace}/{name} has {pods} replicas, not one for each of \
                 {nodes} nodes"
            );
            return Err(RunError::refused(text)
                .hint("set the nodes' `count` to 1, or to the number of replicas"));
        }
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let placed = cluster::onto(&chosen, &seen.labels);
        let (uid, before, ready) = (seen.uid, seen.affinity, seen.ready);
        Ok(ObjectHarm::DeploymentPlace(DeploymentPlace {
            namespace,
            name,
            uid,
            nodes: chosen,
            before,
            placed,
            ready,
        }))
    }

    /// The pods that a selector chooses: so many as it says, by the seed. Refused where there are
    /// fewer.
    pub(crate) async fn choose_pods(
        &self,
        selector: &PodSelector,
        seed: &mut Seed,
    ) -> Result<Vec<Pod>, RunError> {
        let namespace = self.space(selector.namespace.as_deref());
        let found =
            self.cluster.pods(namespace, &selector.labels).await.map_err(RunError::refused_by)?;
        choose(found, selector, namespace, seed)
    }
}

fn choose(
    mut found: Vec<Pod>,
    selector: &PodSelector,
    namespace: &str,
    seed: &mut Seed,
) -> Result<Vec<Pod>, RunError> {
    let wanted = match selector.count {
        Count::All => found.len().max(1),
        Count::Exactly(count) => count as usize,
    };
    if let Some(part) = found.iter().find(|pod| pod.mirror) {
        // Its harm is counted by nobody as a pod's: as a component's it is, by the blast radius.
        return Err(RunError::refused(format!(
            "{} is a static pod, a part of its node",
            part.name
        ))
        .hint("use `componentKill` or `componentStop` for a control-plane component"));
    }
    if found.len() < wanted {
        let labels: Vec<String> =
            selector.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let there = found.len();
        let (s, are) = if wanted == 1 { ("", "is") } else { ("s", "are") };
        return Err(RunError::refused(format!(
            "{wanted} pod{s} of {namespace} with {} {are} to be targeted, but there {} {there}",
            labels.join(","),
            if there == 1 { "is" } else { "are" }
        )));
    }
    let mut chosen = Vec::new();
    while chosen.len() < wanted {
        let names: Vec<String> = found.iter().map(|pod| pod.name.clone()).collect();
        let name = seed.choose(&names).expect("there are enough");
        let at = found.iter().position(|pod| pod.name == *name).expect("is one of them");
        chosen.push(found.remove(at));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(count: usize) -> Vec<Pod> {
        let pod = |number| Pod {
            name: format!("p{number}"),
            uid: format!("u{number}"),
            node: None,
            ip: None,
            ready: true,
            host_network: false,
            running: Vec::new(),
            mirror: false,
        };
        (0..count).map(pod).collect()
    }

    fn chosen(there: usize, count: Count, seed: u64) -> Result<Vec<String>, RunError> {
        let selector =
            PodSelector { namespace: None, labels: [("app".into(), "web".into())].into(), count };
        let chosen = choose(pods(there), &selector, "ns", &mut Seed::new(seed))?;
        Ok(chosen.into_iter().map(|pod| pod.name).collect())
    }

    #[test]
    fn so_many_as_are_wanted_are_chosen_and_each_once() {
        assert_eq!(chosen(3, Count::All, 1).unwrap().len(), 3);
        let all: std::collections::BTreeSet<String> =
            (0..30).flat_map(|seed| chosen(3, Count::Exactly(1), seed).unwrap()).collect();
        assert_eq!(all.len(), 3, "the seed decides");
        let two = chosen(3, Count::Exactly(2), 5).unwrap();
        assert!(two.len() == 2 && two[0] != two[1]);
    }

    #[test]
    fn a_part_of_the_control_plane_is_no_pod_to_be_hit() {
        let mut found = pods(2);
        found[1].mirror = true;
        let selector = PodSelector {
            namespace: None,
            labels: [("tier".into(), "control-plane".into())].into(),
            count: Count::All,
        };
        let refused = choose(found, &selector, "kube-system", &mut Seed::new(1)).unwrap_err();
        assert!(
            refused.message.starts_with("p1 is a static pod")
                && refused.hint.unwrap().contains("componentKill")
        );
    }

    #[test]
    fn too_few_are_refused() {
        for (there, count) in [(1, Count::Exactly(2)), (0, Count::All), (0, Count::Exactly(1))] {
            let refused = chosen(there, count, 1).unwrap_err();
            assert!(
                refused.message.contains(" of ns with app=web ")
                    && refused.message.contains("to be targeted, but there ")
                    && refused.message.ends_with(&format!(" {there}")),
                "{refused}"
            );
        }
    }
}
