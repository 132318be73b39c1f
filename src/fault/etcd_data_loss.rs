//! The only etcd member loses its data directory, which is moved away and never deleted; etcd then
//! starts with an empty one. The undo ends etcd, moves the empty one aside and the old one back,
//! and starts etcd again.
//!
//! A snapshot is taken first, by the `etcdctl` in etcd's own image, and is there until etcd runs on
//! its data again. What is moved back is the directory all the same: it holds what was written
//! since, and `etcdutl`, which makes a directory of a snapshot, is not in every image.
//!
//! Each is one script under the node's lock, which waits for etcd's end itself: what is moved is
//! used by nobody. A script that is cut short has left marks by which the next one goes on: the
//! kept manifest and the kept data, each moved in one step on one file system.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::component::{self, Part, Seen};
use super::context::{FaultContext, Look, Wait};
use super::error::FaultError;
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::record::Machine;
use super::undo_timer::{LONG, UndoTimer};
use crate::experiment::Fault;
use crate::timeline::{Component, FaultPhase, NodeRole};

const MANIFEST: &str = "/etc/kubernetes/manifests/etcd.yaml";
/// What kubeadm gives etcd for its data. A manifest with another directory is refused.
const DATA: &str = "/var/lib/etcd";
/// One that ran, and does not any more, is not started again without its manifest.
const ENDED: u32 = 1;
/// A kubelet that has begun to start it goes on with that, and ends it afterwards. No longer than
/// this: a kubelet that has forgotten the pod meanwhile asks the API server about it before it
/// starts it again, and that hangs (measured: etcd came back after 66 s, not 3).
const SETTLED: u32 = 5;
/// So many looks has a whole script, 0.2 s apart: with its wait for the lock it stays within its
/// bound.
const LOOKS: u32 = 480;
/// How often the data is moved back where an etcd has made itself a store between two moves.
const TRIES: &str = "1 2 3 4 5";
/// For a snapshot: a store of 2 GiB, etcd's own limit, on a slow disk.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(60);
const WAIT: Wait = Wait { every: Duration::from_millis(250), limit: Duration::from_secs(120) };

/// etcd's data directory is moved away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct EtcdDataLoss(UndoTimer);

impl NodeFault for EtcdDataLoss {
    const UNDO_TIMEOUT: Duration =
        Duration::from_secs(LONG.limit.as_secs() + component::START.as_secs());

    fn injection_timeout(_: &Fault) -> Duration {
        SNAPSHOT_LIMIT + LONG.limit + WAIT.limit
    }

    /// A first member that knows of no other may still have others: each joiner knows those
    /// before it, not the other way round.
    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        let members = plan.cluster.iter().filter(|node| node.role == NodeRole::ControlPlane);
        if members.count() > 1 {
            let why = "etcd has several members here, and losing the data of one does not lose the \
                 cluster's";
            let hint = "use a cluster with one control plane, or stop members (`componentStop` \
                 with `count: 2`)";
            return Err(plan.impossible(why.into(), Some(hint)));
        }
        Ok(Self(plan.undo_timer()))
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let (timer, part, mark) = (&self.0, etcd(&self.0), &self.0.mark);
        let prepared = async {
            let snapshot = take_snapshot(context, mark).await?;
            timer.arm(context, &["readlink", "grep"], &undo_script(timer)).await?;
            Ok(snapshot)
        };
        let prepared: Result<String, FaultError> = prepared.await;
        // After a refusal no undo removes what there is of a snapshot.
        if prepared.as_ref().is_err_and(FaultError::is_refusal) {
            context.run(&["sh", "-c", &discarding(mark)]).await?;
        }
        let snapshot = prepared?;
        context.report(FaultPhase::Requested, format!("stop etcd and move {DATA}/member away"));
        timer.inject(LONG, context, "move the data away", &losing(mark)).await?;
        context.report(FaultPhase::Returned, "its data is moved away");
        let script = format!("[ -d {DATA}/member/wal ] && [ -d {}/member ]", kept_data(mark));
        // It runs and has made itself a new store, while the old one is kept.
        let runs_anew = async |context: &FaultContext<'_, '_>| {
            let made = context.run(&["sh", "-c", &script]).await?.code == 0;
            Ok(match made && part.look(context).await?.runs() {
                true => Look::Seen(format!("etcd runs with an empty store; {snapshot}")),
                false => Look::NotYet("etcd has not started with an empty store".into()),
            })
        };
        context.confirm(WAIT, runs_anew).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        let script = undo_script(&self.0);
        if self.0.undo(LONG, context, "move the data back", &script).await?.is_none() {
            // What was moved stays moved while the node is down: this undo has to come again.
            let seen = "the node is not running, so etcd's data could not be moved back,";
            return Err(context.not_undone(seen, Duration::ZERO));
        }
        let well = etcd(&self.0).until_well(context, Seen::replaced).await?;
        context.run(&["sh", "-c", &discarding(&self.0.mark)]).await?;
        Ok(well.into())
    }

    fn undo_timer(&self) -> Option<&UndoTimer> {
        Some(&self.0)
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        format!("put etcd's data directory back {}", machine.place())
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        self.0.by_hand(machine)
    }

    fn part(&self) -> Option<Part> {
        Some(etcd(&self.0))
    }
}

