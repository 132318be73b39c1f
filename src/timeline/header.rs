//! The timeline's first line: what was run, on what, with which settings and clock.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::clock::Anchor;
use super::component::Component;
use super::probe_kind::ProbeKind;
use super::record::NodeRole;
use super::tuning::{Tolerations, Tuning};

/// The first line of a timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The format, `outage.timeline/v3`.
    pub format: String,
    /// The version of the program that wrote it.
    pub program: String,
    /// The run's id, also the folder's name.
    pub run: String,
    pub anchor: Anchor,
    pub name: String,
    /// The experiment as it was understood (`experiment::Experiment` as JSON).
    pub experiment: serde_json::Value,
    /// The experiment's file as it was written, with `*` in the place of secrets.
    pub source: String,
    /// The seed of every random choice in this run.
    pub seed: u64,
    /// Where the file is; `None`: it was in none (built in, standard input), or an older program
    /// wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<Places>,
    /// Which of how many runs this is, from 1; `None` for a single one.
    pub repetition: Option<(u32, u32)>,
    /// The run that it makes again; `None`: it is the first try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The part of the experiments that its machine ran; `None`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    pub cluster: ClusterFacts,
    /// The settings that its claims are about, where it ran in another cluster than its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_tuning: Option<Tuning>,
    /// The Services and pods of its workload: of each object what a prediction needs to know, in
    /// Kubernetes' own form. Empty in timelines of older programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workload: Vec<serde_json::Value>,
}

/// An experiment's file, and what stands where in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Places {
    /// Its path, as it was typed.
    pub file: String,
    /// The line of each expectation, from 1.
    pub expectations: Vec<u32>,
}

impl Header {
    /// The format that this program writes: the checksum of each line covers those before it.
    pub const FORMAT: &'static str = "outage.timeline/v3";
    /// The format of earlier versions whose checksums cover a line each.
    pub(super) const BY_LINE: &'static str = "outage.timeline/v2";
    /// The format of earlier versions, without checksums.
    pub(super) const EARLIER: &'static str = "outage.timeline/v1";

    /// Why its claims are not about this cluster; `None`: they are.
    pub fn other_settings(&self) -> Option<String> {
        self.cluster.other_settings(&self.claimed_tuning?)
    }
}

/// A run that was made because an equal one was inconclusive (`run --retries`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// The id of the first try.
    pub of: String,
    /// Which retry it is, from 1.
    pub number: u32,
}

impl Retry {
    /// Whether a later try took the place of a run, which is a retry itself or has none.
    pub fn replaces(&self, run: &str, retry: Option<&Self>) -> bool {
        let (first, number) = retry.map_or((run, 0), |retry| (retry.of.as_str(), retry.number));
        self.of == first && self.number > number
    }
}

