//! The settings that a running kubelet has, as it says itself.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;

use super::connect::Cluster;
use super::error::ClusterError;
use crate::timeline::{Tuning, parse_duration};

/// A node that is down must not hold up the others.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
const AT_ONCE: usize = 8;

/// What decides how often a kubelet is heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KubeletSettings {
    pub(super) status_update: Option<Duration>,
    pub(super) status_report: Option<Duration>,
    pub(super) lease_duration: Option<Duration>,
}

impl Cluster {
    /// Asks all of these nodes. The order is theirs.
    pub(super) async fn kubelet_settings(
        &self,
        nodes: &[String],
    ) -> Vec<(String, Result<KubeletSettings, ClusterError>)> {
        let answers = futures_util::stream::iter(nodes.to_vec()).map(|node| async move {
            let settings = self.configz(&node).await.map(|config| read(&config));
            (node, settings)
        });
        answers.buffered(AT_ONCE).collect().await
    }

    /// The nodes whose kubelets do not have the settings that `wanted` names, or do not answer.
    pub(crate) async fn kubelets_without(
        &self,
        wanted: &Tuning,
    ) -> Result<Vec<String>, ClusterError> {
        let nodes = self.nodes().await?.into_iter().map(|node| node.name).collect::<Vec<_>>();
        let is =
            |wanted: Option<Duration>, has: Option<Duration>| wanted.is_none() || wanted == has;
        let has_all = |has: &KubeletSettings| {
            is(wanted.node_status_update_frequency, has.status_update)
                && is(wanted.node_status_report_frequency, has.status_report)
                && is(wanted.node_lease_duration, has.lease_duration)
        };
        let all = self.kubelet_settings(&nodes).await.into_iter();
        let others = all.filter(|(_, answer)| !answer.as_ref().is_ok_and(has_all));
        Ok(others.map(|(node, _)| node).collect())
    }

    /// The cluster's domain, by the first kubelet that answers.
    pub(super) async fn cluster_domain(&self) -> Option<String> {
        for node in self
            .nodes()
            .await
            .ok()?
            .into_iter()
            .filter(|node| node.ready == crate::timeline::Ready::True)
            .take(2)
        {
            if let Ok(config) = self.configz(&node.name).await {
                return config["kubeletconfig"]["clusterDomain"]
                    .as_str()
                    .filter(|domain| !domain.is_empty())
                    .map(str::to_owned);
            }
        }
        None
    }

    async fn configz(&self, node: &str) -> Result<Value, ClusterError> {
        let what = || format!("read the settings of the kubelet of {node}");
        let path = format!("/api/v1/nodes/{node}/proxy/configz");
        let request =
            http::Request::get(path).body(Vec::new()).expect("a node's name is a DNS name");
        let client = self.client();
        let answer = self.call(what(), client.request::<Value>(request));
        tokio::time::timeout(ANSWER_TIMEOUT, answer).await.unwrap_or_else(|_| {
            Err(ClusterError::Timeout {
                what: what(),
                server: self.server().to_owned(),
                within: ANSWER_TIMEOUT,
            })
        })
    }
}

fn read(configz: &Value) -> KubeletSettings {
    let config = &configz["kubeletconfig"];
    let duration = |field: &str| config[field].as_str().and_then(parse_duration);
    KubeletSettings {
        status_update: duration("nodeStatusUpdateFrequency"),
        status_report: duration("nodeStatusReportFrequency"),
        lease_duration: config["nodeLeaseDurationSeconds"].as_u64().map(Duration::from_secs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configz_is_read() {
        let config = serde_json::json!({"kubeletconfig": {
            "nodeStatusUpdateFrequency": "1s", "nodeStatusReportFrequency": "5m0s", "nodeLeaseDurationSeconds": 40}});
        let seconds = |s| Some(Duration::from_secs(s));
        let expected = KubeletSettings {
            status_update: seconds(1),
            status_report: seconds(300),
            lease_duration: seconds(40),
        };
        assert_eq!(read(&config), expected);
        assert_eq!(read(&serde_json::json!({})), KubeletSettings::default());
    }
}
