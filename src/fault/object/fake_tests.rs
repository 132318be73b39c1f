//! Faults on objects against an API server in which others write, too.

use serde_json::{Value, json};

use super::deployment::PlannedDeployment;
use super::*;
use crate::cluster::fake::{FakeApi, changed, merged};
use crate::cluster::onto;
use crate::fault::{DeploymentPlace, DeploymentScale, NodeDrain, NodeTaint};
use crate::timeline::{Taint, TaintEffect};

const WEB: &str = "/apis/apps/v1/namespaces/n/deployments/web";
const WRITE: &str = "PATCH /apis/apps/v1/namespaces/n/deployments/web";

fn web() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 1},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {}}},
        "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}})
}

fn planned() -> PlannedDeployment {
    PlannedDeployment { namespace: "n".into(), name: "web".into(), uid: "u".into(), ready: 2 }
}

/// To none, and two were recorded.
fn resize() -> ObjectFaultRecord {
    ObjectFaultRecord::DeploymentScale(DeploymentScale {
        deployment: planned(),
        before: 2,
        replicas: 0,
    })
}

/// To node w, and none was asked for.
fn moved() -> ObjectFaultRecord {
    let (nodes, labels) = (vec!["w".to_owned()], [("app".to_owned(), "web".to_owned())].into());
    let (before, placed) = (Value::Null, onto(&nodes, &labels));
    ObjectFaultRecord::DeploymentPlace(DeploymentPlace {
        deployment: planned(),
        nodes,
        before,
        placed,
    })
}

/// Somebody's will, against both.
fn theirs() -> Value {
    json!({"spec": {"replicas": 5, "template": {"spec": {"affinity": {"nodeAffinity": {"theirs": true}}}}}})
}

/// Both are what is asked of a Deployment.
fn asked(api: &FakeApi) -> Value {
    let web = api.object(WEB);
    json!({"replicas": web["spec"]["replicas"], "affinity": web["spec"]["template"]["spec"]["affinity"], "mark": web["metadata"]["labels"]["outage.run"]})
}

struct Carried {
    result: Result<(), String>,
    phases: Vec<(FaultPhase, String)>,
}

impl Carried {
    fn error(&self) -> &str {
        self.result.as_ref().unwrap_err()
    }

    fn last(&self) -> &str {
        &self.phases.last().unwrap().1
    }
}

async fn carry_out(api: &FakeApi, fault: ObjectFaultRecord, back: bool) -> Carried {
    let (undo, cluster, mut phases) = (ObjectUndo::new("r", 0, fault), api.cluster(), Vec::new());
    let mut progress = |phase, seen| phases.push((phase, seen));
    let result = match back {
        false => inject_object(&undo, &cluster, &mut progress).await,
        true => undo_object(&undo, &cluster, &mut progress).await,
    };
    Carried { result: result.map_err(|error| error.to_string()), phases }
}

/// A cluster whose controllers immediately do what is asked of them.
fn obedient() -> FakeApi {
    disturbed(|_, _| None)
}

/// The same where something happens to the Deployment before each call.
fn disturbed(mut before: impl FnMut(&mut Value, &str) -> Option<u16> + Send + 'static) -> FakeApi {
    let api = FakeApi::with(WEB, web());
    api.put(
        "/api/v1/namespaces/n/pods",
        json!({"items": [{"metadata": {"name": "p"}, "spec": {"nodeName": "w", "containers": []}}]}),
    );
    api.before_each(move |objects, call| {
        let web = objects.get_mut(WEB)?;
        let refused = before(web, call);
        obey(web);
        refused
    });
    api
}

fn obey(web: &mut Value) {
    let replicas = web["spec"]["replicas"].clone();
    for count in ["replicas", "updatedReplicas", "readyReplicas"] {
        web["status"][count] = replicas.clone();
    }
}