fn etcd(timer: &UndoTimer) -> Part {
    Part { component: Component::Etcd, timer: timer.clone() }
}

/// The run's own directory beside the manifests.
fn keep(mark: &str) -> String {
    format!("/etc/kubernetes/{mark}")
}

/// The run's own directory beside the data.
fn kept_data(mark: &str) -> String {
    format!("{DATA}-{mark}")
}

fn snapshot(mark: &str) -> String {
    format!("{DATA}-{mark}.db")
}

/// Where the store goes that began empty.
fn meanwhile(mark: &str) -> String {
    format!("{DATA}-{mark}.meanwhile")
}

/// A function of the shell: where the processes of the node's etcd are. (No `${` and no `%`:
/// systemd would read them in the timer's script.)
const ALIVE: &str = "alive() { for at in /proc/[0-9]*; do read -r comm 2>/dev/null <$at/comm && [ \"$comm\" = etcd ] || continue\n\
     [ -n \"$(readlink $at/exe)\" ] || continue\n\
     [ \"$(readlink $at/ns/net)\" = \"$(readlink /proc/self/ns/net)\" ] && echo $at; done; }";

/// Takes a snapshot and says where it is; nothing, where etcd's image has no `etcdctl`. It lies on
/// etcd's own disk, which it must not fill.
fn snapshotting(mark: &str) -> String {
    let (pki, snapshot) = ("/etc/kubernetes/pki/etcd", snapshot(mark));
    format!(
        "{ALIVE}\n\
         tool=$(alive | head -n1)/root/usr/local/bin/etcdctl; [ -x $tool ] || exit 0\n\
         size=$(stat -c %s {DATA}/member/snap/db) && free=$(df -B1 --output=avail {DATA} | tail -n1) || exit 1\n\
         [ $free -gt $((size * 4)) ] || {{ echo 'its disk has no room for one'; exit 1; }}\n\
         $tool --endpoints=https://127.0.0.1:2379 --cacert={pki}/ca.crt --cert={pki}/server.crt --key={pki}/server.key \\\n\
         snapshot save {snapshot} >/dev/null && echo {snapshot}"
    )
}

/// Removes the snapshot, once etcd runs on its data again.
fn discarding(mark: &str) -> String {
    let snapshot = snapshot(mark);
    format!("rm -f {snapshot} {snapshot}.part")
}

/// Ends etcd: its manifest goes into the keep, and its process is waited for.
fn ending(mark: &str, looks: u32) -> String {
    let keep = keep(mark);
    format!(
        "{ALIVE}\n\
         if [ -e {MANIFEST} ]; then mkdir -p {keep} && mv {MANIFEST} {keep}/etcd.yaml || exit 1; fi\n\
         {absent}",
        absent = absent(looks),
    )
}

/// Waits until so many looks, one after the other, have not found etcd.
fn absent(quiet: u32) -> String {
    format!(
        "quiet=0; while [ $quiet -lt {quiet} ]; do\n\
         if [ -n \"$(alive)\" ]; then quiet=0; else quiet=$((quiet+1)); fi\n\
         looks=$((looks+1)); [ $looks -lt {LOOKS} ] || {{ echo 'etcd does not end'; exit 1; }}; sleep 0.2; done"
    )
}

/// Lets the kubelet start etcd.
fn beginning(mark: &str) -> String {
    let keep = keep(mark);
    format!(
        "if [ -e {keep}/etcd.yaml ]; then mv {keep}/etcd.yaml {MANIFEST} || exit 1; fi\nrmdir {keep} 2>/dev/null"
    )
}

