//! Runs that are killed (SIGKILL), each kind of fault in turn. Whether the cluster is whole
//! afterwards is asked of its API, not of this program.
//!
//! With enough kills for it, the first two of each fault come in the middle of it, the others at any
//! moment of a run. With fewer, both take turns.
//!
//! `OUTAGE_KILLS` is how often (embedded: 5, kind: not at all), `OUTAGE_KILLS_SEED` which moments.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kind::{self, CLUSTER, Lab};
use super::program::{Home, Started};
use super::{Test, embedded, test};

/// A node that was down boots, and is seen ready; a Deployment's pods are replaced.
const WHOLE_WITHIN: Duration = Duration::from_secs(180);
/// A heartbeat is due every 10 s unless the cluster is tuned.
const BEAT_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(250);
/// Each fault lasts so long if nobody kills the run.
const HOLD: Duration = Duration::from_secs(3);

/// Faults that both kinds of cluster can show.
const FAULTS: [&str; 17] = [
    "nodeStop: {target: {role: worker}, grace: 2s}",
    "nodeKill: {target: {role: worker}}",
    "nodePause: {target: {role: worker}}",
    "nodeFreeze: {target: {role: worker}}",
    "nodeDisconnect: {target: {role: worker}}",
    "partition: {target: {role: worker}}",
    "kubeletStop: {target: {role: worker}}",
    "kubeletPause: {target: {role: worker}}",
    "componentStop: {target: {role: control-plane}, component: kube-scheduler}",
    "componentKill: {target: {role: control-plane}, component: kube-controller-manager}",
    "componentPause: {target: {role: control-plane}, component: kube-apiserver}",
    "componentStop: {target: {role: control-plane}, component: kube-apiserver}",
    "nodeStop: {target: {role: control-plane}, grace: 2s}",
    "nodeDrain: {target: {role: worker}}",
    "deploymentScale: {name: web, replicas: 0}",
    "podDelete: {labels: {app: web}, count: 1}",
    "manifest: {object: {apiVersion: v1, kind: ConfigMap, metadata: {name: fault}}}",
];
/// Those that need a real cluster.
const ON_KIND: [&str; 7] = [
    "nodeReboot: {target: {role: worker}, hard: true}",
    "kubeletThrottle: {target: {role: worker}, cpu: 5%}",
    "command: {target: {role: worker}, effect: nodeDown, inject: [docker, stop, '{node}'], confirm: {argv: [docker, inspect, '--format={{.State.Running}}', '{node}'], prints: 'false'}, undo: [docker, start, '{node}'], confirmUndone: {argv: [docker, inspect, '--format={{.State.Running}}', '{node}'], prints: 'true'}}",
    "deploymentPlace: {name: web, on: {role: worker, count: 1}}",
    "containerKill: {labels: {app: web}, count: 1}",
    "etcdDataLoss: {target: {role: control-plane}}",
    "nodeTaint: {target: {role: worker}, key: example.com/outage, effect: NoSchedule}",
];

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("kills::every_fault_is_killed_twice_in_the_middle", every_fault_is_killed_twice),
        test("kills::embedded", on_embedded),
    ]
}

/// On the cluster that the tests on kind share.
pub(crate) fn on_kind() -> Vec<Test> {
    match kills() {
        Some(_) => kind::trials("kills", CLUSTER, &[("kind", runs_on_kind)]),
        None => Vec::new(),
    }
}

fn kills() -> Option<usize> {
    std::env::var("OUTAGE_KILLS").ok().map(|count| count.parse().expect("OUTAGE_KILLS: a number"))
}

/// When a run is killed.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    /// While its fault lasts.
    InFault,
    AnyTime,
}

impl Moment {
    /// Of one of so many kills, where there are so many faults, each in turn.
    fn of(number: usize, kills: usize, faults: usize) -> Self {
        let (round, enough) = (number / faults, kills >= 2 * faults);
        match if enough { round < 2 } else { (round + number).is_multiple_of(2) } {
            true => Moment::InFault,
            false => Moment::AnyTime,
        }
    }
}

/// Of the faults that the program knows, and of each with enough kills.
fn every_fault_is_killed_twice() {
    let schema = Home::new().run(&["schema", "experiment"]).stdout.clone();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let known = schema["$defs"]["step"]["properties"]["fault"]["properties"].as_object().unwrap();
    let all: Vec<&str> = FAULTS.into_iter().chain(ON_KIND).collect();
    let name = |fault: &str| fault.split(':').next().unwrap().to_owned();
    let killed: BTreeSet<String> = all.iter().map(|fault| name(fault)).collect();
    assert_eq!(killed, known.keys().cloned().collect());
    for kills in [2 * all.len(), 2 * all.len() + 7] {
        let hit = |fault| {
            let own = (0..kills).filter(|number| number % all.len() == fault);
            own.filter(|number| Moment::of(*number, kills, all.len()) == Moment::InFault).count()
        };
        assert!((0..all.len()).all(|fault| hit(fault) == 2));
    }
}

