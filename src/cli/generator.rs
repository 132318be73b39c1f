//! An experiment about an existing Service, written as a person would write it: a text that is then
//! read like every other one.

use std::time::Duration;

use super::failure::Failure;
use crate::cluster::{Application, ApplicationPort, Node, ReadinessProbe};
use crate::engine::error::RunError;
use crate::kind_config::is_dns_label;
use crate::timeline::{
    Component, Endpoint, FaultKind, NodeRole, ProbeHeader, Ready, counted, format_duration,
};
use crate::yaml::json::written;
use crate::yaml::suggest;

/// Attempts a second.
const RATE: u32 = 20;
const TIMEOUT: &str = "500ms";
/// No name is longer.
const NAME: usize = 63;

/// What an experiment is to be about.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub application: &'a Application,
    pub fault: ChosenFault,
    /// The context that the file names; `None`: the command line's.
    pub context: Option<&'a str>,
    /// The cluster's nodes.
    pub nodes: &'a [Node],
}

/// What the model predicts; `None`: it can't.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    pub detection: Option<Duration>,
    /// As long as the fault lasts or longer: no bound that could be exceeded.
    pub error_window: Option<Duration>,
    pub recovery: Option<Duration>,
}

impl Bounds {
    /// What the file bounds errors by, where they end before a fault that is held for so long.
    fn errors_within(&self, hold: Duration) -> Option<Duration> {
        self.error_window.filter(|window| *window < hold)
    }

    /// In words.
    fn describe(&self, hold: Duration) -> String {
        if [self.detection, self.error_window, self.recovery] == [None; 3] {
            return "no bounds: the model does not predict this fault, so results are reported but \
                    not judged"
                .into();
        }
        let shown = |bound: Option<Duration>| {
            bound.map_or("not predicted".into(), |bound| {
                format!("at most {}", format_duration(bound))
            })
        };
        let errors = match (self.error_window, self.errors_within(hold)) {
            (Some(_), None) => "may last until the undo (no bound)".into(),
            (_, within) => shown(within),
        };
        format!(
            "bounds from the model: detection {}, errors {errors}, recovery {}",
            shown(self.detection),
            shown(self.recovery)
        )
    }
}

/// A fault, by the name that a person typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChosenFault {
    pub name: &'static str,
    kind: FaultKind,
    hits: Hits,
    /// After "when".
    what: &'static str,
}

