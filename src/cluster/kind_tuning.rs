//! The same kind config with other settings of failure detection.

use std::time::Duration;

use serde_json::{Value, json};

use super::kind_config::{KindConfig, KindConfigError, check_name, documents, read_yaml};
use super::kind_settings::{UPDATE_FLAG, first_control_plane};
use crate::timeline::{Tuning, format_duration};

/// Renders a kind config with other settings: those of `tuning` that are set replace the config's (update frequency, monitor
/// period and grace period; others are not looked at). Gives the cluster's new name, which ends in the three settings
/// (`fast-detection-2s-5s-20s`, `default` where one is left to Kubernetes), and the new text. Where nothing changes both are as they were.
/// An update frequency that is asked for is that of every kubelet: flags of that name, which would win, are taken out.
pub(crate) fn with_tuning(
    text: &str,
    tuning: &Tuning,
) -> Result<(String, String), KindConfigError> {
    let config = KindConfig::parse(text)?;
    let wanted = Wanted::new(&config.asked, tuning);
    let flags_go = tuning.node_status_update_frequency.is_some()
        && config.update_flags.iter().any(Option::is_some);
    if !flags_go && wanted == Wanted::new(&config.asked, &Tuning::default()) {
        return Ok((config.name, text.to_owned()));
    }
    let name = format!("{}-{}", config.name, wanted.suffix());
    check_name(&name)?;
    let mut value = read_yaml(text)?;
    value["name"] = json!(name);
    if flags_go {
        drop_flags(&mut value)?;
        for node in value.get_mut("nodes").and_then(Value::as_array_mut).into_iter().flatten() {
            drop_flags(node)?;
        }
    }
    rewrite(&mut value, &wanted)?;
    let text = serde_saphyr::to_string(&value)
        .map_err(|error| KindConfigError::Yaml(error.to_string()))?;
    Ok((name, text))
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Wanted {
    update: Option<Duration>,
    period: Option<Duration>,
    grace: Option<Duration>,
}

impl Wanted {
    fn new(asked: &Tuning, tuning: &Tuning) -> Self {
        Self {
            update: tuning.node_status_update_frequency.or(asked.node_status_update_frequency),
            period: tuning.node_monitor_period.or(asked.node_monitor_period),
            grace: tuning.node_monitor_grace_period.or(asked.node_monitor_grace_period),
        }
    }

    fn suffix(&self) -> String {
        // A dot would be part of a host's name.
        let say = |value: Option<Duration>| value.map_or("default".to_owned(), format_duration);
        format!("{}-{}-{}", say(self.update), say(self.period), say(self.grace))
    }

    fn manager_args(&self) -> impl Iterator<Item = (&'static str, String)> {
        let args =
            [("node-monitor-period", self.period), ("node-monitor-grace-period", self.grace)];
        args.into_iter().filter_map(|(name, value)| Some((name, format_duration(value?))))
    }
}

/// Changes the settings where they stand, for a node's patch wins over the cluster's; those that stand nowhere are added.
fn rewrite(config: &mut Value, wanted: &Wanted) -> Result<(), KindConfigError> {
    let mut done = Done::default();
    rewrite_level(config, wanted, &mut done)?;
    if let Some(index) = first_control_plane(config) {
        rewrite_level(&mut config["nodes"][index], wanted, &mut done)?;
    }
    let mut added = Vec::new();
    if let Some(update) = wanted.update.filter(|_| !done.kubelet) {
        added.push(json!({"kind": "KubeletConfiguration", "nodeStatusUpdateFrequency": format_duration(update)}));
    }
    if !done.manager && wanted.manager_args().next().is_some() {
        // The map form: kind turns it into the list where kubeadm wants that.
        let args: serde_json::Map<String, Value> =
            wanted.manager_args().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        added.push(
            json!({"kind": "ClusterConfiguration", "controllerManager": {"extraArgs": args}}),
        );
    }
    if added.is_empty() {
        return Ok(());
    }
    if !config["kubeadmConfigPatches"].is_array() {
        config["kubeadmConfigPatches"] = json!([]);
    }
    let patches = config["kubeadmConfigPatches"].as_array_mut().expect("was made an array");
    for patch in added {
        patches.push(json!(render(&[patch])?));
    }
    Ok(())
}

#[derive(Default)]
struct Done {
    kubelet: bool,
    manager: bool,
}

fn rewrite_level(
    level: &mut Value,
    wanted: &Wanted,
    done: &mut Done,
) -> Result<(), KindConfigError> {
    refuse_json_patches(level)?;
    each_document(level, |document| rewrite_document(document, wanted, done))
}

fn refuse_json_patches(level: &Value) -> Result<(), KindConfigError> {
    match level["kubeadmConfigPatchesJSON6902"].as_array() {
        Some(patches) if !patches.is_empty() => Err(KindConfigError::JsonPatches),
        _ => Ok(()),
    }
}

/// Changes the documents of all patches of a level; `change` says whether it did. Other patches stay as they were written.
fn each_document(
    level: &mut Value,
    mut change: impl FnMut(&mut Value) -> bool,
) -> Result<(), KindConfigError> {
    // Reading a missing member of a tree makes none; asking for it to be changed would.
    let Some(patches) = level.get_mut("kubeadmConfigPatches").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    for patch in patches {
        let mut documents = documents(patch.as_str().unwrap_or_default())?;
        // All of them, not only the first that changes.
        let changed: Vec<bool> = documents.iter_mut().map(&mut change).collect();
        if changed.contains(&true) {
            *patch = json!(render(&documents)?);
        }
    }
    Ok(())
}

fn drop_flags(level: &mut Value) -> Result<(), KindConfigError> {
    refuse_json_patches(level)?;
    each_document(level, drop_flag)
}

/// Takes the flag out of a kubelet's arguments, where it is.
fn drop_flag(document: &mut Value) -> bool {
    match document.pointer_mut("/nodeRegistration/kubeletExtraArgs") {
        Some(Value::Object(args)) => args.shift_remove(UPDATE_FLAG).is_some(),
        Some(Value::Array(args)) => {
            let before = args.len();
            args.retain(|entry| entry["name"] != UPDATE_FLAG);
            args.len() < before
        }
        _ => false,
    }
}

/// Whether the document was one of the two kinds and was changed.
fn rewrite_document(document: &mut Value, wanted: &Wanted, done: &mut Done) -> bool {
    match document["kind"].as_str() {
        Some("KubeletConfiguration") => {
            let Some(update) = wanted.update else { return false };
            document["nodeStatusUpdateFrequency"] = json!(format_duration(update));
            done.kubelet = true;
        }
        Some("ClusterConfiguration") => {
            let args = &mut document["controllerManager"]["extraArgs"];
            wanted.manager_args().for_each(|(name, value)| set_arg(args, name, &value));
            done.manager = true;
        }
        _ => return false,
    }
    true
}

fn set_arg(args: &mut Value, name: &str, value: &str) {
    match args.as_array_mut() {
        Some(list) => {
            list.retain(|entry| entry["name"] != name);
            list.push(json!({"name": name, "value": value}));
        }
        None => args[name] = json!(value),
    }
}

fn render(documents: &[Value]) -> Result<String, KindConfigError> {
    let texts: Result<Vec<String>, _> = documents.iter().map(serde_saphyr::to_string).collect();
    Ok(texts.map_err(|error| KindConfigError::Patch(error.to_string()))?.join("---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nnodes:\n- role: control-plane\n- role: worker\n";

    fn tuning(update: Option<u64>, period: Option<u64>, grace: Option<u64>) -> Tuning {
        Tuning {
            node_status_update_frequency: update.map(Duration::from_secs),
            node_monitor_period: period.map(Duration::from_secs),
            node_monitor_grace_period: grace.map(Duration::from_secs),
            ..Tuning::default()
        }
    }

    fn asked(text: &str) -> (Option<Duration>, Option<Duration>, Option<Duration>) {
        let asked = KindConfig::parse(text).unwrap().asked;
        (
            asked.node_status_update_frequency,
            asked.node_monitor_period,
            asked.node_monitor_grace_period,
        )
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn settings_are_added_where_there_are_none() {
        let (name, text) = with_tuning(HEAD, &tuning(Some(2), Some(5), Some(20))).unwrap();
        assert_eq!(name, "a-2s-5s-20s");
        assert_eq!(asked(&text), (seconds(2), seconds(5), seconds(20)));
        assert_eq!(KindConfig::parse(&text).unwrap().nodes.len(), 2);
        let (name, text) = with_tuning(HEAD, &tuning(None, None, Some(20))).unwrap();
        assert_eq!(
            (name.as_str(), asked(&text)),
            ("a-default-default-20s", (None, None, seconds(20)))
        );
    }

    #[test]
    fn settings_are_replaced_where_they_stand() {
        let patches = "kubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 1s\n  maxPods: 20\n\
            - |\n  kind: ClusterConfiguration\n  controllerManager:\n    extraArgs:\n      node-monitor-period: 1s\n      v: '4'\n";
        let (name, text) =
            with_tuning(&format!("{HEAD}{patches}"), &tuning(Some(3), None, Some(9))).unwrap();
        assert_eq!(
            (name.as_str(), asked(&text)),
            ("a-3s-1s-9s", (seconds(3), seconds(1), seconds(9)))
        );
        assert!(text.contains("maxPods: 20"), "{text}");
        assert!(
            !text.contains("1s-1s") && text.matches("nodeStatusUpdateFrequency").count() == 1,
            "{text}"
        );
        // An argument that looks like a number stays a text: kubeadm takes no number there.
        let value = read_yaml(&text).unwrap();
        let manager = documents(value["kubeadmConfigPatches"][1].as_str().unwrap()).unwrap();
        assert_eq!(manager[0]["controllerManager"]["extraArgs"]["v"], "4");
    }

    #[test]
    fn the_list_form_stays_a_list_and_a_nodes_patch_is_found() {
        let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nnodes:\n- role: control-plane\n  kubeadmConfigPatches:\n  - |\n    \
            kind: ClusterConfiguration\n    controllerManager:\n      extraArgs:\n      - name: node-monitor-grace-period\n        value: 4s\n";
        let (_, text) = with_tuning(text, &tuning(None, None, Some(9))).unwrap();
        assert_eq!(asked(&text).2, seconds(9));
        assert_eq!(text.matches("node-monitor-grace-period").count(), 1, "{text}");
    }

    #[test]
    fn a_patch_that_has_no_effect_is_no_place_for_a_setting() {
        let worker = "kubeadmConfigPatches: [\"{kind: KubeletConfiguration, maxPods: 20}\"]";
        let (_, text) = with_tuning(
            &HEAD.replace("- role: worker\n", &format!("- {{role: worker, {worker}}}\n")),
            &tuning(Some(2), None, None),
        )
        .unwrap();
        assert_eq!(asked(&text).0, seconds(2));
    }

    #[test]
    fn what_changes_nothing_keeps_name_and_text() {
        let text = format!(
            "{HEAD}kubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 1s\n"
        );
        assert_eq!(
            with_tuning(&text, &tuning(Some(1), None, None)).unwrap(),
            ("a".to_owned(), text.clone())
        );
        assert_eq!(with_tuning(&text, &Tuning::default()).unwrap().1, text);
    }

    #[test]
    fn a_flag_would_win_over_the_setting_and_goes() {
        let join = |args: &str| {
            format!(
                "[\"{{kind: JoinConfiguration, nodeRegistration: {{kubeletExtraArgs: {args}}}}}\"]"
            )
        };
        let map = join("{node-status-update-frequency: 1s, v: '4'}");
        let list = join("[{name: node-status-update-frequency, value: 2s}, {name: v, value: '5'}]");
        let head = HEAD.replace(
            "- role: worker\n",
            &format!("- {{role: worker, kubeadmConfigPatches: {list}}}\n"),
        );
        let text = format!("{head}kubeadmConfigPatches: {map}\n");
        let flagged = KindConfig::parse(&text).unwrap();
        assert_eq!(flagged.update_flags, [None, seconds(2)]);
        let (name, tuned) = with_tuning(&text, &tuning(Some(3), None, None)).unwrap();
        assert_eq!(
            (name.as_str(), KindConfig::parse(&tuned).unwrap().update_flags),
            ("a-3s-default-default", vec![None, None])
        );
        assert_eq!(asked(&tuned).0, seconds(3));
        assert!(tuned.contains("v: ") && tuned.contains("name: v"), "{tuned}");
        let (_, tuned) = with_tuning(&text, &tuning(None, None, Some(9))).unwrap();
        assert_eq!(
            KindConfig::parse(&tuned).unwrap().update_flags,
            flagged.update_flags,
            "nobody asked for another"
        );
    }

    #[test]
    fn json_patches_can_hide_settings_and_are_refused() {
        let text = format!(
            "{HEAD}kubeadmConfigPatchesJSON6902:\n- {{group: x, version: y, kind: z, patch: '[]'}}\n"
        );
        assert_eq!(
            with_tuning(&text, &tuning(Some(2), None, None)),
            Err(KindConfigError::JsonPatches)
        );
    }
}
