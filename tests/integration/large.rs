//! A cluster of a thousand nodes: how much memory the program needs for it, and how much it prints.
//! The embedded cluster has no more than 100 nodes of its own: the others are only objects, as large
//! as real ones.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::model::{address, cluster, start};
use super::program::Home;
use super::{Test, test};

const NODES: usize = 1000;
const PODS: usize = 3000;
/// In KiB. Measured with a debug build: a preflight 22 MiB, a dry run 18 MiB, a run 32 MiB.
const MOST_MORE: u64 = 64 * 1024;
const CLIENTS: usize = 16;

pub(crate) fn tests() -> Vec<Test> {
    vec![test(
        "large::a_thousand_nodes_need_little_memory_and_few_lines",
        a_thousand_nodes_need_little_memory_and_few_lines,
    )]
}

fn a_thousand_nodes_need_little_memory_and_few_lines() {
    let home = Home::new();
    let (_cluster, kubeconfig) = cluster(&home);
    home.copy(&["experiments/workloads"], |text| text);
    let experiment = home.file(
        "experiments/large.yaml",
        "apiVersion: outage/v1alpha1
kind: Experiment
metadata: {name: large}
spec:
  cluster: {context: embedded, allowContext: embedded}
  workload: [workloads/web.yaml]
  probes:
  - {name: api-read, api: {verb: read}, rate: 5/s, timeout: 5s}
  steadyState:
  - endpointsReady: {service: web, atLeast: 2}
  method:
  - fault:
      nodeDrain: {target: {role: worker, mostEndpointsOf: web}}
    for: 3s
  expect:
  - noErrors: {probe: api-read}
",
    );
    let (experiment, access) = (experiment.to_string_lossy(), kubeconfig.to_string_lossy());
    let measured = |command: &[&str]| {
        let arguments = [command, &["-f", &experiment, "--kubeconfig", &access]].concat();
        let (output, most) = start(&home, &arguments).finish_measured();
        output.exits(0);
        (output, most)
    };
    let (_, few) = measured(&["preflight"]);
    fill(&Api::of(&std::fs::read_to_string(&kubeconfig).unwrap()));
    for command in [&["preflight"][..], &["run", "--dry-run"], &["run"]] {
        let (output, most) = measured(command);
        output.prints(&format!("{} nodes", NODES + 3));
        let lines = output.stdout.lines().count() + output.stderr.lines().count();
        assert!(lines < 80, "{command:?}: {lines} lines\n{}", output.stdout);
        println!("{command:?}: {most} KiB, {few} KiB with three nodes, {lines} lines");
        assert!(most < few + MOST_MORE, "{command:?}: {most} KiB, {few} KiB with three nodes");
    }
}

/// Where objects are created.
struct Api {
    address: String,
    path: String,
}

impl Api {
    fn of(kubeconfig: &str) -> Self {
        let address = address(kubeconfig).to_owned();
        let rest = kubeconfig.split(&address).nth(1).unwrap();
        Self { path: rest.lines().next().unwrap().to_owned(), address }
    }

    fn create(&self, path: &str, object: &Value) {
        let (Self { address, path: token }, body) = (self, object.to_string());
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST {token}{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{path}: {answer}");
    }
}

/// Several clients at a time: after each turn the model looks at every object.
fn fill(api: &Api) {
    api.create("/api/v1/namespaces", &json!({"metadata": {"name": "shop"}}));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for number in (client..NODES).step_by(CLIENTS) {
                    api.create("/api/v1/nodes", &node(number));
                }
                for number in (client..PODS).step_by(CLIENTS) {
                    api.create("/api/v1/namespaces/shop/pods", &pod(number));
                }
            });
        }
    });
}

/// What is never looked at is most of a real object: about 6 KB.
fn texts(of: impl Fn(String) -> Value) -> Value {
    (0..50).map(|number| of(format!("{number}-{}", "x".repeat(100)))).collect()
}

fn name_of_node(number: usize) -> String {
    format!("node-{number:04}")
}

fn node(number: usize) -> Value {
    let name = name_of_node(number);
    let condition = json!({"type": "Ready", "status": "True", "reason": "KubeletReady"});
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "status": {
            "images": texts(|name| json!({"names": [name], "sizeBytes": 1})),
            "conditions": [condition],
            "addresses": [{"type": "InternalIP", "address": format!("10.0.{}.{}", number / 250, number % 250)}],
            "nodeInfo": {"kubeletVersion": "v1.34.0", "operatingSystem": "linux", "architecture": "amd64"},
        },
    })
}

/// Of a set that the model does not know, so that it leaves the pod alone.
fn pod(number: usize) -> Value {
    let set = format!("shop-{}", number % 300);
    json!({
        "metadata": {
            "name": format!("{set}-{number}"), "labels": {"app": set},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set, "uid": set, "controller": true}],
        },
        "spec": {"nodeName": name_of_node(number % NODES), "containers": [{"name": "shop", "image": "shop:1", "env": texts(|value| json!({"name": "A", "value": value}))}]},
    })
}
