//! How a shell in a node finds the processes of a part of the control plane.

use crate::timeline::Component;

/// The kernel keeps so much of a program's name.
const COMM: usize = 15;

/// A function of the shell that prints number, start and state of a part's processes. Those of pods
/// with a network of their own are somebody else's. (No `${` and no `%`: systemd would read them in
/// a timer's script.)
pub(super) fn find_processes(component: Component) -> String {
    let name = component.name();
    format!(
        "found() {{\n\
         for at in /proc/[0-9]*; do\n\
         read -r comm 2>/dev/null <$at/comm && [ \"$comm\" = {comm} ] || continue\n\
         case $(readlink $at/exe) in */{name}) ;; *) continue;; esac\n\
         [ \"$(readlink $at/ns/net)\" = \"$(readlink /proc/self/ns/net)\" ] || continue\n\
         set -- $(cat $at/stat 2>/dev/null)\n\
         [ $# -gt 21 ] || continue\n\
         pid=$1 state=$3; shift 21; echo $pid $1 $state\n\
         done; }}",
        comm = &name[..name.len().min(COMM)],
    )
}
