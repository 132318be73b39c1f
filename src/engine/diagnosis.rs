//! Why what is waited for does not come: what is missing, and what the cluster knows of it.

use crate::cluster::PodProblem;
use crate::engine::environment::inotify;
use crate::engine::error::RunError;
use crate::engine::steady_state::{About, Judged};
use crate::timeline::leader::SYSTEM_NAMESPACE;
use crate::timeline::{Outcome, counted};

/// Of `google.rpc.Code`.
const GRPC_NOT_FOUND: u8 = 5;
const GRPC_UNIMPLEMENTED: u8 = 12;
/// So many pods are named: with one cause, many look alike.
const MOST_PODS: usize = 3;

/// What is missing, then the pods that are not well, the worst first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Diagnosis {
    pub missing: Vec<String>,
    pub pods: Vec<String>,
    pub hint: String,
}

impl Diagnosis {
    /// By the conditions, of which those that are not met count, and the pods that are not well.
    pub(crate) fn of(judged: &[Judged], pods: &[PodProblem]) -> Self {
        let missing: Vec<&Judged> = judged.iter().filter(|one| one.since.is_none()).collect();
        let hint = hint(pods, missing.iter().map(|one| &one.about));
        let missing = missing.iter().map(|one| one.text.clone()).collect();
        Self { missing, pods: described(pods), hint }
    }

    pub(crate) fn causes(&self) -> Vec<String> {
        self.missing.iter().chain(&self.pods).cloned().collect()
    }

    pub(crate) fn explain(self, error: RunError) -> RunError {
        error.caused_by_all(self.causes()).hint(self.hint)
    }
}

/// The pods that are not well, the worst first.
pub(crate) fn described(pods: &[PodProblem]) -> Vec<String> {
    let mut sorted: Vec<&PodProblem> = pods.iter().collect();
    sorted.sort_by_key(|pod| pod.rank());
    let more = pods.len().saturating_sub(MOST_PODS);
    let named = sorted.into_iter().take(MOST_PODS).map(ToString::to_string);
    named.chain((more > 0).then(|| format!("and {}", counted(more, "more pod")))).collect()
}

fn hint<'a>(pods: &[PodProblem], missing: impl Iterator<Item = &'a About>) -> String {
    if let Some(hint) = out_of_inotify(pods) {
        return hint;
    }
    if let Some(PodProblem { namespace, pod, .. }) =
        pods.iter().find(|pod| pod.namespace == SYSTEM_NAMESPACE && !pod.ready)
    {
        return format!(
            "`kubectl -n {namespace} describe pod {pod}` shows more; it must run first"
        );
    }
    let by_condition = missing.filter_map(|about| match about {
        About::Nodes { missing } => missing
            .first()
            .map(|node| format!("`kubectl describe node {node}` shows why it is not Ready")),
        About::Probe { failures } => failures.iter().find_map(|(outcome, _)| match outcome {
            Outcome::Status(code) => Some(format!(
                "the probe gets status {code}: check its `path`, its `port`, or the statuses in \
                 its `success`"
            )),
            Outcome::WrongBody => Some(
                "the status is right, the body is not: check the probe's `bodyContains` or \
                 `bodyJson` against what `curl` shows"
                    .to_owned(),
            ),
            Outcome::Grpc(GRPC_NOT_FOUND) => Some(
                "the gRPC server has no such service: check the probe's `healthService`".to_owned(),
            ),
            Outcome::Grpc(GRPC_UNIMPLEMENTED) => Some(
                "the gRPC server has no `grpc.health.v1.Health` service: register it there, or \
                 use a `tcp` probe"
                    .to_owned(),
            ),
            _ => None,
        }),
        About::Other => None,
    });
    by_condition
        .last()
        .unwrap_or_else(|| "`kubectl outage describe run latest` lists what was seen".to_owned())
}

