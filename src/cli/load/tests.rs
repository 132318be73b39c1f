//! Experiments that are right, and those that a run would refuse.

use super::*;
use crate::cli::exit;

fn all(name: &str) -> Vec<Parsed> {
    experiment::read(experiment::load(name).unwrap()).finish().unwrap()
}

#[test]
fn nothing_is_odd_about_those_inside_this_program() {
    for name in experiment::built_in_names() {
        let all = checked(experiment::load(name).unwrap(), Setting::OWN);
        all.unwrap().iter().for_each(|one| assert_eq!(one.warnings.to_string(), "", "{name}"));
    }
}

#[test]
fn one_experiment_of_a_matrix_is_named_as_its_run_is() {
    let names = all("control-plane-away").into_iter().map(|one| one.experiment.name);
    let whole = names.last().unwrap();
    let (file, setting) = cell(&whole);
    assert_eq!(file, "control-plane-away");
    let chosen = only(all(file), setting.unwrap()).unwrap();
    assert_eq!(
        chosen.iter().map(|one| one.experiment.name.as_str()).collect::<Vec<_>>(),
        [whole.as_str()]
    );
    let refused = only(all(file), "for=7s").unwrap_err();
    assert!(refused.code == exit::USAGE && refused.text().contains(&whole), "{}", refused.text());
    assert_eq!((cell("node-kill"), cell("a]")), (("node-kill", None), ("a]", None)));
}

const GOOD: &str = include_str!("../../experiment/testdata/good.yaml");
const WEB: &str = include_str!("../../experiment/testdata/web.yaml");
const TARGET: &str = "nodeStop: {target: {role: worker, mostEndpointsOf: web}}";

/// All problems of `GOOD` with another fault, limits and probe host, on so many nodes.
fn diagnostics(fault: &str, radius: &str, from: &str, (planes, workers): (usize, usize)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let nodes = [vec!["{role: control-plane}"; planes], vec!["{role: worker}"; workers]]
        .concat()
        .join(", ");
    let config = format!(
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: test\nnodes: [{nodes}]\n"
    );
    std::fs::write(folder.path().join("web.yaml"), WEB).unwrap();
    std::fs::write(folder.path().join("kind.yaml"), config).unwrap();
    let method = format!("  blastRadius: {{{radius}}}\n  method:\n");
    let experiment = GOOD.replace(TARGET, fault).replace("  method:\n", &method);
    let experiment =
        experiment.replace("from: {node: {role: control-plane}}", &format!("from: {from}"));
    match accepted(Source::from_text("x.yaml", experiment, folder.path())) {
        Ok(all) => all[0].warnings.to_string(),
        Err(problems) => problems.to_string(),
    }
}

const PLANE: &str = "{node: {role: control-plane}}";
const WORKER: &str = "{node: {role: worker}}";

#[test]
fn what_the_nodes_suffice_for_is_not_refused() {
    assert_eq!(diagnostics(TARGET, "", PLANE, (1, 2)), "");
    assert_eq!(diagnostics(TARGET, "", WORKER, (1, 2)), "", "another worker may host the probe");
    assert_eq!(
        diagnostics("nodeStop: {target: {labels: {disk: ssd}}}", "", PLANE, (1, 1)),
        "",
        "only the cluster knows labels"
    );
}

#[test]
fn the_only_control_plane_is_lost_by_permission_only() {
    let kill =
        |radius| diagnostics("nodeKill: {target: {role: control-plane}}", radius, WORKER, (1, 2));
    let quorum = "x.yaml:21:26: error: etcd would lose its quorum: 1 of 1 members would be down, 1 is needed (to allow it, set `blastRadius: {quorumLoss: true}`)";
    assert_eq!(kill("maxControlPlanes: 1"), quorum);
    let both = kill("");
    assert!(
        both.contains("but the limit is 0; etcd would lose its quorum"),
        "both together: {both}"
    );
    assert!(
        both.ends_with("set `blastRadius: {maxControlPlanes: 1, quorumLoss: true}`)"),
        "one hint: {both}"
    );
    assert_eq!(both.lines().count(), 1, "{both}");
    assert_eq!(kill("maxControlPlanes: 1, quorumLoss: true"), "");
    let etcd = diagnostics(
        "componentStop: {component: etcd, target: {role: control-plane}}",
        "maxControlPlanes: 1",
        WORKER,
        (1, 2),
    );
    assert!(etcd.contains("etcd would lose its quorum"), "{etcd}");
    let scheduler = "componentStop: {component: kube-scheduler, target: {role: control-plane}}";
    assert_eq!(diagnostics(scheduler, "maxControlPlanes: 1", WORKER, (1, 2)), "");
}

