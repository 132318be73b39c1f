//! A packet filter inside the node, which drops what a fault says: its address and routes stay, and
//! the engine still reaches in.
//!
//! Only what passes the interfaces that lead out of the node is looked at, its pods' traffic, too;
//! loopback and what goes on between its own pods is not touched. All rules come in one commit of one table.
//! What differs from a real cable: a local process that sends a datagram is told "not permitted"
//! instead of nothing.

use std::net::IpAddr;
use std::time::Duration;

use super::context::{COMMAND, FaultContext, Look, Wait};
use super::error::FaultError;
use super::modelled::{self, ModelNode, Modelled};
use super::node_fault::Undone;
use super::record::Machine;
use super::undo_timer::{SHORT, UndoTimer};
use crate::embedded::Action;
use crate::experiment::{Direction, Fault};
use crate::timeline::FaultPhase;

/// Lists what tells the node's cables from the interfaces of its pods: addresses, default routes,
/// devices, and which interface lies over which (a bond, a VLAN, a bridge).
const INTERFACES: &str = r#"ip -o addr show; ip -4 route show default; ip -6 route show default
cd /sys/class/net && for name in *; do
  [ -e "$name/device" ] && echo device "$name"
  for lower in "$name"/lower_*; do [ -e "$lower" ] && echo over "$name" "${lower#*/lower_}"; done
done; :"#;
const TOOLS: [&str; 5] = ["iptables", "iptables-restore", "ip", "timeout", "bash"];
pub(super) const WAIT: Wait =
    Wait { every: Duration::from_millis(100), limit: Duration::from_secs(10) };
/// Beyond one command.
pub(super) const INJECTION_TIMEOUT: Duration =
    Duration::from_secs(COMMAND.as_secs() + WAIT.limit.as_secs());

/// What a filter drops, and how it is seen to.
#[derive(Clone, Debug)]
pub(super) struct Filter<'m> {
    /// The comment of its rules, and the name of its timer.
    pub mark: &'m str,
    /// In words, for the timeline.
    pub what: String,
    pub direction: Direction,
    pub hit: Hit,
    /// Whom a connection shows to be cut off; `None`: the gateway. To a closed port that is refused
    /// immediately while all is well.
    pub witness: Option<(IpAddr, u16)>,
}

/// Whose packets a filter drops.
#[derive(Clone, Debug)]
pub(super) enum Hit {
    Everybody,
    /// Those to and from a port of these, and from and to another of the node's own.
    Ports {
        of: Vec<IpAddr>,
        theirs: u16,
        /// The node's own that they ask.
        ours: u16,
    },
    /// Everything of these nodes and of the networks behind them, but for what goes on with ports
    /// of `spared`.
    Nodes {
        of: Vec<IpAddr>,
        /// Whose ports are spared.
        spared: Vec<IpAddr>,
        theirs: u16,
        ours: u16,
    },
}

/// A rule for both directions: `-s` and `--sport` of what comes in are `-d` and `--dport` of what
/// goes out.
struct Rule {
    family: Family,
    /// The other side's address; `None`: any.
    address: Option<IpAddr>,
    /// TCP to or from this port only; `None`: everything.
    port: Option<Port>,
    drop: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Both,
    V4,
    V6,
}

#[derive(Clone, Copy)]
enum Port {
    Theirs(u16),
    Ours(u16),
}

fn family(address: &IpAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}

