//! An application that is already there: each question of a user, answered by one command.

use serde_json::Value;

use super::lab::{Lab, cluster, docker, kubeconfig, kubectl};

/// Three Deployments, a StatefulSet, a NodePort, session affinity, a budget that allows nothing.
const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apps/shop.yaml");

/// A StatefulSet whose volume is on one node.
const LEDGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apps/local-volume.yaml");
const EXPERIMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/apps");

/// The application, with the user's own kubeconfig.
struct Shop {
    lab: Lab,
    kubeconfig: String,
}

impl Shop {
    /// Deployed, whatever an earlier test left of it.
    fn deployed() -> Self {
        let cluster = cluster();
        let lab = Lab::new();
        let file = lab.home.file("user.kubeconfig", &kubeconfig());
        kubectl(&["apply", "-f", SHOP]);
        // As a controller would set them: one that the nodes' kube-proxy takes care of, and one that
        // answers on port 80.
        let address = "jsonpath={.spec.clusterIP}";
        let ip = kubectl(&["-n", "shop", "get", "service", "frontend", "-o", address]);
        for (object, ip) in [("ingress/front", ip.as_str()), ("service/public", "192.0.2.10")] {
            let status =
                format!(r#"{{"status":{{"loadBalancer":{{"ingress":[{{"ip":"{ip}"}}]}}}}}}"#);
            let patch = ["--subresource", "status", "--type", "merge", "-p", &status];
            kubectl(&[&["-n", "shop", "patch", object][..], &patch].concat());
        }
        let node = format!("{cluster}-worker");
        let ledger = std::fs::read_to_string(LEDGER).unwrap().replace("NODE", &node);
        let ledger = lab.home.file("local-volume.yaml", &ledger);
        kubectl(&["apply", "-f", &ledger.to_string_lossy()]);
        for kind in [
            "deployment/frontend",
            "deployment/catalog",
            "deployment/checkout",
            "statefulset/cart",
            "statefulset/ledger",
        ] {
            kubectl(&["-n", "shop", "rollout", "status", kind, "--timeout", "120s"]);
        }
        Self { lab, kubeconfig: file.to_string_lossy().into_owned() }
    }

    fn ask(&self, arguments: &[&str]) -> super::program::Output {
        let kubeconfig = ["--kubeconfig", &self.kubeconfig];
        self.lab.home.run(&[arguments, &kubeconfig].concat())
    }

    /// An experiment of the repository, changed.
    fn experiment(&self, name: &str, changes: &[(&str, &str)]) -> String {
        let mut text = std::fs::read_to_string(format!("{EXPERIMENTS}/{name}.yaml")).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{name} has no {from:?}");
            text = text.replace(from, to);
        }
        let file = self.lab.home.file(&format!("experiments/{name}.yaml"), &text);
        file.to_string_lossy().into_owned()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", "shop", "--wait=false"]);
        kubectl(&["delete", "persistentvolume", "shop-ledger", "--wait=false"]);
    }
}

