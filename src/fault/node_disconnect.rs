//! The network cable is cut, by a packet filter inside the node: its address and routes stay, and the engine still reaches in.
//!
//! All that enters or leaves by the node's outer interfaces is dropped, its pods' traffic, too; loopback and what goes on between its own
//! pods is not touched. Both directions are cut in one commit of one table. What differs from a real cable: a local process that sends a
//! datagram is told "not permitted" instead of nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::FaultError;
use super::inside::{arm, harm, heal, healing};
use super::scene::Scene;
use crate::timeline::FaultPhase;

/// Docker and Podman name a container's interfaces eth0, eth1, ...; those of pods are veth... and others.
const CABLES: &str = "eth+";
const TOOLS: [&str; 5] = ["iptables", "iptables-restore", "ip", "timeout", "bash"];
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(10);
const WHAT: &str = "cut the network";
const BACK: &str = "take the packet filter away";

/// The two rules, as `iptables` takes them.
fn rules(mark: &str) -> [String; 2] {
    let end = format!("-m comment --comment {mark} -j DROP");
    [format!("PREROUTING -i {CABLES} {end}"), format!("POSTROUTING -o {CABLES} {end}")]
}

/// There from before the first IPv6 rule until after the last. Like the rules it goes with a restart: /run is memory.
fn witness(mark: &str) -> String {
    format!("/run/{mark}.ip6")
}

/// IPv6 is cut where the node has it.
fn cutting(mark: &str) -> String {
    let [inward, outward] = rules(mark);
    let witness = witness(mark);
    format!(
        "rules='*mangle\n-I {inward}\n-I {outward}\nCOMMIT'\n\
         echo \"$rules\" | iptables-restore -w 5 --noflush || exit 1\n\
         [ -n \"$(ip -o -6 addr show scope global)\" ] || exit 0\n\
         : >{witness} || exit 1\n\
         echo \"$rules\" | ip6tables-restore -w 5 --noflush || {{ rm -f {witness}; exit 1; }}"
    )
}

/// Removes exactly our rules, however often they are there; says how many there were; fails while one is left, or while nobody can
/// tell. Only an IPv6 filter that never had a rule of ours may fail: there are nodes on which it can't work.
fn mending(mark: &str) -> String {
    let [inward, outward] = rules(mark);
    let witness = witness(mark);
    let script = format!(
        "removed=0\n\
         for tool in iptables ip6tables; do command -v $tool >/dev/null || continue\n\
         while :; do\n\
         rules=$($tool -w 5 -t mangle -S) || {{ [ $tool = ip6tables ] && [ ! -e {witness} ] && break; exit 1; }}\n\
         rule=$(echo \"$rules\" | grep -w -e {mark} | head -n 1)\n\
         case $rule in\n\
         '') break;;\n\
         *PREROUTING*) $tool -w 5 -t mangle -D {inward} || exit 1;;\n\
         *) $tool -w 5 -t mangle -D {outward} || exit 1;;\n\
         esac\n\
         removed=$((removed+1))\n\
         done\n\
         done\n\
         rm -f {witness}\n\
         echo $removed"
    );
    healing(mark, &script)
}

/// Says how many packets our outward rule has dropped, after giving it one, and whether the gateway answered. A connection to a closed
/// port of the gateway is refused at once while the cable is whole.
fn looking(mark: &str) -> String {
    format!(
        "set -- $(ip -4 route show default); gateway=$3\n\
         [ -n \"$gateway\" ] || {{ set -- $(ip -6 route show default); gateway=$3; }}\n\
         timeout 0.2 bash -c \"</dev/tcp/$gateway/9\" 2>/dev/null; code=$?\n\
         [ $code -eq 124 ] && answer=silent || answer=answers\n\
         [ -n \"$gateway\" ] || answer=silent\n\
         set -- $( (iptables -w 5 -t mangle -L POSTROUTING -vxn; ip6tables -w 5 -t mangle -L POSTROUTING -vxn) 2>/dev/null \
         | grep -w -e {mark} | sort -rn)\n\
         echo ${{1:-0}} $answer"
    )
}

