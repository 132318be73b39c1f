//! An experiment about a Service that exists, written as a person would write it: a text, which
//! then goes the way of every experiment.

use std::time::Duration;

use super::failure::Failure;
use crate::cluster::{Application, ApplicationPort};
use crate::timeline::{FaultKind, format_duration};
use crate::yaml::suggest;

/// Attempts a second.
const RATE: u32 = 20;
const TIMEOUT: &str = "500ms";

/// What an experiment is to be about.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub application: &'a Application,
    pub fault: ChosenFault,
    /// The context that the file names; `None`: the command line's.
    pub context: Option<&'a str>,
    /// How many nodes are ready, and whether these are all.
    pub nodes_ready: NodesReady,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum NodesReady {
    All,
    AtLeast(usize),
}

/// What the model predicts; `None`: it can't.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    pub detection: Option<Duration>,
    pub error_window: Option<Duration>,
    pub recovery: Option<Duration>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hits {
    Node,
    /// A node whose pods are evicted.
    Drain,
    Component(&'static str),
    Pods,
}

/// Every fault that needs no more than a Service, by name.
const FAULTS: &[ChosenFault] = &[
    fault("worker-stop", FaultKind::NodeStop, Hits::Node, "a worker is shut down"),
    fault("worker-kill", FaultKind::NodeKill, Hits::Node, "a worker loses power"),
    fault("worker-reboot", FaultKind::NodeReboot, Hits::Node, "a worker is rebooted"),
    fault("worker-pause", FaultKind::NodePause, Hits::Node, "a worker freezes"),
    fault("worker-disconnect", FaultKind::NodeDisconnect, Hits::Node, "a worker loses its network"),
    fault("worker-drain", FaultKind::NodeDrain, Hits::Drain, "a worker is drained"),
    fault("kubelet-stop", FaultKind::KubeletStop, Hits::Node, "a worker's kubelet stops"),
    fault("kubelet-pause", FaultKind::KubeletPause, Hits::Node, "a worker's kubelet freezes"),
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
    fault(
        "api-server-stop",
        FaultKind::ComponentStop,
        Hits::Component("kube-apiserver"),
        "the API server is down",
    ),
    fault(
        "scheduler-stop",
        FaultKind::ComponentStop,
        Hits::Component("kube-scheduler"),
        "the scheduler is down",
    ),
    fault(
        "controller-manager-stop",
        FaultKind::ComponentStop,
        Hits::Component("kube-controller-manager"),
        "the controller manager is down",
    ),
    fault("etcd-stop", FaultKind::ComponentStop, Hits::Component("etcd"), "etcd is down"),
];

const fn fault(name: &'static str, kind: FaultKind, hits: Hits, what: &'static str) -> ChosenFault {
    ChosenFault { name, kind, hits, what }
}

impl ChosenFault {
    /// The fault of a name; `node-stop` is `worker-stop`.
    pub(super) fn named(name: &str) -> Result<Self, Failure> {
        let worker = name.strip_prefix("node-").map(|rest| format!("worker-{rest}"));
        let wanted = worker.as_deref().unwrap_or(name);
        let found = FAULTS.iter().find(|fault| fault.name == wanted || fault.kind.name() == name);
        found.copied().ok_or_else(|| {
            let near = suggest::nearest(name, Self::names(), 3);
            let near = match near.is_empty() {
                true => String::new(),
                false => format!("did you mean {}? ", suggest::listed(&near, "or")),
            };
            let all = Self::names().collect::<Vec<_>>().join(", ");
            Failure::usage(format!("unknown fault {name}"))
                .hint(format!("{near}the faults for --service are {all}"))
        })
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        FAULTS.iter().map(|fault| fault.name)
    }
}

impl Request<'_> {
    /// Where the application is asked. Errors where nobody can ask it as an experiment does.
    fn port(&self) -> Result<&ApplicationPort, Failure> {
        let Application { namespace, service, headless, ports, endpoints, .. } = self.application;
        let refused = |why: String, hint: &str| {
            Err(Failure::usage(format!("Service {namespace}/{service} {why}")).hint(hint))
        };
        if *headless {
            return refused(
                "has no ClusterIP".into(),
                "its clients find its pods through DNS: write an experiment with a probe \
                 `from: {pod: ...}` (docs/probes.md)",
            );
        }
        if !endpoints.iter().any(|endpoint| endpoint.ready) {
            return refused(
                "has no ready endpoint".into(),
                "nothing could be measured; `kubectl -n NAMESPACE get pods` shows why",
            );
        }
        let asked = ports.iter().find(|port| port.tcp && port.readiness_path.is_some());
        match asked.or_else(|| ports.iter().find(|port| port.tcp)) {
            Some(port) => Ok(port),
            None => refused("has no TCP port".into(), "a probe needs HTTP, TCP or TLS"),
        }
    }

    /// What was chosen, a line each, for the person who did not write it.
    pub(super) fn chosen(&self, hold: Duration, bounds: &Bounds) -> Result<Vec<String>, Failure> {
        let port = self.port()?;
        let Application { namespace, service, session_affinity, .. } = self.application;
        let how = match &port.readiness_path {
            Some(path) => format!("HTTP {path} (the readiness probe of its pods)"),
            None => "a TCP connection (its pods have no HTTP readiness probe)".into(),
        };
        let affinity = match session_affinity {
            true => "; it has session affinity: one client sees one endpoint",
            false => "",
        };
        let shown = |bound: Option<Duration>| {
            bound.map_or("not predicted".into(), |bound| {
                format!("at most {}", format_duration(bound))
            })
        };
        Ok(vec![
            format!(
                "Service {namespace}/{service}: port {}, {how}, {RATE}/s with a timeout of {TIMEOUT}, \
                 {} ready{affinity}",
                port.port,
                crate::timeline::counted(self.ready(), "endpoint"),
            ),
            format!("{}: {} for {}", self.fault.name, self.fault.what, format_duration(hold)),
            format!(
                "bounds from the model: detection {}, errors {}, recovery {}",
                shown(bounds.detection),
                shown(bounds.error_window),
                shown(bounds.recovery)
            ),
        ])
    }

    fn ready(&self) -> usize {
        self.application.endpoints.iter().filter(|endpoint| endpoint.ready).count()
    }

    /// The experiment's text.
    pub(super) fn text(&self, hold: Duration, bounds: &Bounds) -> Result<String, Failure> {
        let port = self.port()?;
        let Application { namespace, service, selector, .. } = self.application;
        let ChosenFault { name, kind, hits, what } = self.fault;
        let full = format!("{namespace}/{service}");
        let context = match self.context {
            Some(context) => format!(
                "  # `--context NAME` replaces it.\n  cluster: {{context: {}}}\n",
                quoted(context)
            ),
            None => "  # Runs in the cluster of `--context NAME`.\n".into(),
        };
        let (ask, why) = match &port.readiness_path {
            Some(path) => (
                format!("http: {{service: {full}, port: {}, path: {}}}", port.port, quoted(path)),
                "The path is that of the pods' readiness probe.",
            ),
            None => (
                format!("tcp: {{service: {full}, port: {}}}", port.port),
                "The pods have no HTTP readiness probe: only a connection is opened.",
            ),
        };
        let nodes = match self.nodes_ready {
            NodesReady::All => "all".into(),
            NodesReady::AtLeast(count) => format!("{count}"),
        };
        let labels: Vec<String> =
            selector.iter().map(|(key, value)| format!("{key}: {}", quoted(value))).collect();
        let (target, radius) = match hits {
            Hits::Node => {
                (format!("{{target: {{role: worker, mostEndpointsOf: {full}}}}}"), String::new())
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
            Hits::Component(component) => (
                format!("{{component: {component}, target: {{role: control-plane}}}}"),
                match component {
                    "etcd" => "  blastRadius: {maxControlPlanes: 1, quorumLoss: true}\n".into(),
                    _ => "  blastRadius: {maxControlPlanes: 1}\n".into(),
                },
            ),
        };
        let mut expect = String::new();
        let mut bound = |field: &str, length: Option<Duration>| {
            if let Some(length) = length {
                expect += &format!("  - {}\n", field.replace("BOUND", &format_duration(length)));
            }
        };
        bound("detection: {within: BOUND}", bounds.detection);
        bound(&format!("errorWindow: {{probe: {service}, atMost: BOUND}}"), bounds.error_window);
        bound("recovery: {within: BOUND}", bounds.recovery);
        let expect = match expect.is_empty() {
            true => "  # The model has no prediction for this fault: results are reported, but not judged.\n".into(),
            false => format!(
                "  # The model's predictions from the cluster's settings, rounded up; at least a minute for\n  # recovery. A worse result fails the run.\n  expect:\n{expect}"
            ),
        };
        Ok(format!(
            "# Written by kubectl outage; edit it as you like.\n\
             apiVersion: outage/v1alpha1\n\
             kind: Experiment\n\
             metadata: {{name: {service}-{name}}}\n\
             spec:\n\
             \x20 question: What do clients of Service {full} see when {what}?\n\
             {context}\
             \x20 probes:\n\
             \x20 # {why}\n\
             \x20 - name: {service}\n\
             \x20   {ask}\n\
             \x20   from: {{node: {{role: control-plane}}}}\n\
             \x20   rate: {RATE}/s\n\
             \x20   timeout: {TIMEOUT}\n\
             \x20 # Must be met before the fault, and again afterwards.\n\
             \x20 steadyState:\n\
             \x20 - nodesReady: {nodes}\n\
             \x20 - endpointsReady: {{service: {full}, atLeast: {ready}}}\n\
             \x20 - probe: {{name: {service}, successRatio: 1.0, for: 5s}}\n\
             \x20 method:\n\
             \x20 - fault:\n\
             \x20     {kind}: {target}\n\
             \x20   for: {hold}\n\
             {radius}\
             {expect}",
            ready = self.ready(),
            hold = format_duration(hold),
        ))
    }
}

/// A text as a YAML scalar.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@:".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(plain)
        && !text.ends_with(':')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::load::{Setting, checked};
    use crate::experiment::Source;
    use crate::timeline::Endpoint;

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
                readiness_path: Some("/healthz?a=b".into()),
            }],
            selector: [("app".to_owned(), "1".to_owned())].into(),
            endpoints: vec![endpoint("w1"), endpoint("w2")],
            ..Application::default()
        }
    }

    fn request<'a>(application: &'a Application, fault: &str) -> Request<'a> {
        let fault = ChosenFault::named(fault).unwrap();
        Request { application, fault, context: Some("kind-shop"), nodes_ready: NodesReady::All }
    }

    #[test]
    fn every_fault_makes_an_experiment_that_is_valid() {
        let application = shop();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let bounds =
            Bounds { detection: seconds(56), error_window: seconds(60), recovery: seconds(90) };
        for name in ChosenFault::names() {
            for bounds in [Bounds::default(), bounds] {
                let text =
                    request(&application, name).text(Duration::from_secs(70), &bounds).unwrap();
                let source = Source::from_text("x.yaml", text.as_str(), "");
                let all = checked(source, Setting::OWN);
                let all = all.unwrap_or_else(|problems| panic!("{name}: {problems}\n{text}"));
                assert_eq!(all[0].experiment.name, format!("frontend-{name}"));
            }
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let refused = |application: Application| {
            let text = request(&application, "worker-stop")
                .text(Duration::from_secs(70), &Bounds::default());
            text.unwrap_err().line()
        };
        let headless = Application { headless: true, ..shop() };
        assert!(refused(headless).contains("Service shop/frontend has no ClusterIP"));
        let empty = Application { endpoints: Vec::new(), ..shop() };
        assert!(refused(empty).contains("has no ready endpoint"));
        let unknown = ChosenFault::named("worker-stp").unwrap_err();
        assert!(unknown.text().contains("did you mean `worker-stop`"), "{}", unknown.text());
        assert_eq!(ChosenFault::named("node-kill").unwrap().name, "worker-kill");
        assert_eq!(ChosenFault::named("podDelete").unwrap().name, "pod-delete");
    }
}
