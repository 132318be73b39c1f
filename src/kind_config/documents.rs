//! kubeadm's configuration of each node as kind writes it
//! (`pkg/cluster/internal/kubeadm/config.go`), with the patches applied as kind applies them: the
//! cluster's, then the node's own, and of each the merge patches before the JSON patches.

use std::collections::BTreeMap;

use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::{Value as Json, json};

use super::known_flags::Component;
use super::nodes::{DeclaredNode, Nodes};
use super::patches::{Level, Operation, Patches, flags_are_a_map};
use super::problems::Problems;
use crate::timeline::NodeRole;
use crate::yaml::tree::{Node, Value};
use crate::yaml::{Span, json};

/// One document of a node's kubeadm configuration.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub kind: &'static str,
    /// Flags are a map here, whatever kubeadm's version.
    pub json: Json,
    /// Which patch a value comes from, by JSON pointer.
    origins: BTreeMap<String, Place>,
}

/// Where a value of a patch stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub key: Span,
    pub value: Span,
}

impl Place {
    fn of(node: &Node) -> Self {
        Self { key: node.key.unwrap_or(node.focus()), value: node.focus() }
    }
}

/// The documents of every node, in the file's order.
pub(super) fn of_nodes(
    problems: &mut Problems,
    root: &Node,
    nodes: &Nodes,
    patches: &Patches,
) -> Vec<Vec<Document>> {
    let of_node = |(index, node): (usize, &DeclaredNode)| {
        let mut documents = written_by_kind(root, nodes, node);
        for level in [Level::Cluster, Level::Node(index)] {
            for document in &mut documents {
                patches
                    .merges_for(level, document.kind, node)
                    .for_each(|patch| document.merge(patch));
                for patch in patches.json_for(level, document.kind, node) {
                    document.apply(problems, patch, node);
                }
            }
        }
        documents
    };
    nodes.all.iter().enumerate().map(of_node).collect()
}

impl Document {
    fn new(kind: &'static str, json: Json) -> Self {
        Self { kind, json, origins: BTreeMap::new() }
    }

    /// Where the value at a JSON pointer, or what it is part of, comes from. `None`: from kind
    /// itself.
    pub(super) fn place(&self, pointer: &str) -> Option<Place> {
        let mut at = pointer;
        loop {
            match self.origins.get(at) {
                Some(place) => return Some(*place),
                None => at = &at[..at.rfind('/')?],
            }
        }
    }

    fn merge(&mut self, patch: &Node) {
        json_patch::merge(&mut self.json, &json::of_node(patch));
        self.note("", patch);
    }

    fn note(&mut self, pointer: &str, node: &Node) {
        if let Value::Map(entries) = &node.value {
            for (name, value) in entries {
                self.note(&format!("{pointer}/{}", escaped(name)), value);
            }
        } else {
            self.set(pointer.to_owned(), Place::of(node));
        }
    }

    fn set(&mut self, pointer: String, place: Place) {
        let below = format!("{pointer}/");
        self.origins.retain(|known, _| !known.starts_with(&below));
        self.origins.insert(pointer, place);
    }

    /// Whether an operation fits where another kubeadm has flags in the other form.
    fn takes_in_other_form(&self, operation: &[PatchOperation], lists: bool) -> bool {
        let mut other = self.clone();
        other.each_flags(if lists { map_of_flags } else { list_of_flags });
        json_patch::patch(&mut other.json, operation).is_ok()
    }

    fn apply(&mut self, problems: &mut Problems, patch: &[Operation], node: &DeclaredNode) {
        let lists = node.kubeadm() == "v1beta4";
        if lists {
            self.each_flags(list_of_flags);
        }
        for operation in patch {
            let path = operation.operation.path().to_string();
            let of_list = path.strip_suffix("/-").is_some_and(|path| {
                Component::ALL.iter().any(|component| component.pointer() == path)
            });
            if of_list && !lists {
                flags_are_a_map(problems, node, operation.at);
                continue;
            }
            let one = std::slice::from_ref(&operation.operation);
            match json_patch::patch(&mut self.json, one) {
                Ok(()) => {
                    let mut pointer = path.clone();
                    // An item of a list has no name of its own: the list is what was changed.
                    let last = pointer.rsplit('/').next().unwrap_or_default();
                    if last == "-" || last.parse::<usize>().is_ok() {
                        pointer.truncate(pointer.len() - last.len() - 1);
                    }
                    let place = Place { key: operation.at, value: operation.at };
                    match &operation.value {
                        Some(value) if matches!(value.value, Value::Map(_)) => {
                            self.set(pointer.clone(), place);
                            self.note(&pointer, value);
                        }
                        Some(value) => self.set(pointer, Place::of(value)),
                        None => self.set(pointer, place),
                    }
                }
                Err(error) => {
                    let why = match error.kind {
                        PatchErrorKind::InvalidPointer => format!("there is nothing at {path}"),
                        other => other.to_string(),
                    };
                    let message = format!(
                        "kind cannot apply this to the {} and does not create the cluster: {why}",
                        self.kind
                    );
                    let report = match self.takes_in_other_form(one, lists) {
                        true => node.error_of_version(problems, operation.at, message),
                        false => problems.error(operation.at, message),
                    };
                    report.hint_if(
                        matches!(operation.operation, PatchOperation::Replace(_))
                            .then(|| "kind writes nothing there: use `op: add`".to_owned()),
                    );
                    break;
                }
            }
        }
        if lists {
            self.each_flags(map_of_flags);
        }
    }