impl Filter<'_> {
    /// The rules in the order in which they are asked.
    fn rules(&self) -> Vec<Rule> {
        let any = Rule { family: Family::Both, address: None, port: None, drop: true };
        let ports = |of: &[IpAddr], theirs: u16, ours: u16, drop: bool| -> Vec<Rule> {
            let both = [Port::Theirs(theirs), Port::Ours(ours)];
            let rule = |(address, port): (&IpAddr, Port)| Rule {
                family: family(address),
                address: Some(*address),
                port: Some(port),
                drop,
            };
            of.iter().flat_map(|address| both.map(|port| (address, port))).map(rule).collect()
        };
        match &self.hit {
            Hit::Everybody => vec![any],
            Hit::Ports { of, theirs, ours } => ports(of, *theirs, *ours, true),
            Hit::Nodes { of, spared, theirs, ours } => {
                let nodes = of.iter().map(|address| Rule {
                    family: family(address),
                    address: Some(*address),
                    port: None,
                    drop: true,
                });
                ports(spared, *theirs, *ours, false).into_iter().chain(nodes).collect()
            }
        }
    }

    /// The rules as `iptables-restore` takes them for a family. They are put in from the last to
    /// the first, each before all others.
    fn lines(&self, wanted: Family, cables: &[String]) -> String {
        let rules = self.rules();
        let here =
            rules.iter().rev().filter(|rule| rule.family == Family::Both || rule.family == wanted);
        here.flat_map(|rule| cables.iter().flat_map(|cable| self.of_directions(rule, cable)))
            .map(|line| format!("-I {line}\n"))
            .collect()
    }

    fn of_directions(&self, rule: &Rule, cable: &str) -> Vec<String> {
        let port = |theirs: &str, ours: &str| match rule.port {
            None => String::new(),
            Some(Port::Theirs(port)) => format!(" -p tcp -m tcp {theirs} {port}"),
            Some(Port::Ours(port)) => format!(" -p tcp -m tcp {ours} {port}"),
        };
        let end = format!(
            "-m comment --comment {} -j {}",
            self.mark,
            if rule.drop { "DROP" } else { "ACCEPT" }
        );
        let with =
            |flag: &str| rule.address.map_or(String::new(), |address| format!(" {flag} {address}"));
        let inward =
            format!("PREROUTING{} -i {cable}{} {end}", with("-s"), port("--sport", "--dport"));
        let outward =
            format!("POSTROUTING{} -o {cable}{} {end}", with("-d"), port("--dport", "--sport"));
        match self.direction {
            Direction::Both => vec![inward, outward],
            Direction::In => vec![inward],
            Direction::Out => vec![outward],
        }
    }

    /// What lies behind a node is what is routed by way of it: its pods.
    fn behind(&self) -> String {
        let Hit::Nodes { of, .. } = &self.hit else { return String::new() };
        let of: Vec<String> = of.iter().map(IpAddr::to_string).collect();
        format!(
            "for peer in {peers}; do case $peer in *:*) family=-6;; *) family=-4;; esac\n\
             for net in $(ip $family route show via $peer | cut -d' ' -f1); do echo $family $net; done; done",
            peers = of.join(" ")
        )
    }

    /// IPv6 is cut where the node has it. Rules of networks that only the node knows are put after
    /// the others.
    fn cutting(&self, cables: &[String]) -> String {
        let (mark, witness) = (self.mark, ip6_witness(self.mark));
        let behind = match self.behind() {
            none if none.is_empty() => "behind=".to_owned(),
            some => format!("behind=$({some})"),
        };
        let (inward, outward) = (self.direction != Direction::Out, self.direction != Direction::In);
        let routed = |family: &str| {
            let add = |chain: &str, flag: &str, side: &str| -> String {
                let rule = |cable: &String| {
                    format!(
                        "echo \"-I {chain} {side} $net {flag} {cable} -m comment --comment {mark} -j DROP\";"
                    )
                };
                cables.iter().map(rule).collect()
            };
            let inward = if inward { add("PREROUTING", "-i", "-s") } else { String::new() };
            let outward = if outward { add("POSTROUTING", "-o", "-d") } else { String::new() };
            format!(
                "echo \"$behind\" | while read -r family net; do [ \"$family\" = {family} ] || continue; {inward} {outward} done"
            )
        };
        let put = |tool: &str, family: Family, flag: &str| {
            let (lines, routed) = (self.lines(family, cables), routed(flag));
            format!(
                "{{ echo '*mangle'; {routed}; printf '%s' '{lines}'; echo COMMIT; }} | {tool}-restore -w 5 --noflush"
            )
        };
        format!(
            "{behind}\n\
             {v4} || exit 1\n\
             [ -n \"$(ip -o -6 addr show scope global)\" ] || exit 0\n\
             : >{witness} || exit 1\n\
             {v6} || {{ rm -f {witness}; exit 1; }}",
            v4 = put("iptables", Family::V4, "-4"),
            v6 = put("ip6tables", Family::V6, "-6"),
        )
    }

    /// Says how many packets our rules have dropped, after giving them one, and whether the other
    /// side answered.
    fn looking(&self) -> String {
        let mark = self.mark;
        let whom = match self.witness {
            Some((address, port)) => format!("whom={address}; port={port}"),
            None => "via() { ip $1 route show default | sed -n 's/^default via \\([^ ]*\\) .*/\\1/p' | head -n 1; }\n\
                     whom=$(via -4); port=9; [ -n \"$whom\" ] || whom=$(via -6)"
                .to_owned(),
        };
        format!(
            "{whom}\n\
             timeout 0.2 bash -c \"</dev/tcp/$whom/$port\" 2>/dev/null; code=$?\n\
             [ $code -eq 124 ] && answer=silent || answer=answers\n\
             [ -n \"$whom\" ] || answer=silent\n\
             for tool in iptables ip6tables; do for chain in PREROUTING POSTROUTING; do\n\
             $tool -w 5 -t mangle -L $chain -vxn 2>/dev/null | grep -w -e {mark} | grep -w DROP\n\
             done; done | {{ sum=0; while read -r packets rest; do sum=$((sum+packets)); done; echo $sum $answer; }}"
        )
    }
}

