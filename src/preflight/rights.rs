//! What an experiment asks of a cluster's API, as RBAC names it. The one table: `rbac` prints it as
//! a role, and a preflight asks whether the user has each of these rights.

use std::collections::{BTreeMap, BTreeSet};

use crate::experiment::{
    ApiVerb, AppliedObject, Ask, Canary, Expectation, Experiment, Fault, From, Named, Target,
};
use crate::timeline::ObjectRef;
use crate::timeline::leader::{LEADER_LEASES, NODE_LEASES, SYSTEM_NAMESPACE};
use crate::workload::{Manifest, resource_name};

/// The right to do one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Right {
    pub of: Operation,
    /// What a run has to do without if it is missing. `None`: there is no run without it.
    pub without: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation {
    /// `None`: in all namespaces. What is in no namespace has none either.
    pub namespace: Option<String>,
    /// Empty: the core group.
    pub group: String,
    /// With its subresource: `pods/eviction`. A path of the server is one as it is: `/metrics`.
    pub resource: String,
    /// The one object; `None`: any.
    pub name: Option<String>,
    pub verb: String,
}

impl Operation {
    /// Whether the right to do this includes the right to do the other.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let same = |own: &str, other: &str| own == "*" || own == other;
        let any = |own: &Option<String>, other: &Option<String>| own.is_none() || own == other;
        same(&self.group, &other.group)
            && same(&self.resource, &other.resource)
            && same(&self.verb, &other.verb)
            && any(&self.namespace, &other.namespace)
            && any(&self.name, &other.name)
    }
}

/// `create pods/eviction in namespace shop`, `patch deployments.apps "web" in namespace shop`.
impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        self.name.iter().try_for_each(|name| write!(f, " \"{name}\""))?;
        self.namespace.iter().try_for_each(|namespace| write!(f, " in namespace {namespace}"))
    }
}

/// Some rights: each verb on each resource.
#[derive(Clone, Copy)]
struct Row {
    group: &'static str,
    resources: &'static str,
    verbs: &'static str,
    without: Option<&'static str>,
}

const fn row(group: &'static str, resources: &'static str, verbs: &'static str) -> Row {
    Row { group, resources, verbs, without: None }
}

impl Row {
    const fn or(self, without: &'static str) -> Self {
        Self { without: Some(without), ..self }
    }
}

const APPS: &str = "apps";
const LEASES: &str = "coordination.k8s.io";
const SLICES: &str = "discovery.k8s.io";

/// What every run watches of the cluster itself.
const CLUSTER: &[Row] = &[
    row("", "nodes", "list watch"),
    row("", "nodes/proxy", "get").or("the settings of the kubelets are unknown"),
    row("", "namespaces", "list").or("what earlier runs left behind is not looked for"),
    row("", "/metrics", "get").or("the API servers' writes are not counted"),
];
/// The same in these namespaces.
const SYSTEM: &[(&str, Row)] = &[
    (NODE_LEASES, row(LEASES, "leases", "list watch")),
    (LEADER_LEASES, row(LEASES, "leases", "list watch")),
    (
        SYSTEM_NAMESPACE,
        row("", "pods", "list").or("the settings and the state of the control plane are unknown"),
    ),
    (
        SYSTEM_NAMESPACE,
        row("", "pods/log", "get").or("the last log lines of failed pods are not shown"),
    ),
    // Where events of nodes are.
    ("default", row("", "events", "list watch")),
];
/// What is watched in a namespace, the run's own and each that the experiment names.
const WATCHED: &[Row] = &[
    row("", "pods events", "list watch"),
    row("", "pods/log", "get").or("the last log lines of failed pods are not shown"),
];
const ENDPOINTS: &[Row] = &[row(SLICES, "endpointslices", "list watch")];
/// A namespace of the run's own is made and removed.
const NAMESPACE: &[Row] = &[
    row("", "namespaces", "create get delete"),
    row("", "serviceaccounts", "get"),
    row("", "pods", "delete deletecollection"),
    row(LEASES, "leases", "create patch list watch").or("watch latency is not measured"),
];
/// A workload is waited for, whatever it consists of.
const WORKLOAD: &[Row] = &[
    row(APPS, "deployments statefulsets daemonsets", "list"),
    row("batch", "jobs", "list"),
    row("", "services", "list"),
];
/// What else is on a node that a fault hits.
const ON_NODES: &[Row] = &[row("", "pods", "list").or("what else a fault hits is unknown")];
/// Whether that may be lost: a run is refused where nobody can tell.
const MAY_BE_LOST: &[Row] =
    &[row("", "pods", "list"), row("policy", "poddisruptionbudgets", "list")];
