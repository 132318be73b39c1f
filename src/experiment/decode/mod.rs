//! Located tree -> [`Draft`] -> [`Experiment`]: one file for each part of the schema, all mistakes
//! in one pass.

mod applied_object;
pub(super) mod ask;
pub(super) mod claim;
pub(super) mod cluster;
mod commands;
mod description;
pub(super) mod duration;
pub(super) mod expect;
pub(super) mod fields;
mod grpc;
mod http;
pub(super) mod method;
pub(super) mod node;
pub(super) mod probe;
pub(super) mod reference;
pub(super) mod scalar;
pub(super) mod steady;
pub(super) mod study;
mod target;
mod tls;
pub(super) mod url;
mod written;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::SourceFile;
use super::claim::Claim;
use super::matrix;
use super::schema::{
    API_VERSION, BlastRadius, Cluster, Condition, Expectation, Experiment, Probe, Step,
};
use super::tree::{Node, quoted};
use crate::yaml::suggest;
use fields::{Cx, Decode, Fields};

pub(super) const KIND: &str = "Experiment";
pub(super) const STUDY: &str = "Study";
const DEFAULT_WORKLOAD_TIMEOUT: Duration = Duration::from_secs(120);
const DEFAULT_STEADY_STATE_TIMEOUT: Duration = Duration::from_secs(120);

/// What could be understood of an experiment. The items keep their numbers: one that could not be
/// read is `None`, so that the checks across fields can go on with the others.
#[derive(Debug, Default, Clone)]
pub(super) struct Draft {
    /// `metadata.name`.
    pub name: Option<String>,
    /// `spec.question`.
    pub question: Option<String>,
    /// `spec.claims`.
    pub claims: Vec<Option<Claim>>,
    /// `spec.cluster`.
    pub cluster: Option<Cluster>,
    /// `spec.namespace`.
    pub namespace: Option<String>,
    /// `spec.workload`.
    pub workload: Vec<Option<PathBuf>>,
    /// `spec.workloadTimeout`.
    pub workload_timeout: Option<Duration>,
    /// `spec.probes`.
    pub probes: Vec<Option<Probe>>,
    /// `spec.steadyState`.
    pub steady_state: Vec<Option<Condition>>,
    /// `spec.steadyStateTimeout`.
    pub steady_state_timeout: Option<Duration>,
    /// `spec.method`.
    pub method: Vec<Option<Step>>,
    /// `spec.expect`.
    pub expect: Vec<Option<Expectation>>,
    /// `spec.blastRadius`.
    pub blast_radius: Option<BlastRadius>,
}

impl Draft {
    pub(super) fn is_complete(&self) -> bool {
        self.clone().complete().is_some()
    }

    pub(super) fn complete(self) -> Option<Experiment> {
        Some(Experiment {
            name: self.name?,
            question: self.question,
            claims: whole(self.claims)?,
            cluster: self.cluster?,
            namespace: self.namespace,
            workload: whole(self.workload)?,
            workload_timeout: self.workload_timeout?,
            probes: whole(self.probes)?,
            steady_state: whole(self.steady_state)?,
            steady_state_timeout: self.steady_state_timeout?,
            method: whole(self.method)?,
            expect: whole(self.expect)?,
            blast_radius: self.blast_radius?,
        })
    }
}

fn whole<T>(items: Vec<Option<T>>) -> Option<Vec<T>> {
    items.into_iter().collect()
}

/// Those items that could be read, with their numbers.
pub(super) fn known<T>(items: &[Option<T>]) -> impl Iterator<Item = (usize, &T)> {
    items.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref()?)))
}

/// Reads an experiment, as far as it can be. `None`: it is something else, or has no spec.
pub(super) fn experiment(cx: &Cx, node: &Node) -> Option<Draft> {
    another_kind(cx, node, KIND, "an experiment")?;
    let mut fields = Fields::of(cx, node, "an experiment")?;
    fields.about(
        "An experiment: probes send requests at a fixed rate while faults are injected and undone, \
         and expectations judge what was measured.",
    );
    fields.doc("The version of this format.").required("apiVersion", api_version);
    fields
        .doc("The kind of this file.")
        .required("kind", |cx, _| cx.reads(|| json!({"const": KIND})));
    let name = fields.doc("The metadata: the name.").required("metadata", metadata);
    let spec = fields.doc("The experiment itself.").required("spec", spec);
    fields.finish();
    Some(Draft { name, ..spec? })
}