#[test]
fn a_majority_is_lost_by_permission_only() {
    let kill = |count: &str, radius: &str| {
        let fault = format!("nodeKill: {{target: {{role: control-plane{count}}}}}");
        diagnostics(&fault, &format!("maxControlPlanes: 3{radius}"), WORKER, (3, 2))
    };
    assert_eq!(kill("", ""), "");
    assert!(kill(", count: 2", "").contains("2 of 3 members would be down, 2 are needed"));
    assert!(kill(", count: all", "").contains("3 of 3 members would be down"));
    assert_eq!(kill(", count: 2", ", quorumLoss: true"), "");
    let followers = "componentStop: {component: kube-scheduler, target: {followers: kube-scheduler, count: all}}";
    assert_eq!(diagnostics(followers, "maxControlPlanes: 2", WORKER, (3, 2)), "");
    let nobody = diagnostics(followers, "maxControlPlanes: 2", WORKER, (1, 2));
    assert!(
        nobody.contains(
            "error: no node matches all of role control-plane, a follower of kube-scheduler"
        ),
        "{nobody}"
    );
    let leader_too = diagnostics(
        &followers.replace("count: all", "count: 3"),
        "maxControlPlanes: 3",
        WORKER,
        (3, 2),
    );
    assert!(leader_too.contains("error: 3 nodes are to be targeted, but 2 match"), "{leader_too}");
}

#[test]
fn the_nodes_that_are_hit_exist() {
    let many =
        diagnostics("nodeKill: {target: {role: worker, count: 3}}", "maxWorkers: 3", PLANE, (1, 2));
    let wanted =
        "error: 3 nodes are to be targeted, but 2 match role worker: test-worker, test-worker2";
    assert!(many.contains(wanted), "{many}");
    let named = diagnostics("nodeDrain: {target: {name: test-worker9}}", "", PLANE, (1, 2));
    assert!(
        named.contains("no node matches name test-worker9 (the cluster's nodes are"),
        "{named}"
    );
    assert!(diagnostics(TARGET, "", PLANE, (1, 0)).contains("no node matches role worker"));
    let balancer = "nodeKill: {target: {role: external-load-balancer}}";
    assert!(
        diagnostics(balancer, "loadBalancer: true", PLANE, (1, 1))
            .contains("no node matches role external-load-balancer")
    );
    assert!(!diagnostics(balancer, "loadBalancer: true", PLANE, (2, 1)).contains("error"));
    let moved = diagnostics(
        "deploymentPlace: {name: web, on: {role: worker, count: 3}}",
        "",
        PLANE,
        (1, 2),
    );
    assert!(
        moved
            .contains("x.yaml:21:40: error: 3 nodes are to take the pods, but 2 match role worker"),
        "{moved}"
    );
}

#[test]
fn the_only_node_is_not_hit_while_a_probe_runs_there() {
    let diagnostics = |from| diagnostics(TARGET, "", from, (1, 1));
    assert!(diagnostics(WORKER).contains(
        "x.yaml:21:26: error: every node that matches the target hosts a probe: test-worker"
    ));
    let plane = super::tests::diagnostics(
        "nodeKill: {target: {role: control-plane}}",
        "maxControlPlanes: 1",
        PLANE,
        (1, 1),
    );
    assert!(
        plane.contains("hosts a probe: test-control-plane") && plane.contains("lose its quorum"),
        "{plane}"
    );
    let absent = diagnostics("{node: {name: test-worker7}}");
    assert!(absent.contains("x.yaml:12:18: error: no node matches name test-worker7"), "{absent}");
}

#[test]
fn another_mistake_hides_nothing_and_none_is_told_twice() {
    let nested = "nodeKill: {target: {role: worker}}\n    for: 15s\n    meanwhile:\n    - fault: {nodeStop: {target: {role: worker, mostEndpointsOf: wbe}}}\n      for: 3s\n  - fault:\n      nodePause: {target: {role: worker}}";
    let nested = diagnostics(nested, "", PLANE, (1, 3));
    assert!(
        nested.contains("2 workers would be affected at the same time")
            && nested.contains("Service `wbe`"),
        "{nested}"
    );
    let loss = diagnostics("etcdDataLoss: {target: {role: control-plane}}", "", WORKER, (1, 2));
    let wanted = "set `blastRadius: {maxControlPlanes: 1, quorumLoss: true, dataLoss: true}`)";
    assert!(loss.ends_with(wanted) && loss.matches("blastRadius").count() == 1, "{loss}");
    let shared = diagnostics("nodeKill: {target: {of: nobody}}", "", PLANE, (1, 2));
    assert!(
        shared.contains(
            "during a step `nobody` (move it into the `meanwhile` of a step of that name)"
        ),
        "{shared}"
    );
    assert_eq!(shared.lines().count(), 1, "{shared}");
    let named = diagnostics(
        "nodeKill: {target: {name: test-worker}}",
        "",
        "{node: {name: test-worker}}",
        (1, 2),
    );
    assert!(named.contains("where the probe `web` runs") && named.lines().count() == 1, "{named}");
    let unread =
        diagnostics("nodeKill: {target: {role: control-plane}}\n    oops: 1", "", WORKER, (1, 2));
    assert!(
        unread.contains("oops") && unread.contains("1 control-plane node would be affected"),
        "{unread}"
    );
}

#[test]
fn all_steps_that_are_refused_are_reported() {
    let two = "nodeKill: {target: {role: worker, count: 3}}\n    for: 15s\n  - fault:\n      nodeDrain: {target: {name: nobody}}";
    assert_eq!(diagnostics(two, "maxWorkers: 3", PLANE, (1, 2)).lines().count(), 2);
}