pub(super) async fn inject(scene: &mut Scene<'_, '_>, mark: &str, dead_man: Duration) -> Result<(), FaultError> {
    scene.must_be_up().await?;
    knows_the_cables(scene).await?;
    arm(scene, mark, dead_man, &TOOLS, &mending(mark)).await?;
    scene.say(FaultPhase::Requested, format!("drop all packets on {CABLES} inside the node"));
    harm(scene, mark, WHAT, &cutting(mark)).await?;
    scene.say(FaultPhase::Returned, "the packet filter is in place");
    let end = Instant::now() + PATIENCE;
    loop {
        let output = scene.run(&["sh", "-c", &looking(mark)]).await?.text();
        let dropped: u64 = output.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        if dropped > 0 && output.ends_with("silent") {
            scene.say(FaultPhase::Confirmed, format!("its gateway is silent, {dropped} packets dropped"));
            return Ok(());
        }
        if Instant::now() > end {
            let seen =
                format!("{dropped} packets were dropped and its gateway {}", output.split(' ').nth(1).unwrap_or("is unknown"));
            return Err(FaultError::NotConfirmed { node: scene.node(), seen, after: PATIENCE });
        }
        sleep(LOOK).await;
    }
}

/// The node's addresses must be on interfaces that the filter covers.
async fn knows_the_cables(scene: &Scene<'_, '_>) -> Result<(), FaultError> {
    let output = scene.run(&["ip", "-o", "addr", "show"]).await?.text();
    let uncovered = scene.undo.target.addresses.values().flatten().find(|address| !covered(&output, &address.to_string()));
    match uncovered {
        None => Ok(()),
        Some(address) => Err(scene.not_fit(format!("its address {address} is on none of its interfaces {CABLES}"))),
    }
}

/// A line is `31: eth0    inet 172.18.0.2/16 brd ...`.
fn covered(listing: &str, address: &str) -> bool {
    listing.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let named = words.next().is_some_and(|interface| interface.starts_with(CABLES.trim_end_matches('+')));
        named && words.nth(1).is_some_and(|found| found.split('/').next() == Some(address))
    })
}

