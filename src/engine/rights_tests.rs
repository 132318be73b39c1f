//! Every request that a run makes is one that the printed role allows.

use std::sync::{Arc, Mutex};

use http::Method;

use super::existing_tests::{parsed, run, with_applications};
use super::granted::Granted;
use super::preflight::Preflight;
use crate::preflight::rights::{self, Operation, ResourceNames, WayIn};

/// A workload, canaries, and one fault of each kind that the API or the model can have.
const EXPERIMENT: &str = "apiVersion: outage/v1alpha1
kind: Experiment
metadata: {name: rights}
spec:
  workload: [experiments/workloads/web.yaml]
  probes:
  - {name: own, http: {service: web}, rate: 20/s}
  - {name: shop, http: {service: shop/web}, rate: 20/s}
  - {name: scheduling, canary: scheduling}
  - {name: reconciliation, canary: reconciliation}
  steadyState:
  - nodesReady: all
  - endpointsReady: {service: web, atLeast: 2}
  method:
  - fault: {podDelete: {deployment: shop/web}}
    for: 1s
  - fault: {deploymentScale: {name: web, namespace: shop, replicas: 1}}
    for: 1s
  - fault: {nodeTaint: {target: {role: worker}, key: a, effect: NoSchedule}}
    for: 1s
  - fault: {nodeDrain: {target: {role: worker}}}
    for: 1s
  - fault: {kubeletStop: {target: {role: worker}}}
    for: 1s
  blastRadius: {namespaces: [shop]}
";

/// A request as RBAC names it. `None`: it asks for the API's version or kinds, as every user may.
fn operation(request: &http::request::Parts) -> Option<Operation> {
    let (path, query) = (request.uri.path(), request.uri.query().unwrap_or_default());
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, rest) = match &parts[..] {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        ["metrics"] => {
            let (resource, verb) = (path.to_owned(), "get".to_owned());
            return Some(Operation {
                namespace: None,
                group: String::new(),
                resource,
                name: None,
                verb,
            });
        }
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        rest => (None, rest),
    };
    let (resource, name, subresource) = match rest {
        [] => return None,
        [resource] => (*resource, None, None),
        [resource, name] => (*resource, Some(*name), None),
        [resource, name, subresource, ..] => (*resource, Some(*name), Some(*subresource)),
    };
    let verb = match (&request.method, name) {
        (&Method::GET, None) if query.contains("watch=true") => "watch",
        (&Method::GET, None) => "list",
        (&Method::GET, Some(_)) => "get",
        (&Method::POST, _) => "create",
        (&Method::PATCH, _) => "patch",
        (&Method::PUT, _) => "update",
        (&Method::DELETE, None) => "deletecollection",
        (&Method::DELETE, Some(_)) => "delete",
        other => panic!("{other:?}"),
    };
    let resource = match subresource {
        Some(subresource) => format!("{resource}/{subresource}"),
        None => resource.to_owned(),
    };
    Some(Operation {
        namespace: namespace.map(str::to_owned),
        group: group.to_owned(),
        resource,
        // The name of what is created is not known to the authorizer.
        name: name.filter(|_| verb != "create").map(str::to_owned),
        verb: verb.to_owned(),
    })
}

#[tokio::test]
async fn rights_that_were_granted_are_not_asked_for_again() {
    let root = tempfile::tempdir().unwrap();
    let mut handle = with_applications(root.path()).await;
    let asked: Arc<Mutex<usize>> = Arc::default();
    let seen = asked.clone();
    handle.cluster = handle.cluster.clone().recorded(move |request| {
        let is_review = request.uri.path().ends_with("selfsubjectaccessreviews");
        *seen.lock().unwrap() += usize::from(is_review);
    });
    let granted = Granted::default();
    let preflight =
        Preflight { handle: &handle, parsed: None, runs_dir: root.path(), granted: &granted };
    preflight.of_run().await.unwrap();
    let once = *asked.lock().unwrap();
    assert!(once > 1, "{once}");
    preflight.of_run().await.unwrap();
    assert_eq!(*asked.lock().unwrap(), once);
}

#[tokio::test]
async fn every_request_of_a_run_is_allowed_by_the_printed_role() {
    let root = tempfile::tempdir().unwrap();
    let mut handle = with_applications(root.path()).await;
    let requests: Arc<Mutex<Vec<Operation>>> = Arc::default();
    let seen = requests.clone();
    handle.cluster = handle.cluster.clone().recorded(move |request| {
        seen.lock().unwrap().extend(operation(request));
    });
    let ended = run(&handle, EXPERIMENT, root.path()).await;
    assert_eq!(ended.end.stop, None);
    let parsed = parsed(EXPERIMENT);
    let with = [(&parsed.experiment, &parsed.workload)];
    let rights = rights::of(with, WayIn::Engine, &ResourceNames::default());
    let made = requests.lock().unwrap();
    // Every authenticated user may review their own rights.
    let reviews = |it: &&Operation| it.group != "authorization.k8s.io";
    let mut refused: Vec<String> = made
        .iter()
        .filter(reviews)
        .filter(|made| !rights.iter().any(|right| right.of.covers(made)))
        .map(ToString::to_string)
        .collect();
    refused.sort();
    refused.dedup();
    assert_eq!(refused, Vec::<String>::new());
    // And the role allows to change nothing that the run did not change.
    let changes = |verb: &str| !["get", "list", "watch"].contains(&verb);
    let unused: Vec<String> = rights
        .iter()
        .filter(|right| changes(&right.of.verb))
        .filter(|right| !made.iter().any(|made| right.of.covers(made)))
        .map(|right| right.of.to_string())
        .collect();
    assert_eq!(unused, Vec::<String>::new());
}