/// A helper pod is started on a node, and commands run through it. Exec is asked for with `get`, and
/// checked as `create`, too, from Kubernetes 1.35.
const HELPER_PODS: &[Row] = &[
    row("", "namespaces", "patch"),
    row("", "nodes", "get"),
    row("", "pods", "create get delete"),
    row("", "pods/exec", "create get"),
];
/// A canary's own Deployment.
const SCALED: &[Row] = &[row(APPS, "deployments", "create patch list watch")];
/// A node must send a heartbeat after the undo.
const HEARTBEAT: &[Row] = &[row("", "nodes", "get")];
const LEASE_OF_NODE: &[Row] = &[row(LEASES, "leases", "get")];

#[derive(Default)]
struct Rights(BTreeMap<Operation, Option<&'static str>>);

impl Rights {
    fn of_any() -> Self {
        let mut rights = Self::default();
        rights.add(None, CLUSTER);
        let same = "two contexts of one cluster do not share a lock";
        let identity = row("", "namespaces", "get").or(same);
        rights.add_named(None, Some(SYSTEM_NAMESPACE), &[identity]);
        SYSTEM.iter().for_each(|(namespace, row)| rights.add(Some(namespace), &[*row]));
        // The run's own namespace has a new name each time.
        rights.add(None, WATCHED);
        rights.add(None, ENDPOINTS);
        rights
    }

    fn add(&mut self, namespace: Option<&str>, rows: &[Row]) {
        self.add_named(namespace, None, rows);
    }

    fn add_named(&mut self, namespace: Option<&str>, name: Option<&str>, rows: &[Row]) {
        for row in rows {
            for resource in row.resources.split(' ') {
                for verb in row.verbs.split(' ') {
                    self.add_one(namespace, (row.group, resource), name, verb, row.without);
                }
            }
        }
    }

    fn add_one(
        &mut self,
        namespace: Option<&str>,
        (group, resource): (&str, &str),
        name: Option<&str>,
        verb: &str,
        without: Option<&'static str>,
    ) {
        let operation = Operation {
            namespace: namespace.map(str::to_owned),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: name.map(str::to_owned),
            verb: verb.to_owned(),
        };
        let known = self.0.entry(operation).or_insert(without);
        *known = known.and(without);
    }

    /// Each right once: what another one covers is left out. What is needed stays beside an optional
    /// one, which need not be granted.
    fn least(self) -> Vec<Right> {
        let all: Vec<(Operation, Option<&'static str>)> = self.0.into_iter().collect();
        let covered = |one: &Operation, is_optional: bool| {
            let mut others = all.iter().filter(|(it, _)| it != one);
            others.any(|(it, without)| it.covers(one) && (is_optional || without.is_none()))
        };
        let kept = all.iter().filter(|(one, without)| !covered(one, without.is_some()));
        kept.map(|(one, without)| Right { of: one.clone(), without: *without }).collect()
    }
}

/// How the nodes of a cluster are entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WayIn {
    /// Without the API.
    Engine,
    HelperPods,
}

/// A kind of objects: its API version and its name.
pub(crate) type ObjectKind = (String, String);

/// What RBAC calls the kinds of objects: `deployments`. Those of custom resources are what a server
/// says.
#[derive(Debug, Default)]
pub(crate) struct ResourceNames(pub BTreeMap<ObjectKind, String>);

impl ResourceNames {
    /// `None`: the server does not have it.
    pub(crate) fn of(&self, api_version: &str, kind: &str) -> Option<String> {
        let custom = || self.0.get(&(api_version.to_owned(), kind.to_owned())).cloned();
        resource_name(api_version, kind).or_else(custom)
    }
}

/// The kinds of objects in experiments that are not Kubernetes' own.
pub(crate) fn custom_kinds<'a>(
    experiments: impl IntoIterator<Item = (&'a Experiment, &'a Manifest)>,
) -> BTreeSet<ObjectKind> {
    let mut kinds = BTreeSet::new();
    for (experiment, workload) in experiments {
        let objects = workload.objects().iter().map(|it| (it.api_version(), it.kind()));
        kinds.extend(objects.map(|(version, kind)| (version.to_owned(), kind.to_owned())));
        let steps = experiment.steps();
        let applied = steps.iter().filter_map(|step| step.fault()?.0.applied());
        kinds.extend(applied.map(|it| (it.api_version().to_owned(), it.kind().to_owned())));
    }
    kinds.retain(|(version, kind)| resource_name(version, kind).is_none());
    kinds
}