/// A part of the experiments, for one of several machines (`run --shard`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Shard {
    /// The shard's number, from 1.
    pub number: u32,
    /// The number of shards.
    pub of: u32,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: u32 = 1000;
        let numbers = text.split_once('/').and_then(|(number, of)| {
            Some(Self { number: number.parse().ok()?, of: of.parse().ok()? })
        });
        match numbers {
            None => Err("expected K/N, such as 2/4 for the second of 4 machines".into()),
            Some(Self { of, .. }) if !(1..=MOST).contains(&of) => {
                Err(format!("the number of shards must be from 1 to {MOST}"))
            }
            Some(Self { number, of }) if !(1..=of).contains(&number) => Err(format!(
                "there is no shard {number} of {of}: the first is 1/{of}, the last {of}/{of}"
            )),
            Some(shard) => Ok(shard),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterKind {
    /// A kind cluster: nodes are containers.
    Kind,
    /// Any other cluster, through its API alone.
    Context,
    /// The model inside this program.
    Embedded,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFacts {
    pub kind: ClusterKind,
    /// Its name (kind's cluster name, or the context's).
    pub name: String,
    /// The API server's version, such as `v1.34.4`.
    pub kubernetes: String,
    /// The container engine and its version, such as `Docker 28.2.2 (API 1.50)`.
    pub engine: Option<String>,
    pub nodes: Vec<NodeFacts>,
    /// The effective settings of failure detection.
    pub tuning: Tuning,
    /// How long pods that say nothing of it stay on a lost node; Kubernetes' defaults in timelines
    /// of older programs.
    #[serde(default)]
    pub tolerations: Tolerations,
    /// How it was reached, where it is not the experiment's own cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextFacts>,
}

impl ClusterFacts {
    /// How its settings differ from those that claims are about; `None`: they do not, as far as they
    /// could be read.
    pub fn other_settings(&self, claimed: &Tuning) -> Option<String> {
        // What a config does not set is the default of the cluster's version.
        let unequal = claimed.completed(&self.kubernetes).unequal(&self.tuning);
        let unequal =
            unequal.iter().map(|it| format!("{} is {}, not {}", it.name, it.has, it.wanted));
        let mut all: Vec<String> = unequal.collect();
        if self.tuning.is_partly_unknown() {
            all.push("controller manager has unknown settings".into());
        }
        (!all.is_empty()).then(|| format!("this cluster's {}", all.join(", its ")))
    }
}

/// A context of the user's kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextFacts {
    /// Its name in the kubeconfig.
    pub name: String,
    /// The API server's URL.
    pub server: String,
    /// The user's name in the kubeconfig.
    pub user: Option<String>,
}

impl ContextFacts {
    /// Its server and user, for people.
    pub fn reached_by(&self) -> String {
        let user = self.user.as_ref().map_or(String::new(), |user| format!(", user {user}"));
        format!("server {}{user}", self.server)
    }
}

impl std::fmt::Display for ContextFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "context {}, {}", self.name, self.reached_by())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeFacts {
    pub name: String,
    pub role: NodeRole,
    /// Its internal address.
    pub address: Option<String>,
    pub kubelet: String,
    /// Its container's id, where it is one.
    pub container: Option<String>,
    /// Its labels; none in timelines of older programs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Whether the control plane's taint keeps pods off it; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tainted: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeHeader {
    pub name: String,
    #[serde(rename = "protocol")]
    pub kind: ProbeKind,
    /// What it asks, for people: `http://web.ns.svc:80/ (10.96.3.4:80)`.
    pub target: String,
    pub service: Option<String>,
    /// Where it asks from, for people: `fast-detection-control-plane`, `pod client on ...`, `host`.
    pub from: String,
    /// The node on which it runs; `None` on the host.
    pub from_node: Option<String>,
    /// Whether connections are kept and used again.
    pub reused: bool,
    /// A control probe asks something that no fault can touch: where it fails, the prober's machine
    /// is sick.
    pub control: bool,
    /// The paths that it asks in turn: attempt i has that of number i modulo their count. Empty: it
    /// has no more than one, or an older program wrote this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// What of the control plane must work for it to be answered; `None`: none of it, or not known
    /// (timelines of older programs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
}

impl ProbeHeader {
    /// The names of control probes, each with a number of its own: `control`, `control-1`,
    /// `control-2`, ... No other probe may be named so.
    pub fn control_name(number: usize) -> String {
        if number == 0 { "control".to_owned() } else { format!("control-{number}") }
    }

    pub fn is_control_name(name: &str) -> bool {
        let number = match name.strip_prefix("control") {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix('-').and_then(|number| number.parse().ok()),
            None => None,
        };
        number.is_some_and(|number| Self::control_name(number) == name)
    }
}

/// What of the control plane must work for a probe to be answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Needs {
    ApiServer {
        /// The one on this node, asked at its own address; `None`: any, asked at the kubeconfig's,
        /// where a balancer may be.
        node: Option<String>,
        /// Whether the answer comes from etcd, and not from the API server's cache.
        etcd: bool,
    },
    /// The leader of this part, besides an API server: a canary asks for what it does.
    Leader(Component),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_those_that_there_are() {
        let shard = "2/4".parse::<Shard>().unwrap();
        assert_eq!((shard, shard.to_string().as_str()), (Shard { number: 2, of: 4 }, "2/4"));
        for bad in ["0/3", "4/3", "1/0", "1/1001", "x", "1", "1/", "/2", "-1/2", "1/2/3", "1.5/2"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }
}
