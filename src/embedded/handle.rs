//! An embedded cluster as its owner holds it: its thread, and what may be requested of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::EmbeddedError;
use super::api::ApiServer;
use super::control::{self, Command, Driver, NodeEntry, Parts, Registry, Request};
use super::hooks::{ClusterHooks, Shared};
use super::network::{Block, Entry, MOST_NODES, PodServer, Ports};
use super::store::Store;
use crate::model::{Action, Backend, Model, NodeId, Settings, Topology};
use crate::timeline::{NodeRole, Record, Tolerations, Tuning};

const CONTEXT: &str = "embedded";
/// Where the API server listens, where it can.
const API_PORT: u16 = 6443;
/// Where the control probe is answered, where it can be.
const CONTROL_PORT: u16 = 8080;
/// An action is given up after so long.
const TIMEOUT: Duration = Duration::from_secs(15);
/// As many Services get their own address.
const SERVICES: usize = 10_000;

/// What an embedded cluster is to be like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EmbeddedSpec {
    pub topology: Topology,
    /// Such as `v1.34.4`.
    pub kubernetes: String,
    /// Its settings of failure detection; what is `None` is the default of that version.
    pub tuning: Tuning,
    pub tolerations: Tolerations,
    pub seed: u64,
}

/// An embedded cluster. It ends, and every port of it is free, when this is dropped.
#[derive(Debug)]
pub(crate) struct Embedded {
    kubeconfig: String,
    control: SocketAddr,
    topology: Topology,
    ports: Ports,
    /// Unbounded: each waits for its effect, so there are as many as faults in flight.
    requests: Option<mpsc::UnboundedSender<Request>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Starts one; when this returns, its API answers. Errors with settings that can't be, too many
    /// nodes, and where the system has no loopback addresses but one.
    pub(crate) fn start(spec: EmbeddedSpec) -> Result<Self, EmbeddedError> {
        refuse_nodes(&spec.topology)?;
        let topology = spec.topology.clone();
        let settings =
            Settings::of(&spec.tuning, &spec.kubernetes).map_err(EmbeddedError::Settings)?;
        let block = Block::claim()?;
        let ports = block.ports();
        let model = Model::new(settings, &topology, spec.seed);
        // Unbounded: a run asks for one thing after the other.
        let (requests, queue) = mpsc::unbounded_channel();
        let (up, started) = std::sync::mpsc::sync_channel(1);
        let over = Arc::<AtomicBool>::default();
        let plan = Plan { spec, model, block, over: over.clone() };
        let work = move || run_cluster(plan, queue, &up);
        let thread = std::thread::Builder::new().name("embedded".into()).spawn(work);
        let thread = thread.map_err(|error| EmbeddedError::Thread { why: error.to_string() })?;
        let Answering { kubeconfig, control } =
            started.recv().map_err(|_| EmbeddedError::Ended)??;
        Ok(Self {
            kubeconfig,
            control,
            topology,
            ports,
            requests: Some(requests),
            over,
            thread: Some(thread),
        })
    }

    pub(crate) fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// Where the cluster's thread answers HTTP whatever fails in the model: where it is late here,
    /// the machine is, and pods and Services are with it.
    pub(crate) fn control(&self) -> SocketAddr {
        self.control
    }

    pub(crate) fn node(&self, name: &str) -> Option<NodeId> {
        self.topology.find(name)
    }

    /// The port that is really listened on where this one is asked for: another one for a port
    /// below 1024 where the user may not have that, or for one that another program has on every
    /// address. Services are published with it. `all` are those of the same Service or pod: no two
    /// get one.
    pub(crate) fn port(&self, wanted: u16, all: &[u16]) -> u16 {
        self.ports.reachable(wanted, all)
    }

    /// Does something to the cluster, and returns when its effect is there: the node is off,
    /// frozen, cut off, or up again. Idempotent. May be dropped; what was begun goes on. Errors
    /// when the cluster has ended, when the node is off and it can't be done there, when it is
    /// undone before it has an effect, and when nothing came of it in a quarter of a minute (after
    /// a shutdown's grace).
    pub(crate) async fn act(&self, action: Action) -> Result<(), EmbeddedError> {
        let (done, effect) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(EmbeddedError::Ended)?;
        let request = Request::Act(Command { action, done });
        requests.send(request).map_err(|_| EmbeddedError::Ended)?;
        let within = timeout(action);
        let became = tokio::time::timeout(within, effect)
            .await
            .map_err(|_| EmbeddedError::NoEffect { within })?;
        became.map_err(|_| EmbeddedError::Ended)?
    }

