//! Pods that an experiment names, as the cluster's API tells them now.

use crate::cluster::{Cluster, Pod};
use crate::engine::error::RunError;
use crate::engine::seed::Seed;
use crate::experiment::{Count, Fault, PodSelector, Pods};

/// The pods that a selector chooses in a cluster where the run's namespace is `own`: so many as it
/// says, by the seed. Refused where there are fewer.
pub(in crate::engine) async fn choose_pods(
    cluster: &Cluster,
    own: &str,
    selector: &PodSelector,
    seed: &mut Seed,
) -> Result<Vec<Pod>, RunError> {
    let namespace = selector.pods.namespace.as_deref().unwrap_or(own);
    choose(pods(cluster, namespace, &selector.pods).await?, selector, namespace, seed)
}

/// Pods as they are now.
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
/// does not exist yet. Refused where there are fewer than it hits.
pub(crate) async fn pods_now(
    cluster: &Cluster,
    fault: &Fault,
) -> Result<Option<Vec<Pod>>, RunError> {
    let Some((selector, namespace)) =
        fault.pods().and_then(|pods| Some((pods, pods.pods.namespace.as_ref()?)))
    else {
        return Ok(None);
    };
    let found = pods(cluster, namespace, &selector.pods).await?;
    choose(found.clone(), selector, namespace, &mut Seed::new(0))?;
    Ok(Some(found))
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