#[test]
fn the_own_kind_config_is_read_for_the_version_that_the_command_names() {
    let read = |config: &str, place| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("web.yaml"), WEB).unwrap();
        std::fs::write(folder.path().join("kind.yaml"), config).unwrap();
        let setting = Setting { place, namespace: None };
        let found = match checked(Source::from_text("x.yaml", GOOD, folder.path()), setting) {
            Ok(all) => all[0].warnings.to_string(),
            Err(problems) => problems.to_string(),
        };
        found.replace(&format!("{}/", folder.path().display()), "")
    };
    let newer = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nnodes: [{role: control-plane}, {role: worker}, {role: worker}]\n\
        kubeadmConfigPatches:\n- '{kind: ClusterConfiguration, apiVersion: kubeadm.k8s.io/v1beta4}'\n";
    assert!(read(newer, Place::OWN).contains("error: kind writes `kubeadm.k8s.io/v1beta3`"));
    assert!(read(newer, Place::Own(Kubernetes::Exactly("v1.34.4"))).contains("error: kind writes"));
    assert!(!read(newer, Place::Own(Kubernetes::Default("v1.36.0"))).contains("kubeadm"));
    for broken in ["a: [", "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnam: a\n"] {
        assert!(read(broken, Place::OWN).contains("kind.yaml:"));
        assert!(!read(broken, Place::Other).contains("kind.yaml"), "it is not used");
    }
}

#[test]
fn the_commands_namespace_replaces_the_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.yaml"), WEB).unwrap();
    let text = GOOD
        .replace("spec:\n", "spec:\n  namespace: shop\n")
        .replace("kind: {config: kind.yaml}", "context: kind-shop");
    let namespace = |namespace| {
        let source = Source::from_text("x.yaml", text.as_str(), folder.path());
        let setting = Setting { place: Place::OWN, namespace };
        let mut all = checked(source, setting).unwrap_or_else(|problems| panic!("{problems}"));
        all.swap_remove(0).experiment.namespace
    };
    assert_eq!(namespace(None).as_deref(), Some("shop"));
    assert_eq!(namespace(Some("staging")).as_deref(), Some("staging"));
}

/// A directory with three experiments' worth of files, and what else lies in such places.
#[test]
fn other_files_of_a_directory_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
    write("a.yaml", GOOD);
    write("kind.yaml", "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n");
    write("kustomization.yaml", "resources: [web.yaml]\n");
    write("values.yaml", "replicas: 2\n");
    write("web.yaml", WEB);
    let directory = folder.path().display().to_string();
    let names = |sources: Vec<Source>| -> Vec<String> {
        sources.iter().map(|source| source.name().to_owned()).collect()
    };
    let own = || own(&directory, experiment::load_all(&directory).unwrap(), None);
    assert_eq!(names(own().unwrap()), [path("a.yaml")]);
    // What was meant to be an experiment is not skipped.
    write("b.yaml", "kind: Experimnet\n");
    write("c.yaml", "apiVersion: outage/v2\n");
    write("d.yaml", "kind: [\n");
    let meant = ["a.yaml", "b.yaml", "c.yaml", "d.yaml"].map(path);
    assert_eq!(names(own().unwrap()), meant);
    meant.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let none = own().unwrap_err();
    assert!(
        none.code == exit::USAGE && none.text().contains("no experiment in"),
        "{}",
        none.text()
    );
    // A file that is named itself is meant to be one, whatever it is.
    let named =
        super::own(&path("web.yaml"), experiment::load_all(&path("web.yaml")).unwrap(), None);
    assert_eq!(names(named.unwrap()), [path("web.yaml")]);
}

#[test]
fn two_experiments_of_one_name_are_an_error_at_both_places() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.yaml"), WEB).unwrap();
    let config = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: test\nnodes: [{role: control-plane}, {role: worker}]\n";
    std::fs::write(folder.path().join("kind.yaml"), config).unwrap();
    let parsed =
        |name: &str| accepted(Source::from_text(name, GOOD, folder.path())).unwrap().swap_remove(0);
    let problems = same_names(&[parsed("a.yaml"), parsed("b.yaml")]);
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!(problem.message, "there are two experiments called `good`");
    assert_eq!(problem.at.as_ref().unwrap().file.name, "b.yaml");
    assert_eq!(problem.related[0].at.file.name, "a.yaml");
    let twice = same_names(&[parsed("a.yaml"), parsed("a.yaml")]);
    assert!(twice[0].message.contains("given twice"), "{twice:?}");
    assert!(same_names(&[parsed("a.yaml")]).is_empty());
}

#[test]
fn the_name_of_a_fault_for_a_service_is_answered_with_how_it_is_run() {
    let hint = |name: &str| {
        let problems = experiment::load_all(name).unwrap_err();
        for_service(&problems[0], name).hint.unwrap_or_default()
    };
    assert!(hint("pod-delete").starts_with("with `--service NAMESPACE/NAME`, `kubectl outage run"));
    assert!(!hint("nodir").contains("--service"));
}