/// Runs to be killed, and the cluster that must be whole afterwards.
struct Victim<'a> {
    home: &'a Home,
    faults: Vec<&'static str>,
    /// Starts the program.
    start: &'a dyn Fn(&[&str]) -> Started,
    /// What is behind `run -f FILE`.
    arguments: &'a [&'a str],
    /// What the cluster's API answers; `None`: it does not.
    ask: &'a dyn Fn(&str) -> Option<Value>,
    /// What else must be so; else what is not.
    also: &'a dyn Fn() -> Result<(), String>,
}

impl Victim<'_> {
    /// Kills so many runs, and fails with all that was not whole afterwards.
    fn kill(&self, kills: usize) {
        let seed = std::env::var("OUTAGE_KILLS_SEED").ok().and_then(|seed| seed.parse().ok());
        let mut random = Random(seed.unwrap_or(0x9e37_79b9_7f4a_7c15));
        let before = self.state().expect("the cluster answers before the first kill");
        let mut failures = Vec::new();
        for number in 0..kills {
            let fault = self.faults[number % self.faults.len()];
            let moment = Moment::of(number, kills, self.faults.len());
            let (after, longest) = match moment {
                // Its undo begins after the hold.
                Moment::InFault => (" confirmed", HOLD * 2 / 3),
                Moment::AnyTime if number.is_multiple_of(2) => (" requested", HOLD * 2),
                Moment::AnyTime => ("", Duration::from_secs(4)),
            };
            let delay = random.up_to(longest);
            let what = format!(
                "kill {number} of {fault}, {delay:?} after {:?}",
                if after.is_empty() { "its start" } else { after }
            );
            eprintln!("{what}");
            if let Err(why) = self.kill_once(fault, after, delay, &before) {
                eprintln!("  {why}");
                failures.push(format!("{what}: {why}"));
            }
        }
        assert!(failures.is_empty(), "{} of {kills}:\n{}", failures.len(), failures.join("\n"));
    }

    fn kill_once(
        &self,
        fault: &str,
        after: &str,
        delay: Duration,
        before: &State,
    ) -> Result<(), String> {
        let file = self.experiment(fault);
        let mut run = (self.start)(&[&["run", "-f", &file], self.arguments].concat());
        if !after.is_empty() {
            run.said_within(after, Duration::from_secs(240))?;
        }
        sleep(delay);
        run.signal("KILL");
        run.finish();
        let recovered = self.home.run(&["recover"]);
        if recovered.code != 0 {
            return Err(format!("recover exits {}: {}", recovered.code, recovered.stderr));
        }
        self.wait_until_whole(before)?;
        (self.also)()
    }

    fn experiment(&self, fault: &str) -> String {
        let name = fault.split(':').next().unwrap().to_lowercase();
        let spec = format!(
            "  workload: [workloads/web.yaml]
  probes:
  - {{name: api, api: {{verb: read}}, rate: 5/s, timeout: 1s}}
  steadyState:
  - nodesReady: all
  blastRadius: {{maxControlPlanes: 1, quorumLoss: true, dataLoss: true}}
  method:
  - fault: {{{fault}}}
    for: {}s
",
            HOLD.as_secs()
        );
        self.home.experiment(&name, &spec)
    }

    /// Nodes that are Ready and beat, and everything else as it was.
    fn wait_until_whole(&self, before: &State) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let now = self.state();
            match now.as_ref().map(|now| now.differs(before)) {
                Some(None) => break,
                differs if began.elapsed() > WHOLE_WITHIN => {
                    return Err(differs.flatten().unwrap_or("the API does not answer".into()));
                }
                _ => sleep(LOOK),
            }
        }
        let began = Instant::now();
        let first = self.state().map(|state| state.beats).unwrap_or_default();
        loop {
            let now = self.state().map(|state| state.beats).unwrap_or_default();
            let silent = before.beats.keys().find(|node| now.get(*node) <= first.get(*node));
            match silent {
                None => return Ok(()),
                Some(node) if began.elapsed() > BEAT_WITHIN => {
                    return Err(format!("node {node} does not beat"));
                }
                Some(_) => sleep(LOOK),
            }
        }
    }

    fn state(&self) -> Option<State> {
        let items = |path: &str| -> Option<Vec<Value>> {
            Some((self.ask)(path)?["items"].as_array()?.clone())
        };
        let name = |object: &Value| {
            let meta = &object["metadata"];
            let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", text("namespace"), text("name"))
        };
        let nodes = items("/api/v1/nodes")?;
        let deployments = items("/apis/apps/v1/deployments")?;
        let leases = items("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")?;
        let namespaces = items("/api/v1/namespaces")?;
        Some(State {
            nodes: nodes.iter().map(|node| (name(node), node_of(node))).collect(),
            deployments: deployments.iter().map(|web| (name(web), deployment_of(web))).collect(),
            namespaces: namespaces.iter().map(name).collect(),
            beats: leases
                .iter()
                .map(|lease| (name(lease), lease["spec"]["renewTime"].to_string()))
                .collect(),
        })
    }
}