/// The rights that experiments need in a cluster, each with its workload. What a server does not
/// have needs none.
pub(crate) fn of<'a>(
    experiments: impl IntoIterator<Item = (&'a Experiment, &'a Manifest)>,
    way: WayIn,
    names: &ResourceNames,
) -> Vec<Right> {
    let mut rights = Rights::of_any();
    for (experiment, workload) in experiments {
        of_experiment(experiment, workload, names, &mut rights);
        if way == WayIn::HelperPods && experiment.works_in_nodes() {
            rights.add(None, NAMESPACE);
            rights.add(None, HELPER_PODS);
        }
    }
    rights.least()
}

/// Those that every experiment needs.
pub(crate) fn of_any() -> Vec<Right> {
    Rights::of_any().least()
}

fn of_experiment(
    experiment: &Experiment,
    workload: &Manifest,
    names: &ResourceNames,
    rights: &mut Rights,
) {
    for (namespace, services) in experiment.elsewhere() {
        rights.add(Some(&namespace), WATCHED);
        if !services.is_empty() {
            rights.add(Some(&namespace), ENDPOINTS);
        }
    }
    if !workload.objects().is_empty() {
        rights.add(None, NAMESPACE);
        rights.add(None, WORKLOAD);
    }
    for object in workload.objects() {
        let (version, kind) = (object.api_version(), object.kind());
        if let Some(resource) = names.of(version, kind) {
            rights.add_one(None, (group_of(version), &resource), None, "create", None);
        }
    }
    named(experiment, rights);
    probes(experiment, rights);
    let steps = experiment.steps();
    for (fault, _) in steps.iter().filter_map(|step| step.fault()) {
        of_fault(fault, experiment, names, rights);
    }
    if experiment.expect.contains(&Expectation::ObjectsKept) {
        let unread = "`objectsKept` is inconclusive if a kind cannot be listed";
        rights.add_one(None, ("*", "*"), None, "list", Some(unread));
    }
}

/// What exists already is read by its name.
fn named(experiment: &Experiment, rights: &mut Rights) {
    experiment.clone().each_named(&mut |named| match named {
        Named::Object(kind, ObjectRef { namespace, name }) => {
            let row = match kind {
                "Service" => row("", "services", "get"),
                "Ingress" => row("networking.k8s.io", "ingresses", "get"),
                "Secret" => row("", "secrets", "get"),
                // A Deployment is a fault's: it needs more.
                _ => return,
            };
            rights.add_named(namespace.as_deref(), Some(name), &[row]);
        }
        Named::Pods(pods) => rights.add(pods.namespace.as_deref(), &[row("", "pods", "list")]),
    });
}

fn probes(experiment: &Experiment, rights: &mut Rights) {
    for probe in &experiment.probes {
        if matches!(probe.from, From::Pod(_)) || matches!(probe.ask, Ask::Dns { .. }) {
            rights.add(Some(SYSTEM_NAMESPACE), &[row("", "services", "list")]);
        }
        if matches!(probe.ask.target(), Some(Target::Address { .. })) {
            let unknown = "the Service behind the address of a probe is unknown";
            rights.add(None, &[row("", "services", "list").or(unknown)]);
        }
        match &probe.ask {
            Ask::Api { verb, .. } => {
                let verbs = match verb {
                    ApiVerb::Read | ApiVerb::ReadCached => "create get",
                    ApiVerb::Write => "create patch",
                };
                rights.add(None, NAMESPACE);
                rights.add(None, &[row("", "configmaps", verbs)]);
            }
            Ask::Canary(canary) => {
                rights.add(None, NAMESPACE);
                match canary {
                    Canary::Scheduling => rights.add(None, &[row("", "pods", "create")]),
                    Canary::Reconciliation => rights.add(None, SCALED),
                    Canary::Autoscaling => {
                        rights.add(None, SCALED);
                        rights
                            .add(None, &[row("autoscaling", "horizontalpodautoscalers", "create")]);
                    }
                }
            }
            _ => {}
        }
    }
}

