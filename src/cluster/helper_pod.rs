//! The pod on a node that leads into it.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::RUN_LABEL;
use super::namespace::MANAGED_BY;
use super::objects::{self, Pod};
use super::query::any;
use super::readiness::HOPELESS;
use crate::timeline::format_duration;

/// How long a helper pod may take to run: its image may have to be pulled.
const STARTS: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(300);
/// The file in the pod with the number of its first process, which is that on the node, too.
pub(crate) const HELPER_PROCESS: &str = "/tmp/.helper";

/// What the admission plugin PodSecurity says of a pod that its namespace does not take.
const POD_SECURITY_SAYS: &str = "violates PodSecurity";

/// The helper pod of a run on a node.
#[derive(Clone, Debug)]
pub(crate) struct HelperPod<'a> {
    pub namespace: &'a str,
    /// The run's id.
    pub run: &'a str,
    pub node: &'a str,
    pub image: &'a str,
    /// It ends by itself after so long.
    pub lasts: Duration,
}

impl HelperPod<'_> {
    fn name(&self) -> String {
        format!("helper-{}", self.node)
    }

    fn what(&self) -> String {
        format!("start a helper pod on node {}", self.node)
    }

    fn hopeless(&self, why: String) -> ClusterError {
        // As the container runtimes say it.
        let no_shell = why.contains("\"sh\": executable file not found");
        let why = if no_shell { "it has no `sh`".to_owned() } else { why };
        ClusterError::HelperPod { node: self.node.to_owned(), image: self.image.to_owned(), why }
    }

    fn manifest(&self) -> DynamicObject {
        // Kubernetes makes `$$` of it.
        let script = format!(
            "echo $$$$ >{HELPER_PROCESS}; trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
        );
        serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name(),
                "labels": {MANAGED_BY.0: MANAGED_BY.1, RUN_LABEL: self.run},
            },
            "spec": {
                "nodeName": self.node,
                "hostPID": true,
                "hostNetwork": true,
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "activeDeadlineSeconds": self.lasts.as_secs(),
                "tolerations": [{"operator": "Exists"}],
                "containers": [{
                    "name": "helper",
                    "image": self.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", script],
                    "securityContext": {"privileged": true, "runAsUser": 0},
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                }],
            },
        }))
        .expect("is a pod")
    }
}

impl Cluster {
    /// Starts a helper pod, or finds the one that is there, and returns its name when it runs.
    /// Errors as soon as it is clear that it will not.
    pub(crate) async fn start_helper(
        &self,
        helper: &HelperPod<'_>,
    ) -> Result<String, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client(), helper.namespace);
        let (name, what) = (helper.name(), helper.what());
        let deadline = Instant::now() + STARTS;
        loop {
            let pods = self.any_pods(helper.namespace);
            let created =
                self.call(&*what, pods.create(&PostParams::default(), &helper.manifest())).await;
            let is_ours = match created {
                Ok(_) => true,
                Err(ClusterError::AlreadyExists { .. }) => false,
                Err(error) => return Err(error),
            };
            let why = loop {
                let Some(pod) = self.call(&*what, api.get_opt(&name)).await? else { break None };
                match Progress::of(&pod) {
                    Progress::Runs => return Ok(name),
                    // One that has ended is made again once it is gone.
                    Progress::Ended(_) if !is_ours => {
                        let now = DeleteParams::default().grace_period(0);
                        let _ = self.call(&*what, api.delete(&name, &now)).await;
                    }
                    Progress::Ended(why) => return Err(helper.hopeless(why)),
                    Progress::Ends => {}
                    Progress::Hopeless(why) => return Err(helper.hopeless(why)),
                    Progress::Waits(why) if Instant::now() >= deadline => break Some(why),
                    Progress::Waits(_) => {}
                }
                sleep(LOOK).await;
            };
            if let Some(why) = why {
                let why = format!("it is not running after {}: {why}", format_duration(STARTS));
                return Err(helper.hopeless(why));
            }
        }
    }

    /// Whether a helper pod has ended, or is gone: a node that was restarted leaves it so. `false`
    /// where nobody can tell.
    pub(crate) async fn helper_has_ended(&self, namespace: &str, pod: &str) -> bool {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let found = self.call(format!("look for pod {namespace}/{pod}"), api.get_opt(pod)).await;
        found.is_ok_and(|pod| has_ended(pod.as_ref()))
    }

    /// What these nodes say of the pods that they could take.
    pub(crate) async fn hosts(&self, names: &[&str]) -> Result<Vec<PodHost>, ClusterError> {
        let api: Api<objects::NodeImages> = Api::all(self.client());
        let mut hosts = Vec::new();
        self.each_page("list the images on the nodes", api, ListParams::default(), |page| {
            let named = page.into_iter().filter(|node| names.contains(&node.name_any().as_str()));
            hosts.extend(named.map(PodHost::of));
        })
        .await?;
        Ok(hosts)
    }

    /// Has the server check a helper pod without creating it; why it would be refused. What Pod
    /// Security says is about another namespace: the run's own will allow it.
    pub(crate) async fn refusal_of_helper(
        &self,
        helper: &HelperPod<'_>,
    ) -> Result<Option<String>, ClusterError> {
        let api = self.any_pods(helper.namespace);
        let (params, pod) = (PostParams { dry_run: true, ..Default::default() }, helper.manifest());
        let check = async {
            match api.create(&params, &pod).await {
                Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => {
                    Ok(Some(status.message))
                }
                created => created.map(|_| None),
            }
        };
        let refused = self.call("check a helper pod", check).await?;
        Ok(refused.filter(|why| !why.contains(POD_SECURITY_SAYS)))
    }

    /// All of what is sent of a pod, of which this program reads only parts.
    fn any_pods(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(), namespace, &any("", "v1", "Pod"))
    }

    /// What tells a node from another of its name, made later; `None`: it does not exist.
    pub(crate) async fn node_uid(&self, node: &str) -> Result<Option<String>, ClusterError> {
        let api: Api<objects::Node> = Api::all(self.client());
        let found = self.call(format!("look for node {node}"), api.get_opt(node)).await?;
        Ok(found.and_then(|node| node.metadata.uid))
    }
}

