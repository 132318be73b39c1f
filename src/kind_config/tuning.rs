//! The same kind config with other settings of failure detection, or with another name.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::nodes::wrong_name;
use super::schema::{CLUSTER, Type};
use super::values::{integer, truth};
use super::{KindConfig, Kubernetes, read};
use crate::timeline::{NodeRole, Tuning, format_duration};
use crate::yaml::tree::{Node, Value, quoted};
use crate::yaml::{Diagnostics, SourceFile, json as yaml_json};

impl KindConfig {
    /// The config with other settings: those of `tuning` that are set replace the file's. The
    /// cluster's name then ends in update frequency, monitor period and grace period
    /// (`fast-detection-2s-5s-20s`, `default` where one is left to Kubernetes), and in the lease
    /// where one is set (`-lease8s`). Where nothing changes it stays as it is.
    ///
    /// An update frequency is that of every kubelet: flags of that name, which would beat it, are
    /// removed. Errors say why the file can't have the settings.
    pub(crate) fn with_tuning(&self, tuning: &Tuning) -> Result<Self, Diagnostics> {
        self.with_settings(tuning, None)
    }

    /// The same, and the API server's default `tolerationSeconds` for nodes that are not ready.
    pub(crate) fn with_settings(
        &self,
        tuning: &Tuning,
        toleration: Option<u64>,
    ) -> Result<Self, Diagnostics> {
        let wanted = Settings::of(tuning).over(&Settings::of(&self.asked));
        let drops_flags = wanted.update.is_some()
            && tuning.node_status_update_frequency.is_some()
            && self.nodes.iter().any(|node| node.places.update_is_flag);
        if !drops_flags && wanted == Settings::of(&self.asked) && toleration.is_none() {
            return Ok(self.clone());
        }
        let part = |name: &str, value: Option<String>| {
            value.map_or(String::new(), |value| format!("-{name}{value}"))
        };
        let lease = part("lease", tuning.node_lease_duration.map(format_duration));
        let stay = part("stay", toleration.map(|seconds| format!("{seconds}s")));
        let name = format!("{}-{}{lease}{stay}", self.name, wanted.suffix());
        let mut config = as_kind_decodes(&self.root, Type::One(&CLUSTER));
        self.patch(&mut config, &wanted, toleration, drops_flags);
        let tuned = self.rewritten(config, &name)?;
        let has_flags = drops_flags && tuned.nodes.iter().any(|node| node.places.update_is_flag);
        if has_flags || Settings::of(&tuned.asked) != wanted {
            let message = "the experiment's `tuning` has no effect: a JSON patch of the first control plane sets the same";
            return Err(self.error(message).hint("put the settings into that patch").into());
        }
        Ok(tuned)
    }

    /// The config of an equal cluster with another name.
    pub(crate) fn renamed(&self, name: &str) -> Result<Self, Diagnostics> {
        self.rewritten(as_kind_decodes(&self.root, Type::One(&CLUSTER)), name)
    }

    fn rewritten(&self, mut config: Json, name: &str) -> Result<Self, Diagnostics> {
        if let Some(why) = wrong_name(name) {
            let message = format!("{} cannot be a cluster's name: {why}", quoted(name));
            return Err(self.error(message).hint("give the kind config a shorter name").into());
        }
        config["name"] = json!(name);
        let text = serde_saphyr::to_string(&config)
            .map_err(|why| Diagnostics::from(self.error(why.to_string())))?;
        let file = Arc::new(SourceFile { name: self.file.name.clone(), text });
        let version = match self.kubernetes_is_assumed {
            true => Kubernetes::Guess(&self.kubernetes),
            false => Kubernetes::Exactly(&self.kubernetes),
        };
        read(&file, version).usable()
    }

    /// Whether both make the same cluster but for its name and the settings of failure detection, and
    /// those can be changed in running nodes: they are the same on every node and none is a flag of a
    /// kubelet, which would beat its file.
    pub(crate) fn differs_only_in_settings(&self, other: &Self) -> bool {
        let can_change = |config: &Self| {
            config.nodes.windows(2).all(|two| two[0].tuning == two[1].tuning)
                && !config.nodes.iter().any(|node| node.places.update_is_flag)
        };
        can_change(self)
            && can_change(other)
            && self.kubernetes == other.kubernetes
            && self.without_settings() == other.without_settings()
    }

