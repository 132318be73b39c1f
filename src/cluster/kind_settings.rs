//! The settings of failure detection in a kind config's kubeadm patches.
//!
//! kind applies the cluster's patches to each node's kubeadm configuration, then the node's own. The first control plane, where kubeadm
//! makes the cluster, reads all documents but the JoinConfiguration; the nodes that join read only that one.

use std::time::Duration;

use serde_json::Value;

use super::kind_config::{KindConfigError, documents};
use crate::timeline::{NodeRole, Tuning, TuningSource, parse_duration};

/// The kubelet's flag that has a namesake in its config file.
pub(super) const UPDATE_FLAG: &str = "node-status-update-frequency";

/// What the components' config asks for, and each node's flag for its kubelet.
pub(super) fn read(
    config: &Value,
    roles: &[NodeRole],
) -> Result<(Tuning, Vec<Option<Duration>>), KindConfigError> {
    let asked = Tuning { source: TuningSource::Config, ..Tuning::default() };
    let first = roles.iter().position(|role| *role == NodeRole::ControlPlane);
    let mut reading = Reading { first, asked, update_flags: vec![None; roles.len()] };
    reading.level(config, None)?;
    for (index, node) in config["nodes"].as_array().into_iter().flatten().enumerate() {
        reading.level(node, Some(index))?;
    }
    Ok((reading.asked, reading.update_flags))
}

/// The place of the first control plane among the nodes.
pub(super) fn first_control_plane(config: &Value) -> Option<usize> {
    let nodes = config["nodes"].as_array()?;
    nodes.iter().position(|node| matches!(node["role"].as_str(), None | Some("control-plane")))
}

struct Reading {
    first: Option<usize>,
    asked: Tuning,
    update_flags: Vec<Option<Duration>>,
}

impl Reading {
    /// The patches of the cluster, or of one node.
    fn level(&mut self, level: &Value, node: Option<usize>) -> Result<(), KindConfigError> {
        let patches = level["kubeadmConfigPatches"].as_array().into_iter().flatten();
        for patch in patches.filter_map(Value::as_str) {
            for document in documents(patch)? {
                self.document(&document, node)?;
            }
        }
        Ok(())
    }

    fn document(&mut self, document: &Value, node: Option<usize>) -> Result<(), KindConfigError> {
        let joins = node.is_some() && node != self.first;
        match document["kind"].as_str() {
            Some("KubeletConfiguration") if !joins => self.kubelet_file(document),
            Some("ClusterConfiguration") if !joins => self.manager(document),
            Some("InitConfiguration") => self.kubelet_flag(document, |index, first| {
                first && node.is_none_or(|own| own == index)
            }),
            Some("JoinConfiguration") => self.kubelet_flag(document, |index, first| {
                !first && node.is_none_or(|own| own == index)
            }),
            _ => Ok(()),
        }
    }

    fn kubelet_file(&mut self, document: &Value) -> Result<(), KindConfigError> {
        let said = |name: &str| duration(name, &document[name]);
        set(&mut self.asked.node_status_update_frequency, said("nodeStatusUpdateFrequency")?);
        set(&mut self.asked.node_status_report_frequency, said("nodeStatusReportFrequency")?);
        set(
            &mut self.asked.node_lease_duration,
            document["nodeLeaseDurationSeconds"].as_u64().map(Duration::from_secs),
        );
        Ok(())
    }

    fn manager(&mut self, document: &Value) -> Result<(), KindConfigError> {
        let args = &document["controllerManager"]["extraArgs"];
        let said = |name: &str| duration(name, extra_arg(args, name));
        set(&mut self.asked.node_monitor_period, said("node-monitor-period")?);
        set(&mut self.asked.node_monitor_grace_period, said("node-monitor-grace-period")?);
        Ok(())
    }

    /// `reads`: whether the node at this place, which is the first control plane or not, reads the document.
    fn kubelet_flag(
        &mut self,
        document: &Value,
        reads: impl Fn(usize, bool) -> bool,
    ) -> Result<(), KindConfigError> {
        let value = duration(
            UPDATE_FLAG,
            extra_arg(&document["nodeRegistration"]["kubeletExtraArgs"], UPDATE_FLAG),
        )?;
        let (first, flags) = (self.first, self.update_flags.iter_mut().enumerate());
        flags
            .filter(|(index, _)| reads(*index, first == Some(*index)))
            .for_each(|(_, flag)| set(flag, value));
        Ok(())
    }
}

fn set(field: &mut Option<Duration>, value: Option<Duration>) {
    *field = value.or(*field);
}

/// One of kubeadm's extra arguments: a map in v1beta3, a list of names and values in v1beta4.
fn extra_arg<'a>(args: &'a Value, name: &str) -> &'a Value {
    match args.as_array() {
        Some(list) => list
            .iter()
            .rev()
            .find(|entry| entry["name"] == name)
            .map_or(&Value::Null, |entry| &entry["value"]),
        None => &args[name],
    }
}

fn duration(field: &str, value: &Value) -> Result<Option<Duration>, KindConfigError> {
    match value {
        Value::Null => Ok(None),
        other => {
            let text = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            let parsed = parse_duration(&text).filter(|duration| !duration.is_zero());
            parsed
                .map(Some)
                .ok_or(KindConfigError::Duration { field: field.to_owned(), value: text })
        }
    }
}
