//! Names that one part of an experiment uses and another defines: probes, Services, pods.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, PlacedFault};
use crate::experiment::DnsName;
use crate::experiment::decode::known;
use crate::experiment::files::Files;
use crate::experiment::resolve::{DEFAULT_NAMESPACE, Names};
use crate::experiment::schema::{
    Ask, Condition, Expectation, Fault, From, Pods, PodsBy, Probe, Target,
};
use crate::timeline::{ObjectRef, ProbeHeader};
use crate::workload::{Exposure, Route, Service};
use crate::yaml::suggest;

pub(super) fn check(check: &Check, files: &Files) {
    duplicates(check);
    probe_references(check);
    let objects = Objects { complete: files.complete, names: check.names };
    for (index, probe) in known(&check.draft.probes) {
        objects.probe(check, index, probe);
    }
    for (index, condition) in known(&check.draft.steady_state) {
        if let Condition::EndpointsReady { service, .. } = condition {
            objects.service(
                check,
                &format!("spec.steadyState[{index}].endpointsReady.service"),
                service,
            );
        }
    }
    for PlacedFault { fault, place, .. } in check.faults() {
        objects.fault(check, &place, fault);
    }
    for (index, expectation) in known(&check.draft.expect) {
        let place = format!("spec.expect[{index}].{}", expectation.kind());
        match expectation {
            Expectation::EndpointRemoval { service: Some(service), .. }
            | Expectation::Rescheduled { service, .. } => {
                objects.service(check, &format!("{place}.service"), service);
            }
            Expectation::NotRescheduled { pods } | Expectation::Restarted { pods, .. } => {
                objects.pods(check, &place, pods);
            }
            Expectation::EndpointRemoval { service: None, .. } if !asks_a_service(check) => {
                let message = "`endpointRemoval` needs `service`, as no probe targets a Service";
                check.report(check.error(&place, message));
            }
            _ => {}
        }
    }
}

/// Probes that could not be read may ask one, too.
fn asks_a_service(check: &Check) -> bool {
    check
        .draft
        .probes
        .iter()
        .any(|probe| probe.as_ref().is_none_or(|probe| probe.ask.service().is_some()))
}

/// The names as the file has them: a probe that has another mistake is there all the same.
fn probe_names<'a>(check: &Check<'a, '_>) -> Vec<(usize, &'a str)> {
    let probes = check.root.find("spec.probes").0.items();
    probes
        .iter()
        .enumerate()
        .filter_map(|(index, probe)| Some((index, probe.text_at("name")?)))
        .collect()
}

fn duplicates(check: &Check) {
    let names = probe_names(check).into_iter();
    let names = names.map(|(index, name)| (format!("spec.probes[{index}].name"), name));
    check.refuse_duplicates("probe name", None, names);
    for (index, name) in probe_names(check) {
        if ProbeHeader::is_control_name(name) {
            let place = format!("spec.probes[{index}].name");
            let message = format!("the probe name `{name}` is reserved");
            let hint = "`control` and `control-N` are the probes that watch the probers themselves: \
                        use another name";
            check.report(check.error(&place, message).hint(hint));
        }
    }
    let canary = |(index, probe): (usize, &Probe)| {
        Some((format!("spec.probes[{index}].canary"), probe.ask.canary()?.name()))
    };
    // What two of a kind create would have the same name.
    let hint = "one canary of each kind is enough; for a finer resolution use a higher `rate`";
    let canaries = known(&check.draft.probes).filter_map(canary);
    check.refuse_duplicates("canary", Some(hint), canaries);
}

fn probe_references(check: &Check) {
    let names: Vec<&str> = probe_names(check).into_iter().map(|(_, name)| name).collect();
    let reference = |place: String, name: &str| {
        if !names.contains(&name) {
            let problem = check.error(&place, format!("no probe is named `{name}`"));
            let hint = suggest::hint(name, &names, "the probes are");
            check.report(problem.hint_if(hint));
        }
    };
    for (index, condition) in known(&check.draft.steady_state) {
        if let Condition::Probe { name, .. } = condition {
            reference(format!("spec.steadyState[{index}].probe.name"), name);
        }
    }
    for (index, expectation) in known(&check.draft.expect) {
        if let Some(name) = expectation.probe() {
            reference(format!("spec.expect[{index}].{}.probe", expectation.kind()), name);
        }
    }
}