    fn without_settings(&self) -> Json {
        let mut config = as_kind_decodes(&self.root, Type::One(&CLUSTER));
        config["name"] = Json::Null;
        drop_settings(&mut config);
        config
            .get_mut("nodes")
            .and_then(Json::as_array_mut)
            .into_iter()
            .flatten()
            .for_each(drop_settings);
        config
    }

    /// Adds a patch after all others of the node: it beats them.
    fn patch(
        &self,
        config: &mut Json,
        wanted: &Settings,
        toleration: Option<u64>,
        drops_flags: bool,
    ) {
        if config["nodes"].as_array().is_none_or(Vec::is_empty) {
            config["nodes"] = json!([{"role": "control-plane"}]);
        }
        let first = self.nodes.iter().position(|node| node.role == NodeRole::ControlPlane);
        for (index, node) in self.nodes.iter().enumerate() {
            let mut patches = Vec::new();
            if first == Some(index) {
                patches.extend(wanted.patches().chain(toleration.map(tolerating)));
            }
            if drops_flags && node.places.update_is_flag {
                let kind =
                    if first == Some(index) { "InitConfiguration" } else { "JoinConfiguration" };
                // `null` removes a field in a merge patch.
                let flag = json!({"node-status-update-frequency": null});
                patches.push(json!({"kind": kind, "nodeRegistration": {"kubeletExtraArgs": flag}}));
            }
            if patches.is_empty() {
                continue;
            }
            let own = &mut config["nodes"][index];
            if !own.is_object() {
                *own = json!({});
            }
            if !own["kubeadmConfigPatches"].is_array() {
                own["kubeadmConfigPatches"] = json!([]);
            }
            let all = own["kubeadmConfigPatches"].as_array_mut().expect("was made an array");
            // JSON is YAML, but YAML is read more easily.
            let written = |patch: &Json| {
                serde_saphyr::to_string(patch).unwrap_or_else(|_| patch.to_string()).into()
            };
            all.extend(patches.iter().map(written));
        }
    }
}

/// Takes the settings out of a cluster's or a node's patches, and patches that set nothing else.
fn drop_settings(of: &mut Json) {
    let Some(patches) = of.get_mut("kubeadmConfigPatches").and_then(Json::as_array_mut) else {
        return;
    };
    let rest = patches.iter().filter_map(|patch| {
        let Ok(mut parsed) = yaml_json::read(patch.as_str()?) else {
            return Some(patch.clone());
        };
        drop_fields(&mut parsed);
        let has_more = |key: &String| !["apiVersion", "kind"].contains(&key.as_str());
        parsed.as_object().is_none_or(|fields| fields.keys().any(has_more)).then_some(parsed)
    });
    *patches = rest.collect();
    if patches.is_empty() {
        of.as_object_mut().map(|fields| fields.remove("kubeadmConfigPatches"));
    }
}

/// Takes the settings out of a patch, and what is empty without them.
fn drop_fields(patch: &mut Json) {
    let is_setting = |name: &str| {
        let name = name.to_ascii_lowercase().replace('-', "");
        SETTINGS.contains(&name.as_str())
    };
    match patch {
        Json::Object(fields) => {
            fields.retain(|name, value| {
                drop_fields(value);
                let is_empty = value.as_object().is_some_and(|fields| fields.is_empty())
                    || value.as_array().is_some_and(|items| items.is_empty());
                !is_setting(name) && !is_empty
            });
        }
        // kubeadm's v1beta4 has flags as a list.
        Json::Array(items) => {
            items.retain(|item| !item["name"].as_str().is_some_and(is_setting));
        }
        _ => {}
    }
}

/// Fields of the kubelet's config file and flags of the controller manager, in lower case without
/// dashes.
const SETTINGS: [&str; 5] = [
    "nodestatusupdatefrequency",
    "nodestatusreportfrequency",
    "nodeleasedurationseconds",
    "nodemonitorperiod",
    "nodemonitorgraceperiod",
];