fn losing(mark: &str) -> String {
    let (kept, ending, beginning) = (kept_data(mark), ending(mark, ENDED), beginning(mark));
    format!(
        "grep -q -e --data-dir={DATA}$ {MANIFEST} || {{ echo 'its data directory is not {DATA}'; exit 1; }}\n\
         grep -q -e '--initial-cluster=[^,]*$' {MANIFEST} || {{ echo 'it is not the only member'; exit 1; }}\n\
         [ -d {DATA}/member ] || {{ echo 'no data is in {DATA}'; exit 1; }}\n\
         looks=0\n\
         {ending}\n\
         mkdir {kept} && mv -T {DATA}/member {kept}/member || exit 1\n\
         {beginning}\n\
         [ -e {MANIFEST} ]"
    )
}

/// While the kept data is in its keep, the store in its place is the one that began empty. What was
/// done already is not done again.
fn undo_script(timer: &UndoTimer) -> String {
    let mark = &timer.mark;
    let (kept, meanwhile, ending, beginning) =
        (kept_data(mark), meanwhile(mark), ending(mark, SETTLED), beginning(mark));
    let snapshot = snapshot(mark);
    timer.undo_script(
        LONG,
        &format!(
            // One that comes between the two moves has made a store: it is ended, and all is done
            // anew. Or it has not yet: then it has ended before the manifest is back.
            "looks=0\n\
             if [ -e {kept}/member ]; then\n\
             for try in {TRIES}; do\n\
             {ending}\n\
             if [ -e {DATA}/member ]; then mkdir -p {meanwhile} && mv {DATA}/member {meanwhile}/$(cat /proc/sys/kernel/random/uuid) || exit 1; fi\n\
             mv -T {kept}/member {DATA}/member && break\n\
             done\n\
             [ ! -e {kept}/member ] || {{ echo 'another store keeps taking the place of {kept}/member'; exit 1; }}\n\
             {absent}\n\
             fi\n\
             [ -d {DATA}/member ] || {{ echo '{DATA}/member is lost; a snapshot from before:' $(ls {snapshot} 2>/dev/null || echo none); exit 1; }}\n\
             rmdir {kept} 2>/dev/null\n\
             rm -rf {meanwhile}\n\
             {beginning}\n\
             [ -e {MANIFEST} ] || {{ echo '{MANIFEST} is lost'; exit 1; }}",
            absent = absent(ENDED),
        ),
    )
}