fn of_fault(fault: &Fault, experiment: &Experiment, names: &ResourceNames, rights: &mut Rights) {
    let namespace = fault.foreign_namespace();
    if let Some(deployment) = fault.deployment() {
        let name = Some(deployment.name.as_str());
        rights.add_named(namespace, name, &[row(APPS, "deployments", "get patch")]);
        if matches!(fault, Fault::DeploymentPlace { .. }) {
            rights.add(namespace, &[row("", "pods", "list")]);
        }
    }
    let resource = |it: &AppliedObject| names.of(it.api_version(), it.kind());
    if let Some((applied, resource)) = fault.applied().and_then(|it| Some((it, resource(it)?))) {
        let kind = (group_of(applied.api_version()), resource.as_str());
        rights.add_one(namespace, kind, None, "create", None);
        let name = Some(applied.object.name.as_str());
        for verb in ["get", "delete"] {
            rights.add_one(namespace, kind, name, verb, None);
        }
    }
    match fault {
        Fault::PodDelete { .. } => rights.add(namespace, &[row("", "pods", "list get delete")]),
        Fault::NodeDrain { target, .. } => {
            change_node(target.name.as_deref(), rights);
            let evict = [
                row("", "pods", "list"),
                row("", "pods/eviction", "create"),
                row("policy", "poddisruptionbudgets", "get")
                    .or("why an eviction is refused is not explained"),
            ];
            experiment.namespaces().iter().for_each(|it| rights.add(Some(it), &evict));
            if !experiment.workload.is_empty() {
                rights.add(None, &evict);
            }
        }
        Fault::NodeTaint { target, .. } => {
            change_node(target.name.as_deref(), rights);
            rights.add(None, ON_NODES);
        }
        _ if fault.degrades_node() => {
            rights.add(None, HEARTBEAT);
            rights.add(Some(NODE_LEASES), LEASE_OF_NODE);
            if fault.takes_pods() {
                rights.add(None, ON_NODES);
            }
        }
        _ => {}
    }
    if fault.may_lose_pods() && !experiment.blast_radius.allows_any_loss() {
        rights.add(None, MAY_BE_LOST);
    }
}

fn change_node(name: Option<&str>, rights: &mut Rights) {
    rights.add_named(None, name, &[row("", "nodes", "get patch")]);
}