/// There from before the first IPv6 rule until after the last. Like the rules it goes with a
/// restart: /run is memory.
fn ip6_witness(mark: &str) -> String {
    format!("/run/{mark}.ip6")
}

/// Removes exactly the rules that carry our mark, however often they are there; says how many there
/// were; fails while one is left, or while nobody can tell. Only an IPv6 filter that never had a
/// rule of ours may fail: there are nodes on which it can't work.
fn undo_script(timer: &UndoTimer) -> String {
    let mark = &timer.mark;
    let witness = ip6_witness(mark);
    let script = format!(
        "removed=0\n\
         for tool in iptables ip6tables; do command -v $tool >/dev/null || continue\n\
         while :; do\n\
         rules=$($tool -w 5 -t mangle -S) || {{ [ $tool = ip6tables ] && [ ! -e {witness} ] && break; exit 1; }}\n\
         rule=$(echo \"$rules\" | grep -w -e {mark} | head -n 1)\n\
         [ -n \"$rule\" ] || break\n\
         $tool -w 5 -t mangle -D $(echo \"$rule\" | cut -c4-) || exit 1\n\
         removed=$((removed+1))\n\
         done\n\
         done\n\
         rm -f {witness}\n\
         echo $removed"
    );
    timer.undo_script(SHORT, &script)
}

pub(super) async fn inject(
    context: &mut FaultContext<'_, '_>,
    filter: &Filter<'_>,
    timer: &UndoTimer,
) -> Result<(), FaultError> {
    let cables = cables(context).await?;
    timer.arm(context, &TOOLS, &undo_script(timer)).await?;
    context.report(
        FaultPhase::Requested,
        format!("{} on {} inside the node", filter.what, cables.join(", ")),
    );
    timer.inject(SHORT, context, "cut the network", &filter.cutting(&cables)).await?;
    context.report(FaultPhase::Returned, "the packet filter is in place");
    let whom = filter.witness.map_or("its gateway".to_owned(), |(address, _)| address.to_string());
    let script = filter.looking();
    let drops = async |context: &FaultContext<'_, '_>| {
        let output = context.run(&["sh", "-c", &script]).await?.text();
        let (dropped, answer) = output.split_once(' ').unwrap_or(("0", "is unknown"));
        let dropped: u64 = dropped.parse().unwrap_or(0);
        Ok(match dropped > 0 && answer == "silent" {
            true => Look::Seen(format!("{whom} is silent, {dropped} packets dropped")),
            false => Look::NotYet(format!("{dropped} packets were dropped and {whom} {answer}")),
        })
    };
    context.confirm(WAIT, drops).await
}