    fn each_flags(&mut self, change: fn(&Json) -> Option<Json>) {
        for component in Component::ALL {
            if let Some(flags) = self.json.pointer_mut(component.pointer())
                && let Some(changed) = change(flags)
            {
                *flags = changed;
            }
        }
    }
}

fn list_of_flags(flags: &Json) -> Option<Json> {
    let entry = |(name, value): (&String, &Json)| json!({"name": name, "value": value});
    Some(flags.as_object()?.iter().map(entry).collect())
}

fn map_of_flags(flags: &Json) -> Option<Json> {
    let entry = |flag: &Json| Some((flag["name"].as_str()?.to_owned(), flag["value"].clone()));
    Some(Json::Object(flags.as_array()?.iter().filter_map(entry).collect()))
}

/// A name in a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// What kind itself writes for a node.
fn written_by_kind(root: &Node, nodes: &Nodes, node: &DeclaredNode) -> Vec<Document> {
    let kubeadm = format!("kubeadm.k8s.io/{}", node.kubeadm());
    let network = |name: &str, default: &str| {
        let text = root.text_at(&format!("networking.{name}"));
        text.filter(|text| !text.is_empty()).unwrap_or(default).to_owned()
    };
    let gates = match root.get("featureGates").map(json::of_node) {
        Some(Json::Object(gates)) => gates,
        _ => serde_json::Map::new(),
    };
    let mut flags = serde_json::Map::new();
    if !gates.is_empty() {
        let all: Vec<String> = gates.iter().map(|(name, on)| format!("{name}={on}")).collect();
        flags.insert("feature-gates".into(), all.join(",").into());
    }
    let with = |own: &[(&str, &str)]| {
        let own = own.iter().map(|(name, value)| ((*name).to_owned(), Json::from(*value)));
        Json::Object(flags.clone().into_iter().chain(own).collect())
    };
    let scheduler = if flags.is_empty() { Json::Null } else { with(&[]) };
    let labels: Vec<String> =
        node.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let registration = json!({
        "criSocket": "unix:///run/containerd/containerd.sock",
        "kubeletExtraArgs": {
            "node-ip": "", "provider-id": "", "node-labels": labels.join(","),
        },
    });
    let head = |kind: &str, version: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "config"}});
    let document = |kind: &'static str, version: &str, rest: Json| {
        let mut json = head(kind, version);
        json_patch::merge(&mut json, &rest);
        Document::new(kind, json)
    };
    let endpoint = json!({"advertiseAddress": "", "bindPort": 6443});
    let mut cluster = document(
        "ClusterConfiguration",
        &kubeadm,
        json!({
            "kubernetesVersion": node.kubernetes,
            "clusterName": nodes.cluster,
            "controlPlaneEndpoint": "",
            "apiServer": {"certSANs": ["localhost", "127.0.0.1"], "extraArgs": with(&[("runtime-config", "")])},
            "controllerManager": {"extraArgs": with(&[("enable-hostpath-provisioner", "true")])},
            "networking": {
                "podSubnet": network("podSubnet", "10.244.0.0/16"),
                "serviceSubnet": network("serviceSubnet", "10.96.0.0/16"),
            },
        }),
    );
    // A merge would leave out what is null.
    cluster.json["scheduler"] = json!({"extraArgs": scheduler});
    let mut join = document(
        "JoinConfiguration",
        &kubeadm,
        json!({
            "nodeRegistration": registration,
            "discovery": {"bootstrapToken": {"apiServerEndpoint": "", "token": "", "unsafeSkipCAVerification": true}},
            "skipPhases": ["preflight"],
        }),
    );
    if node.role == NodeRole::ControlPlane {
        join.json["controlPlane"] = json!({"localAPIEndpoint": endpoint});
    }
    let init = document(
        "InitConfiguration",
        &kubeadm,
        json!({
            "bootstrapTokens": [{"token": ""}],
            "localAPIEndpoint": endpoint,
            "nodeRegistration": registration,
            "skipPhases": ["preflight"],
        }),
    );
    let mut kubelet = document(
        "KubeletConfiguration",
        "kubelet.config.k8s.io/v1beta1",
        json!({
            "cgroupDriver": "systemd",
            "cgroupRoot": "/kubelet",
            "failSwapOn": false,
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        }),
    );
    let mode = network("kubeProxyMode", "iptables");
    let mut proxy = document(
        "KubeProxyConfiguration",
        "kubeproxy.config.k8s.io/v1alpha1",
        json!({"mode": mode, "iptables": {"minSyncPeriod": "1s"}, "conntrack": {"maxPerCore": 0}}),
    );
    if !gates.is_empty() {
        kubelet.json["featureGates"] = Json::Object(gates.clone());
        proxy.json["featureGates"] = Json::Object(gates);
    }
    let mut all = vec![cluster, init, join, kubelet];
    if mode != "none" {
        all.push(proxy);
    }
    all
}