/// Before the fault. What became of it, in words.
async fn take_snapshot(context: &FaultContext<'_, '_>, mark: &str) -> Result<String, FaultError> {
    let output = context.run_within(SNAPSHOT_LIMIT, &["sh", "-c", &snapshotting(mark)]).await?;
    match (output.code, output.text().as_str()) {
        (0, "") => Ok("without a snapshot: etcd's image has no etcdctl".into()),
        (0, path) => Ok(format!("a snapshot from before is in {path}")),
        _ => Err(context
            .refused(format!("no snapshot of its etcd could be taken: {}", output.error_text()))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::inject;
    use crate::fault::samples::{fault, plan_of};
    use crate::fault::undo_timer::UndoAfter;
    use crate::timeline::FaultKind;

    fn timer(mark: &str) -> UndoTimer {
        UndoTimer { mark: mark.into(), times: UndoAfter::both(Duration::from_secs(60)) }
    }

    /// A node as a folder: its paths lie below it, its etcd runs where a process of the folder says
    /// so, its timer is armed.
    fn run(root: &Path, script: &str) -> (bool, String) {
        let here = |path: &str| format!("{}{path}", root.display());
        let script =
            script.replace("/etc/kubernetes", &here("/etc/kubernetes")).replace(DATA, &here(DATA));
        let script = format!(
            "flock() {{ :; }}; systemctl() {{ :; }}; sleep() {{ :; }}\n{}",
            script.replace("exec 9</run", ":").replace("/proc/[0-9]*", &here("/proc/[0-9]*"))
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn node() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let data = root.path().join("var/lib/etcd");
        let flags = format!(
            "    - --data-dir={}\n    - --initial-cluster=cp=https://172.18.0.2:2380\n",
            data.display()
        );
        file("etc/kubernetes/manifests/etcd.yaml", &flags);
        file("var/lib/etcd/member/wal/0", "the old store");
        root
    }

    fn store(root: &Path) -> Option<String> {
        std::fs::read_to_string(root.join("var/lib/etcd/member/wal/0")).ok()
    }

    /// As it was: the old store and the manifest in their places, and nothing else.
    fn assert_whole(root: &Path, when: &str) {
        assert_eq!(store(root).as_deref(), Some("the old store"), "{when}");
        assert!(root.join("etc/kubernetes/manifests/etcd.yaml").exists(), "{when}");
        let names = |path: &str| std::fs::read_dir(root.join(path)).unwrap().count();
        assert_eq!((names("etc/kubernetes"), names("var/lib")), (1, 1), "{when}: nothing is left");
    }

    /// The script, cut before the command of this number that makes or moves something; `None`: it
    /// has not so many.
    fn cut(script: &str, number: usize) -> Option<String> {
        let places =
            script.match_indices("mkdir ").chain(script.match_indices("mv ")).map(|(at, _)| at);
        let mut places: Vec<usize> =
            places.filter(|at| script[..*at].ends_with([' ', '\n'])).collect();
        places.sort();
        let at = *places.get(number)?;
        Some(format!("{}exit 1; {}", &script[..at], &script[at..]))
    }

    #[test]
    fn the_old_store_is_back_after_any_interruption() {
        let (losing, undo) = (losing("m"), undo_script(&timer("m")));
        let cuts = |script: &str| {
            (0..)
                .map_while(|number| cut(script, number))
                .chain([script.to_owned()])
                .collect::<Vec<_>>()
        };
        let (losings, undos) = (cuts(&losing), cuts(&undo));
        assert_eq!((losings.len(), undos.len()), (6, 7), "each making and moving, and the whole");
        for (loss, back) in
            losings.iter().flat_map(|loss| undos.iter().map(move |back| (loss, back)))
        {
            let root = node();
            run(root.path(), loss);
            if root.path().join("var/lib/etcd-m/member").exists() {
                // etcd has begun anew.
                std::fs::create_dir_all(root.path().join("var/lib/etcd/member/wal")).unwrap();
            }
            run(root.path(), back);
            for _ in 0..2 {
                let (done, said) = run(root.path(), &undo);
                assert!(done, "{said}\n{loss}\n---\n{back}");
                assert_whole(root.path(), &format!("{loss}\n---\n{back}"));
            }
        }
    }

    /// Functions of the shell: etcd's process `comes` with a store of its own, and `goes`.
    fn late_etcd(root: &Path) -> String {
        let (process, net) =
            (root.join("proc/7"), std::fs::read_link("/proc/self/ns/net").unwrap());
        let (process, net) = (process.display(), net.display());
        format!(
            "comes() {{ command mkdir -p {process}/ns {DATA}/member/wal; ln -s /usr/local/bin/etcd {process}/exe\n\
             ln -s '{net}' {process}/ns/net; echo etcd >{process}/comm; }}\n\
             goes() {{ rm -r {process}; }}"
        )
    }

    /// A kubelet that had begun to start etcd when its manifest was taken away: etcd comes, makes a
    /// store where none is, and ends.
    #[test]
    fn an_etcd_that_comes_late_is_waited_for() {
        let root = node();
        assert!(run(root.path(), &losing("m")).0);
        let looks = format!(
            "{}\npauses=0; sleep() {{ pauses=$((pauses+1)); case $pauses in 2) comes;; 20) goes; [ -e {}/member ] && echo waited;; esac; }}",
            late_etcd(root.path()),
            kept_data("m")
        );
        assert_eq!(
            run(root.path(), &format!("{looks}\n{}", undo_script(&timer("m")))),
            (true, "waited".into())
        );
        assert_whole(root.path(), "after it has ended");
    }

    /// It begins right after the store before it was moved aside: the way back is not free.
    #[test]
    fn an_etcd_that_comes_between_two_moves_is_ended_as_well() {
        for (times, done) in [(2, true), (9, false)] {
            let root = node();
            assert!(run(root.path(), &losing("m")).0);
            let (late, undo, process) =
                (late_etcd(root.path()), undo_script(&timer("m")), root.path().join("proc/7"));
            let stubs = format!(
                "{late}\nsleep() {{ [ ! -e {} ] || goes; }}; comes; moves=0\n\
                 mv() {{ command mv \"$@\" || return; case \"$*\" in *meanwhile/*) moves=$((moves+1)); [ $moves -gt {times} ] || comes;; esac; }}",
                process.display()
            );
            let (ended, said) = run(root.path(), &format!("{stubs}\n{undo}"));
            assert_eq!(ended, done, "{said}");
            assert!(done || said.contains("keeps taking the place of"), "{said}");
            // It has calmed down.
            assert!(
                run(
                    root.path(),
                    &format!("{late}\n[ ! -e {} ] || goes\n{undo}", process.display())
                )
                .0
            );
            assert_whole(root.path(), &format!("{times} times"));
        }
    }

    /// An etcd whose image has this as its `etcdctl`.
    fn with_etcdctl(root: &Path, script: Option<&str>) {
        let comes = format!(
            "{}\ncomes; mkdir -p {1}/proc/7/root/usr/local/bin",
            late_etcd(root),
            root.display()
        );
        assert!(run(root, &comes).0);
        let Some(script) = script else { return };
        let tool = root.join("proc/7/root/usr/local/bin/etcdctl");
        std::fs::write(&tool, script).unwrap();
        assert!(Command::new("chmod").arg("+x").arg(&tool).status().unwrap().success());
    }

    #[test]
    fn a_snapshot_is_there_until_etcd_runs_on_its_data_again() {
        let root = node();
        with_etcdctl(
            root.path(),
            Some("#!/bin/sh\nfor last; do :; done; echo Snapshot saved; echo \"$*\" >\"$last\""),
        );
        std::fs::create_dir_all(root.path().join("var/lib/etcd/member/snap")).unwrap();
        std::fs::write(root.path().join("var/lib/etcd/member/snap/db"), "a store").unwrap();
        let (taken, path) = run(root.path(), &snapshotting("m"));
        assert!(
            taken
                && std::fs::read_to_string(&path).unwrap().contains("--cert=")
                && path.ends_with("var/lib/etcd-m.db"),
            "{path}"
        );
        std::fs::remove_dir_all(root.path().join("proc")).unwrap();
        assert!(run(root.path(), &losing("m")).0 && run(root.path(), &undo_script(&timer("m"))).0);
        assert!(
            Path::new(&path).exists(),
            "it is not yet known whether etcd runs on what was moved back"
        );
        assert!(run(root.path(), &discarding("m")).0);
        assert_whole(root.path(), "with a snapshot");
    }

    #[test]
    fn without_the_tool_there_is_none_and_a_tool_that_fails_is_reported() {
        let root = node();
        with_etcdctl(root.path(), None);
        assert_eq!(run(root.path(), &snapshotting("m")), (true, String::new()));
        with_etcdctl(root.path(), Some("#!/bin/sh\nexit 4"));
        assert!(!run(root.path(), &snapshotting("m")).0);
    }

    #[tokio::test]
    async fn what_there_is_of_a_snapshot_is_removed_where_the_fault_is_refused() {
        let engine = FakeEngine::start();
        engine.with(|state| {
            state.script = Box::new(|node, argv| {
                let text = argv.join(" ");
                let (code, says) = match () {
                    () if text.contains("echo end") => (0, "now 7 70 S\nend"),
                    () if text.contains("snapshot save") => (1, "its disk has no room for one"),
                    () => {
                        node.inside.insert("ran".into(), text);
                        (0, "")
                    }
                };
                (code, says.into())
            })
        });
        let (plan, docker) = (plan_of(&fault(FaultKind::EtcdDataLoss)).unwrap(), engine.connect());
        let error = inject(&plan, &docker.await, &mut |_, _| {}).await.unwrap_err();
        assert!(error.is_refusal() && error.to_string().ends_with("no room for one"), "{error}");
        let ran = engine.worker(|c| c.inside["ran"].clone());
        assert_eq!(ran, format!("sh -c {}", discarding("outage-r-0")));
    }

    #[test]
    fn what_is_lost_for_good_is_reported() {
        let root = node();
        assert!(run(root.path(), &losing("m")).0);
        assert_eq!(store(root.path()), None);
        std::fs::remove_dir_all(root.path().join("var/lib/etcd-m")).unwrap();
        let (done, said) = run(root.path(), &undo_script(&timer("m")));
        assert!(!done && said.contains("/member is lost") && said.ends_with("none"), "{said}");
    }

    #[test]
    fn one_of_several_members_is_no_target() {
        let root = node();
        let manifest = root.path().join("etc/kubernetes/manifests/etcd.yaml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        std::fs::write(&manifest, text.replace(":2380", ":2380,b=https://172.18.0.3:2380"))
            .unwrap();
        assert_eq!(run(root.path(), &losing("m")), (false, "it is not the only member".into()));
        assert_whole(root.path(), "untouched");
    }

    #[test]
    fn the_timers_script_has_nothing_that_systemd_reads() {
        let script = undo_script(&timer("outage-r-0"));
        assert!(!script.contains("${") && !script.contains('%'), "{script}");
    }
}
