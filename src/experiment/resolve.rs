//! Where what an experiment names is: a bare name is of the workload, else of the namespace that
//! the command or the file says.

use super::schema::{Experiment, Fault, Named, Pods, PodsBy};
use crate::timeline::ObjectRef;
use crate::workload::Manifest;

/// Where bare names are looked for in a cluster when nothing says where, and nothing is created.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// What decides where a bare name is.
pub(super) struct Names<'a> {
    pub workload: &'a Manifest,
    /// Whether the experiment has a workload, and so a namespace of its own.
    pub has_workload: bool,
    /// The namespace that the command says, else the file.
    pub namespace: Option<&'a str>,
}

impl<'a> Names<'a> {
    /// The namespace of what exists already; `None`: there is none in which to look.
    pub(super) fn elsewhere(&self) -> Option<&'a str> {
        self.namespace.or((!self.has_workload).then_some(DEFAULT_NAMESPACE))
    }

    pub(super) fn creates(&self, kind: &str, name: &str) -> bool {
        self.workload.names(kind).contains(&name)
    }

    pub(super) fn creates_pods(&self, pods: &Pods) -> bool {
        match &pods.by {
            PodsBy::Labels(labels) => self.workload.pods().any(|made| made.have(labels)),
            PodsBy::Deployment(name) => self.creates("Deployment", name),
            PodsBy::StatefulSet(name) => self.creates("StatefulSet", name),
            PodsBy::Name(name) => {
                let set = name.rsplit_once('-').filter(|(_, number)| number.parse::<u32>().is_ok());
                self.creates("Pod", name)
                    || set.is_some_and(|(set, _)| self.creates("StatefulSet", set))
            }
        }
    }

    /// An object with its namespace; one that stays bare is of the run's own.
    pub(super) fn object(&self, kind: &str, object: &ObjectRef) -> ObjectRef {
        let created = self.creates(kind, &object.name);
        ObjectRef::new(self.namespace_of(object.namespace.as_deref(), created), &object.name)
    }

    /// A fault with the namespaces of all that it names.
    pub(super) fn resolved(&self, fault: &Fault) -> Fault {
        let mut fault = fault.clone();
        fault.each_named(&mut |named| self.resolve(named));
        fault
    }

    fn resolve(&self, named: Named) {
        match named {
            Named::Object(kind, object) => *object = self.object(kind, object),
            Named::Pods(pods) => {
                let created = self.creates_pods(pods);
                pods.namespace =
                    self.namespace_of(pods.namespace.as_deref(), created).map(str::to_owned);
            }
        }
    }

    fn namespace_of<'n>(&'n self, named: Option<&'n str>, created: bool) -> Option<&'n str> {
        named.or_else(|| self.elsewhere().filter(|_| !created))
    }
}

/// Gives all bare names their namespaces: those that stay bare are of the run's own.
pub(super) fn resolve(experiment: &mut Experiment, names: &Names) {
    experiment.each_named(&mut |named| names.resolve(named));
}

#[cfg(test)]
mod tests {
    use crate::experiment::parsed::read_for;
    use crate::experiment::schema::{Experiment, From, Target};
    use crate::experiment::source::Source;
    use crate::experiment::{Place, Setting};

    const GOOD: &str = include_str!("testdata/good.yaml");
    const WORKLOAD: &str = include_str!("testdata/web.yaml");
    const ELSEWHERE: &str =
        "  - {name: front, http: {service: front, port: 80}, from: {pod: {deployment: client}}}
  - {name: db, tcp: {service: data/db}}
  steadyState:
";