/// `apps` of `apps/v1`; empty for `v1`.
fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Source, parse};

    fn chaos() -> ObjectKind {
        ("chaos-mesh.org/v1alpha1".into(), "NetworkChaos".into())
    }

    fn of_method(method: &str) -> Vec<String> {
        let text = format!(
            "apiVersion: outage/v1alpha1\nkind: Experiment\nmetadata: {{name: a}}\nspec:\n  namespace: shop\n  \
             probes: [{{name: web, tcp: {{address: 'a:80'}}, from: host}}]\n  method:\n  - fault: {{{method}}}\n    for: 1s\n"
        );
        let parsed = parse(Source::from_text("x.yaml", &text, "."));
        let parsed = parsed.unwrap_or_else(|problems| panic!("{problems}"));
        let names = ResourceNames([(chaos(), "networkchaos".to_owned())].into());
        let rights = of([(&parsed.experiment, &parsed.workload)], WayIn::HelperPods, &names);
        rights.into_iter().map(|right| right.of.to_string()).collect()
    }

    #[test]
    fn each_fault_needs_its_own() {
        let has = |rights: &[String], wanted: &str| rights.iter().any(|it| it == wanted);
        let deleted = of_method("podDelete: {deployment: web}");
        assert!(has(&deleted, "delete pods in namespace shop"), "{deleted:#?}");
        assert!(!deleted.iter().any(|it| it.starts_with("patch") || it.starts_with("create")));
        let drained = of_method("nodeDrain: {target: {name: w1}}");
        assert!(
            has(&drained, "patch nodes \"w1\"")
                && has(&drained, "create pods/eviction in namespace shop")
        );
        let scaled = of_method("deploymentScale: {name: web, replicas: 0}");
        assert!(has(&scaled, "patch deployments.apps \"web\" in namespace shop"), "{scaled:#?}");
        let stopped = of_method("nodeStop: {target: {role: worker}}");
        assert!(has(&stopped, "get leases.coordination.k8s.io in namespace kube-node-lease"));
        assert!(has(&stopped, "list poddisruptionbudgets.policy"));
        assert!(has(&stopped, "create pods/exec") && has(&stopped, "delete namespaces"));
        assert!(!has(&drained, "create pods/exec"), "no node is entered");
        let command = of_method(
            "command: {target: {name: w1}, effect: nodeDown, inject: [a], confirm: [b], undo: [c], confirmUndone: [d]}",
        );
        assert!(has(&command, "get leases.coordination.k8s.io in namespace kube-node-lease"));
        assert!(!has(&command, "create pods/exec"), "a command runs on this machine");
    }

    #[test]
    fn a_custom_resource_has_the_name_that_its_server_says() {
        let (version, kind) = chaos();
        let object =
            |name: &str| format!("{{apiVersion: {version}, kind: {name}, metadata: {{name: a}}}}");
        let applied = |name: &str| {
            let effect = "inEffect: {condition: {type: AllInjected}}";
            of_method(&format!("manifest: {{object: {}, {effect}}}", object(name)))
        };
        let rights = applied(&kind);
        let create = "create networkchaos.chaos-mesh.org in namespace shop".to_owned();
        assert!(rights.contains(&create), "{rights:#?}");
        let unserved = applied("OtherChaos");
        assert!(!unserved.iter().any(|it| it.contains("chaos-mesh.org")), "{unserved:#?}");
    }

    #[test]
    fn what_another_right_covers_is_left_out() {
        let deleted = of_method("podDelete: {deployment: web}");
        assert!(
            !deleted.contains(&"watch pods in namespace shop".to_owned()),
            "watched everywhere"
        );
        let least = |everywhere: Row, shop: Row| {
            let mut rights = Rights::default();
            rights.add(None, &[everywhere]);
            rights.add(Some("shop"), &[shop]);
            let kept = rights.least().into_iter();
            kept.map(|right| (right.of.namespace, right.without)).collect::<Vec<_>>()
        };
        let (needed, optional) = (row("", "pods", "list"), row("", "pods", "list").or("x"));
        let shop = Some("shop".to_owned());
        assert_eq!(least(optional, needed), [(None, Some("x")), (shop, None)]);
        assert_eq!(least(needed, optional), [(None, None)]);
        assert_eq!(least(needed, needed), [(None, None)]);
        assert_eq!(least(optional, optional), [(None, Some("x"))]);
    }

    #[test]
    fn an_optional_right_stays_optional() {
        let of = |spec: &str| -> BTreeMap<String, Option<&str>> {
            let text = format!(
                "apiVersion: outage/v1alpha1\nkind: Experiment\nmetadata: {{name: a}}\nspec:\n  \
                 probes: [{{name: web, tcp: {{address: 'a:80'}}, from: host}}]\n  \
                 method: [{{fault: {{kubeletStop: {{target: {{role: worker}}}}}}, for: 1s}}]\n  {spec}\n"
            );
            let parsed = parse(Source::from_text("x.yaml", &text, "."));
            let parsed = parsed.unwrap_or_else(|problems| panic!("{problems}"));
            let with = [(&parsed.experiment, &parsed.workload)];
            let rights = super::of(with, WayIn::Engine, &ResourceNames::default());
            rights.into_iter().map(|it| (it.of.to_string(), it.without)).collect()
        };
        let budgets = "list poddisruptionbudgets.policy";
        let rights = of("expect: [{objectsKept: {}}]");
        assert!(rights["list *.*"].is_some(), "a kind that cannot be listed is reported");
        assert_eq!(rights["list nodes"], None, "it is needed all the same");
        assert_eq!(rights[budgets], None, "a run that cannot read them is refused");
        assert!(rights["get /metrics"].is_some());
        let any = of("blastRadius: {lastReplica: true, exceedDisruptionBudgets: true}");
        assert_eq!(any.get(budgets), None, "they are not read");
    }
}