/// What raises the limit that stops several clusters on one machine. Only Kubernetes' own pods
/// show it: any other may have used up its own files.
pub(crate) fn out_of_inotify(pods: &[PodProblem]) -> Option<String> {
    let words = |pod: &PodProblem| {
        let words = pod.last_log_lines.join(" ").to_lowercase();
        let is_limit = words.contains("too many open files") || words.contains("inotify instances");
        is_limit && pod.namespace == SYSTEM_NAMESPACE && !pod.ready
    };
    pods.iter().any(words).then(|| {
        format!(
            "this machine is out of inotify instances, which every kind cluster needs: {}, or \
             delete clusters that are not needed",
            inotify::RAISE
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str, last_log_lines: Option<&str>) -> PodProblem {
        PodProblem::example(namespace, name, last_log_lines)
    }

    fn ready(mut pod: PodProblem) -> PodProblem {
        pod.ready = true;
        pod
    }

    fn unmet(text: &str, about: About) -> Judged {
        Judged { text: text.into(), since: None, about }
    }

    #[test]
    fn a_machine_without_inotify_instances_is_named() {
        let pods = [
            pod("outage-7f3a", "web", None),
            pod(
                "kube-system",
                "kube-proxy-x",
                Some("run.go:74] command failed err=\"failed complete: too many open files\""),
            ),
        ];
        let judged = [unmet(
            "probe web: 0 of 100 answered in 2s",
            About::Probe { failures: vec![(Outcome::Refused, 100)] },
        )];
        let found = Diagnosis::of(&judged, &pods);
        assert!(
            found.causes()[0].starts_with("probe web")
                && found.causes()[1].contains("kube-proxy-x"),
            "{found:?}"
        );
        assert!(found.hint.contains("inotify") && found.hint.contains("sudo sysctl"), "{found:?}");
    }

    #[test]
    fn a_pods_own_files_are_not_the_machines() {
        let words = |namespace, words| pod(namespace, "p", Some(words));
        let of = |pod: PodProblem| out_of_inotify(&[pod]);
        let limit = "accept: too many open files";
        assert_eq!(of(words("outage-7f3a", limit)), None);
        assert_eq!(of(words("kube-system", "reloading: inotify event")), None);
        assert_eq!(of(ready(words("kube-system", limit))), None);
        assert!(of(words("kube-system", limit)).is_some());
    }

    #[test]
    fn a_pod_that_is_ready_again_is_named_and_sets_no_hint() {
        let nodes = unmet("2 of 3 nodes ready", About::Nodes { missing: vec!["w".into()] });
        let ready = ready(pod("kube-system", "kube-scheduler", None));
        let found = Diagnosis::of(&[nodes], &[ready]);
        assert!(found.causes()[1].contains("kube-scheduler"), "{found:?}");
        assert!(found.hint.contains("describe node w"), "{found:?}");
    }

    #[test]
    fn the_hint_is_about_the_most_likely_cause() {
        let nodes = || unmet("2 of 3 nodes ready", About::Nodes { missing: vec!["w".into()] });
        let probe = |outcome| unmet("probe web", About::Probe { failures: vec![(outcome, 9)] });
        let hint = |judged: &[Judged], pods: &[PodProblem]| Diagnosis::of(judged, pods).hint;
        assert!(
            hint(&[nodes()], &[pod("kube-system", "coredns", None)])
                .contains("describe pod coredns")
        );
        assert!(hint(&[nodes()], &[]).contains("describe node w"));
        assert!(hint(&[probe(Outcome::Status(404))], &[]).contains("status 404"));
        assert!(hint(&[probe(Outcome::Grpc(5))], &[]).contains("`healthService`"));
        assert!(hint(&[probe(Outcome::Grpc(12))], &[]).contains("grpc.health.v1.Health"));
        assert!(hint(&[probe(Outcome::Refused)], &[]).contains("describe run latest"));
    }

    #[test]
    fn many_pods_are_counted() {
        let pods = vec![pod("a", "p", None); 9];
        assert_eq!(described(&pods).last().unwrap(), "and 6 more pods");
    }
}
