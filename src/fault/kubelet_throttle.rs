//! The kubelet starves: systemd limits the CPU time of its unit, so that its heartbeats come late, or
//! some not at all. It goes on running, and so do its node's pods.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::{COMMAND, FaultContext, Look};
use super::error::FaultError;
use super::kubelet::{self, Scripts, WAIT, must_be_active};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::record::Machine;
use super::undo_timer::UndoTimer;
use crate::experiment::Fault;

/// Takes the limit away. The file is what systemd keeps of a property that was set.
const RELEASE: &str = "systemctl set-property --runtime kubelet.service CPUQuota= || exit 1
rm -f /run/systemd/system.control/kubelet.service.d/50-CPUQuota.conf
rmdir /run/systemd/system.control/kubelet.service.d 2>/dev/null
systemctl daemon-reload";
/// Prints the quota and the period of the kubelet's control group in microseconds, as the kernel has
/// them; `max` or `-1`: it is not limited. With version 1 of control groups each is a file.
const LIMIT: &str = r#"pid=$(systemctl show --property=MainPID --value kubelet) && [ "$pid" -gt 0 ] || exit 1
root=/sys/fs/cgroup
if [ -e $root/cgroup.controllers ]; then
  group=$(sed -n 's,^0::,,p' /proc/$pid/cgroup)
  cat $root$group/cpu.max
else
  group=$(sed -n 's/^[0-9]*:\(cpu,[^:]*\|[^:]*,cpu\|cpu\):/\/\1/p' /proc/$pid/cgroup)
  echo $(cat $root$group/cpu.cfs_quota_us $root$group/cpu.cfs_period_us)
fi"#;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KubeletThrottle {
    #[serde(flatten)]
    timer: UndoTimer,
    /// So much of one CPU it may use.
    cpu_percent: u32,
}

impl NodeFault for KubeletThrottle {
    kubelet::on_kubelet!(timer);

    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        let Fault::KubeletThrottle { cpu, .. } = *plan.fault else {
            return Err(plan.another_fault());
        };
        Ok(Self { timer: plan.undo_timer(), cpu_percent: cpu })
    }

    async fn check(&self, context: &FaultContext<'_, '_>) -> Result<(), FaultError> {
        must_be_active(context).await?;
        if let Some(percent) = limit(context).await? {
            return Err(
                context.refused(format!("its kubelet is already limited to {percent}% of one CPU"))
            );
        }
        Ok(())
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let property = format!("CPUQuota={}%", self.cpu_percent);
        let witness = self.witness();
        let throttle =
            format!(": >{witness} && systemctl set-property --runtime kubelet.service {property}");
        let scripts = Scripts {
            what: "throttle the kubelet",
            inject: &throttle,
            undo: &self.release(),
            tools: &[],
            request: format!("systemctl set-property kubelet {property}"),
            returned: "systemd has set the property",
        };
        let throttled = async |context: &FaultContext<'_, '_>| {
            Ok(match limit(context).await? {
                Some(percent) if percent == self.cpu_percent => {
                    Look::Seen(format!("the kubelet may use {percent}% of one CPU"))
                }
                Some(percent) => Look::NotYet(format!("its kubelet may use {percent}% of one CPU")),
                None => Look::NotYet("the CPU time of its kubelet is not limited".into()),
            })
        };
        kubelet::inject(context, &self.timer, scripts, throttled).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        let what = "remove the CPU limit of the kubelet";
        let undone = kubelet::undo(context, &self.timer, what, &self.release()).await?;
        match limit(context).await {
            Ok(Some(percent)) if percent == self.cpu_percent => {
                let output = format!("it may still use only {percent}% of one CPU");
                Err(FaultError::Command { node: context.node(), what, output })
            }
            // Another limit is somebody else's. Without a process there is nothing to be limited.
            Ok(_) | Err(FaultError::Command { .. }) => Ok(undone),
            Err(error) => Err(error),
        }
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        format!("remove the CPU limit of the kubelet {}", machine.place())
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        machine.typed("systemctl set-property --runtime kubelet.service CPUQuota=")
    }
}