    fn read(experiment: &str, namespace: Option<&str>) -> Result<(Experiment, String), String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("web.yaml"), WORKLOAD).unwrap();
        let scope = Setting { place: Place::Other, namespace };
        let reading = read_for(Source::from_text("x.yaml", experiment, folder.path()), scope);
        let mut all = reading.finish().map_err(|problems| problems.to_string())?;
        let one = all.swap_remove(0);
        Ok((one.experiment, one.warnings.to_string()))
    }

    fn services(experiment: &Experiment) -> Vec<String> {
        let services = experiment.probes.iter().filter_map(|probe| probe.ask.service());
        services.map(ToString::to_string).collect()
    }

    #[test]
    fn a_bare_name_is_of_the_workload_else_of_the_namespace_that_is_said() {
        let both = GOOD.replace("  steadyState:\n", ELSEWHERE);
        let said = both.replace("spec:\n", "spec:\n  namespace: shop\n");
        let (experiment, warnings) = read(&said, None).unwrap();
        assert_eq!(services(&experiment), ["web", "shop/front", "data/db"]);
        let From::Pod(pods) = &experiment.probes[1].from else { panic!("from a pod") };
        assert_eq!(pods.to_string(), "of Deployment client in shop");
        assert_eq!((experiment.namespace.as_deref(), warnings.as_str()), (Some("shop"), ""));
        let elsewhere = experiment.elsewhere();
        assert_eq!(elsewhere.keys().collect::<Vec<_>>(), ["data", "shop"]);
        assert_eq!(elsewhere["shop"], ["shop/front".into()]);
        let (experiment, _) = read(&said, Some("other")).unwrap();
        assert_eq!(services(&experiment), ["web", "other/front", "data/db"], "-n counts");
        let unsaid = read(&both, None).unwrap_err();
        assert!(unsaid.contains("no workload file defines a Service `front`"), "{unsaid}");
    }

    #[test]
    fn without_a_workload_the_namespace_is_default_and_said() {
        let alone = GOOD.replace("  workload: [web.yaml]\n", "");
        let (experiment, warnings) = read(&alone, None).unwrap();
        assert_eq!(services(&experiment), ["default/web"]);
        assert!(
            warnings.contains("in the namespace `default`: `spec.namespace`, `-n`"),
            "{warnings}"
        );
        let (experiment, warnings) = read(&alone, Some("shop")).unwrap();
        assert_eq!((services(&experiment), warnings.as_str()), (vec!["shop/web".into()], ""));
        let json = serde_json::to_value(&experiment).unwrap();
        assert_eq!(serde_json::from_value::<Experiment>(json).unwrap(), experiment);
    }

    #[test]
    fn the_objects_of_the_application_may_be_hit_and_no_others() {
        let fault = |text: &str| {
            GOOD.replace("  workload: [web.yaml]\n", "")
                .replace("nodeStop: {target: {role: worker, mostEndpointsOf: web}}", text)
        };
        let bare = fault("podDelete: {labels: {app: web}}");
        let refused = read(&bare, None).unwrap_err();
        assert!(refused.contains("affects the namespace `default`"), "{refused}");
        assert!(read(&bare, Some("shop")).is_ok());
        let other = fault("podDelete: {statefulSet: data/db}");
        let refused = read(&other, Some("shop")).unwrap_err();
        assert!(refused.contains("affects the namespace `data`"), "{refused}");
    }

    #[test]
    fn earlier_timelines_have_names_that_are_read() {
        let target: Target =
            serde_json::from_str(r#"{"service":{"name":"web","port":null}}"#).unwrap();
        assert_eq!(target, Target::Service { service: "web".into(), port: None });
        let target: Target =
            serde_json::from_str(r#"{"pod":{"labels":{"app":"web"},"port":80}}"#).unwrap();
        assert!(matches!(target, Target::Pod { port: 80, .. }));
        let from: From = serde_json::from_str(r#"{"pod":{"labels":{"app":"web"}}}"#).unwrap();
        assert!(matches!(from, From::Pod(_)));
        for fault in [
            r#"{"deploymentScale":{"namespace":"kube-system","name":"coredns","replicas":0}}"#,
            r#"{"podDelete":{"pods":{"namespace":null,"labels":{"app":"web"},"count":{"exactly":1}}}}"#,
        ] {
            serde_json::from_str::<crate::experiment::Fault>(fault).unwrap();
        }
        for expectation in [
            r#"{"notRescheduled":{"labels":{"app":"web"}}}"#,
            r#"{"restarted":{"labels":{"app":"web"},"within":{"secs":7,"nanos":0}}}"#,
            r#"{"endpointRemoval":{"service":null,"within":{"secs":7,"nanos":0}}}"#,
        ] {
            serde_json::from_str::<crate::experiment::Expectation>(expectation).unwrap();
        }
    }
}