pub(crate) fn each_question_by_one_command() {
    let cluster = cluster();
    // A kind cluster that is there already: nothing but its context is known.
    assert!(!docker(&["ps", "-q", "--filter", &format!("name={cluster}-worker")]).is_empty());
    let (shop, context) = (Shop::deployed(), format!("kind-{cluster}"));
    let before = kubectl(&["-n", "shop", "get", "services,deployments", "-o", "name"]);
    let named = ["--context", context.as_str()];

    // What would a dead worker do? Nobody has named the cluster.
    let question = ["run", "worker-stop", "--service", "shop/frontend", "--dry-run"];
    shop.ask(&question).exits(4).says(&format!("add `--context {context}`"));

    let output = shop.ask(&[&question[..], &named].concat());
    output.exits(0).prints(&format!("dry run in context {context}"));
    output.says("port 80, HTTP /healthz");
    output.prints("also on");

    // Who keeps a node from being drained?
    let drain = ["run", "worker-drain", "--service", "shop/checkout", "--dry-run"];
    let output = shop.ask(&[&drain[..], &named].concat());
    output.exits(0).prints("PodDisruptionBudget shop/checkout allows 0 disruptions");

    // What is special about a Service with session affinity, one without an address, and one whose
    // only pod waits for its readiness gate?
    for (service, code, says) in [
        ("shop/catalog", 0, "it has session affinity: one client sees one endpoint"),
        ("shop/cart", 4, "Service shop/cart has no ClusterIP"),
        ("shop/gated", 4, "Service shop/gated has no ready endpoint"),
    ] {
        let question = ["run", "worker-stop", "--service", service, "--dry-run"];
        shop.ask(&[&question[..], &named].concat()).exits(code).says(says);
    }

    // An experiment to keep, which is valid.
    let file = shop.lab.home.path().join("pod-delete.yaml").to_string_lossy().into_owned();
    let init = ["init", "--service", "frontend", "-n", "shop", "--fault", "pod-delete"];
    shop.ask(&[&init[..], &named, &["--save", &file]].concat()).exits(0);
    shop.lab.home.run(&["validate", "-f", &file]).exits(0);

    // What do its clients see when one of its pods is deleted?
    let output = shop.ask(&["run", "-f", &file, "-o", "json"]);
    output.is_judged();
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let faults = report["findings"]["faults"].as_array().unwrap();
    let [fault] = &faults[..] else { panic!("{faults:#?}") };
    assert!(fault["target"].as_str().unwrap().starts_with("shop/frontend-"), "{fault:#}");
    assert!(fault["confirmed"]["at"].is_number() && fault["undone"].is_number(), "{fault:#}");
    let probe = &report["findings"]["probes"][0];
    assert_eq!(probe["name"], "frontend");
    let attempts = |outcome: &str| probe["total"][outcome].as_u64().unwrap();
    assert!(attempts("ok") + attempts("failed") > 0, "{probe:#}");

    // Which path of an Ingress is meant?
    let open = shop.experiment("clients-outside", &[("front, path: /shop}", "front}")]);
    let output = shop.ask(&[&["run", "-f", &open, "--dry-run"], &named[..]].concat());
    output.exits(4).says("Ingress shop/front has rules for several paths");
    output.says("set `path`; its rules have: /healthz, /shop");

    // What do clients outside see?
    let outside = shop.experiment("clients-outside", &[("for: 15s", "for: 5s")]);
    let output = shop.ask(&[&["run", "-f", &outside, "-o", "json"], &named[..]].concat());
    output.is_judged();
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let probes = report["findings"]["probes"].as_array().unwrap();
    let behind = |name: &str| {
        let probe = probes.iter().find(|probe| probe["name"] == name);
        let probe = probe.unwrap_or_else(|| panic!("no {name}: {probes:#?}"));
        assert!(probe["total"]["ok"].as_u64().unwrap() > 0, "{probe:#}");
        probe["service"].as_str().unwrap().to_owned()
    };
    assert_eq!([behind("ingress"), behind("balancer")], ["shop/frontend", "shop/public"]);
    for node in ["control-plane", "worker", "worker2"] {
        assert_eq!(behind(&format!("node-port@{cluster}-{node}")), "shop/public");
    }

    // Is a pod replaced whose volume can't move, when its dead node is marked as out of service?
    let shorter = [("for: 75s", "for: 35s"), ("for: 45s", "for: 28s")];
    let dead = shop.experiment("volume-on-a-dead-node", &shorter);
    let output = shop.ask(&[&["run", "-f", &dead, "-o", "json"], &named[..]].concat());
    output.is_judged();
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let pods = report["findings"]["pods"].as_array().unwrap();
    let pending = |pod: &&Value| {
        let why = pod["unschedulable"].as_str().unwrap_or_default();
        pod["pod"] == "shop/ledger-0" && why.contains("match PersistentVolume's node affinity")
    };
    assert!(pods.iter().any(|pod| pending(&pod)), "{pods:#?}");
    let taints = kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].spec.taints}"]);
    assert!(!taints.contains("out-of-service"), "{taints}");

    assert_eq!(kubectl(&["-n", "shop", "get", "services,deployments", "-o", "name"]), before);
    shop.lab.assert_clean();
}
