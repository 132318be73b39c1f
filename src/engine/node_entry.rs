//! A preflight that enters the nodes as a run does: helper pods are started where there is no
//! container engine, this program runs in each node for a moment, and the clocks are measured. All of
//! it is removed again, and recorded before, as a run's undo is.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::SignedDuration;

use crate::agent::{NodeClocks, measure_clocks};
use crate::engine::abort::Abort;
use crate::engine::environment::handle::Nodes;
use crate::engine::error::RunError;
use crate::engine::node_preflight::cannot_run;
use crate::engine::node_tools::{NodeTools, machine};
use crate::engine::preflight::{Preflight, of_error};
use crate::engine::session::Start;
use crate::engine::undo::ledger::{Access, Ledger, RunRef, UndoEntry, namespace_of};
use crate::experiment::Experiment;
use crate::fault::NodeTarget;
use crate::node::NodeAccess;
use crate::plan::Node;
use crate::preflight::{Check, Finding};
use crate::stats::Seconds;
use crate::timeline::{NodeRole, counted, few};

/// So many nodes are entered at the same time.
const AT_ONCE: usize = 4;
/// A wall clock that is farther off is not synchronized.
const OFF: Duration = Duration::from_millis(500);

/// What was seen in a node; `None`: this program cannot run there.
type Entered<'n> = (&'n str, Result<Option<NodeClocks>, RunError>);

impl Preflight<'_> {
    pub(super) async fn enter(
        &self,
        experiment: &Experiment,
        nodes: &[&Node],
        abort: &Abort,
    ) -> Vec<Finding> {
        let ready: Vec<&Node> = nodes.iter().copied().filter(|node| node.ready).collect();
        if ready.is_empty() {
            return Vec::new();
        }
        match self.entered(experiment, &ready, abort).await {
            Ok(findings) => findings,
            Err(error) => vec![of_error(Check::Helpers, &error)],
        }
    }

    async fn entered(
        &self,
        experiment: &Experiment,
        nodes: &[&Node],
        abort: &Abort,
    ) -> Result<Vec<Finding>, RunError> {
        let handle = self.handle;
        let Start { id: run, .. } = Start::now(0, None);
        let (namespace, uploads) = (namespace_of(&run), handle.state.uploads(&run));
        let reached = match &handle.nodes {
            Nodes::Kind(nodes) => NodeTools::of_kind(handle, nodes),
            Nodes::Api(nodes) => {
                NodeTools::through_the_api(handle, nodes, experiment, (&run, &namespace)).await?
            }
            Nodes::Embedded(_) => return Ok(Vec::new()),
        };
        let access = Some(&reached.access).filter(|access| matches!(access, Access::Api { .. }));
        let is_container = |it: &&NodeTarget| it.role != NodeRole::ExternalLoadBalancer;
        let containers = reached.machines.iter().filter(is_container);
        let undo = match access {
            Some(access) => {
                UndoEntry::Namespace { name: namespace.clone(), access: access.clone() }
            }
            None => UndoEntry::Probers {
                containers: containers.map(|it| it.container_id.clone()).collect(),
                uploads: Some(uploads.clone()),
            },
        };
        let mut ledger = Ledger::open(&handle.state.ledger())?;
        let run_ref = RunRef { run: &run, engine: &reached.engine, access };
        let entry = ledger.record(run_ref, undo.clone())?;
        let looks = async {
            if access.is_some() {
                let created = handle.cluster.create_namespace(&namespace, &run).await;
                created.map_err(RunError::refused_by)?;
            }
            let way = reached.tools.way_in(&uploads)?;
            let looks = nodes.iter().map(|node| look(node, &reached, &way, &run));
            Ok::<Vec<Entered<'_>>, RunError>(stream::iter(looks).buffered(AT_ONCE).collect().await)
        };
        let found = tokio::select! {
            signal = abort.interrupted() => Err(RunError::refused(format!("interrupted by {signal}"))),
            found = looks => found,
        };
        reached.tools.undo(&run, &undo, &mut |_, _| {}).await.map_err(|error| {
            error.hint("`kubectl outage recover` removes what the preflight has left")
        })?;
        ledger.settle(entry)?;
        Ok(judged(&found?, access.is_some(), shortest_limit(experiment)))
    }
}

async fn look<'n>(
    node: &'n Node,
    reached: &NodeTools,
    way: &Arc<dyn NodeAccess>,
    run: &str,
) -> Entered<'n> {
    let seen = async {
        let machine = machine(&reached.machines, &node.name)?.handle();
        if let Some(helpers) = &reached.tools.helpers {
            helpers.start(&machine).await.map_err(RunError::refused_by)?;
        }
        if cannot_run(&reached.binary, node).is_some() {
            return Ok(None);
        }
        let measured = measure_clocks(way, &machine, run, &reached.binary).await;
        measured.map(Some).map_err(RunError::refused_by)
    };
    (node.name.as_str(), seen.await)
}

/// The shortest time that the experiment judges by what is measured in nodes.
fn shortest_limit(experiment: &Experiment) -> Option<Duration> {
    experiment.expect.iter().filter_map(|expectation| expectation.shortest_in_nodes()).min()
}