#[tokio::test(start_paused = true)]
async fn each_is_done_and_undone_twice() {
    for fault in [resize(), moved()] {
        let api = obedient();
        let done = carry_out(&api, fault.clone(), false).await;
        assert_eq!(done.result, Ok(()), "{fault:?}");
        assert_eq!(
            done.phases.iter().map(|(phase, _)| *phase).collect::<Vec<_>>(),
            [FaultPhase::Requested, FaultPhase::Returned, FaultPhase::Confirmed]
        );
        assert_eq!(asked(&api)["mark"], "r-0");
        for _ in 0..2 {
            let undone = carry_out(&api, fault.clone(), true).await;
            assert_eq!(
                (undone.result, undone.phases.last().unwrap().0),
                (Ok(()), FaultPhase::Undone)
            );
            assert_eq!(asked(&api), json!({"replicas": 2, "affinity": null, "mark": null}));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_since_the_plan_is_not_touched() {
    for fault in [resize(), moved()] {
        for (change, why) in [
            (theirs(), "after the fault was planned"),
            (json!({"metadata": {"uid": "v"}}), "it was deleted and recreated"),
        ] {
            let api = disturbed(move |web, _| {
                *web = merged(web, &change);
                None
            });
            let done = carry_out(&api, fault.clone(), false).await;
            assert!(done.error().contains(why), "{}", done.error());
            assert!(done.phases.is_empty() && asked(&api)["mark"].is_null(), "{fault:?}");
        }
    }
}

/// It is as it was planned when it is read, and no longer when it is written, several times.
#[tokio::test(start_paused = true)]
async fn who_loses_a_race_looks_again() {
    for fault in [resize(), moved()] {
        for (change, is_will) in
            [(json!({"metadata": {"annotations": {"their": "status"}}}), false), (theirs(), true)]
        {
            let mut races = 5;
            let api = disturbed(move |web, call| {
                if call == WRITE && races > 0 {
                    races -= 1;
                    changed(web, &change);
                }
                None
            });
            let done = carry_out(&api, fault.clone(), false).await;
            assert_eq!(done.result.is_err(), is_will, "{:?}", done.result);
            assert_eq!(asked(&api)["mark"].is_null(), is_will, "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_set_meanwhile_is_kept_and_reported() {
    for (fault, words) in [
        (resize(), "kept at 5, to which it was scaled in the meantime"),
        (moved(), "was changed in the meantime and is kept"),
    ] {
        let api = obedient();
        assert_eq!(carry_out(&api, fault.clone(), false).await.result, Ok(()));
        let mut web = api.object(WEB);
        changed(&mut web, &theirs());
        api.put(WEB, web);
        let undone = carry_out(&api, fault, true).await;
        assert!(undone.last().contains(words), "{}", undone.last());
        let now = asked(&api);
        assert_eq!(
            (&now["replicas"], now["affinity"]["nodeAffinity"]["theirs"].as_bool(), &now["mark"]),
            (&json!(5), Some(true), &Value::Null)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_undone_when_it_is_asked_for_as_before_whatever_its_pods_do() {
    for fault in [resize(), moved()] {
        let api = obedient();
        assert_eq!(carry_out(&api, fault.clone(), false).await.result, Ok(()));
        api.before_each(|objects, _| {
            let web = objects.get_mut(WEB)?;
            obey(web);
            web["status"]["readyReplicas"] = json!(1);
            None
        });
        let undone = carry_out(&api, fault, true).await;
        assert_eq!(undone.result, Ok(()));
        assert!(undone.last().ends_with(": 1 of 2 replicas ready after 2m"), "{}", undone.last());
        assert_eq!(asked(&api), json!({"replicas": 2, "affinity": null, "mark": null}));
    }
}

/// For longer than an undo is tried again.
#[tokio::test(start_paused = true)]
async fn an_api_server_that_goes_away_once_more_takes_no_undo_back() {
    for (fault, away_secs, words) in [
        (resize(), 90, "scaled back: 2 of 2 replicas ready"),
        (moved(), 90, "the former affinity of its pods is restored: 2 of 2 replicas ready"),
        (
            resize(),
            300,
            "scaled back: how many replicas are ready is not known: read the Deployment n/web: no (status 503)",
        ),
    ] {
        let api = obedient();
        assert_eq!(carry_out(&api, fault.clone(), false).await.result, Ok(()));
        let mut written = None;
        api.before_each(move |objects, call| {
            obey(objects.get_mut(WEB)?);
            if call == WRITE {
                written = Some(Instant::now());
            }
            let away =
                |at: &Instant| call != WRITE && at.elapsed() < Duration::from_secs(away_secs);
            written.as_ref().is_some_and(away).then_some(503)
        });
        let undone = carry_out(&api, fault, true).await;
        assert_eq!((undone.result.clone(), undone.last()), (Ok(()), words));
    }
}

const NODE: &str = "/api/v1/nodes/w";

/// A node without pods. `race` happens to it right before the first write.
fn node(race: Value) -> FakeApi {
    let api = FakeApi::with(
        NODE,
        json!({"metadata": {"name": "w", "uid": "u", "resourceVersion": "1"}, "spec": {}}),
    );
    api.put("/api/v1/namespaces/n/pods", json!({"items": []}));
    let mut race = Some(race);
    api.before_each(move |objects, call| {
        let race = (call == "PATCH /api/v1/nodes/w").then(|| race.take()).flatten();
        race.iter().for_each(|race| changed(objects.get_mut(NODE).unwrap(), race));
        None
    });
    api
}

fn drain() -> ObjectFaultRecord {
    ObjectFaultRecord::NodeDrain(NodeDrain {
        node: "w".into(),
        namespaces: vec!["n".into()],
        options: Default::default(),
    })
}

fn cordon(api: &FakeApi) -> (bool, Option<String>) {
    let node = api.object(NODE);
    (
        node["spec"]["unschedulable"] == true,
        node["metadata"]["labels"]["outage.run"].as_str().map(str::to_owned),
    )
}

#[tokio::test(start_paused = true)]
async fn a_foreign_cordon_is_never_removed() {
    let api = node(json!({"spec": {"unschedulable": true}}));
    let done = carry_out(&api, drain(), false).await;
    assert_eq!(done.error(), "drain node w: it is already cordoned");
    carry_out(&api, drain(), true).await.result.unwrap();
    assert_eq!(cordon(&api), (true, None));
}

/// A kubelet that reports its status meanwhile is no reason to give up, in either direction.
#[tokio::test(start_paused = true)]
async fn a_nodes_status_may_change_meanwhile() {
    let status = || json!({"status": {"beat": 1}});
    let api = node(status());
    assert_eq!(carry_out(&api, drain(), false).await.result, Ok(()));
    assert_eq!(cordon(&api), (true, Some("r-0".into())));
    let busy = node(status());
    busy.put(NODE, api.object(NODE));
    assert_eq!(carry_out(&busy, drain(), true).await.last(), "the node is uncordoned");
    assert_eq!(cordon(&busy), (false, None));
}

/// An API server under test is not asked about the budget at each attempt.
#[tokio::test(start_paused = true)]
async fn a_drain_reads_a_budget_when_it_begins_to_wait_and_when_it_gives_up() {
    const BUDGET: &str = "/apis/policy/v1/namespaces/n/poddisruptionbudgets/b";
    let api = node(json!({}));
    let pod = |name: &str| json!({"metadata": {"name": name, "namespace": "n", "uid": name}});
    api.put("/api/v1/namespaces/n/pods", json!({"items": [pod("p"), pod("q")]}));
    let status = json!({"disruptionsAllowed": 0, "currentHealthy": 1, "expectedPods": 2, "desiredHealthy": 1});
    api.put(BUDGET, json!({"metadata": {"name": "b"}, "status": status}));
    let calls = std::sync::Arc::new(std::sync::Mutex::new((0, 0)));
    let counted = calls.clone();
    api.before_each(move |_, call| {
        let mut calls = counted.lock().unwrap();
        calls.0 += u32::from(call == format!("GET {BUDGET}"));
        calls.1 += u32::from(call.ends_with("/eviction"));
        call.ends_with("/eviction").then_some(429)
    });
    let done = carry_out(&api, drain(), false).await;
    let why = "PodDisruptionBudget n/b allows 0 disruptions now (1 of 2 pods healthy, 1 needed)";
    let error = done.error();
    assert!(error.ends_with(&format!("2m: n/p ({why}), n/q ({why})")), "{error}");
    assert!(done.last().starts_with(&format!("{why}, so n/p is not evicted")), "{}", done.last());
    let (read, evictions) = *calls.lock().unwrap();
    assert!(read == 2 && evictions > 100, "{read} {evictions}");
}

fn taint(key: &str) -> ObjectFaultRecord {
    let (value, effect) = ("nodeshutdown".into(), TaintEffect::NoExecute);
    ObjectFaultRecord::NodeTaint(NodeTaint {
        node: "w".into(),
        taint: Taint { key: key.into(), value, effect },
    })
}

const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

fn taints(api: &FakeApi) -> Value {
    let node = api.object(NODE);
    json!([node["spec"]["taints"], node["metadata"]["labels"]["outage.run"]])
}

/// A taint evicts in all namespaces, whatever the experiment names; a drain only where it says so.
#[tokio::test(start_paused = true)]
async fn a_dry_run_lists_the_pods_that_a_taint_evicts() {
    let api = node(json!({}));
    let pod = json!({"metadata": {"name": "p", "namespace": "shop", "uid": "u"}, "spec": {}});
    api.put("/api/v1/pods", json!({"metadata": {}, "items": [pod]}));
    let outlook = async |fault: &Fault| {
        let planned = ObjectFaultRecord::plan_on_node(fault, "w", &[]).unwrap();
        planned.outlook(&api.cluster()).await.unwrap()
    };
    let target = NodeSelector::default();
    let tainted = |effect| Fault::NodeTaint {
        target: target.clone(),
        taint: Box::new(Taint { key: "disk".into(), value: String::new(), effect }),
    };
    let evicted = "would evict the pods on w that do not tolerate the taint, out of 1 pod in 1 namespace: shop";
    assert_eq!(outlook(&tainted(TaintEffect::NoExecute)).await, [evicted]);
    assert!(outlook(&tainted(TaintEffect::NoSchedule)).await.is_empty());
    let drained = Fault::NodeDrain { target, options: Default::default() };
    assert!(outlook(&drained).await.is_empty());
}

/// The node lifecycle controller adds a taint right before ours is: it stays, before and after.
#[tokio::test(start_paused = true)]
async fn a_taint_comes_and_goes_beside_those_of_others() {
    let theirs = json!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-11-22T08:54:23Z"});
    let api = node(json!({"spec": {"taints": [theirs]}}));
    assert_eq!(carry_out(&api, taint("disk"), false).await.result, Ok(()));
    let ours = json!({"key": "disk", "value": "nodeshutdown", "effect": "NoExecute"});
    assert_eq!(taints(&api), json!([[theirs, ours], "r-0"]));
    assert_eq!(carry_out(&api, taint("disk"), true).await.last(), "the taint is removed");
    assert_eq!(taints(&api), json!([[theirs], null]));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_taint_is_never_removed() {
    let theirs = json!([{"key": "disk", "effect": "NoExecute"}]);
    let api = node(json!({"spec": {"taints": theirs}}));
    let done = carry_out(&api, taint("disk"), false).await;
    assert_eq!(done.error(), "taint node w: it already has a taint with this key and effect");
    carry_out(&api, taint("disk"), true).await.result.unwrap();
    assert_eq!(taints(&api), json!([theirs, null]));
}

#[tokio::test(start_paused = true)]
async fn only_a_node_that_is_down_is_out_of_service() {
    let status =
        |ready: &str| json!({"status": {"conditions": [{"type": "Ready", "status": ready}]}});
    let api = node(json!({}));
    api.put(NODE, merged(&api.object(NODE), &status("True")));
    let done = carry_out(&api, taint(OUT_OF_SERVICE), false).await;
    assert!(done.error().starts_with("taint node w: still Ready after 2m"), "{}", done.error());
    assert_eq!(taints(&api), json!([null, null]));
    let mut looks = 0;
    api.before_each(move |objects, call| {
        looks += i32::from(call == "GET /api/v1/nodes/w");
        if looks == 9 {
            changed(objects.get_mut(NODE).unwrap(), &status("Unknown"));
        }
        None
    });
    let done = carry_out(&api, taint(OUT_OF_SERVICE), false).await;
    assert_eq!(done.result, Ok(()));
    assert_eq!(done.phases[0].0, FaultPhase::Waits);
    assert_eq!(taints(&api)[1], "r-0");
    let back = node(status("True"));
    let done = carry_out(&back, taint(OUT_OF_SERVICE), false).await;
    assert!(done.error().contains("Ready again"), "{}", done.error());
    assert_eq!(taints(&back), json!([null, null]));
}
