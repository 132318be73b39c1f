//! How settings are set: by kind, kubeadm, the components' own files and flags, and k3s. What a
//! provider manages cannot be.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::stats::Seconds;
use crate::timeline::{Tolerations, Tuning, format_duration, minor_version};

/// From the end of a pod's toleration until the pod that replaces it has a node, in seconds: eviction
/// (taint, pass of 100 ms), ReplicaSet controller and scheduler together are below half of it
/// (`model/settings.rs`). The start of its containers is not in it.
pub(super) const PLACEMENT: f64 = 1.0;
/// kubeadm's list of name and value came with v1beta4, in 1.31.
const FIRST_WITH_LISTS: u32 = 31;

/// How long pods that say nothing of it stay on a node that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Toleration {
    pub present: Seconds,
    pub recommended: Seconds,
    /// From a node's last sign of life until its pods have a node again.
    pub rescheduled_within: Seconds,
}

impl Toleration {
    /// The present one, or the longest with which pods are elsewhere in time.
    pub(super) fn new(present: &Tolerations, detection: Seconds, within: Option<Duration>) -> Self {
        let present = Seconds::from(present.unreachable);
        let before = detection.as_f64() + PLACEMENT;
        let allowed =
            within.map(|within| Seconds::from_f64((within.as_secs_f64() - before).floor()));
        let recommended = allowed.map_or(present, |allowed| allowed.or_zero().min(present));
        let rescheduled_within = recommended + Seconds::from_f64(before);
        Self { present, recommended, rescheduled_within }
    }

    /// `None`: it stays as it is.
    pub(crate) fn changed(self) -> Option<u64> {
        (self.recommended != self.present).then(|| self.recommended.as_f64() as u64)
    }
}

pub(super) struct Change<'a> {
    pub present: Tuning,
    pub wanted: Tuning,
    /// `tolerationSeconds`, for all pods that set none.
    pub toleration: Option<u64>,
    pub kubernetes: &'a str,
}

/// A way to apply the settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Patch {
    pub platform: &'static str,
    /// Where it goes, or why it cannot.
    pub how: String,
    /// `None`: there is no way.
    pub text: Option<String>,
}

/// For every platform. None where nothing changes.
pub(super) fn all(change: &Change<'_>) -> Vec<Patch> {
    let (kubelet, manager, api_server) = (change.kubelet(), change.manager(), change.api_server());
    if kubelet.is_empty() && manager.is_empty() && api_server.is_empty() {
        return Vec::new();
    }
    let patch =
        |platform, how: &str, text: String| Patch { platform, how: how.into(), text: Some(text) };
    let components = [("apiServer", &api_server), ("controllerManager", &manager)];
    let mut all = vec![
        patch(
            "kind",
            "in the kind config of a new cluster (-o kind and --save FILE write the whole file):",
            kind(&kubelet, components),
        ),
        patch(
            "kubeadm",
            "in the configuration of a new cluster, `kubeadm init --config FILE`:",
            kubeadm(&kubelet, components, change.kubernetes),
        ),
        patch(
            "files and flags",
            "on a running cluster: control planes one after the other, then the nodes; without \
             the kubelet's flag --node-status-update-frequency, which beats its file:",
            files(&kubelet, &manager, &api_server),
        ),
        patch(
            "k3s",
            "in /etc/rancher/k3s/config.yaml, then restart k3s (servers) and k3s-agent (agents):",
            k3s(&kubelet, &manager, &api_server),
        ),
    ];
    all.extend(managed(change.toleration));
    match provider(change.kubernetes) {
        Some(provider) => all.into_iter().filter(|patch| patch.platform == provider).collect(),
        None => all,
    }
}

/// Whose version of Kubernetes it is (`v1.34.4-gke.100`); `None`: nobody's, or AKS', which does not say.
fn provider(kubernetes: &str) -> Option<&'static str> {
    [("-eks", "EKS"), ("-gke", "GKE")]
        .into_iter()
        .find_map(|(mark, name)| kubernetes.contains(mark).then_some(name))
}

type Setting = fn(&Tuning) -> Option<Duration>;