fn has_ended(pod: Option<&Pod>) -> bool {
    matches!(pod.map(Progress::of), None | Some(Progress::Ended(_) | Progress::Ends))
}

/// A node that could take a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodHost {
    pub name: String,
    /// The names of the images that its kubelet lists.
    pub images: Vec<String>,
    /// Whether it may have others.
    pub has_more: bool,
    /// Why its kubelet would not start a pod: `DiskPressure`.
    pub pressure: Option<String>,
}

/// A kubelet lists its largest images, by default so many (`nodeStatusMaxImages`).
const LISTED_IMAGES: usize = 50;

impl PodHost {
    /// Whether it has an image; `None`: its kubelet does not list all.
    pub(crate) fn has(&self, image: &str) -> Option<bool> {
        let is_listed = self.images.iter().any(|name| name == image);
        (is_listed || !self.has_more).then_some(is_listed)
    }

    fn of(node: objects::NodeImages) -> Self {
        let name = node.name_any();
        let status = node.status.unwrap_or_default();
        let listed = status.images.unwrap_or_default();
        let has_more = listed.len() >= LISTED_IMAGES;
        let images = listed.into_iter().filter_map(|it| it.names).flatten().collect();
        let presses = |it: &objects::Condition| {
            ["DiskPressure", "PIDPressure"].contains(&it.type_.as_str()) && it.status == "True"
        };
        let pressure = status.conditions.into_iter().flatten().find(presses);
        Self { name, images, has_more, pressure: pressure.map(|it| it.type_) }
    }
}

enum Progress {
    Runs,
    Ends,
    /// It has ended by itself, for this reason.
    Ended(String),
    Waits(String),
    Hopeless(String),
}