impl KubeletThrottle {
    /// There from before our limit is set until it is taken away: an undo that follows no injection
    /// must leave a limit that somebody else has set. Like the limit it goes with a restart.
    fn witness(&self) -> String {
        format!("/run/{}.throttled", self.timer.mark)
    }

    fn release(&self) -> String {
        let witness = self.witness();
        format!("if [ -e {witness} ]; then\n{RELEASE} || exit 1\nrm -f {witness}\nfi")
    }
}

/// How much of one CPU the kubelet may use, in percent; `None`: as much as there is.
async fn limit(context: &FaultContext<'_, '_>) -> Result<Option<u32>, FaultError> {
    let output = context.run(&["sh", "-c", LIMIT]).await?;
    let text = output.text();
    match parse_limit(&text).filter(|_| output.code == 0) {
        Some(limit) => Ok(limit),
        None => Err(context.command_failed("read the CPU limit of the kubelet", &output)),
    }
}

/// `5000 100000`; `None`: it can't be read.
fn parse_limit(text: &str) -> Option<Option<u32>> {
    let (quota, period) = text.split_once(' ')?;
    let period: f64 = period.parse().ok().filter(|period| *period > 0.0)?;
    match quota {
        "max" | "-1" => Some(None),
        quota => Some(Some((quota.parse::<f64>().ok()? / period * 100.0).round() as u32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::kubelet::PROCESS;
    use crate::fault::{NodeFaultRecord, inject, samples, undo};
    use crate::timeline::{FaultKind, FaultPhase};

    /// A node whose systemd obeys; its kubelet's limit at first.
    fn node(limit: &str) -> FakeEngine {
        let engine = FakeEngine::start();
        let limit = limit.to_owned();
        engine.worker(|worker| worker.inside.insert("limit".into(), limit));
        engine.with(|state| {
            state.script = Box::new(|node, argv| {
                let text = argv.join(" ");
                match () {
                    () if text == "systemctl is-active kubelet" => return (0, "active".into()),
                    () if text.contains("exec systemd-run") => {}
                    () if text.contains("cpu.max") => return (0, node.inside["limit"].clone()),
                    () if text.contains(PROCESS) => return (0, "7 S".into()),
                    () if text.contains("CPUQuota=1%") => {
                        node.inside.insert("limit".into(), "1000 100000".into());
                    }
                    () if text.contains(RELEASE) => {
                        node.inside.insert("limit".into(), "max 100000".into());
                    }
                    () => {}
                }
                (0, String::new())
            });
        });
        engine
    }

    #[tokio::test]
    async fn it_is_throttled_and_released_any_number_of_times() {
        let engine = node("max 100000");
        let plan = samples::plan_of(&samples::fault(FaultKind::KubeletThrottle)).unwrap();
        let (docker, mut said) = (engine.connect().await, Vec::new());
        inject(&plan, &docker, &mut |phase, text| said.push((phase, text))).await.unwrap();
        let phases: Vec<_> = said.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(phases, [FaultPhase::Requested, FaultPhase::Returned, FaultPhase::Confirmed]);
        assert_eq!(said[2].1, "the kubelet may use 1% of one CPU");
        for _ in 0..2 {
            let mut seen = String::new();
            undo(&plan, &docker, &mut |_, text| seen = text).await.unwrap();
            assert_eq!(seen, "the kubelet runs");
        }
    }

    /// Its undo would take away what somebody else has set.
    #[tokio::test]
    async fn a_kubelet_that_has_a_limit_is_not_hit() {
        let plan = samples::plan_of(&samples::fault(FaultKind::KubeletThrottle)).unwrap();
        let engine = node("200000 100000");
        let docker = engine.connect().await;
        let error = inject(&plan, &docker, &mut |_, _| {}).await.unwrap_err().to_string();
        assert!(error.ends_with("its kubelet is already limited to 200% of one CPU"), "{error}");
    }

    /// Another unit holds its process, which systemd's property does not reach.
    #[tokio::test]
    async fn a_limit_that_stays_is_not_undone() {
        let engine = node("max 100000");
        engine.with(|state| {
            state.script = Box::new(|_, argv| match argv.join(" ") {
                text if text.contains("cpu.max") => (0, "1000 100000".into()),
                _ => (0, "7 S".into()),
            })
        });
        let plan = samples::plan_of(&samples::fault(FaultKind::KubeletThrottle)).unwrap();
        let docker = engine.connect().await;
        let error = undo(&plan, &docker, &mut |_, _| {}).await.unwrap_err().to_string();
        assert!(error.ends_with("it may still use only 1% of one CPU"), "{error}");
    }

    /// After a refusal, too, the undo runs.
    #[tokio::test]
    async fn a_limit_of_somebody_else_does_not_keep_the_undo_from_ending() {
        let engine = node("200000 100000");
        engine.with(|state| {
            state.script = Box::new(|_, argv| match argv.join(" ") {
                text if text.contains("cpu.max") => (0, "200000 100000".into()),
                _ => (0, "7 S".into()),
            })
        });
        let plan = samples::plan_of(&samples::fault(FaultKind::KubeletThrottle)).unwrap();
        undo(&plan, &engine.connect().await, &mut |_, _| {}).await.unwrap();
    }

    #[test]
    fn what_we_did_not_set_is_not_removed() {
        let plan = samples::plan_of(&samples::fault(FaultKind::KubeletThrottle)).unwrap();
        let NodeFaultRecord::KubeletThrottle(fault) = &plan.fault else { panic!("{plan:?}") };
        let folder = tempfile::tempdir().unwrap();
        let run = format!("{}/", folder.path().display());
        let witness = fault.witness().replace("/run/", &run);
        let called = |code: i32| {
            let script = fault.release().replace("/run/", &run);
            let script = format!("systemctl() {{ echo \"$1\"; return {code}; }}\n{script}");
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            (output.status.success(), String::from_utf8(output.stdout).unwrap())
        };
        assert_eq!(called(0), (true, String::new()));
        std::fs::write(&witness, "").unwrap();
        assert_eq!(called(1), (false, "set-property\n".into()));
        assert_eq!(called(0), (true, "set-property\ndaemon-reload\n".into()));
        assert!(!std::path::Path::new(&witness).exists());
    }

    #[test]
    fn a_limit_is_read_as_the_kernel_has_it() {
        assert_eq!(parse_limit("5000 100000"), Some(Some(5)));
        assert_eq!(parse_limit("max 100000"), Some(None));
        assert_eq!(parse_limit("-1 100000"), Some(None));
        assert_eq!(parse_limit(""), None, "there is no such file");
        assert_eq!(parse_limit("100000"), None);
    }

    /// Where the kubelet's control group is, with both versions of these.
    #[test]
    fn the_control_group_of_the_process_is_read() {
        let read = |of_process: &str, files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            let here = folder.path().display().to_string();
            for (name, text) in files {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            std::fs::write(folder.path().join("cgroup"), of_process).unwrap();
            let script = LIMIT.replace("/sys/fs/cgroup", &here).replace("/proc/$pid", &here);
            let script = format!("systemctl() {{ echo 7; }}\n{script}");
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            parse_limit(String::from_utf8(output.stdout).unwrap().trim())
        };
        let second = [("cgroup.controllers", ""), ("a/kubelet.service/cpu.max", "5000 100000\n")];
        assert_eq!(read("0::/a/kubelet.service\n", &second), Some(Some(5)));
        for controllers in ["cpu", "cpu,cpuacct", "cpuacct,cpu"] {
            let group = format!("{controllers}/k.slice/kubelet.service");
            let (quota, period) =
                (format!("{group}/cpu.cfs_quota_us"), format!("{group}/cpu.cfs_period_us"));
            let first = [(quota.as_str(), "-1\n"), (period.as_str(), "100000\n")];
            let line = format!(
                "9:cpuset:/\n3:{controllers}:/k.slice/kubelet.service\n0::/k.slice/kubelet.service\n"
            );
            assert_eq!(read(&line, &first), Some(None), "{controllers}");
        }
    }
}
