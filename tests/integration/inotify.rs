//! A kubelet that finds no inotify instances ends again and again: systemd starts another a second
//! later, and each is there for a moment.

use super::lab::{Lab, MINUTE, cluster, docker};

const FILE: &str = "/tmp/inotify-used-up";

/// Every inotify instance that is left on this machine is in use until this goes.
struct UsedUp {
    node: String,
}

impl UsedUp {
    fn now() -> Self {
        let cluster = cluster();
        let used_up = Self { node: format!("{cluster}-control-plane") };
        // Each `tail -f` has one. The first that gets none says so and polls. They end by themselves
        // where this test is killed.
        used_up.inside(&format!(
            "touch {FILE}; limit=$(cat /proc/sys/fs/inotify/max_user_instances); i=0
while [ $i -lt $limit ]; do timeout 300 tail -f {FILE} >/dev/null 2>&1 & i=$((i+1)); done
sleep 1; timeout 1 tail -f {FILE} 2>&1 | grep inotify"
        ));
        used_up
    }

    fn inside(&self, script: &str) -> String {
        docker(&["exec", &self.node, "bash", "-c", script])
    }
}

impl Drop for UsedUp {
    fn drop(&mut self) {
        self.inside(&format!("pkill -f '^(timeout [0-9]+ )?tail -f {FILE}'; rm -f {FILE}"));
    }
}

/// The kubelet's undo was carried out, and the node is broken nevertheless: that is not undone, and
/// is tried again.
pub(crate) fn used_up_while_it_is_stopped() {
    let lab = Lab::new();
    let experiment = lab.shorter("kubelet-stop", "for: 9s", "for: 5s");
    let mut run = lab.home.start(&["run", "-f", &experiment]);
    run.wait_for("kubeletStop confirmed", 2 * MINUTE);
    let used_up = UsedUp::now();
    run.wait_for("NOT UNDONE", 4 * MINUTE);
    drop(used_up);
    let output = run.finish();
    output.says("does not stay up").says("inotify_init: too many open files").says(" undone: ");
    lab.assert_clean();
}