    /// Tells an observer of the control plane's processes, as they are now and each change; `None`
    /// ends that.
    pub(crate) fn observe(&self, observer: Option<mpsc::UnboundedSender<Record>>) {
        if let Some(requests) = &self.requests {
            // A cluster that has ended has no processes.
            let _ = requests.send(Request::Observe(observer));
        }
    }

    /// Whether there is nothing left that could be asked anything.
    pub(crate) fn has_ended(&self) -> bool {
        self.requests.as_ref().is_none_or(mpsc::UnboundedSender::is_closed)
    }

    /// Returns when the cluster ends by itself, which it never should.
    pub(crate) async fn ended(&self) {
        if let Some(requests) = &self.requests {
            requests.closed().await;
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Without anybody who could request anything its thread ends, in the midst of its work if
        // need be.
        self.over.store(true, Ordering::Relaxed);
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How long something may take: no action takes longer than a boot, which takes 3.2 s, but a
/// shutdown.
fn timeout(action: Action) -> Duration {
    let grace = if let Action::Stop { grace, .. } = action { grace } else { Duration::ZERO };
    grace.saturating_add(TIMEOUT)
}

fn refuse_nodes(topology: &Topology) -> Result<(), EmbeddedError> {
    let nodes = topology.nodes.len();
    let cannot = |why: String| Err(EmbeddedError::Nodes { nodes, why });
    if topology.with_role(NodeRole::ControlPlane).next().is_none() {
        return cannot("one of them must be a control plane".into());
    }
    if nodes > MOST_NODES {
        return cannot(format!("the limit is {MOST_NODES}"));
    }
    Ok(())
}

struct Plan {
    spec: EmbeddedSpec,
    model: Model,
    block: Block,
    over: Arc<AtomicBool>,
}

/// A cluster whose API answers.
struct Answering {
    kubeconfig: String,
    control: SocketAddr,
}

/// The whole life of a cluster, on its thread.
fn run_cluster(
    plan: Plan,
    requests: mpsc::UnboundedReceiver<Request>,
    up: &std::sync::mpsc::SyncSender<Result<Answering, EmbeddedError>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(up.send(Err(EmbeddedError::Thread { why: error.to_string() }))),
    };
    runtime.block_on(async {
        let ports = plan.block.ports();
        let control =
            SocketAddr::new(plan.block.control(), ports.reachable(CONTROL_PORT, &[CONTROL_PORT]));
        match begin(plan).await {
            Ok(driver) => {
                let responder = PodServer::new("control", control.ip(), &[control.port()]);
                responder.behave(Backend::Answers);
                let kubeconfig = driver.kubeconfig(CONTEXT);
                let _ = up.send(Ok(Answering { kubeconfig, control }));
                driver.run(requests).await;
            }
            Err(error) => drop(up.send(Err(error))),
        }
    });
}

async fn begin(plan: Plan) -> Result<Driver, EmbeddedError> {
    let Plan { spec, model, block, over } = plan;
    let EmbeddedSpec { topology, tuning, tolerations, seed, .. } = spec;
    // The API server says that it is not the real one.
    let kubernetes = format!("{}+outage.embedded", spec.kubernetes);
    let addresses = (1..SERVICES).map(|count| block.service(count)).collect();
    let shared =
        Arc::new(Shared::new(block.ports(), tuning, tolerations, topology.clone(), addresses));
    let listen = SocketAddr::new(block.api_server(), shared.ports.reachable(API_PORT, &[]));
    let store = Store::new();
    let api =
        ApiServer::start(store.clone(), listen, &kubernetes, ClusterHooks(shared.clone())).await?;
    let entry = |(number, node): (usize, &crate::model::NodeSpec)| NodeEntry {
        name: node.name.clone(),
        address: block.node(number),
        pods: 0,
        entry: Entry::default(),
    };
    let registry = Registry::of(topology.nodes.iter().enumerate().map(entry).collect());
    let initial = control::InitialObjects {
        topology: &topology,
        tuning: &tuning,
        tolerations,
        kubernetes: &kubernetes,
        registry: &registry,
        block: &block,
        api: api.address(),
    };
    initial.write(&store);
    Ok(Driver::new(Parts { model, store, api, block, shared, over, seed }, registry))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::{Value, json};

    use super::*;
    use crate::timeline::{Component, Event, ProcessState};

    fn spec() -> EmbeddedSpec {
        EmbeddedSpec {
            topology: Topology::kind("a", 1, 2),
            kubernetes: "v1.34.0".into(),
            tuning: Tuning::default(),
            tolerations: Tolerations::default(),
            seed: 1,
        }
    }

    fn address(embedded: &Embedded) -> SocketAddr {
        let server = embedded.kubeconfig().lines().find(|line| line.contains("http://")).unwrap();
        let address = server.split_once("http://").unwrap().1;
        address.split('/').next().unwrap().parse().unwrap()
    }

    #[test]
    fn two_live_side_by_side_and_leave_nothing() {
        let (one, two) = (Embedded::start(spec()).unwrap(), Embedded::start(spec()).unwrap());
        let (first, second) = (address(&one), address(&two));
        assert_ne!(first, second);
        drop(one);
        assert!(std::net::TcpStream::connect(first).is_err());
        assert!(std::net::TcpStream::connect(second).is_ok());
    }

    #[tokio::test]
    async fn who_wants_a_node_back_does_not_wait_for_its_shutdown() {
        let embedded = Embedded::start(spec()).unwrap();
        let node = embedded.node("a-worker").unwrap();
        let stop = embedded.act(Action::Stop { node, grace: Duration::from_secs(60) });
        assert!(
            tokio::time::timeout(Duration::from_millis(100), stop).await.is_err(),
            "the shutdown goes on"
        );
        let began = Instant::now();
        embedded.act(Action::Start { node }).await.unwrap();
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(1300) && took < Duration::from_secs(10), "{took:?}");
    }

    #[tokio::test]
    async fn what_is_on_its_way_happens_before_it_is_undone() {
        let embedded = Embedded::start(spec()).unwrap();
        let node = embedded.node("a-worker2").unwrap();
        // A kill takes effect a moment after the call; an immediate start must not find the node up
        // and be content.
        let kill = embedded.act(Action::Kill { node });
        assert!(tokio::time::timeout(Duration::from_millis(1), kill).await.is_err());
        let began = Instant::now();
        embedded.act(Action::Start { node }).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(1300), "{:?}", began.elapsed());
        // What is so already is so immediately.
        let began = Instant::now();
        embedded.act(Action::Unpause { node }).await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn the_control_address_answers_whatever_fails() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let embedded = Embedded::start(spec()).unwrap();
        for node in embedded.topology.ids() {
            embedded.act(Action::Kill { node }).await.unwrap();
        }
        let mut stream = tokio::net::TcpStream::connect(embedded.control()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }

    #[tokio::test]
    async fn a_service_is_applied_again_although_its_port_had_to_be_another() {
        let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let request = taken.local_addr().unwrap().port();
        let embedded = Embedded::start(spec()).unwrap();
        let cluster =
            crate::cluster::Cluster::from_kubeconfig(embedded.kubeconfig()).await.unwrap();
        let service = |ports: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": ports}});
        let send = |method: &str, path: &str, body: Value| {
            let content = if method == "PATCH" {
                "application/strategic-merge-patch+json"
            } else {
                "application/json"
            };
            let request = http::Request::builder()
                .method(method)
                .uri(format!("/api/v1/namespaces/default/services{path}"));
            let request = request
                .header("content-type", content)
                .body(body.to_string().into_bytes())
                .unwrap();
            let client = cluster.client();
            async move { client.request::<Value>(request).await }
        };
        let ports = json!([{"name": "http", "port": request}]);
        let made = send("POST", "", service(ports.clone())).await.unwrap();
        assert_ne!(made["spec"]["ports"][0]["port"], request);
        let again =
            json!({"spec": {"$setElementOrder/ports": [{"port": request}], "ports": ports}});
        let applied = send("PATCH", "/web", again).await.unwrap();
        assert_eq!(applied["spec"]["ports"], made["spec"]["ports"]);
        let twice = json!([{"name": "a", "port": request}, {"name": "b", "port": request}]);
        let refused = send("PUT", "/web", service(twice)).await.unwrap_err().to_string();
        assert!(refused.contains("Duplicate value"), "{refused}");
    }

    #[tokio::test]
    async fn what_is_done_to_a_node_that_boots_happens_when_it_is_up() {
        let embedded = Embedded::start(spec()).unwrap();
        let node = embedded.node("a-worker").unwrap();
        for action in [
            Action::Kill { node },
            Action::Start { node },
            Action::Pause { node },
            Action::Unpause { node },
        ] {
            embedded.act(action).await.unwrap();
        }
        // The same with an undo on its heels: it does not wait for what never was.
        embedded.act(Action::Kill { node }).await.unwrap();
        embedded.act(Action::Start { node }).await.unwrap();
        let (pause, unpause) = tokio::join!(
            embedded.act(Action::Pause { node }),
            embedded.act(Action::Unpause { node })
        );
        assert!(
            matches!(pause, Err(EmbeddedError::Undone)) && unpause.is_ok(),
            "{pause:?} {unpause:?}"
        );
        embedded.act(Action::Kill { node }).await.unwrap();
        let stop = embedded.act(Action::StopKubelet { node }).await.unwrap_err();
        assert_eq!(stop.to_string(), "act inside the node: it is off");
    }

    #[tokio::test]
    async fn an_observer_sees_the_processes_of_the_control_plane() {
        let embedded = Embedded::start(spec()).unwrap();
        let (observer, mut records) = mpsc::unbounded_channel();
        embedded.observe(Some(observer));
        let mut next = async || match records.recv().await.unwrap().event {
            Event::Process { node, component, pid, state } => {
                assert_eq!(node, "a-control-plane");
                (component, pid, state)
            }
            other => panic!("{other:?}"),
        };
        let mut pids = Vec::new();
        for component in Component::ALL {
            let (seen, pid, state) = next().await;
            assert_eq!((seen, state), (component, ProcessState::Running));
            pids.push(pid.unwrap());
        }
        let node = embedded.node("a-control-plane").unwrap();
        let component = Component::Scheduler;
        let pid = Some(pids[Component::ALL.iter().position(|all| *all == component).unwrap()]);
        embedded.act(Action::PauseComponent { node, component }).await.unwrap();
        assert_eq!(next().await, (component, pid, ProcessState::Stopped));
        embedded.act(Action::UnpauseComponent { node, component }).await.unwrap();
        assert_eq!(next().await, (component, pid, ProcessState::Running));
        embedded.act(Action::KillComponent { node, component }).await.unwrap();
        assert_eq!(next().await, (component, None, ProcessState::Gone));
        let (_, again, state) = next().await;
        assert_eq!(state, ProcessState::Running);
        assert!(again.is_some_and(|again| !pids.contains(&again)), "another process: {again:?}");
    }

    #[tokio::test]
    async fn a_lease_that_is_no_lease_is_refused_and_ends_nothing() {
        let embedded = Embedded::start(spec()).unwrap();
        let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a-worker";
        let client =
            crate::cluster::Cluster::from_kubeconfig(embedded.kubeconfig()).await.unwrap().client();
        let patch =
            http::Request::patch(lease).header("content-type", "application/merge-patch+json");
        let refused = client
            .request::<Value>(patch.body(br#"{"spec":"x"}"#.to_vec()).unwrap())
            .await
            .unwrap_err();
        assert!(matches!(&refused, kube::Error::Api(status) if status.code == 422), "{refused}");
        // As it would be at the node's next beat, or at the latest at its next boot.
        let node = embedded.node("a-worker").unwrap();
        for action in [Action::Kill { node }, Action::Start { node }, Action::StopKubelet { node }]
        {
            embedded.act(action).await.unwrap();
        }
        assert!(!embedded.has_ended());
    }

    #[tokio::test]
    async fn a_cluster_that_died_says_so() {
        let embedded = Embedded::start(spec()).unwrap();
        assert!(!embedded.has_ended());
        // No such node: the only way to kill it that is left.
        let died = embedded.act(Action::Pause { node: NodeId(99) }).await;
        assert!(matches!(died, Err(EmbeddedError::Ended)), "{died:?}");
        tokio::time::timeout(Duration::from_secs(5), embedded.ended()).await.unwrap();
        assert!(embedded.has_ended());
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let refused = |spec| Embedded::start(spec).unwrap_err().to_string();
        let workers = EmbeddedSpec { topology: Topology::kind("a", 0, 1), ..spec() };
        assert_eq!(refused(workers), "model 1 nodes: one of them must be a control plane");
        let many = EmbeddedSpec { topology: Topology::kind("a", 101, 0), ..spec() };
        assert_eq!(refused(many), "model 101 nodes: the limit is 100");
        let tuning =
            Tuning { node_monitor_grace_period: Some(Duration::ZERO), ..Tuning::default() };
        assert!(
            refused(EmbeddedSpec { tuning, ..spec() })
                .starts_with("model a cluster with these settings: ")
        );
    }
}
