//! Pods that an experiment names, as the cluster's API tells them now.

use crate::cluster::{Cluster, Pod};
use crate::engine::error::RunError;
use crate::engine::seed::Seed;
use crate::experiment::{BlastRadius, Count, Fault, PodSelector, Pods};
use crate::plan::{self, Node};
use crate::timeline::Component;
use crate::timeline::leader::SYSTEM_NAMESPACE;

/// The pods that a selector chooses in a cluster where the run's namespace is `own`: so many as it
/// says, by the seed. Refused where there are fewer, or more of a control plane than may be hit.
pub(in crate::engine) async fn choose_pods(
    cluster: &Cluster,
    limits: &BlastRadius,
    own: &str,
    selector: &PodSelector,
    seed: &mut Seed,
) -> Result<Vec<Pod>, RunError> {
    let namespace = selector.pods.namespace.as_deref().unwrap_or(own);
    let found = pods(cluster, namespace, &selector.pods).await?;
    vet(cluster, limits, &found, selector.count, namespace).await?;
    choose(found, selector, namespace, seed)
}

pub(in crate::engine) async fn pods(
    cluster: &Cluster,
    namespace: &str,
    wanted: &Pods,
) -> Result<Vec<Pod>, RunError> {
    let mut found =
        cluster.pods(namespace, &wanted.labels()).await.map_err(RunError::refused_by)?;
    found.retain(|pod| wanted.have(&pod.name, pod.owner.as_deref(), &pod.labels));
    Ok(found)
}

/// The pods from which a fault would choose now. `None`: it hits none, or those of a namespace that
/// does not exist yet. Refused as in a run.
pub(crate) async fn pods_now(
    cluster: &Cluster,
    limits: &BlastRadius,
    fault: &Fault,
) -> Result<Option<Vec<Pod>>, RunError> {
    let Some((selector, namespace)) =
        fault.pods().and_then(|pods| Some((pods, pods.pods.namespace.as_ref()?)))
    else {
        return Ok(None);
    };
    let found = pods(cluster, namespace, &selector.pods).await?;
    vet(cluster, limits, &found, selector.count, namespace).await?;
    choose(found.clone(), selector, namespace, &mut Seed::new(0))?;
    Ok(Some(found))
}

/// Refused where pods of a control plane are among those found, and the blast radius does not allow
/// as many of them to be hit.
async fn vet(
    cluster: &Cluster,
    limits: &BlastRadius,
    found: &[Pod],
    count: Count,
    namespace: &str,
) -> Result<(), RunError> {
    let hit = components(found, count, namespace);
    if hit.is_empty() {
        return Ok(());
    }
    let nodes = cluster.nodes().await.map_err(RunError::refused_by)?;
    let nodes: Vec<Node> = nodes.into_iter().map(Node::from).collect();
    plan::check_components(limits, &nodes, &hit).map_err(|refused| {
        let refused = RunError::from(refused);
        // To be allowed is not enough for a static pod.
        match (found.iter().find(|pod| pod.mirror), refused.hint.clone()) {
            (Some(pod), Some(hint)) => refused
                .hint(format!("{hint}, and use `componentKill`: {} is a static pod", pod.name)),
            _ => refused,
        }
    })
}

/// The components among the pods found that a fault on so many may hit. Which it hits only the seed
/// says, so the worst choice counts: members of etcd first, each on another node.
fn components<'p>(
    found: &'p [Pod],
    count: Count,
    namespace: &str,
) -> Vec<(Component, Option<&'p str>)> {
    let mut hit: Vec<_> = found
        .iter()
        .filter_map(|pod| Some((component(pod, namespace)?, pod.node.as_deref())))
        .collect();
    if let Count::Exactly(count) = count {
        hit.sort_by_key(|(component, node)| (*component != Component::Etcd, *node));
        let mut nodes = std::collections::BTreeSet::new();
        hit.retain(|(_, node)| node.is_none_or(|node| nodes.insert(node)));
        hit.truncate(count as usize);
    }
    hit
}

/// The component of the control plane that a pod is. One of another name counts as an API server:
/// a part of the control plane, but no member of etcd.
fn component(pod: &Pod, namespace: &str) -> Option<Component> {
    if namespace != SYSTEM_NAMESPACE {
        return None;
    }
    let label = |key: &str| pod.labels.get(key).map(String::as_str);
    let part = pod.mirror || label("tier") == Some("control-plane");
    label("component").and_then(Component::named).or(part.then_some(Component::ApiServer))
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
        // Also where the blast radius allows it: what a component's fault needs afterwards (a
        // kubelet's back-off) only a fault on the component does.
        return Err(RunError::refused(format!("{} is a static pod, bound to its node", part.name))
            .hint("use `componentKill` or `componentStop` for a control-plane component"));
    }
    if found.len() < wanted {
        let there = found.len();
        let (s, are) = if wanted == 1 { ("", "is") } else { ("s", "are") };
        return Err(RunError::refused(format!(
            "{wanted} pod{s} {} in namespace {namespace} {are} to be targeted, but there {} \
             {there}",
            selector.pods.by,
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
            owner: None,
            labels: Default::default(),
        };
        (0..count).map(pod).collect()
    }

    fn chosen(there: usize, count: Count, seed: u64) -> Result<Vec<String>, RunError> {
        let selector = PodSelector { pods: Pods::labelled([("app", "web")]), count };
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
        let selector =
            PodSelector { pods: Pods::labelled([("tier", "control-plane")]), count: Count::All };
        let refused = choose(found, &selector, "kube-system", &mut Seed::new(1)).unwrap_err();
        assert!(
            refused.message.starts_with("p1 is a static pod")
                && refused.hint.unwrap().contains("componentKill")
        );
    }

    #[test]
    fn pods_of_a_control_plane_are_its_components() {
        let mut found = pods(4);
        let labels = [
            ("component", "kube-scheduler", "a"),
            ("component", "etcd", "a"),
            ("tier", "control-plane", "b"),
            ("k8s-app", "kube-dns", "c"),
        ];
        for (pod, (key, value, node)) in found.iter_mut().zip(labels) {
            pod.labels = [(key.to_owned(), value.to_owned())].into();
            pod.node = Some(node.to_owned());
        }
        let of = |count| components(&found, count, "kube-system");
        assert_eq!(of(Count::All).len(), 3, "the cluster's DNS is none");
        assert_eq!(of(Count::Exactly(1)), [(Component::Etcd, Some("a"))], "the worst choice");
        let both = [(Component::Etcd, Some("a")), (Component::ApiServer, Some("b"))];
        assert_eq!(of(Count::Exactly(2)), both);
        assert!(components(&found, Count::All, "shop").is_empty());
        let mut mirror = pods(1);
        mirror[0].mirror = true;
        let hit = components(&mirror, Count::All, "kube-system");
        assert_eq!(hit, [(Component::ApiServer, None)]);
    }

    #[test]
    fn too_few_are_refused() {
        for (there, count) in [(1, Count::Exactly(2)), (0, Count::All), (0, Count::Exactly(1))] {
            let refused = chosen(there, count, 1).unwrap_err();
            assert!(
                refused.message.contains(" with app=web in namespace ns ")
                    && refused.message.contains("to be targeted, but there ")
                    && refused.message.ends_with(&format!(" {there}")),
                "{refused}"
            );
        }
    }
}