/// Where there is no workload, and nothing says where to look.
fn must_exist(check: &Check, place: &str, what: &str) {
    let problem = check.warning(place, format!("nothing in this experiment creates {what}"));
    check.report(problem.hint(format!(
        "it must already exist in the namespace `{DEFAULT_NAMESPACE}`: `spec.namespace`, `-n` or \
         `NAMESPACE/NAME` names another; or list its file in `workload`"
    )));
}

/// What the run's namespace will hold, as far as it is known.
struct Objects<'a> {
    /// Whether all of the workload's files could be read.
    complete: bool,
    names: &'a Names<'a>,
}

impl Objects<'_> {
    fn probe(&self, check: &Check, index: usize, probe: &Probe) {
        let place = format!("spec.probes[{index}].{}", probe.ask.kind());
        if let Ask::Dns { name: DnsName::Service(service), .. } = &probe.ask {
            self.named(check, &format!("{place}.service"), "Service", service);
        }
        let settings = probe.ask.tls_settings();
        let ca = settings.and_then(|tls| Some((&tls.ca_secret.as_ref()?.secret, "ca")));
        let client =
            settings.and_then(|tls| Some((tls.client_secret.as_ref()?, "clientCertificate")));
        for (secret, field) in ca.into_iter().chain(client) {
            self.named(check, &format!("{place}.{field}.secret"), "Secret", secret);
        }
        match probe.ask.target() {
            Some(Target::Service { service, port }) => {
                let (ask, place) = (&place, format!("{place}.service"));
                self.named(check, &place, "Service", service);
                // A pod asks by name, which DNS answers for these Services too.
                let by_name = matches!(probe.from, From::Pod(_));
                match self.without_address(service).filter(|_| !by_name) {
                    Some((message, hint)) => check.report(check.error(&place, message).hint(hint)),
                    None => self.port(check, ask, service, *port),
                }
            }
            Some(Target::Pod { pods, .. }) => self.pods(check, &format!("{place}.pod"), pods),
            Some(Target::Published { service, port, via, .. }) => {
                self.named(check, &format!("{place}.service"), "Service", service);
                let created = self.created(service);
                let fits = created.map(|it| via.fits(&service.name, it.service_type()));
                match fits.unwrap_or(Ok(())) {
                    Err(why) => {
                        let problem = check.error(&format!("{place}.via"), why.message);
                        check.report(problem.hint(why.hint));
                    }
                    Ok(()) => self.port(check, &place, service, *port),
                }
            }
            Some(Target::Ingress { ingress, host, .. }) => {
                self.named(check, &format!("{place}.ingress"), "Ingress", ingress);
                self.rule(check, &place, &probe.ask, ingress, host.as_deref());
            }
            Some(Target::Address { .. }) | None => {}
        }
        let inside = matches!(probe.ask.target(), Some(Target::Service { .. }))
            || matches!(probe.ask, Ask::Dns { .. });
        if inside && probe.from == From::Host {
            let message = "this machine can reach neither ClusterIPs nor the cluster's DNS";
            let problem = check.error(&format!("spec.probes[{index}].from"), message);
            check.report(problem.hint("use `from: {node: {role: control-plane}}`, or a pod"));
        }
        if let From::Pod(pods) = &probe.from {
            self.pods(check, &format!("spec.probes[{index}].from.pod"), pods);
        }
    }

    /// Why a Service can't be asked by its ClusterIP, and what can be asked.
    fn without_address(&self, service: &ObjectRef) -> Option<(String, String)> {
        let name = &service.name;
        match self.created(service)?.exposure() {
            Exposure::ClusterIp => None,
            Exposure::Headless => Some((
                format!("the Service `{name}` is headless: it has no ClusterIP to probe"),
                "probe one of its pods (`pod: {labels: ...}`), or its name with a `dns` probe"
                    .into(),
            )),
            Exposure::ExternalName(other) => Some((
                format!("the Service `{name}` is an ExternalName: it has no ClusterIP to probe"),
                format!("probe what it points to: `address: \"{other}:PORT\"`"),
            )),
        }
    }

    /// That one rule of an Ingress of the workload is meant by each path.
    fn rule(&self, check: &Check, place: &str, ask: &Ask, ingress: &ObjectRef, host: Option<&str>) {
        let (paths, None) = (ask.paths(), &ingress.namespace) else { return };
        let Some(routes) = self.names.workload.routes(&ingress.name) else { return };
        let unclear = paths.iter().find_map(|path| Route::chosen(&routes, host, path).err());
        if let Some(why) = unclear {
            let field = if host.is_some() { "host" } else { "ingress" };
            let message = format!("the Ingress `{}` has {}", ingress.name, why.what);
            check.report(check.error(&format!("{place}.{field}"), message).hint(why.hint));
        }
    }

    /// What is in other namespaces only the cluster knows.
    fn fault(&self, check: &Check, place: &str, fault: &Fault) {
        if let Some(service) = fault.target().and_then(|target| target.most_endpoints_of.as_ref()) {
            self.service(check, &format!("{place}.target.mostEndpointsOf"), service);
        }
        if let Some(deployment) = fault.deployment() {
            self.named(check, &format!("{place}.name"), "Deployment", deployment);
        }
        if let Some(pods) = fault.pods() {
            self.pods(check, place, &pods.pods);
        }
        if let Fault::ContainerKill { pods, container: Some(container) } = fault {
            self.container(check, &format!("{place}.container"), &pods.pods, container);
        }
    }

    fn service(&self, check: &Check, place: &str, service: &ObjectRef) {
        self.named(check, place, "Service", service);
        let external = self.created(service).map(|service| service.exposure());
        if let Some(Exposure::ExternalName(_)) = external {
            let message =
                format!("the Service `{service}` is an ExternalName: it has no endpoints");
            check.report(check.error(place, message));
        }
    }

    /// A Service that the workload makes.
    fn created(&self, service: &ObjectRef) -> Option<Service<'_>> {
        self.names.workload.service(&service.name).filter(|_| service.namespace.is_none())
    }

    /// Whether only the cluster knows what is not in the workload.
    fn may_be_there(&self) -> bool {
        !self.complete || self.names.namespace.is_some()
    }

    /// An object of the run's namespace, among those that the workload makes.
    fn named(&self, check: &Check, place: &str, kind: &str, object: &ObjectRef) {
        let ObjectRef { namespace, name } = object;
        if namespace.is_some() || self.names.creates(kind, name) || self.may_be_there() {
            return;
        }
        if !self.names.has_workload {
            return must_exist(check, place, &format!("the {kind} `{name}`"));
        }
        let names = self.names.workload.names(kind);
        let problem = check.error(place, format!("no workload file defines a {kind} `{name}`"));
        let hint = suggest::hint(name, &names, &format!("the workload's {kind}s are"));
        check.report(problem.hint_if(hint));
    }

    /// A webhook may add one to a pod that no file has: the cluster decides.
    fn container(&self, check: &Check, place: &str, pods: &Pods, name: &str) {
        let PodsBy::Labels(labels) = &pods.by else { return };
        if pods.namespace.is_some() {
            return;
        }
        let pods = self.names.workload.pods().filter(|pods| pods.have(labels));
        let names: Vec<&str> = pods.flat_map(|pods| pods.containers()).collect();
        if self.complete && !names.is_empty() && !names.contains(&name) {
            let message =
                format!("no workload file defines a container `{name}` in a pod with these labels");
            check.report(check.warning(place, message).hint_if(suggest::hint(
                name,
                &names,
                "their containers are",
            )));
        }
    }

    fn port(&self, check: &Check, place: &str, service: &ObjectRef, port: Option<u16>) {
        let (Some(service), name) = (self.created(service), &service.name) else { return };
        let ports = service.ports();
        let list = ports.iter().map(u16::to_string).collect::<Vec<_>>();
        match port {
            _ if ports.is_empty() => {
                let message = format!("the Service `{name}` has no ports, so none can be probed");
                let problem = check.error(&format!("{place}.service"), message);
                check.report(problem.hint("list the port in the Service's `ports`"));
            }
            Some(port) if !ports.contains(&port) => {
                let problem = check.error(
                    &format!("{place}.port"),
                    format!("the Service `{name}` has no port {port}"),
                );
                check.report(problem.hint(format!("it has {}", suggest::listed(&list, "and"))));
            }
            None if ports.len() > 1 => {
                let problem = check.error(
                    &format!("{place}.service"),
                    format!("the Service `{name}` has several ports"),
                );
                check.report(
                    problem
                        .hint(format!("choose one with `port`: {}", suggest::listed(&list, "or"))),
                );
            }
            _ => {}
        }
    }

    fn pods(&self, check: &Check, place: &str, pods: &Pods) {
        let (field, kind, name) = match &pods.by {
            PodsBy::Labels(labels) => return self.labelled(check, place, pods, labels),
            PodsBy::Deployment(name) => ("deployment", "Deployment", name),
            PodsBy::StatefulSet(name) => ("statefulSet", "StatefulSet", name),
            PodsBy::Name(_) if self.names.creates_pods(pods) => return,
            PodsBy::Name(name) => ("name", "Pod", name),
        };
        let object = ObjectRef { namespace: pods.namespace.clone(), name: name.clone() };
        self.named(check, &format!("{place}.{field}"), kind, &object);
    }

    fn labelled(&self, check: &Check, place: &str, pods: &Pods, labels: &BTreeMap<String, String>) {
        let place = &format!("{place}.labels");
        if pods.namespace.is_some() || self.names.creates_pods(pods) || self.may_be_there() {
            return;
        }
        if !self.names.has_workload {
            return must_exist(check, place, "a pod with these labels");
        }
        let label = |(key, value): (&String, &String)| format!("{key}={value}");
        let made = self.names.workload.pods();
        let known: BTreeSet<String> =
            made.flat_map(|pods| pods.labels().iter().map(label).collect::<Vec<_>>()).collect();
        let known: Vec<&String> = known.iter().collect();
        let unknown = labels.iter().map(label).find(|wanted| !known.contains(&wanted));
        let hint =
            unknown.and_then(|wanted| suggest::hint(&wanted, &known, "the workload's pods have"));
        check.report(
            check.error(place, "no workload file defines a pod with these labels").hint_if(hint),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CONFIG, GOOD, WORKLOAD, changed, problems, with_workload};

    /// What `WORKLOAD` says of its Service.
    const PORTS: &str = "{selector: {app: web}, ports: [{name: http, port: 80}]}";

    #[test]
    fn probes_are_found_by_name() {
        let diagnostics = changed("errorWindow: {probe: web", "errorWindow: {probe: wbe");
        assert_eq!(diagnostics, "24:26: error: no probe is named `wbe` (did you mean `web`?)");
        let diagnostics = changed("probe: {name: web", "probe: {name: api");
        assert_eq!(diagnostics, "17:19: error: no probe is named `api` (the probes are `web`)");
    }

    #[test]
    fn a_service_is_not_asked_from_this_machine() {
        let diagnostics = changed("from: {node: {role: control-plane}}", "from: host");
        assert!(
            diagnostics.contains("error: this machine can reach neither ClusterIPs"),
            "{diagnostics}"
        );
    }

    #[test]
    fn a_probe_with_another_mistake_is_there_all_the_same() {
        assert_eq!(changed("rate: 50/s", "rate: 0/s").lines().count(), 1);
    }

    #[test]
    fn two_probes_of_one_name_are_refused() {
        let diagnostics =
            changed("  steadyState:", "  - {name: web, tcp: {service: web}}\n  steadyState:");
        assert_eq!(diagnostics, "15:12: error: duplicate probe name `web`");
    }

    #[test]
    fn the_names_of_control_probes_are_reserved() {
        let named = |name: &str| {
            let probe = format!("  - {{name: {name}, canary: scheduling}}\n  steadyState:");
            changed("  steadyState:", &probe)
        };
        for name in ["control", "control-1", "control-20"] {
            let start = format!("15:12: error: the probe name `{name}` is reserved (`control` and");
            assert!(named(name).starts_with(&start), "{}", named(name));
        }
        for name in ["control-plane-api", "control-0", "control-01", "controls", "my-control"] {
            assert_eq!(named(name), "");
        }
    }

    #[test]
    fn two_canaries_of_one_kind_are_refused() {
        let canaries = |second: &str| {
            changed(
                "  steadyState:",
                &format!(
                    "  - {{name: a, canary: scheduling}}\n  - {{name: b, canary: {second}}}\n  steadyState:"
                ),
            )
        };
        assert_eq!(canaries("reconciliation"), "");
        let diagnostics = canaries("scheduling");
        assert!(
            diagnostics.starts_with(
                "16:23: error: duplicate canary `scheduling` (one canary of each kind"
            ),
            "{diagnostics}"
        );
    }

    #[test]
    fn services_are_found_in_the_workload() {
        let diagnostics = changed("mostEndpointsOf: web", "mostEndpointsOf: wb");
        assert_eq!(
            diagnostics.lines().next(),
            Some("20:58: error: no workload file defines a Service `wb` (did you mean `web`?)")
        );
        let diagnostics = changed("http: {service: web", "http: {service: api");
        assert!(
            diagnostics.contains(
                "no workload file defines a Service `api` (the workload's Services are `web`)"
            ),
            "{diagnostics}"
        );
    }

    #[test]
    fn without_a_workload_a_service_may_be_there_already() {
        let diagnostics = changed("  workload: [web.yaml]\n", "");
        assert!(
            diagnostics.lines().all(|line| line
                .contains("warning: nothing in this experiment creates the Service `web`")),
            "{diagnostics}"
        );
    }

    #[test]
    fn a_service_without_an_address_is_not_asked_by_it() {
        let spec = "{selector: {app: web}, ports: [{name: http, port: 80}]}";
        let diagnostics =
            with_workload(spec, "{clusterIP: None, selector: {app: web}, ports: [{port: 80}]}");
        assert_eq!(
            diagnostics,
            "11:21: error: the Service `web` is headless: it has no ClusterIP to probe (probe one of its pods (`pod: {labels: ...}`), or its name with a `dns` probe)"
        );
        let diagnostics =
            with_workload(spec, "{type: ExternalName, externalName: api.example.test}");
        assert!(
            diagnostics.contains("the Service `web` is an ExternalName: it has no ClusterIP to probe (probe what it points to: `address: \"api.example.test:PORT\"`)"),
            "{diagnostics}"
        );
        assert!(diagnostics.contains("is an ExternalName: it has no endpoints"), "{diagnostics}");
    }

    #[test]
    fn a_service_is_asked_from_outside_as_its_type_allows() {
        let found = |via: &str, spec: &str| {
            let probe = GOOD
                .replace("service: web, path", &format!("service: web, via: {via}, path"))
                .replace("    from: {node: {role: control-plane}}\n", "");
            problems(&probe, &WORKLOAD.replace(PORTS, spec), CONFIG)
        };
        let of_type = |of: &str| PORTS.replacen('{', &format!("{{type: {of}, "), 1);
        assert_eq!(
            found("nodePort", PORTS).lines().next(),
            Some(
                "11:31: error: the Service `web` is of type ClusterIP: it has no NodePort (set `type: NodePort` in its `spec`, or remove `via`)"
            )
        );
        assert!(found("loadBalancer", &of_type("NodePort")).contains("it has no load balancer"));
        for (via, of) in [
            ("nodePort", "NodePort"),
            ("nodePort", "LoadBalancer"),
            ("loadBalancer", "LoadBalancer"),
        ] {
            let found = found(via, &of_type(of));
            assert!(!found.contains("is of type"), "{found}");
        }
    }

    #[test]
    fn a_rule_of_an_ingress_is_found_in_the_workload() {
        let rule = |host: &str| {
            let path =
                "{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}";
            format!("{{host: {host}, http: {{paths: [{path}]}}}}")
        };
        let found = |asked: &str, hosts: &[&str]| {
            let rules: Vec<String> = hosts.iter().map(|host| rule(host)).collect();
            let probe = GOOD
                .replace("service: web, path", &format!("ingress: front{asked}, path"))
                .replace("    from: {node: {role: control-plane}}\n", "");
            let ingress = format!(
                "{WORKLOAD}---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: front}}\nspec: {{rules: [{}]}}\n",
                rules.join(", ")
            );
            problems(&probe, &ingress, CONFIG)
        };
        let two = ["a.test", "b.test"];
        let several = found("", &two);
        assert!(several.contains("11:21: error: the Ingress `front` has rules for several hosts (set `host`; its rules have: a.test, b.test)"), "{several}");
        let none = found(", host: c.test", &two);
        assert!(
            none.contains("11:34: error: the Ingress `front` has no rule for c.test/"),
            "{none}"
        );
        for found in [found(", host: a.test", &two), found("", &two[..1])] {
            assert!(!found.contains("the Ingress"), "{found}");
        }
    }

    #[test]
    fn a_pod_asks_a_service_without_an_address_by_its_name() {
        let probe = GOOD
            .replace("from: {node: {role: control-plane}}", "from: {pod: {labels: {app: web}}}");
        for spec in [
            "{clusterIP: None, selector: {app: web}, ports: [{port: 80}]}",
            "{type: ExternalName, externalName: api.example.test, ports: [{port: 80}]}",
        ] {
            let workload = |spec: &str| WORKLOAD.replace(PORTS, spec);
            let found = problems(&probe, &workload(spec), CONFIG);
            assert!(!found.contains("no ClusterIP"), "{found}");
            let found = problems(GOOD, &workload(spec), CONFIG);
            assert!(found.contains("it has no ClusterIP to probe"), "{found}");
        }
        let other = "{clusterIP: None, selector: {app: web}, ports: [{port: 80}, {port: 81}]}";
        let found = problems(&probe, &WORKLOAD.replace(PORTS, other), CONFIG);
        assert!(found.contains("has several ports"), "its ports count there too: {found}");
        let none = "{type: ExternalName, externalName: api.example.test}";
        let found = problems(&probe, &WORKLOAD.replace(PORTS, none), CONFIG);
        assert!(found.contains("11:21: error: the Service `web` has no ports"), "{found}");
    }

    #[test]
    fn ports_are_found_in_the_service() {
        assert!(
            changed("service: web, path", "service: web, port: 81, path")
                .contains("has no port 81 (it has `80`)")
        );
        let diagnostics = with_workload(
            "{name: http, port: 80}",
            "{name: http, port: 80}, {name: admin, port: 81}",
        );
        assert!(
            diagnostics.contains("has several ports (choose one with `port`: `80` or `81`)"),
            "{diagnostics}"
        );
    }

    #[test]
    fn pods_are_found_by_their_labels() {
        assert_eq!(
            changed(
                "from: {node: {role: control-plane}}",
                "from: {pod: {labels: {app: web, tier: front}}}"
            ),
            ""
        );
        let diagnostics =
            changed("from: {node: {role: control-plane}}", "from: {pod: {labels: {app: client}}}");
        assert!(
            diagnostics.contains("no workload file defines a pod with these labels"),
            "{diagnostics}"
        );
        assert!(
            diagnostics.contains("(the workload's pods have `app=web` and `tier=front`)"),
            "{diagnostics}"
        );
    }

    #[test]
    fn what_a_fault_hits_is_found_in_the_workload() {
        let fault =
            |to: &str| changed("nodeStop: {target: {role: worker, mostEndpointsOf: web}}", to);
        for right in [
            "deploymentScale: {name: web, replicas: 0}",
            "containerKill: {labels: {app: web}, container: nginx}",
        ] {
            assert!(!fault(right).contains("error"), "{right}");
        }
        let diagnostics = fault("deploymentScale: {name: wb, replicas: 0}");
        assert!(
            diagnostics.contains(
                "20:31: error: no workload file defines a Deployment `wb` (did you mean `web`?)"
            ),
            "{diagnostics}"
        );
        let diagnostics = fault("deploymentPlace: {name: coredns, on: {role: worker}}");
        assert!(diagnostics.contains("no workload file defines a Deployment `coredns` (the workload's Deployments are `web`)"), "{diagnostics}");
        let diagnostics = fault("podDelete: {labels: {app: wbe}}");
        assert!(
            diagnostics.contains("a pod with these labels (did you mean `app=web`?)"),
            "{diagnostics}"
        );
        let diagnostics = fault("containerKill: {labels: {app: web}, container: ngnix}");
        let wanted = "warning: no workload file defines a container `ngnix` in a pod with these labels (did you mean `nginx`?)";
        assert!(diagnostics.contains(wanted) && !diagnostics.contains("error"), "{diagnostics}");
        let injected = fault("containerKill: {labels: {app: web}, container: istio-proxy}");
        assert!(
            injected.contains("warning: ") && !injected.contains("error"),
            "a webhook may add it: {injected}"
        );
    }

    #[test]
    fn what_is_in_another_namespace_only_the_cluster_knows() {
        let scale = "deploymentScale: {namespace: kube-system, name: coredns, replicas: 0}";
        let diagnostics =
            changed("nodeStop: {target: {role: worker, mostEndpointsOf: web}}", scale);
        assert!(!diagnostics.contains("Deployment"), "{diagnostics}");
    }

    #[test]
    fn endpoint_removal_needs_a_service_from_somewhere() {
        let diagnostics = changed("detection: {within: 7s}", "endpointRemoval: {within: 7s}");
        assert_eq!(diagnostics, "");
        let no_service = "tcp: {address: \"db:5432\"}\n";
        let diagnostics = changed("http: {service: web, path: /}\n", no_service);
        assert!(!diagnostics.contains("endpointRemoval"), "{diagnostics}");
    }
}