pub(super) async fn undo(scene: &Scene<'_, '_>, mark: &str) -> Result<String, FaultError> {
    Ok(match heal(scene, BACK, &mending(mark)).await?.as_deref() {
        None => "the node does not run: its packet filter went with it".into(),
        Some("0") => "no packet filter was there: never done, or taken away by the dead man's switch".into(),
        Some(_) => "the packet filter is gone".into(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::record::tests::{every_fault, target};
    use crate::fault::{Undo, inject, plan, undo};

    /// A node's tools as functions of the shell: each filter's rules are a file, the armed switch is one, and so are failures.
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
            () if text.starts_with("ip -o addr") => return (0, "2: eth0 inet 172.18.0.3/16\n2: eth0 inet6 fc00::3/64".into()),
            () if text.contains("exec systemd-run") => {
                return (0, std::fs::write(dir.join("armed"), "").map(|()| String::new()).unwrap());
            }
            () if text.contains("timeout 0.2") => return (0, "1 silent".into()),
            () => {}
        }
        let inside = argv[2].replace("9</run", "9</dev/null").replace("/run/", "./").replace("tables-restore", "tables_restore");
        let output = std::process::Command::new("sh").args(["-c", &format!("{NODE}{inside}")]).current_dir(dir).output().unwrap();
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.code().unwrap().into(), String::from_utf8(said).unwrap())
    }

    /// A node whose cable is cut, its directory, and the way to mend it.
    async fn cut(tools_fail: &[&str]) -> (FakeEngine, tempfile::TempDir, Undo, Result<(), FaultError>) {
        let (engine, dir) = (FakeEngine::start(), tempfile::tempdir().unwrap());
        for tool in ["iptables", "ip6tables"] {
            std::fs::write(dir.path().join(tool), "-P PREROUTING ACCEPT\n-A PREROUTING -i eth+ -j ACCEPT\n").unwrap();
        }
        flag(&dir, tools_fail, true);
        let path = dir.path().to_owned();
        engine.with(|state| state.script = Box::new(move |_, argv| script(&path, argv)));
        let [.., disconnect, _] = every_fault();
        let plan = plan(&disconnect, &target(), "r", 0, Duration::from_secs(60));
        let cut = inject(&plan, &engine.connect().await, &mut |_, _| {}).await;
        (engine, dir, plan, cut)
    }

    fn flag(dir: &tempfile::TempDir, names: &[&str], set: bool) {
        for name in names {
            let path = dir.path().join(name);
            if set { std::fs::write(path, "").unwrap() } else { std::fs::remove_file(path).unwrap() }
        }
    }

    fn rules_left(dir: &tempfile::TempDir) -> [usize; 2] {
        ["iptables", "ip6tables"].map(|tool| std::fs::read_to_string(dir.path().join(tool)).unwrap().matches("outage-r-0").count())
    }

    #[tokio::test]
    async fn a_filter_that_fails_is_no_filter_without_rules() {
        for failure in ["iptables.fails", "ip6tables.fails", "iptables.deletes-not", "ip6tables.deletes-not"] {
            let (engine, dir, plan, cut) = cut(&[]).await;
            cut.unwrap();
            assert_eq!(rules_left(&dir), [2, 2]);
            flag(&dir, &[failure], true);
            let (docker, mut phases) = (engine.connect().await, Vec::new());
            let error = undo(&plan, &docker, &mut |phase, _| phases.push(phase)).await.unwrap_err();
            assert!(error.to_string().ends_with("tables: lock held"), "{failure}: {error}");
            assert_eq!(phases, [FaultPhase::UndoRequested, FaultPhase::NotUndone]);
            assert!(dir.path().join("armed").exists(), "{failure}: the switch is still to take it back");
            flag(&dir, &[failure], false);
            undo(&plan, &docker, &mut |_, _| {}).await.unwrap();
            assert_eq!(rules_left(&dir), [0, 0]);
            let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(names.count(), 2, "the switch is disarmed, and no witness is left");
        }
    }

    #[tokio::test]
    async fn a_filter_that_never_worked_keeps_nothing_from_being_undone() {
        let (engine, dir, plan, cut) = cut(&["ip6tables.fails"]).await;
        assert_eq!(cut.unwrap_err().to_string(), "cut the network in node c-worker: ip6tables: lock held");
        assert_eq!(rules_left(&dir), [2, 0]);
        undo(&plan, &engine.connect().await, &mut |_, _| {}).await.unwrap();
        assert_eq!(rules_left(&dir), [0, 0]);
        assert!(!dir.path().join("armed").exists());
    }

    #[test]
    fn interfaces_are_read() {
        let listing = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n\
                       31: eth0    inet 172.18.0.2/16 brd 172.18.255.255 scope global eth0\\  x\n\
                       32: net1    inet 172.19.0.2/16 scope global net1";
        assert!(covered(listing, "172.18.0.2"));
        assert!(!covered(listing, "172.18.0.20"));
        assert!(!covered(listing, "172.19.0.2"));
        assert!(!covered(listing, "127.0.0.1"));
    }

    #[test]
    fn what_is_removed_is_what_was_put_in() {
        let (cut, mend) = (cutting("outage-r-0"), mending("outage-r-0"));
        for rule in rules("outage-r-0") {
            assert!(cut.contains(&format!("-I {rule}\n")) && mend.contains(&format!("-D {rule} ")), "{rule}");
        }
    }
}