/// The interfaces that lead out of the node. Each of its addresses must be on one.
async fn cables(context: &FaultContext<'_, '_>) -> Result<Vec<String>, FaultError> {
    let listing = context.run(&["sh", "-c", INTERFACES]).await?.text();
    let addresses = context.target.addresses.values().flatten();
    let addresses: Vec<String> = addresses.map(IpAddr::to_string).collect();
    cables_of(&listing, &addresses).map_err(|why| context.refused(why))
}

/// Those that have an address of the node's or a default route, and those of a device, or over one:
/// a second card may carry what its pods say. The others are loopback and what leads to its pods.
/// Errors say what is missing.
fn cables_of(listing: &str, addresses: &[String]) -> Result<Vec<String>, String> {
    let lines: Vec<Vec<&str>> =
        listing.lines().map(|line| line.split_whitespace().collect()).collect();
    // `31: eth0    inet 172.18.0.2/16 brd ...`
    let has = |line: &[&str], address: &str| {
        let found = line.get(3).and_then(|found| found.split('/').next());
        line[0].ends_with(':') && found == Some(address)
    };
    let mut cables = std::collections::BTreeSet::new();
    for address in addresses {
        match lines.iter().find(|line| line.len() > 3 && has(line, address)) {
            Some(line) => cables.insert(line[1]),
            None => return Err(format!("its address {address} is on none of its interfaces")),
        };
    }
    for line in &lines {
        match line[..] {
            ["default", ..] => {
                let dev = line.iter().position(|word| *word == "dev");
                cables.extend(dev.and_then(|dev| line.get(dev + 1)));
            }
            ["device", name] => _ = cables.insert(name),
            _ => {}
        }
    }
    // Over a bond there may be VLANs, and a bridge over one of these.
    loop {
        let over = lines.iter().filter_map(|line| match line[..] {
            ["over", name, lower] if cables.contains(lower) => Some(name),
            _ => None,
        });
        let over: Vec<&str> = over.filter(|name| !cables.contains(name)).collect();
        if over.is_empty() {
            break;
        }
        cables.extend(over);
    }
    // They become words of a script.
    let plain =
        |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:@".contains(c));
    let cables: Vec<String> =
        cables.into_iter().filter(|name| *name != "lo").filter(plain).map(str::to_owned).collect();
    if cables.is_empty() {
        Err("it has no interface that leads out of it".into())
    } else {
        Ok(cables)
    }
}

pub(super) async fn undo(
    context: &FaultContext<'_, '_>,
    timer: &UndoTimer,
) -> Result<Undone, FaultError> {
    let script = undo_script(timer);
    let removed = timer.undo(SHORT, context, "remove the packet filter", &script).await?;
    Ok(match removed.as_deref() {
        None => "the node is not running: its packet filter went with it".into(),
        Some("0") => Undone {
            seen: "no packet filter was there: never injected, or already undone by the node's undo timer"
                .into(),
            wore_off: true,
        },
        Some(_) => "the packet filter is gone".into(),
    })
}

pub(super) fn describe(timer: &UndoTimer, machine: Machine<'_>) -> String {
    format!("remove the packet filter {} from {machine}", timer.mark)
}

