//! The plan of a run, as `run --dry-run` prints it: data, and the same as text.

use serde::Serialize;

use crate::prediction::Predicted;
use crate::report::hang;
use crate::stats::Seconds;
use crate::timeline::{ContextFacts, counted, few};

pub(super) const FORMAT: &str = "outage.plan/v1";
/// Of many candidates, the undo is shown on so many lines.
const MOST_UNDOS: usize = 4;
/// The same of what would be hit now, where a budget that refuses is a line, too.
const MOST_HITS: usize = 12;
/// Where the text of a row begins.
const LEAD: usize = 10;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    /// The version of this form, `outage.plan/v1`.
    pub format: &'static str,
    pub experiment: String,
    pub file: String,
    pub cluster: Cluster,
    /// Objects that would be created in a namespace of the run's own: `Deployment/web`.
    pub workload: Vec<String>,
    pub probes: Vec<Probe>,
    /// The pods through which nodes are entered; `None`: none is, or no pod is needed for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helpers: Option<Helpers>,
    /// The faults, in the order in which they begin.
    pub steps: Vec<Step>,
    /// How often the experiment would be run.
    pub repeat: u32,
    /// How often a run that is inconclusive would be made again.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// How long all runs take at least, without making the cluster.
    pub at_least_seconds: Seconds,
    /// The same where everything takes as long as its timeout allows, with all retries.
    pub at_most_seconds: Seconds,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cluster {
    pub name: String,
    /// The kubeconfig context through which it is reached; `None`: it is not there, or a model.
    pub context: Option<String>,
    /// The API server and the user of a context that is not the experiment's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether it is there; if not, it would be made and kept.
    pub exists: bool,
    /// `None`: it is not there.
    pub kubernetes: Option<String>,
    pub nodes: Option<usize>,
    /// The container engine, where it is known and there is one.
    pub engine: Option<String>,
    /// The node image that it would be made from; `None`: it is there, or it is kind's own.
    pub node_image: Option<String>,
}

/// Privileged pods in the run's own namespace, one on each node that is entered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Helpers {
    pub image: String,
    /// The nodes; those of candidates get one when they are hit.
    pub nodes: Vec<String>,
    /// Whether pods that are chosen later decide about other nodes.
    pub of_pods: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probe {
    pub name: String,
    /// Attempts; with `onEach`, on each of its nodes.
    pub per_second: f64,
    /// The nodes, where it asks each of them or the API server of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_each: Option<OnEach>,
    /// What a canary does, in words; `None`: it is not a canary.
    pub canary: Option<String>,
    /// The requests that may change something in the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side_effects: Option<SideEffects>,
    /// From where it would ask: a node, pods, this machine. `None`: a canary, or nobody knows the
    /// nodes.
    pub from: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OnEach {
    /// How many they are; `None`: nobody knows them.
    pub nodes: Option<usize>,
}

/// Requests that may change something in the application.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SideEffects {
    /// `POST`
    pub method: &'static str,
    /// Whom they are sent to: `shop/checkout`.
    pub target: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    /// Its number in the method, from 0.
    pub step: u32,
    pub name: Option<String>,
    /// The kind of fault: `nodeStop`.
    pub fault: String,
    pub component: Option<String>,
    /// What it hits, as the experiment says it: `role worker`.
    pub target: String,
    /// The nodes from which its targets are chosen; empty where it hits none, or nobody knows them.
    pub candidates: Vec<String>,
    /// How many of them it hits; `None`: all.
    pub count: Option<u32>,
    /// The Service of whose endpoints the targets have most.
    pub most_endpoints_of: Option<String>,
    /// The part of the control plane whose leader is the target.
    pub leader_of: Option<String>,
    /// The part of the control plane whose leader is not a target.
    pub followers_of: Option<String>,
    /// The step whose targets are hit again.
    pub hit_by: Option<String>,
    /// The step that lasts when this one begins.
    pub during: Option<u32>,
    /// How long it lasts at least.
    pub hold_seconds: Seconds,
    /// What undoes it if the run dies; `None`: there is nothing to undo, or it ends with the run.
    pub undo_timer: Option<UndoTimer>,
    /// What it would hit now, and what would refuse it, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub now: Vec<String>,
    /// The commands of the user's that inject and check it, for the first candidate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// How it would be undone, by candidate; empty: it can't be said before there is a cluster.
    pub undo: Vec<String>,
    /// Who leads, where the target depends on it.
    pub leaders: Option<String>,
    /// The longest time to its detection that the model predicts.
    pub detection_within_seconds: Option<Seconds>,
    /// What the model predicts, as `predict` and reports do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub predicted: Vec<Predicted>,
}