/// A file of something else gets one clear error, not one for each of its fields. A kind that was
/// only misspelt hides nothing.
fn another_kind(cx: &Cx, node: &Node, wanted: &str, what: &str) -> Option<()> {
    let Some(kind) = node.get("kind").filter(|kind| kind.text() != Some(wanted)) else {
        return Some(());
    };
    let found = kind.text().unwrap_or_default();
    let is_other = [KIND, STUDY].contains(&found);
    let is_meant = suggest::closest(found, [wanted]).is_some()
        || node.text_at("apiVersion") == Some(API_VERSION) && !is_other;
    let message = format!("expected the kind `{wanted}`, found {}", kind.described());
    let hint = match found {
        STUDY => "`kubectl outage study -f FILE` runs a study".to_owned(),
        KIND => "`kubectl outage run -f FILE` runs an experiment".to_owned(),
        _ => format!("{what} starts with `apiVersion: {API_VERSION}` and `kind: {wanted}`"),
    };
    cx.error_hint::<()>(kind.focus(), message, hint);
    is_meant.then_some(())
}

pub(crate) fn json_schema() -> Json {
    let mut schema = schema_of(experiment, "an outage experiment");
    for key in matrix::LISTS_OF_STEPS {
        let setting = &mut schema["$defs"]["step"]["properties"][key];
        let doc = setting.as_object_mut().and_then(|setting| setting.shift_remove("description"));
        let doc = format!(
            "{} A list makes one experiment of each item.",
            doc.as_ref().and_then(Json::as_str).unwrap_or_default()
        );
        let one = setting.take();
        let list = json!({"type": "array", "items": one, "minItems": 1});
        *setting = json!({"description": doc, "anyOf": [one, list]});
    }
    schema
}

fn schema_of<T>(decode: Decode<T>, title: &str) -> Json {
    let file = Arc::new(SourceFile { name: String::new(), text: String::new() });
    let cx = Cx::describing(&file);
    decode(&cx, &Node::nothing());
    let mut schema = cx.into_json_schema();
    schema["title"] = title.into();
    schema
}

fn api_version(cx: &Cx, node: &Node) -> Option<()> {
    cx.reads(|| json!({"const": API_VERSION}))?;
    match node.text() {
        Some(API_VERSION) => Some(()),
        other => {
            let found = other.map_or_else(|| node.described(), quoted);
            cx.error_hint(
                node.focus(),
                format!("unknown apiVersion {found}"),
                format!("supported: `{API_VERSION}`"),
            )
        }
    }
}

fn metadata(cx: &Cx, node: &Node) -> Option<String> {
    let mut fields = Fields::of(cx, node, "metadata")?;
    let name = fields
        .doc("Its name in reports, and part of the names of what a run creates.")
        .required("name", scalar::dns_label);
    fields.finish();
    name
}

fn spec(cx: &Cx, node: &Node) -> Option<Draft> {
    let mut draft = Draft::default();
    let mut fields = Fields::of(cx, node, "the spec")?;
    draft.question = fields
        .doc("The question that it answers, in a sentence. Reports print it.")
        .optional("question", scalar::sentence)
        .flatten();
    draft.claims = fields
        .doc("Published claims that the verdict, or some of the expectations, confirm or refute.")
        .or("claims", Vec::new(), list(claim::claim))
        .unwrap_or(vec![None]);
    draft.cluster = fields
        .doc(
            "The cluster that it runs on. Default: that of `--context`, else the current context \
             (without faults only).",
        )
        .or("cluster", Cluster::Context, cluster::cluster);
    draft.namespace = fields
        .doc(
            "The namespace of objects that are named without one and that the workload does not \
             define; `-n` replaces it. Default: `default` where there is no workload.",
        )
        .optional("namespace", scalar::dns_label)
        .flatten();
    draft.workload = fields
        .doc("Manifests to apply to a new namespace, which is deleted after the run.")
        .or("workload", Vec::new(), list(scalar::path))
        .unwrap_or(vec![None]);
    draft.workload_timeout = fields.doc("How long the workload may take to become ready.").or(
        "workloadTimeout",
        DEFAULT_WORKLOAD_TIMEOUT,
        scalar::positive,
    );
    draft.probes = fields
        .doc("What is probed throughout the run, from where, and how often.")
        .required("probes", list(probe::probe))
        .unwrap_or(vec![None]);
    draft.steady_state = fields
        .doc("What must be met before the first fault, and again after the last undo.")
        .or("steadyState", Vec::new(), list(steady::condition))
        .unwrap_or(vec![None]);
    draft.steady_state_timeout = fields
        .doc("How long the steady state may take to be reached.")
        .or("steadyStateTimeout", DEFAULT_STEADY_STATE_TIMEOUT, scalar::positive);
    draft.method = fields
        .doc("Faults and pauses, one after the other.")
        .required("method", list(method::step))
        .unwrap_or(vec![None]);
    draft.expect = fields
        .doc("What must be met for the run to pass. Default: nothing, the run only measures.")
        .or("expect", Vec::new(), list(expect::expectation))
        .unwrap_or(vec![None]);
    draft.blast_radius = fields.doc("How much may be affected at the same time.").or(
        "blastRadius",
        BlastRadius::default(),
        cluster::blast_radius,
    );
    fields.finish();
    Some(draft)
}

fn list<T>(decode: Decode<T>) -> impl Fn(&Cx, &Node) -> Option<Vec<Option<T>>> {
    move |cx, node| cx.items(node, decode)
}