impl Progress {
    fn of(pod: &Pod) -> Self {
        if pod.metadata.deletion_timestamp.is_some() {
            return Self::Ends;
        }
        let Some(status) = &pod.status else { return Self::Waits("it has no status yet".into()) };
        let container = status.container_statuses.iter().flatten().next();
        let state = container.and_then(|container| container.state.as_ref());
        if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
            let reason = waiting.reason.clone().unwrap_or_default();
            let why = match &waiting.message {
                Some(message) => format!("{reason}: {message}"),
                None => reason.clone(),
            };
            return match HOPELESS.contains(&reason.as_str()) {
                true => Self::Hopeless(why),
                false => Self::Waits(why),
            };
        }
        match status.phase.as_deref() {
            Some("Running") => Self::Runs,
            Some("Failed" | "Succeeded") => {
                let ended = state.and_then(|state| state.terminated.as_ref());
                let said = ended.and_then(|it| it.message.clone().or(it.reason.clone()));
                let why = status.message.clone().or(status.reason.clone()).or(said);
                Self::Ended(why.unwrap_or_else(|| "it exited immediately".into()))
            }
            _ => Self::Waits("the kubelet has not started it".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn progress(status: Value) -> Progress {
        Progress::of(&serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap())
    }

    fn waiting(reason: &str) -> Progress {
        let waiting = json!({"waiting": {"reason": reason, "message": "not found"}});
        let container = json!({"name": "helper", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": waiting});
        progress(json!({"phase": "Pending", "containerStatuses": [container]}))
    }

    #[test]
    fn what_will_never_run_is_not_waited_for() {
        for reason in ["ErrImagePull", "InvalidImageName", "RunContainerError"] {
            let Progress::Hopeless(why) = waiting(reason) else { panic!("{reason}") };
            assert_eq!(why, format!("{reason}: not found"));
        }
        assert!(matches!(waiting("ContainerCreating"), Progress::Waits(_)));
        assert!(matches!(progress(json!({"phase": "Running"})), Progress::Runs));
        let failed = progress(json!({"phase": "Failed", "reason": "DeadlineExceeded"}));
        assert!(matches!(failed, Progress::Ended(why) if why == "DeadlineExceeded"));
    }

    /// As a node that was restarted leaves it.
    #[test]
    fn a_pod_whose_node_was_restarted_has_ended() {
        let pod = |status: Value| -> Pod {
            serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap()
        };
        let terminated = json!({"terminated": {"exitCode": 255, "reason": "Unknown"}});
        let container = json!({"name": "helper", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": terminated});
        let unknown = pod(json!({"phase": "Failed", "containerStatuses": [container]}));
        assert!(has_ended(Some(&unknown)) && has_ended(None));
        assert!(!has_ended(Some(&pod(json!({"phase": "Running"})))));
    }

    #[tokio::test]
    async fn a_policys_refusal_is_found_before_and_pod_securitys_is_not_about_the_run() {
        use http::Response;
        use kube::client::Body;
        let checked = async |message: &'static str| {
            let cluster = Cluster::of_service(move |request: http::Request<Body>| async move {
                assert!(request.uri().query().is_some_and(|query| query.contains("dryRun=All")));
                let answer = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": message});
                Ok(Response::builder()
                    .status(403)
                    .body(Body::from(answer.to_string().into_bytes()))?)
            });
            let (image, lasts) = ("busybox", Duration::from_secs(90));
            let helper = HelperPod { namespace: "default", run: "r", node: "w", image, lasts };
            cluster.refusal_of_helper(&helper).await.unwrap()
        };
        let kyverno = "admission webhook \"kyverno\" denied the request: no privileged pods";
        assert_eq!(checked(kyverno).await.as_deref(), Some(kyverno));
        let restricted =
            "pods \"helper-w\" is forbidden: violates PodSecurity \"restricted:latest\": hostPID";
        assert_eq!(checked(restricted).await, None);
    }

    #[test]
    fn a_node_says_what_images_it_has_and_whether_it_takes_pods() {
        let node = json!({"metadata": {"name": "w"}, "status": {
            "images": [{"names": ["docker.io/library/busybox:1.37"]}, {}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}],
        }});
        let host = PodHost::of(serde_json::from_value(node).unwrap());
        assert_eq!(host.images, ["docker.io/library/busybox:1.37"]);
        assert_eq!(host.pressure.as_deref(), Some("DiskPressure"));
        assert_eq!(host.has("docker.io/library/busybox:1.37"), Some(true));
        assert_eq!(host.has("debian"), Some(false));
    }

    #[test]
    fn an_image_that_a_kubelet_does_not_list_may_be_there() {
        let images: Vec<_> = (0..50).map(|n| json!({"names": [format!("large:{n}")]})).collect();
        let node = json!({"metadata": {"name": "w"}, "status": {"images": images}});
        let host = PodHost::of(serde_json::from_value(node).unwrap());
        assert_eq!((host.has("large:7"), host.has("busybox")), (Some(true), None));
    }

    #[test]
    fn an_image_without_a_shell_is_named() {
        let (image, lasts) = ("pause:3.10", Duration::from_secs(90));
        let helper = HelperPod { namespace: "n", run: "r", node: "w", image, lasts };
        let why = "RunContainerError: failed to create containerd task: exec: \"sh\": executable file not found in $PATH";
        assert_eq!(
            helper.hopeless(why.into()).to_string(),
            "start a helper pod on node w from image pause:3.10: it has no `sh`"
        );
    }

    #[test]
    fn a_helper_pod_is_pinned_and_has_no_token() {
        let image = "busybox";
        let lasts = Duration::from_secs(90);
        let helper = HelperPod { namespace: "n", run: "r", node: "w", image, lasts };
        let spec = &helper.manifest().data["spec"];
        assert_eq!((&spec["nodeName"], &spec["activeDeadlineSeconds"]), (&json!("w"), &json!(90)));
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["containers"][0]["imagePullPolicy"], "IfNotPresent");
    }
}