/// What undoes a fault whose run has died, and when at the latest.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UndoTimer {
    /// `node`: a timer inside the node; `watchdog`: a process on this machine.
    pub by: &'static str,
    pub seconds_after_confirmation: Seconds,
    /// The same from its request, where it was never confirmed.
    pub seconds_after_request: Seconds,
}

impl UndoTimer {
    fn text(&self) -> String {
        let by = if self.by == "node" { "a timer in the node" } else { "the watchdog" };
        format!(
            "if the run dies, {by} undoes it within {} of its confirmation, or {} of its request \
             if it is never confirmed",
            self.seconds_after_confirmation.rounded().to_minutes(),
            self.seconds_after_request.rounded().to_minutes()
        )
    }
}

/// Of many lines the first few, and how many more there are.
fn of_many(lines: &[String], most: usize) -> (&[String], usize) {
    let shown = if lines.len() > most { most - 1 } else { lines.len() };
    (&lines[..shown], lines.len() - shown)
}

impl Document {
    /// The plan on lines of no more than `width` columns.
    pub(super) fn text(&self, width: usize) -> String {
        let (name, file) = (&self.experiment, &self.file);
        let mut lines = vec![match self.cluster.foreign() {
            None => format!("{name} ({file}), dry run: nothing is changed"),
            Some(context) => {
                let title = format!("{name} ({file}), dry run in {context}: nothing is changed");
                hang("", &title, width)
            }
        }];
        let mut row =
            |lead: &str, text: &str| lines.push(hang(&format!("{lead:LEAD$}"), text, width));
        row("cluster", &self.cluster.text());
        if !self.workload.is_empty() {
            row("workload", &format!("{} in the run's own namespace", self.workload.join(", ")));
        }
        for probe in &self.probes {
            row(if probe.canary.is_some() { "canary" } else { "probe" }, &probe.text());
        }
        if let Some(helpers) = &self.helpers {
            row("helpers", &helpers.text());
        }
        for step in &self.steps {
            row(&format!("step {}", step.step), &step.text());
            step.details().iter().for_each(|detail| row("", detail));
        }
        let times = match (self.repeat, self.retries) {
            (1, 0) => String::new(),
            (runs, 0) => format!(" ({runs} runs)"),
            (1, retries) => format!(" (with up to {})", retries_text(retries)),
            (runs, retries) => format!(" ({runs} runs, each with up to {})", retries_text(retries)),
        };
        lines.push(format!(
            "takes at least {}, at most {}{times}",
            self.at_least_seconds.to_minutes(),
            self.at_most_seconds.to_minutes()
        ));
        lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

fn retries_text(retries: u32) -> String {
    if retries == 1 { "1 retry".into() } else { format!("{retries} retries") }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Cluster {
    /// The context, where it is not the experiment's own.
    fn foreign(&self) -> Option<ContextFacts> {
        let (name, server) = (self.context.clone()?, self.server.clone()?);
        Some(ContextFacts { name, server, user: self.user.clone() })
    }

    fn text(&self) -> String {
        let Self { name, context, exists, kubernetes, nodes, engine, node_image, .. } = self;
        if !exists {
            let image =
                node_image.as_ref().map_or("kind's default node image".to_owned(), |image| {
                    format!("node image {image}")
                });
            return format!("kind cluster {name} would be created ({image}) and kept");
        }
        let reached_by = match (engine, self.foreign()) {
            (Some(engine), _) => engine.as_str(),
            (None, Some(_)) => "reached through its API alone",
            (None, None) => "a model inside this program: no real Kubernetes",
        };
        let context =
            context.as_ref().map_or(String::new(), |context| format!("context {context}, "));
        format!(
            "{name} ({context}Kubernetes {}, {}), {reached_by}",
            kubernetes.as_deref().unwrap_or("unknown"),
            counted(nodes.unwrap_or_default(), "node")
        )
    }
}

impl Helpers {
    pub(super) fn text(&self) -> String {
        let Self { image, nodes, of_pods } = self;
        let of_pods = of_pods.then(|| "the nodes of the pods that are chosen".to_owned());
        let on: Vec<String> = nodes.iter().cloned().chain(of_pods).collect();
        format!(
            "a privileged pod on each node where commands run, in the run's own namespace: {} (image \
             {image}, pulled if not present)",
            few(on)
        )
    }
}

impl Probe {
    pub(super) fn text(&self) -> String {
        let Self { name, per_second, on_each, canary, side_effects, from } = self;
        if let Some(canary) = canary {
            let every = Seconds::from_f64(1.0 / per_second);
            return format!("{name}: {canary}, through the API every {every}");
        }
        let on = match on_each {
            Some(OnEach { nodes: Some(nodes) }) => {
                format!(" on each of {}", counted(*nodes, "node"))
            }
            Some(OnEach { nodes: None }) => " on each node".into(),
            None => String::new(),
        };
        let attempts = match side_effects {
            Some(SideEffects { method, target }) => {
                format!("sends {per_second} {method} requests a second{on} to {target}")
            }
            None => format!("{per_second} attempts a second{on}"),
        };
        let from = from.as_ref().map_or(String::new(), |from| format!(" from {from}"));
        format!("{name}: {attempts}{from}")
    }
}

impl Step {
    fn text(&self) -> String {
        let name = self.name.as_ref().map_or(String::new(), |name| format!("{name}: "));
        let part = self.component.as_ref().map_or(String::new(), |part| format!(" of {part}"));
        let during =
            self.during.map_or(String::new(), |outer| format!(", while step {outer} lasts"));
        let hold = self.hold_seconds.to_minutes();
        format!("{name}{}{part} on {}, for {hold}{during}", self.fault, self.hit())
    }

    fn details(&self) -> Vec<String> {
        let predicted =
            self.predicted.iter().map(|it| format!("{} {:.1}", it.quantity, it.between));
        let predicted = predicted.collect::<Vec<_>>().join(", ");
        let predicted = (!predicted.is_empty()).then(|| format!("predicted: {predicted}"));
        let (shown, more) = of_many(&self.undo, MOST_UNDOS);
        let more = (more > 0).then(|| format!("undo: the same on {more} more nodes"));
        let undo = shown.iter().map(|undo| format!("undo: {undo}")).chain(more);
        let timer = self.undo_timer.as_ref().map(UndoTimer::text);
        let (shown, more) = of_many(&self.now, MOST_HITS);
        let more = (more > 0).then(|| format!("and {more} more; `-o json` lists all"));
        let now = shown.iter().cloned().chain(more);
        let commands = self.commands.iter().map(|command| match &self.candidates[..] {
            [] | [_] => command.clone(),
            [first, ..] => format!("{command} (on {first})"),
        });
        now.chain(commands)
            .chain(undo)
            .chain(timer)
            .chain(self.leaders.clone())
            .chain(predicted)
            .collect()
    }

    fn hit(&self) -> String {
        let all = few(&self.candidates);
        if self.candidates.is_empty() {
            return self.target.clone();
        }
        if let Some(part) = &self.leader_of {
            return format!("whichever leads {part} when the step begins: {all}");
        }
        let count = match (self.candidates.len(), self.count) {
            (1, _) | (_, None) => all,
            (_, Some(1)) => format!("one of {all}"),
            (_, Some(count)) => format!("{count} of {all}"),
        };
        if let Some(part) = &self.followers_of {
            return format!("{count}: any that does not lead {part} when the step begins");
        }
        if let Some(step) = &self.hit_by {
            return format!("{count}: what {step} hits");
        }
        match &self.most_endpoints_of {
            _ if self.candidates.len() == 1 || self.count.is_none() => count,
            Some(service) => {
                format!(
                    "{count}: the one with the most endpoints of {service}, ties broken by seed"
                )
            }
            None => format!("{count}, chosen by seed"),
        }
    }
}