fn tolerating(seconds: u64) -> Json {
    let flags = ["not-ready", "unreachable"]
        .map(|node| (format!("default-{node}-toleration-seconds"), json!(seconds.to_string())));
    let flags: serde_json::Map<String, Json> = flags.into_iter().collect();
    json!({"kind": "ClusterConfiguration", "apiServer": {"extraArgs": flags}})
}

/// A value of the file in its field's type: kind's fields are mostly texts, and there `yes`, `1.10`
/// and `007` stay what they are.
fn as_kind_decodes(node: &Node, kind: Type) -> Json {
    let all =
        |kind: Type, items: &[Node]| items.iter().map(|item| as_kind_decodes(item, kind)).collect();
    match (&node.value, kind) {
        _ if node.is_null() => Json::Null,
        (Value::Scalar { text, .. }, Type::Bool) => truth(node).map_or(json!(text), Json::from),
        (Value::Scalar { text, .. }, Type::Int32) => integer(node).map_or(json!(text), Json::from),
        (Value::Scalar { text, .. }, _) => json!(text),
        (Value::List(items), Type::Many(shape)) => all(Type::One(shape), items),
        (Value::List(items), _) => all(Type::Text, items),
        (Value::Map(entries), kind) => {
            let entry = |(name, value): &(String, Node)| {
                (name.clone(), as_kind_decodes(value, type_of(kind, name)))
            };
            Json::Object(entries.iter().map(entry).collect())
        }
    }
}

/// The type of a value under a name.
fn type_of(mapping: Type, name: &str) -> Type {
    match mapping {
        Type::BoolMap => Type::Bool,
        Type::One(shape) => shape.type_of(name).unwrap_or(Type::Text),
        _ => Type::Text,
    }
}

/// The settings that an experiment can change.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Settings {
    update: Option<Duration>,
    report: Option<Duration>,
    lease: Option<Duration>,
    period: Option<Duration>,
    grace: Option<Duration>,
}

impl Settings {
    fn of(tuning: &Tuning) -> Self {
        Self {
            update: tuning.node_status_update_frequency,
            report: tuning.node_status_report_frequency,
            lease: tuning.node_lease_duration,
            period: tuning.node_monitor_period,
            grace: tuning.node_monitor_grace_period,
        }
    }

    fn over(self, other: &Self) -> Self {
        Self {
            update: self.update.or(other.update),
            report: self.report.or(other.report),
            lease: self.lease.or(other.lease),
            period: self.period.or(other.period),
            grace: self.grace.or(other.grace),
        }
    }

    fn suffix(&self) -> String {
        // A dot would be part of a host's name.
        let text = |value: Option<Duration>| value.map_or("default".to_owned(), format_duration);
        format!("{}-{}-{}", text(self.update), text(self.period), text(self.grace))
    }

    fn patches(&self) -> impl Iterator<Item = Json> {
        let written = |value: Option<Duration>| value.map(|value| json!(format_duration(value)));
        let kubelet = [
            ("nodeStatusUpdateFrequency", written(self.update)),
            ("nodeStatusReportFrequency", written(self.report)),
            ("nodeLeaseDurationSeconds", self.lease.map(|lease| json!(lease.as_secs()))),
        ];
        let fields =
            kubelet.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let kind = ("kind".to_owned(), json!("KubeletConfiguration"));
        let kubelet: serde_json::Map<String, Json> = std::iter::once(kind).chain(fields).collect();
        let kubelet = (kubelet.len() > 1).then_some(Json::Object(kubelet));
        let args =
            [("node-monitor-period", self.period), ("node-monitor-grace-period", self.grace)];
        let args: serde_json::Map<String, Json> = args
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), json!(format_duration(value?)))))
            .collect();
        let manager = (!args.is_empty()).then(
            || json!({"kind": "ClusterConfiguration", "controllerManager": {"extraArgs": args}}),
        );
        kubelet.into_iter().chain(manager)
    }
}
