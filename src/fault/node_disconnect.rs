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

/// IPv6 is cut where the node has it.
fn cutting(mark: &str) -> String {
    let [inward, outward] = rules(mark);
    format!(
        "rules='*mangle\n-I {inward}\n-I {outward}\nCOMMIT'\n\
         echo \"$rules\" | iptables-restore -w 5 --noflush || exit 1\n\
         [ -z \"$(ip -o -6 addr show scope global)\" ] || echo \"$rules\" | ip6tables-restore -w 5 --noflush || exit 1"
    )
}

/// Removes exactly our rules, however often they are there; says how many there were; fails while one is left.
fn mending(mark: &str) -> String {
    let [inward, outward] = rules(mark);
    let script = format!(
        "removed=0\n\
         for tool in iptables ip6tables; do command -v $tool >/dev/null || continue\n\
         while $tool -w 5 -t mangle -D {inward} 2>/dev/null; do removed=$((removed+1)); done\n\
         while $tool -w 5 -t mangle -D {outward} 2>/dev/null; do removed=$((removed+1)); done\n\
         if $tool -w 5 -t mangle -S | grep -w -e {mark}; then exit 1; fi\n\
         done\n\
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
    use super::*;

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