fn judged(entered: &[Entered<'_>], by_pods: bool, limit: Option<Duration>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut clocks: Vec<(&str, NodeClocks)> = Vec::new();
    for (node, seen) in entered {
        match seen {
            Ok(measured) => clocks.extend(measured.map(|measured| (*node, measured))),
            Err(error) => findings.push(of_error(Check::Helpers, error)),
        }
    }
    if findings.is_empty() {
        let nodes = counted(entered.len(), "node");
        let text = match by_pods {
            true => format!("helper pods ran on {nodes}"),
            false => format!("commands ran on {nodes}"),
        };
        findings.push(Finding::ok(Check::Helpers, text));
    }
    findings.extend(of_clocks(&clocks, limit));
    findings
}

fn of_clocks(clocks: &[(&str, NodeClocks)], limit: Option<Duration>) -> Vec<Finding> {
    let time = |time: Duration| Seconds::from(time).ceil(4).to_string();
    let mut findings = Vec::new();
    let off = clocks.iter().filter_map(|(node, NodeClocks { wall, .. })| {
        let bound = Duration::from_nanos(wall.uncertainty_ns);
        let ahead = SignedDuration::from_nanos(wall.ahead_ns as i64);
        (ahead.unsigned_abs() > OFF + bound).then(|| {
            let side = if ahead.is_negative() { "behind" } else { "ahead" };
            format!("{node} is {} {side} (±{})", time(ahead.unsigned_abs()), time(bound))
        })
    });
    let off: Vec<String> = off.collect();
    if !off.is_empty() {
        let text = format!("wall clocks differ from this machine's: {}", few(off));
        findings.push(
            Finding::warning(Check::Clocks, text)
                .hint("`timedatectl` on each machine shows whether its clock is synchronized"),
        );
    }
    let Some((worst, clock)) = clocks.iter().max_by_key(|(_, clock)| clock.moments_within) else {
        return findings;
    };
    let within = clock.moments_within;
    // Both ends of what is measured may be off by as much.
    if let Some(limit) = limit.filter(|limit| within * 2 > *limit) {
        let text = format!(
            "times measured on {worst} are known to ±{}, and the experiment's shortest limit is {}: \
             its verdict may be inconclusive",
            time(within),
            time(limit)
        );
        findings.push(
            Finding::warning(Check::Clocks, text)
                .hint("run this program nearer to the cluster, or raise the limit"),
        );
    }
    if findings.is_empty() {
        let farthest = clocks.iter().map(|(_, it)| it.wall.ahead_ns.unsigned_abs()).max();
        let farthest = Duration::from_nanos(farthest.unwrap_or_default() as u64);
        let text = format!(
            "wall clocks are within {} of this machine's, and times measured on nodes are known to ±{}",
            time(farthest),
            time(within)
        );
        findings.push(Finding::ok(Check::Clocks, text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::clock::Offset;
    use crate::preflight::Level;

    fn clocks(ahead_ms: i128, within_ms: u64) -> NodeClocks {
        let wall = Offset { ahead_ns: ahead_ms * 1_000_000, uncertainty_ns: 2_000_000 };
        NodeClocks { moments_within: Duration::from_millis(within_ms), wall }
    }

    #[test]
    fn a_clock_that_is_off_or_not_known_well_enough_is_a_warning() {
        let found = |all: &[(&str, NodeClocks)], limit_ms: u64| -> Vec<(Level, String)> {
            let found = of_clocks(all, Some(Duration::from_millis(limit_ms)));
            found.into_iter().map(|it| (it.level, it.message)).collect()
        };
        let fine = found(&[("a", clocks(3, 1)), ("b", clocks(-12, 4))], 500);
        let text = "wall clocks are within 12ms of this machine's, and times measured on nodes are known to ±4ms";
        assert_eq!(fine, [(Level::Ok, text.to_owned())]);
        let off = found(&[("a", clocks(-3200, 1)), ("b", clocks(501, 1))], 500);
        let text = "wall clocks differ from this machine's: a is 3.2s behind (±2ms)";
        assert_eq!(off, [(Level::Warning, text.to_owned())], "b's bound is larger");
        let coarse = found(&[("a", clocks(0, 300)), ("b", clocks(0, 20))], 500);
        assert_eq!(coarse[0].0, Level::Warning);
        assert!(coarse[0].1.starts_with("times measured on a are known to ±300ms"), "{coarse:?}");
        assert_eq!(of_clocks(&[("a", clocks(0, 300))], None)[0].level, Level::Ok);
    }

    #[test]
    fn a_node_that_cannot_be_entered_is_an_error_and_hides_no_other() {
        let refused = || Err(RunError::refused("failed to start a helper pod on node a"));
        let found = judged(&[("a", refused()), ("b", Ok(Some(clocks(0, 1))))], true, None);
        let levels: Vec<(Check, Level)> = found.iter().map(|it| (it.check, it.level)).collect();
        assert_eq!(levels, [(Check::Helpers, Level::Error), (Check::Clocks, Level::Ok)]);
        let fine = judged(&[("a", Ok(None))], false, None);
        assert_eq!(fine[0].message, "commands ran on 1 node");
    }
}