impl Change<'_> {
    fn lines(&self, settings: &[(&'static str, Setting)]) -> Vec<(&'static str, Duration)> {
        let defaults = Tuning::defaults(self.kubernetes);
        let changed = |read: &Setting| {
            let wanted = read(&self.wanted);
            wanted.filter(|_| wanted != read(&self.present) || wanted != read(&defaults))
        };
        settings.iter().filter_map(|(name, read)| Some((*name, changed(read)?))).collect()
    }

    /// Fields of a KubeletConfiguration. The report frequency follows the update frequency unless it
    /// is set beside it.
    fn kubelet(&self) -> Vec<(&'static str, String)> {
        const REPORT: &str = "nodeStatusReportFrequency";
        const UPDATE: &str = "nodeStatusUpdateFrequency";
        let mut lines = self.lines(&[
            (UPDATE, |tuning| tuning.node_status_update_frequency),
            (REPORT, |tuning| tuning.node_status_report_frequency),
            ("nodeLeaseDurationSeconds", |tuning| tuning.node_lease_duration),
        ]);
        let place = |wanted: &str| lines.iter().position(|(name, _)| *name == wanted);
        if let (Some(update), None) = (place(UPDATE), place(REPORT)) {
            let report = self.wanted.node_status_report_frequency.unwrap_or_default();
            lines.insert(update + 1, (REPORT, report));
        }
        let written = |name: &str, value: Duration| match name.ends_with("Seconds") {
            true => value.as_secs().to_string(),
            false => format_duration(value),
        };
        lines.into_iter().map(|(name, value)| (name, written(name, value))).collect()
    }

    fn manager(&self) -> Vec<(&'static str, String)> {
        let lines = self.lines(&[
            ("node-monitor-period", |tuning| tuning.node_monitor_period),
            ("node-monitor-grace-period", |tuning| tuning.node_monitor_grace_period),
        ]);
        lines.into_iter().map(|(name, value)| (name, format_duration(value))).collect()
    }

    fn api_server(&self) -> Vec<(&'static str, String)> {
        let flags =
            ["default-not-ready-toleration-seconds", "default-unreachable-toleration-seconds"];
        let set = |seconds: u64| flags.map(|name| (name, seconds.to_string()));
        self.toleration.into_iter().flat_map(set).collect()
    }
}

type Lines = [(&'static str, String)];

fn each(lines: &Lines, form: impl Fn(&str, &str) -> String) -> String {
    lines.iter().map(|(name, value)| form(name, value)).collect()
}

fn kind(kubelet: &Lines, components: [(&str, &Vec<(&'static str, String)>); 2]) -> String {
    let mut out = "kubeadmConfigPatches:\n".to_owned();
    if !kubelet.is_empty() {
        out.push_str("- |\n  kind: KubeletConfiguration\n");
        out.push_str(&each(kubelet, |name, value| format!("  {name}: {value}\n")));
    }
    if components.iter().any(|(_, flags)| !flags.is_empty()) {
        out.push_str("- |\n  kind: ClusterConfiguration\n");
    }
    for (component, flags) in components.into_iter().filter(|(_, flags)| !flags.is_empty()) {
        let _ = writeln!(out, "  {component}:\n    extraArgs:");
        out.push_str(&each(flags, |name, value| format!("      {name}: \"{value}\"\n")));
    }
    out
}

fn kubeadm(
    kubelet: &Lines,
    components: [(&str, &Vec<(&'static str, String)>); 2],
    kubernetes: &str,
) -> String {
    let has_lists = minor_version(kubernetes).is_none_or(|minor| minor >= FIRST_WITH_LISTS);
    let version = if has_lists { "v1beta4" } else { "v1beta3" };
    let mut documents = Vec::new();
    if components.iter().any(|(_, flags)| !flags.is_empty()) {
        let mut out = format!("apiVersion: kubeadm.k8s.io/{version}\nkind: ClusterConfiguration\n");
        for (component, flags) in components.into_iter().filter(|(_, flags)| !flags.is_empty()) {
            let _ = writeln!(out, "{component}:\n  extraArgs:");
            for (name, value) in flags {
                let _ = match has_lists {
                    true => writeln!(out, "  - name: {name}\n    value: \"{value}\""),
                    false => writeln!(out, "    {name}: \"{value}\""),
                };
            }
        }
        documents.push(out);
    }
    if !kubelet.is_empty() {
        documents.push(kubelet_file(kubelet));
    }
    documents.join("---\n")
}

fn kubelet_file(kubelet: &Lines) -> String {
    let head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    head.to_owned() + &each(kubelet, |name, value| format!("{name}: {value}\n"))
}

fn files(kubelet: &Lines, manager: &Lines, api_server: &Lines) -> String {
    let mut out = String::new();
    for (component, flags) in [("kube-controller-manager", manager), ("kube-apiserver", api_server)]
    {
        if !flags.is_empty() {
            let _ = writeln!(out, "# /etc/kubernetes/manifests/{component}.yaml, below `command`:");
            out.push_str(&each(flags, |name, value| format!("    - --{name}={value}\n")));
        }
    }
    if !kubelet.is_empty() {
        out.push_str("# /var/lib/kubelet/config.yaml, then `systemctl restart kubelet`:\n");
        out.push_str(&each(kubelet, |name, value| format!("{name}: {value}\n")));
    }
    out
}

fn k3s(kubelet: &Lines, manager: &Lines, api_server: &Lines) -> String {
    let mut out = String::new();
    for (key, flags) in
        [("kube-controller-manager-arg", manager), ("kube-apiserver-arg", api_server)]
    {
        if !flags.is_empty() {
            let _ = writeln!(out, "{key}: # servers only");
            out.push_str(&each(flags, |name, value| format!("- {name}={value}\n")));
        }
    }
    if !kubelet.is_empty() {
        out.push_str("kubelet-arg: # servers and agents\n- config=/etc/rancher/k3s/kubelet.yaml\n");
        let _ = write!(out, "# and /etc/rancher/k3s/kubelet.yaml:\n{}", kubelet_file(kubelet));
    }
    out
}

/// Providers run the controller manager, so that neither its period nor its grace period can be set;
/// without those a faster kubelet detects nothing sooner.
fn managed(toleration: Option<u64>) -> [Patch; 3] {
    let pods = match toleration {
        Some(seconds) => format!(
            "; what can be set is `tolerationSeconds: {seconds}` for \
             node.kubernetes.io/unreachable and node.kubernetes.io/not-ready in the pods"
        ),
        None => "; what can be set is `tolerationSeconds` in the pods (--reschedule-within)".into(),
    };
    let kubelets = [
        (
            "EKS",
            "the kubelet's file can be set, which alone only adds writes (awslabs/amazon-eks-ami#176, aws/containers-roadmap#159)",
        ),
        ("GKE", "a node pool's kubeletConfig does not have these fields either"),
        ("AKS", "a node pool's kubelet configuration does not have these fields either"),
    ];
    kubelets.map(|(platform, kubelet)| Patch {
        platform,
        how: format!(
            "cannot be set: the provider runs the controller manager, and {kubelet}{pods}"
        ),
        text: None,
    })
}