/// Where the experiment's probe runs.
struct Vantage {
    comment: &'static str,
    role: &'static str,
    words: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hits {
    Node,
    /// A node whose pods are evicted.
    Drain,
    Component(Component),
    Pods,
}

/// Every fault that needs no more than a Service, by name.
const FAULTS: &[ChosenFault] = &[
    fault("worker-stop", FaultKind::NodeStop, Hits::Node, "a worker is shut down"),
    fault("worker-kill", FaultKind::NodeKill, Hits::Node, "a worker loses power"),
    fault("worker-reboot", FaultKind::NodeReboot, Hits::Node, "a worker is rebooted"),
    fault("worker-pause", FaultKind::NodePause, Hits::Node, "a worker freezes"),
    fault("worker-freeze", FaultKind::NodeFreeze, Hits::Node, "all processes of a worker freeze"),
    fault("worker-disconnect", FaultKind::NodeDisconnect, Hits::Node, "a worker loses its network"),
    fault("worker-drain", FaultKind::NodeDrain, Hits::Drain, "a worker is drained"),
    fault("kubelet-stop", FaultKind::KubeletStop, Hits::Node, "a worker's kubelet stops"),
    fault("kubelet-pause", FaultKind::KubeletPause, Hits::Node, "a worker's kubelet freezes"),
    fault(
        "kubelet-throttle",
        FaultKind::KubeletThrottle,
        Hits::Node,
        "a worker's kubelet has 1% of one CPU",
    ),
    fault(
        "worker-partition",
        FaultKind::Partition,
        Hits::Node,
        "a worker is cut off from all other nodes",
    ),
    fault("pod-delete", FaultKind::PodDelete, Hits::Pods, "one of its pods is deleted"),
    fault(
        "container-kill",
        FaultKind::ContainerKill,
        Hits::Pods,
        "the containers of one of its pods die",
    ),
    component(
        "api-server-stop",
        Component::ApiServer,
        "the API server of one control plane is down",
    ),
    component("scheduler-stop", Component::Scheduler, "the scheduler that leads is down"),
    component(
        "controller-manager-stop",
        Component::ControllerManager,
        "the controller manager that leads is down",
    ),
    component("etcd-stop", Component::Etcd, "etcd of one control plane is down"),
];

const fn fault(name: &'static str, kind: FaultKind, hits: Hits, what: &'static str) -> ChosenFault {
    ChosenFault { name, kind, hits, what }
}

const fn component(name: &'static str, component: Component, what: &'static str) -> ChosenFault {
    fault(name, FaultKind::ComponentStop, Hits::Component(component), what)
}

impl ChosenFault {
    /// The fault of a name; `node-stop` is `worker-stop`.
    pub(super) fn named(name: &str) -> Result<Self, Failure> {
        let worker = name.strip_prefix("node-").map(|rest| format!("worker-{rest}"));
        let wanted = worker.as_deref().unwrap_or(name);
        let of_kind = |fault: &&Self| fault.kind.name() == name;
        let components: Vec<&str> = FAULTS
            .iter()
            .filter(of_kind)
            .filter(|fault| matches!(fault.hits, Hits::Component(_)))
            .map(|fault| fault.name)
            .collect();
        if !components.is_empty() {
            return Err(Failure::usage(format!("{name} does not say which component"))
                .hint(format!("the names for --service are {}", components.join(", "))));
        }
        let found = FAULTS.iter().find(|fault| fault.name == wanted || of_kind(fault));
        found.copied().ok_or_else(|| {
            let near = suggest::nearest(name, Self::names(), 3);
            let hint = match near.is_empty() {
                true => format!("the faults for --service are {}", Self::listed()),
                false => format!("did you mean {}?", suggest::listed(&near, "or")),
            };
            Failure::usage(format!("unknown fault {name}")).hint(hint)
        })
    }

    /// All names, each with what happens.
    pub(super) fn described() -> impl Iterator<Item = String> {
        let widest = Self::names().map(str::len).max().unwrap_or_default();
        Self::all().map(move |(name, what)| format!("{name:widest$}  {what}"))
    }

    /// All names, and what happens.
    pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        FAULTS.iter().map(|fault| (fault.name, fault.what))
    }

    /// All names, for people.
    pub(super) fn listed() -> String {
        Self::names().collect::<Vec<_>>().join(", ")
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        FAULTS.iter().map(|fault| fault.name)
    }
}

/// How a file names its schema to editors: where a release publishes it, else a file beside it.
fn for_editors() -> String {
    option_env!("OUTAGE_SCHEMAS").map_or_else(
        || {
            "# For editors: kubectl outage schema experiment >experiment.schema.json\n\
             # yaml-language-server: $schema=experiment.schema.json\n"
                .to_owned()
        },
        |url| format!("# yaml-language-server: $schema={url}/experiment.json\n"),
    )
}

fn ready(application: &Application) -> impl Iterator<Item = &Endpoint> {
    application.endpoints.iter().filter(|endpoint| endpoint.ready)
}

fn unfit(application: &Application, why: &str, hint: impl Into<String>) -> Failure {
    let Application { namespace, service, .. } = application;
    RunError::refused(format!("Service {namespace}/{service} {why}")).hint(hint).into()
}

/// The port to probe, whatever the fault. Errors where nobody can ask the application.
pub(super) fn probed_port(application: &Application) -> Result<&ApplicationPort, Failure> {
    let ports = &application.ports;
    if application.headless {
        let hint = "its clients find its pods through DNS: write an experiment with a probe \
                    `from: {pod: ...}` (docs/probes.md)";
        return Err(unfit(application, "has no ClusterIP", hint));
    }
    if ready(application).next().is_none() {
        let hint = format!(
            "nothing could be measured; `kubectl -n {} get pods` shows why",
            application.namespace
        );
        return Err(unfit(application, "has no ready endpoint", hint));
    }
    let asked = ports.iter().find(|port| port.tcp && port.readiness.is_some());
    let port = asked.or_else(|| ports.iter().find(|port| port.tcp));
    port.ok_or_else(|| unfit(application, "has no TCP port", "a probe needs HTTP, TCP or TLS"))
}