/// A cluster, as far as a fault could have changed it.
struct State {
    nodes: BTreeMap<String, Value>,
    deployments: BTreeMap<String, Value>,
    namespaces: Vec<String>,
    /// When each node was heard of last.
    beats: BTreeMap<String, String>,
}

impl State {
    /// What is not as before.
    fn differs(&self, before: &Self) -> Option<String> {
        if self.namespaces != before.namespaces {
            return Some(format!("namespaces are {:?}", self.namespaces));
        }
        let of = |now: &BTreeMap<String, Value>, before: &BTreeMap<String, Value>| {
            let differs = before.iter().find(|(name, was)| now.get(*name) != Some(was));
            differs.map(|(name, was)| format!("{name} is {:?}, was {was}", now.get(name)))
        };
        let gone = of(&self.nodes, &before.nodes);
        gone.or_else(|| of(&self.deployments, &before.deployments))
    }
}

/// Ready, not cordoned, not tainted, not marked by a run.
fn node_of(node: &Value) -> Value {
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.filter(|condition| condition["type"] == "Ready");
    let ready: Vec<&Value> = ready.map(|condition| &condition["status"]).collect();
    let keys = |taints: &Value| -> Vec<Value> {
        taints.as_array().into_iter().flatten().map(|taint| taint["key"].clone()).collect()
    };
    serde_json::json!({
        "ready": ready, "cordoned": node["spec"]["unschedulable"] == true,
        "taints": keys(&node["spec"]["taints"]), "labels": node["metadata"]["labels"],
    })
}

/// Its replicas, of which all are ready, and where they may be.
fn deployment_of(deployment: &Value) -> Value {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    serde_json::json!({
        "replicas": spec["replicas"], "affinity": spec["template"]["spec"]["affinity"],
        "ready": status["readyReplicas"], "labels": deployment["metadata"]["labels"],
    })
}

/// xorshift: the same moments for the same seed.
struct Random(u64);

impl Random {
    fn up_to(&mut self, longest: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(self.0 % (longest.as_millis() as u64 + 1))
    }
}

/// A run's embedded cluster ends with it. The one beside it, of another process and in the same
/// state directory, must not notice, and nothing of the dead one may be left.
fn on_embedded() {
    let home = Home::new();
    home.copy(&["experiments/workloads", "kind-configs"], |text| text);
    let (_cluster, kubeconfig) = embedded::cluster(&home);
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let left = || {
        let folders = std::fs::read_dir(home.path().join("state/outage/embedded")).unwrap();
        let folders = folders.count();
        let processes = processes_of(home.path());
        match (folders, processes.as_slice()) {
            (1, [_]) => Ok(()),
            _ => Err(format!("{folders} state directories, and these processes: {processes:?}")),
        }
    };
    let victim = Victim {
        home: &home,
        faults: FAULTS.to_vec(),
        start: &|arguments| embedded::start(&home, arguments),
        arguments: &["--cluster", "embedded"],
        ask: &|path| get(&text, path),
        also: &left,
    };
    victim.kill(kills().unwrap_or(5));
    // And the next run is not in anybody's way.
    let file = victim.experiment(FAULTS[1]);
    embedded::start(&home, &["run", "-f", &file, "--cluster", "embedded"]).finish().exits(0);
}

fn runs_on_kind() {
    let lab = Lab::new();
    let make = "podDelete: {labels: {app: web}, count: 1}";
    let ask = |path: &str| {
        let answer = kind::asked(&["get", "--raw", path, "--request-timeout=5s"]).ok()?;
        serde_json::from_str(&answer).ok()
    };
    let victim = Victim {
        home: &lab.home,
        faults: FAULTS.into_iter().chain(ON_KIND).collect(),
        start: &|arguments| lab.home.start(arguments),
        arguments: &[],
        ask: &ask,
        also: &|| {
            lab.assert_clean();
            Ok(())
        },
    };
    // The first run makes the cluster, if it is not there.
    let file = victim.experiment(make);
    lab.home.run(&["run", "-f", &file]).exits(0);
    victim.kill(kills().unwrap_or(0));
}

/// The program's processes that have this folder among their arguments or in their environment.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy();
    let of = |entry: std::fs::DirEntry| {
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let environment = read("environ");
        let all = format!("{command}{}", String::from_utf8_lossy(&environment));
        (command.contains("kubectl-outage") && all.contains(&*folder)).then_some(command)
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect()
}

/// Asks the API server of a kubeconfig of ours, which speaks plain HTTP.
fn get(kubeconfig: &str, path: &str) -> Option<Value> {
    let address = embedded::address(kubeconfig);
    let token = kubeconfig.split("token: \"").nth(1)?.split('"').next()?;
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}
