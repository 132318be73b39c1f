//! An application that is already there: each question of a user, answered by one command.

use serde_json::Value;

use super::kind::{CLUSTER, Lab, docker, kubeconfig, kubectl};

/// Three Deployments, a StatefulSet, a NodePort, session affinity, a budget that allows nothing.
const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apps/shop.yaml");

/// The application, with the user's own kubeconfig.
struct Shop {
    lab: Lab,
    kubeconfig: String,
}

impl Shop {
    /// Deployed, whatever an earlier test left of it.
    fn deployed() -> Self {
        let lab = Lab::new();
        let file = lab.home.file("user.kubeconfig", &kubeconfig());
        kubectl(&["apply", "-f", SHOP]);
        for kind in ["deployment/frontend", "deployment/checkout", "statefulset/cart"] {
            kubectl(&["-n", "shop", "rollout", "status", kind, "--timeout", "120s"]);
        }
        Self { lab, kubeconfig: file.to_string_lossy().into_owned() }
    }

    fn ask(&self, arguments: &[&str]) -> super::program::Output {
        let kubeconfig = ["--kubeconfig", &self.kubeconfig];
        self.lab.home.run(&[arguments, &kubeconfig].concat())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", "shop", "--wait=false"]);
    }
}

pub(crate) fn each_question_by_one_command() {
    // A kind cluster that is there already: nothing but its context is known.
    assert!(!docker(&["ps", "-q", "--filter", &format!("name={CLUSTER}-worker")]).is_empty());
    let (shop, context) = (Shop::deployed(), format!("kind-{CLUSTER}"));
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

    assert_eq!(kubectl(&["-n", "shop", "get", "services,deployments", "-o", "name"]), before);
    shop.lab.assert_clean();
}