pub(super) fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
    let (effect, undone, undo) = match node.action(fault)? {
        Action::CutFromApi { .. } => {
            ("cut off from the API servers", "reconnected", "reconnect {node} to the API servers")
        }
        _ => ("network disconnected", "network reconnected", "reconnect the network of {node}"),
    };
    modelled::modelled(fault, node, effect, undone, undo)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::{Undo, inject, samples, undo};
    use crate::timeline::FaultKind;

    /// A node's tools as functions of the shell: each filter's rules are a file, the armed timer
    /// is one, and so are failures.
    const NODE: &str = "
        filter() { tool=$1; shift; [ ! -e $tool.fails ] || { echo $tool: lock held >&2; return 4; }
            case \"$*\" in
            *-S) cat $tool;;
            *-D*) [ ! -e $tool.deletes-not ] || { echo $tool: lock held >&2; return 4; }
                n=$(grep -nxF -e \"-A ${*#*-D }\" $tool | head -n 1 | cut -d: -f1)
                [ -n \"$n\" ] && sed \"${n}d\" $tool >rest && mv rest $tool;;
            *) sed -n 's/^-I/-A/p' >>$tool;;
            esac; }
        iptables() { filter iptables \"$@\"; }; ip6tables() { filter ip6tables \"$@\"; }
        iptables_restore() { iptables; }; ip6tables_restore() { ip6tables; }
        systemctl() { case $1 in is-active) [ -e armed ];; *) rm -f armed;; esac; }
        flock() { :; }
        ip() { echo 2: eth0 inet6 fc00::3/64; }
        ";

    fn script(dir: &Path, argv: &[String]) -> (i64, String) {
        let text = argv.join(" ");
        match () {
            () if text.contains("ip -o addr show") => {
                return (0, "2: eth0 inet 172.18.0.3/16\n2: eth0 inet6 fc00::3/64".into());
            }
            () if text.contains("exec systemd-run") => {
                return (0, std::fs::write(dir.join("armed"), "").map(|()| String::new()).unwrap());
            }
            () if text.contains("timeout 0.2") => return (0, "1 silent".into()),
            () => {}
        }
        let inside = argv[2]
            .replace("9</run", "9</dev/null")
            .replace("/run/", "./")
            .replace("tables-restore", "tables_restore");
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("{NODE}{inside}")])
            .current_dir(dir)
            .output()
            .unwrap();
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.code().unwrap().into(), String::from_utf8(said).unwrap())
    }

    /// A node whose cable is cut, its directory, and the way to mend it.
    async fn cut(
        tools_fail: &[&str],
    ) -> (FakeEngine, tempfile::TempDir, Undo, Result<(), FaultError>) {
        let (engine, dir) = (FakeEngine::start(), tempfile::tempdir().unwrap());
        for tool in ["iptables", "ip6tables"] {
            std::fs::write(
                dir.path().join(tool),
                "-P PREROUTING ACCEPT\n-A PREROUTING -i eth0 -j ACCEPT\n",
            )
            .unwrap();
        }
        flag(&dir, tools_fail, true);
        let path = dir.path().to_owned();
        engine.with(|state| state.script = Box::new(move |_, argv| script(&path, argv)));
        let plan = samples::plan_of(&samples::fault(FaultKind::NodeDisconnect)).unwrap();
        let cut = inject(&plan, &engine.connect().await, &mut |_, _| {}).await;
        (engine, dir, plan, cut)
    }

    fn flag(dir: &tempfile::TempDir, names: &[&str], set: bool) {
        for name in names {
            let path = dir.path().join(name);
            if set {
                std::fs::write(path, "").unwrap()
            } else {
                std::fs::remove_file(path).unwrap()
            }
        }
    }

    fn rules_left(dir: &tempfile::TempDir) -> [usize; 2] {
        ["iptables", "ip6tables"].map(|tool| {
            std::fs::read_to_string(dir.path().join(tool)).unwrap().matches("outage-r-0").count()
        })
    }

    #[tokio::test]
    async fn a_filter_that_fails_is_no_filter_without_rules() {
        for failure in
            ["iptables.fails", "ip6tables.fails", "iptables.deletes-not", "ip6tables.deletes-not"]
        {
            let (engine, dir, plan, cut) = cut(&[]).await;
            cut.unwrap();
            assert_eq!(rules_left(&dir), [2, 2]);
            flag(&dir, &[failure], true);
            let (docker, mut phases) = (engine.connect().await, Vec::new());
            let error = undo(&plan, &docker, &mut |phase, _| phases.push(phase)).await.unwrap_err();
            assert!(error.to_string().ends_with("tables: lock held"), "{failure}: {error}");
            assert_eq!(phases, [FaultPhase::UndoRequested, FaultPhase::NotUndone]);
            assert!(dir.path().join("armed").exists(), "{failure}: the timer is still to undo it");
            flag(&dir, &[failure], false);
            undo(&plan, &docker, &mut |_, _| {}).await.unwrap();
            assert_eq!(rules_left(&dir), [0, 0]);
            let names =
                std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(names.count(), 2, "the timer is disarmed, and no witness is left");
        }
    }

    #[tokio::test]
    async fn an_undo_that_finds_no_filter_says_that_it_wore_off() {
        let (engine, _dir, plan, cut) = cut(&[]).await;
        cut.unwrap();
        let docker = engine.connect().await;
        for wore_off in [false, true] {
            let mut phases = Vec::new();
            undo(&plan, &docker, &mut |phase, _| phases.push(phase)).await.unwrap();
            assert_eq!(phases.contains(&FaultPhase::WoreOff), wore_off, "{phases:?}");
            assert_eq!(phases.last(), Some(&FaultPhase::Reverted));
        }
    }

    #[tokio::test]
    async fn a_filter_that_never_worked_keeps_nothing_from_being_undone() {
        let (engine, dir, plan, cut) = cut(&["ip6tables.fails"]).await;
        assert_eq!(
            cut.unwrap_err().to_string(),
            "cut the network in node c-worker: ip6tables: lock held"
        );
        assert_eq!(rules_left(&dir), [2, 0]);
        undo(&plan, &engine.connect().await, &mut |_, _| {}).await.unwrap();
        assert_eq!(rules_left(&dir), [0, 0]);
        assert!(!dir.path().join("armed").exists());
    }

    /// What the nodes of several kinds of clusters list.
    #[test]
    fn the_cables_of_a_node_are_told_from_what_leads_to_its_pods() {
        let of = |address: &str, listing: &str| {
            let lo = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n";
            cables_of(&format!("{lo}{listing}"), &[address.to_owned()]).map(|it| it.join(" "))
        };
        let kind = "2: eth0    inet 172.18.0.2/16 brd 172.18.255.255 scope global eth0\\  x\n\
                    3: vethb1@if2    inet 10.244.1.1/32 scope global vethb1\n\
                    default via 172.18.0.1 dev eth0\n";
        assert_eq!(of("172.18.0.2", kind).unwrap(), "eth0");
        let missing = "its address 172.18.0.20 is on none of its interfaces";
        assert_eq!(of("172.18.0.20", kind).unwrap_err(), missing);
        let eks = "2: ens5    inet 192.168.7.3/19 brd x scope global dynamic ens5\n\
                   3: eni2a@if3    inet6 fe80::1/64 scope link\n\
                   default via 192.168.0.1 dev ens5 proto dhcp src 192.168.7.3 metric 512\n\
                   device ens5\ndevice ens6\n";
        assert_eq!(of("192.168.7.3", eks).unwrap(), "ens5 ens6");
        let bonded = "2: bond0.7    inet 10.0.0.3/24 scope global bond0.7\n\
                      3: cni0    inet 10.42.0.1/24 scope global cni0\n\
                      4: flannel.1    inet 10.42.0.0/32 scope global flannel.1\n\
                      default via 10.0.0.1 dev br-storage\n\
                      device eno1\ndevice eno2\nover bond0 eno1\nover bond0 eno2\n\
                      over bond0.7 bond0\nover bond0.8 bond0\nover br-storage bond0.8\n\
                      over cni0 veth12\nover docker0 veth13\n";
        assert_eq!(of("10.0.0.3", bonded).unwrap(), "bond0 bond0.7 bond0.8 br-storage eno1 eno2");
        let openshift = "7: br-ex    inet 10.0.0.3/24 scope global br-ex\ndevice enp1s0\n\
                         default via 10.0.0.1 dev br-ex\n9: ovn-k8s-mp0    inet 10.128.0.2/23 x\n";
        assert_eq!(of("10.0.0.3", openshift).unwrap(), "br-ex enp1s0");
        let point_to_point =
            "2: wg0    inet 10.9.0.2/32 scope global wg0\ndefault dev ppp0 scope link\n";
        assert_eq!(of("10.9.0.2", point_to_point).unwrap(), "ppp0 wg0");
    }

    #[test]
    fn each_cable_has_its_rules() {
        let cables = ["ens5", "ens6"].map(str::to_owned);
        let lines = filter(Direction::In, Hit::Everybody).lines(Family::V4, &cables);
        assert_eq!(lines.lines().count(), 2);
        for cable in cables {
            assert!(lines.contains(&format!("-I PREROUTING -i {cable} -m comment")), "{lines}");
        }
    }

    /// On this machine.
    #[test]
    fn interfaces_are_listed() {
        let output = std::process::Command::new("sh").args(["-c", INTERFACES]).output().unwrap();
        assert!(output.status.success());
    }

    fn filter(direction: Direction, hit: Hit) -> Filter<'static> {
        Filter { mark: "outage-r-0", what: String::new(), direction, hit, witness: None }
    }

    fn eth0() -> [String; 1] {
        ["eth0".into()]
    }

    #[test]
    fn a_direction_is_the_nodes_own() {
        let of = |direction| filter(direction, Hit::Everybody).lines(Family::V4, &eth0());
        let (inward, outward) =
            ("-I PREROUTING -i eth0 -m comment", "-I POSTROUTING -o eth0 -m comment");
        assert!(of(Direction::Both).contains(inward) && of(Direction::Both).contains(outward));
        assert!(of(Direction::In).contains(inward) && !of(Direction::In).contains(outward));
        assert!(!of(Direction::Out).contains(inward) && of(Direction::Out).contains(outward));
    }

    #[test]
    fn an_api_server_is_cut_off_by_its_port_and_the_kubelets() {
        let of: Vec<IpAddr> = vec!["172.18.0.2".parse().unwrap(), "fc00::2".parse().unwrap()];
        let cut = filter(Direction::Both, Hit::Ports { of, theirs: 6443, ours: 10250 });
        let v4 = cut.lines(Family::V4, &eth0());
        for rule in [
            "PREROUTING -s 172.18.0.2 -i eth0 -p tcp -m tcp --sport 6443 ",
            "POSTROUTING -d 172.18.0.2 -o eth0 -p tcp -m tcp --dport 6443 ",
            "PREROUTING -s 172.18.0.2 -i eth0 -p tcp -m tcp --dport 10250 ",
            "POSTROUTING -d 172.18.0.2 -o eth0 -p tcp -m tcp --sport 10250 ",
        ] {
            assert!(
                v4.contains(&format!("-I {rule}-m comment --comment outage-r-0 -j DROP\n")),
                "{rule}: {v4}"
            );
        }
        assert_eq!((v4.lines().count(), cut.lines(Family::V6, &eth0()).lines().count()), (4, 4));
        assert!(!v4.contains("fc00") && !cut.lines(Family::V6, &eth0()).contains("172."));
    }

    #[test]
    fn what_is_spared_is_asked_first() {
        let (peer, server) =
            (vec!["172.18.0.4".parse().unwrap()], vec!["172.18.0.2".parse().unwrap()]);
        let cut = filter(
            Direction::In,
            Hit::Nodes { of: peer, spared: server, theirs: 6443, ours: 10250 },
        );
        let lines = cut.lines(Family::V4, &eth0());
        // Each is put before those that were put in earlier.
        let verdicts: Vec<&str> =
            lines.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(verdicts, ["DROP", "ACCEPT", "ACCEPT"]);
        assert!(cut.cutting(&eth0()).contains("ip $family route show via $peer"));
    }
}