impl Request<'_> {
    /// Where the application is asked. Errors where nobody can ask it as an experiment does, and
    /// where the fault would not hit it.
    pub(super) fn port(&self) -> Result<&ApplicationPort, Failure> {
        let port = probed_port(self.application)?;
        let mut workers = self.nodes.iter().filter(|node| node.role == NodeRole::Worker);
        let has_endpoint = |worker: &Node| {
            self.ready().any(|endpoint| endpoint.node.as_ref() == Some(&worker.name))
        };
        if matches!(self.fault.hits, Hits::Node | Hits::Drain) && !workers.any(has_endpoint) {
            let hint = format!(
                "a fault on a worker would not hit it; \
                 `kubectl -n {} get pods -o wide` shows where its pods are",
                self.application.namespace
            );
            return Err(unfit(self.application, "has no ready endpoint on a worker", hint));
        }
        Ok(port)
    }

    /// What was chosen, a line each, for the person who did not write it.
    pub(super) fn chosen(&self, hold: Duration, bounds: &Bounds) -> Result<Vec<String>, Failure> {
        let port = self.port()?;
        let Application { namespace, service, session_affinity, .. } = self.application;
        let how = match &port.readiness {
            Some(ReadinessProbe::Http(path)) => {
                format!("HTTP {path} (the readiness probe of its pods)")
            }
            Some(ReadinessProbe::Grpc(_)) => "gRPC health (the readiness probe of its pods)".into(),
            None => "a TCP connection (its pods have no HTTP or gRPC readiness probe)".into(),
        };
        let affinity = match session_affinity {
            true => "; it has session affinity: one client sees one endpoint",
            false => "",
        };
        let mut chosen = vec![
            format!(
                "Service {namespace}/{service}: port {}, {how}, {RATE}/s with a timeout of {TIMEOUT}, \
                 {} ready{}{affinity}",
                port.port,
                counted(self.ready().count(), "endpoint"),
                self.only_node().map_or(String::new(), |node| format!(", all on {node}")),
            ),
            format!(
                "{}: {}{} for {}",
                self.fault.name,
                self.fault.what,
                if self.fault.kind.traits().lasts() { "" } else { "; watched" },
                format_duration(hold)
            ),
            format!("probed from {}", self.vantage().words),
            bounds.describe(hold),
        ];
        if bounds.detection.is_some() {
            chosen.push("no bound for latency: the model does not predict it".into());
        }
        chosen.extend(self.allowed().map(|allowed| format!("allows: {allowed}")));
        Ok(chosen)
    }

    /// What the blast radius allows that it does not by default.
    fn allowed(&self) -> Option<String> {
        let namespace = &self.application.namespace;
        match self.fault.hits {
            Hits::Node => None,
            Hits::Drain => Some(format!("the eviction of pods in namespace {namespace}")),
            Hits::Pods => Some(format!("faults on pods in namespace {namespace}")),
            Hits::Component(Component::Etcd) if self.has_one_control_plane() => {
                Some("the loss of etcd's quorum (one control plane)".into())
            }
            Hits::Component(component) => {
                Some(format!("one control plane without {}", component.name()))
            }
        }
    }

    fn has_one_control_plane(&self) -> bool {
        self.control_planes() == 1
    }

    fn control_planes(&self) -> usize {
        self.nodes.iter().filter(|node| node.role == NodeRole::ControlPlane).count()
    }

    /// A managed cluster's control planes are no nodes of it. A run never hits the node from which it
    /// probes, and prefers one with few endpoints.
    fn vantage(&self) -> Vantage {
        match self.control_planes() {
            0 => Vantage {
                comment: "    # The cluster shows no control-plane nodes: a worker, which is not hit.\n",
                role: "worker",
                words: "a worker, which is not hit: the cluster shows no control-plane nodes",
            },
            _ => Vantage { comment: "", role: "control-plane", words: "a control-plane node" },
        }
    }

    /// The node that has all ready endpoints, where there are several.
    fn only_node(&self) -> Option<&str> {
        let mut on = self.ready().map(|endpoint| endpoint.node.as_deref());
        let first = on.next()??;
        (self.ready().count() > 1 && on.all(|node| node == Some(first))).then_some(first)
    }

    /// The probe's name: the Service's, unless no probe may have that.
    pub(super) fn probe(&self) -> &str {
        let service = self.application.service.as_str();
        match is_dns_label(service) && !ProbeHeader::is_control_name(service) {
            true => service,
            false => "service",
        }
    }

    /// The experiment's name: the Service's, as far as there is room, and the fault's.
    fn name(&self) -> String {
        let fault = self.fault.name;
        let room = NAME - 1 - fault.len();
        let service: String = self.application.service.chars().take(room).collect();
        format!("{}-{fault}", service.trim_end_matches('-'))
    }

    fn ready(&self) -> impl Iterator<Item = &Endpoint> {
        ready(self.application)
    }

    /// The experiment's text.
    pub(super) fn text(&self, hold: Duration, bounds: &Bounds) -> Result<String, Failure> {
        let port = self.port()?;
        let Application { namespace, service, selector, .. } = self.application;
        let ChosenFault { kind, hits, what, .. } = self.fault;
        let full = written(&format!("{namespace}/{service}"));
        let (name, probe, namespace) =
            (written(&self.name()), written(self.probe()), written(namespace));
        let context = match self.context {
            Some(context) => format!(
                "  # `--context NAME` replaces it.\n  cluster: {{context: {}}}\n",
                written(context)
            ),
            None => "  # Runs in the cluster of `--context NAME`.\n".into(),
        };
        let (ask, why) = match &port.readiness {
            Some(ReadinessProbe::Grpc(service)) => (
                match service.as_str() {
                    "" => format!("grpc: {{service: {full}, port: {}}}", port.port),
                    name => format!(
                        "grpc: {{service: {full}, port: {}, healthService: {}}}",
                        port.port,
                        written(name)
                    ),
                },
                "The health check is that of the pods' readiness probe.",
            ),
            Some(ReadinessProbe::Http(path)) => (
                format!("http: {{service: {full}, port: {}, path: {}}}", port.port, written(path)),
                "The path is that of the pods' readiness probe.",
            ),
            None => (
                format!("tcp: {{service: {full}, port: {}}}", port.port),
                "The pods have no HTTP or gRPC readiness probe: only a connection is opened.",
            ),
        };
        let ready = self.nodes.iter().filter(|node| node.ready == Ready::True).count();
        let nodes = match ready == self.nodes.len() {
            true => "all".into(),
            false => format!("{ready}"),
        };
        let labels: Vec<String> = selector
            .iter()
            .map(|(key, value)| format!("{}: {}", written(key), written(value)))
            .collect();
        let (target, radius) = match hits {
            Hits::Node => {
                let more = if kind == FaultKind::KubeletThrottle { ", cpu: 1%" } else { "" };
                let target = format!("{{role: worker, mostEndpointsOf: {full}}}");
                (format!("{{target: {target}{more}}}"), String::new())
            }
            Hits::Drain => (
                format!("{{target: {{role: worker, mostEndpointsOf: {full}}}}}"),
                format!(
                    "  # Namespaces whose pods may be evicted.\n  blastRadius: {{namespaces: [{namespace}]}}\n"
                ),
            ),
            Hits::Pods => (
                format!("{{namespace: {namespace}, labels: {{{}}}}}", labels.join(", ")),
                format!(
                    "  # Namespaces whose pods may be hit.\n  blastRadius: {{namespaces: [{namespace}]}}\n"
                ),
            ),
            Hits::Component(component) => {
                let (name, alone) = (component.name(), self.has_one_control_plane());
                // Each control plane has one that works, or one that waits.
                let target = match component {
                    Component::Scheduler | Component::ControllerManager if !alone => {
                        format!("leader: {name}")
                    }
                    _ => "role: control-plane".into(),
                };
                let quorum = match component {
                    Component::Etcd if alone => ", quorumLoss: true",
                    _ => "",
                };
                (
                    format!("{{component: {name}, target: {{{target}}}}}"),
                    format!("  blastRadius: {{maxControlPlanes: 1{quorum}}}\n"),
                )
            }
        };
        let mut expect = String::new();
        let mut bound = |field: &str, length: Option<Duration>| {
            if let Some(length) = length {
                expect += &format!("  - {}\n", field.replace("BOUND", &format_duration(length)));
            }
        };
        bound("detection: {within: BOUND}", bounds.detection);
        let errors = bounds.errors_within(hold);
        bound(&format!("errorWindow: {{probe: {probe}, atMost: BOUND}}"), errors);
        bound("recovery: {within: BOUND}", bounds.recovery);
        let Vantage { comment, role, .. } = self.vantage();
        let expect = match expect.is_empty() {
            true => "  # The model has no prediction for this fault: results are reported, but not judged.\n".into(),
            false => format!(
                "  # Detection and errors: the model's longest time, plus 25% and 5s, rounded up. Recovery: the model's\n  # longest time, and at least a minute. A worse result fails the run.\n  expect:\n{expect}  \
                 # The model does not predict latency. Once a run has shown what is usual, add for example:\n  \
                 # - latency: {{probe: {probe}, quantile: p99, atMost: 100ms, during: after}}\n"
            ),
        };
        let editors = for_editors();
        Ok(format!(
            "{editors}\
             # Written by kubectl outage; edit it as you like.\n\
             apiVersion: outage/v1alpha1\n\
             kind: Experiment\n\
             metadata: {{name: {name}}}\n\
             spec:\n\
             \x20 question: What do clients of Service {namespace}/{service} see when {what}?\n\
             {context}\
             \x20 probes:\n\
             \x20 # {why}\n\
             \x20 - name: {probe}\n\
             \x20   {ask}\n\
             {comment}\
             \x20   from: {{node: {{role: {role}}}}}\n\
             \x20   rate: {RATE}/s\n\
             \x20   timeout: {TIMEOUT}\n\
             \x20 # Must be met before the fault, and again afterwards.\n\
             \x20 steadyState:\n\
             \x20 - nodesReady: {nodes}\n\
             \x20 - endpointsReady: {{service: {full}, atLeast: {ready}}}\n\
             \x20 - probe: {{name: {probe}, successRatio: 1.0, for: 5s}}\n\
             \x20 method:\n\
             \x20 - fault:\n\
             \x20     {kind}: {target}\n\
             \x20   for: {hold}\n\
             {radius}\
             {expect}",
            namespace = self.application.namespace,
            ready = self.ready().count(),
            hold = format_duration(hold),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::load::{Setting, checked};
    use crate::experiment::Source;

    fn shop() -> Application {
        let endpoint = |node: &str| Endpoint {
            address: "10.244.1.2".into(),
            pod: Some(format!("frontend-{node}")),
            node: Some(node.into()),
            ready: true,
        };
        Application {
            namespace: "shop".into(),
            service: "frontend".into(),
            ports: vec![ApplicationPort {
                port: 80,
                name: None,
                tcp: true,
                readiness: Some(ReadinessProbe::Http("/healthz?a=b".into())),
            }],
            selector: [("app".to_owned(), "1".to_owned())].into(),
            endpoints: vec![endpoint("w1"), endpoint("w2")],
            ..Application::default()
        }
    }

    /// So many control planes, and `w1`, `w2`.
    fn nodes(planes: usize) -> Vec<Node> {
        let node = |name: String, role| Node {
            name,
            role,
            labels: Default::default(),
            ready: Ready::True,
            addresses: Vec::new(),
            unschedulable: false,
            uid: String::new(),
            tainted: false,
            kubelet: String::new(),
            provider_id: None,
            system: String::new(),
            processor: String::new(),
            protected: false,
        };
        let planes = (1..=planes).map(|n| node(format!("cp{n}"), NodeRole::ControlPlane));
        planes.chain((1..=2).map(|n| node(format!("w{n}"), NodeRole::Worker))).collect()
    }

    fn request<'a>(application: &'a Application, nodes: &'a [Node], fault: &str) -> Request<'a> {
        let fault = ChosenFault::named(fault).unwrap();
        Request { application, fault, context: Some("kind-shop"), nodes }
    }

    const HOLD: Duration = Duration::from_secs(70);

    fn bounds() -> Bounds {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        Bounds { detection: seconds(56), error_window: seconds(60), recovery: seconds(90) }
    }

    /// Reads the text like every other one: the experiment's name and its probe's.
    fn read(text: &str) -> (String, String) {
        let all = checked(Source::from_text("x.yaml", text, ""), Setting::OWN);
        let all = all.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let experiment = &all[0].experiment;
        (experiment.name.clone(), experiment.probes[0].name.clone())
    }

    #[test]
    fn every_fault_makes_an_experiment_that_is_valid() {
        let application = shop();
        for name in ChosenFault::names() {
            for (bounds, planes) in
                [(Bounds::default(), 1), (bounds(), 1), (bounds(), 3), (bounds(), 0)]
            {
                let text = request(&application, &nodes(planes), name).text(HOLD, &bounds);
                assert_eq!(read(&text.unwrap()).0, format!("frontend-{name}"));
            }
        }
    }

    #[test]
    fn a_port_is_asked_as_the_readiness_probe_asks_it() {
        let asked = |readiness| {
            let mut application = shop();
            application.ports[0].readiness = readiness;
            let nodes = nodes(1);
            let text = request(&application, &nodes, "worker-stop").text(HOLD, &bounds()).unwrap();
            read(&text);
            text
        };
        let grpc = |service: &str| asked(Some(ReadinessProbe::Grpc(service.into())));
        assert!(grpc("").contains("grpc: {service: shop/frontend, port: 80}"), "{}", grpc(""));
        let named = "grpc: {service: shop/frontend, port: 80, healthService: shop.v1.Cart}";
        assert!(grpc("shop.v1.Cart").contains(named), "{}", grpc("shop.v1.Cart"));
        assert!(asked(None).contains("tcp: {service: shop/frontend, port: 80}"));
    }

    #[test]
    fn every_name_that_a_service_may_have_makes_an_experiment_that_is_valid() {
        let long = "a".repeat(63);
        let names = ["control", "control-1", "null", "on", "inf", "1e3", "0x1f", "12", &long];
        for service in names {
            let application = Application {
                namespace: service.into(),
                service: service.into(),
                selector: [("on".into(), "1".into()), ("1".into(), "null".into())].into(),
                ..shop()
            };
            for fault in ChosenFault::names() {
                let text = request(&application, &nodes(1), fault).text(HOLD, &bounds()).unwrap();
                let (experiment, probe) = read(&text);
                assert!(experiment.ends_with(fault) && experiment.len() <= 63, "{experiment}");
                let reserved = service.starts_with("control");
                assert_eq!(probe, if reserved { "service" } else { service });
            }
        }
    }

    #[test]
    fn no_more_is_allowed_than_the_fault_needs_and_it_is_said() {
        let application = shop();
        let written = |fault, planes| {
            let nodes = nodes(planes);
            let request = request(&application, &nodes, fault);
            let chosen = request.chosen(HOLD, &bounds()).unwrap();
            (request.text(HOLD, &bounds()).unwrap(), chosen.last().unwrap().clone())
        };
        let (text, chosen) = written("etcd-stop", 1);
        assert!(text.contains("{maxControlPlanes: 1, quorumLoss: true}"), "{text}");
        assert_eq!(chosen, "allows: the loss of etcd's quorum (one control plane)");
        let (text, chosen) = written("etcd-stop", 3);
        assert!(!text.contains("quorumLoss"), "{text}");
        assert_eq!(chosen, "allows: one control plane without etcd");
        let (text, _) = written("scheduler-stop", 3);
        assert!(text.contains("target: {leader: kube-scheduler}"), "{text}");
        assert_eq!(written("pod-delete", 1).1, "allows: faults on pods in namespace shop");
        assert!(written("worker-stop", 1).1.starts_with("no bound for latency"));
    }

    #[test]
    fn without_control_plane_nodes_the_probe_runs_on_a_worker() {
        let application = shop();
        let written = |planes| {
            let nodes = nodes(planes);
            let request = request(&application, &nodes, "kubelet-stop");
            let chosen = request.chosen(HOLD, &bounds()).unwrap();
            (request.text(HOLD, &bounds()).unwrap(), chosen[2].clone())
        };
        let (text, chosen) = written(0);
        assert!(text.contains("    from: {node: {role: worker}}\n"), "{text}");
        assert!(chosen.starts_with("probed from a worker, which is not hit"), "{chosen}");
        let (text, chosen) = written(1);
        assert!(text.contains("    from: {node: {role: control-plane}}\n"), "{text}");
        assert_eq!(chosen, "probed from a control-plane node");
    }

    #[test]
    fn errors_that_last_until_the_undo_have_no_bound() {
        let mut application = shop();
        application.endpoints.iter_mut().for_each(|endpoint| endpoint.node = Some("w1".into()));
        let nodes = nodes(1);
        let request = request(&application, &nodes, "worker-stop");
        let whole = Bounds { error_window: Some(HOLD), ..bounds() };
        let (text, chosen) =
            (request.text(HOLD, &whole).unwrap(), request.chosen(HOLD, &whole).unwrap());
        assert!(!text.contains("errorWindow") && text.contains("detection: {within"), "{text}");
        assert!(chosen[0].ends_with("2 endpoints ready, all on w1"), "{chosen:?}");
        assert!(chosen[3].contains("errors may last until the undo (no bound)"), "{chosen:?}");
        assert!(request.text(HOLD, &bounds()).unwrap().contains("errorWindow"));
        let chosen = request.chosen(HOLD, &Bounds::default()).unwrap();
        assert!(chosen.last().unwrap().starts_with("no bounds: the model does not predict"));
    }

    #[test]
    fn only_a_fault_that_is_undone_lasts_for_a_time() {
        let (application, nodes) = (shop(), nodes(1));
        let line = |fault| {
            let request = request(&application, &nodes, fault);
            request.chosen(HOLD, &bounds()).unwrap().swap_remove(1)
        };
        let deleted = "pod-delete: one of its pods is deleted; watched for ";
        assert!(line("pod-delete").starts_with(deleted), "{}", line("pod-delete"));
        let stopped = "worker-stop: a worker is shut down for ";
        assert!(line("worker-stop").starts_with(stopped), "{}", line("worker-stop"));
    }

    #[test]
    fn a_fault_that_needs_a_component_has_no_alias() {
        let error = ChosenFault::named("componentStop").unwrap_err().text();
        for name in ["api-server-stop", "scheduler-stop", "controller-manager-stop", "etcd-stop"] {
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let refused = |application: Application| {
            let nodes = nodes(1);
            let text = request(&application, &nodes, "worker-stop").text(HOLD, &Bounds::default());
            text.unwrap_err().text()
        };
        let headless = Application { headless: true, ..shop() };
        assert!(refused(headless).contains("Service shop/frontend has no ClusterIP"));
        let empty = Application { endpoints: Vec::new(), ..shop() };
        let empty = refused(empty);
        assert!(empty.contains("has no ready endpoint\n"), "{empty}");
        assert!(empty.contains("`kubectl -n shop get pods`"), "{empty}");
        let mut away = shop();
        away.endpoints.iter_mut().for_each(|endpoint| endpoint.node = Some("cp1".into()));
        for fault in ["worker-stop", "worker-drain"] {
            let nodes = nodes(1);
            let refused = request(&away, &nodes, fault).text(HOLD, &Bounds::default());
            let refused = refused.unwrap_err().line();
            assert!(refused.contains("has no ready endpoint on a worker"), "{refused}");
        }
        let nodes = nodes(1);
        assert!(request(&away, &nodes, "pod-delete").text(HOLD, &Bounds::default()).is_ok());
        let unknown = ChosenFault::named("worker-stp").unwrap_err();
        assert!(unknown.text().contains("did you mean `worker-stop`"), "{}", unknown.text());
        assert_eq!(ChosenFault::named("node-kill").unwrap().name, "worker-kill");
        assert_eq!(ChosenFault::named("podDelete").unwrap().name, "pod-delete");
    }
}
