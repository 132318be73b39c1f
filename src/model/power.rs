//! A node's machine: on, off, frozen, cut off; and what that does to the processes in it.

use super::action::{Action, Component};
use super::agenda::{NEVER, Timer};
use super::change::{Backend, Change, Power};
use super::machine::Model;
use super::pod::{Container, Pod};
use super::settings::{
    BOOT, INSIDE_TAKES, KILL_TAKES, KUBELET_START, Nanos, ORDERLY_KUBELET, ORDERLY_PODS,
    ORDERLY_REFUSES, POD_STATUS_SYNC,
};
use super::topology::{NodeId, PodId};
use crate::timeline::Cut;

impl Model {
    pub(super) fn take(&mut self, action: Action) {
        if !self.puts_off(action) {
            self.take_now(action);
        }
    }

    /// A machine that boots remembers what is done to it then, and forgets what is undone
    /// before.
    fn puts_off(&mut self, action: Action) -> bool {
        let Some(node) = action.node().map(|node| &mut self.nodes[node.0]) else { return false };
        if node.power != Power::Booting {
            return false;
        }
        node.put_off.retain(|fault| fault.undo() != Some(action));
        if action.needs_power() && !node.put_off.contains(&action) {
            node.put_off.push(action);
        }
        action.needs_power()
    }

    fn take_now(&mut self, action: Action) {
        match action {
            Action::Stop { node, grace } => self.stop(node, super::machine::nanos(grace)),
            Action::Kill { node } => self.kill(node),
            Action::Start { node } => self.start(node),
            Action::Pause { node } => self.set_frozen(node, true),
            Action::Unpause { node } => self.set_frozen(node, false),
            Action::Disconnect { node } => self.cut(node, Some(Cut::All)),
            Action::CutFromApi { node } => self.cut(node, Some(Cut::ApiServer)),
            Action::Reconnect { node } => self.cut(node, None),
            Action::StopKubelet { node } => self.want_kubelet(node, false),
            Action::StartKubelet { node } => self.want_kubelet(node, true),
            Action::Ail { node } => self.set_ails(node, true),
            Action::Heal { node } => self.set_ails(node, false),
            Action::StopComponent { node, component } => self.hold_component(node, component, true),
            Action::StartComponent { node, component } => {
                self.hold_component(node, component, false)
            }
            Action::KillComponent { node, component } => self.kill_component(node, component),
            Action::PauseComponent { node, component } => {
                self.freeze_component(node, component, true)
            }
            Action::UnpauseComponent { node, component } => {
                self.freeze_component(node, component, false)
            }
            Action::Scale { owner, replicas } => self.scale(owner, replicas),
            Action::DeleteOwner { owner } => self.delete_owner(owner),
            Action::Cordon { node, cordoned } => self.cordon(node, cordoned),
            Action::Taint { node, taint, present } => self.set_other_taint(node, taint, present),
            Action::DeletePod { pod, force } => {
                self.delete_pod(pod, super::change::Deletion::User, force)
            }
        }
    }

    fn stop(&mut self, node: NodeId, grace: Nanos) {
        if self.nodes[node.0].power != Power::On {
            return;
        }
        self.set_power(node, Power::Stopping);
        self.agenda.set_by(Timer::Machine(node), self.after(grace));
        self.nodes[node.0].kubelet.wanted = false;
        let ends = ORDERLY_KUBELET.draw(&mut self.random).min(grace);
        self.agenda.set(Timer::Kubelet(node), self.after(ends));
        self.with_pods_on(node, |model, pod| {
            let ends = ORDERLY_PODS.draw(&mut model.random).min(grace);
            model.agenda.set(Timer::Container(pod), model.now + ends);
        });
        for component in Component::ALL {
            let ends = ORDERLY_PODS.draw(&mut self.random).min(grace);
            self.agenda.set(Timer::Component(node, component), self.after(ends));
        }
    }

    fn kill(&mut self, node: NodeId) {
        if self.nodes[node.0].power.is_up() {
            let dies = KILL_TAKES.draw(&mut self.random);
            self.agenda.set_by(Timer::Machine(node), self.after(dies));
        }
    }

    fn start(&mut self, node: NodeId) {
        if self.nodes[node.0].power == Power::Off {
            self.set_power(node, Power::Booting);
            let boots = BOOT.draw(&mut self.random);
            self.agenda.set(Timer::Machine(node), self.after(boots));
        }
    }

    /// The next step of a machine.
    pub(super) fn machine_due(&mut self, node: NodeId) {
        match self.nodes[node.0].power {
            Power::On | Power::Stopping => self.power_off(node),
            Power::Booting => self.booted(node),
            Power::Off => {}
        }
    }

    fn power_off(&mut self, node: NodeId) {
        self.nodes[node.0].frozen = false;
        self.end_kubelet(node);
        self.end_components(node);
        self.agenda.clear(Timer::Proxy(node));
        for pod in &mut self.pods {
            pod.routed[node.0] = false;
        }
        self.with_pods_on(node, |model, pod| {
            model.agenda.clear(Timer::Container(pod));
            model.pods[pod.0].container = Container::Vanished;
        });
        self.set_power(node, Power::Off);
        self.refresh();
    }

    fn booted(&mut self, node: NodeId) {
        self.set_power(node, Power::On);
        self.refresh();
        self.start_kubelet(node);
        for action in std::mem::take(&mut self.nodes[node.0].put_off) {
            self.take_now(action);
        }
    }

    fn set_power(&mut self, node: NodeId, power: Power) {
        self.nodes[node.0].power = power;
        self.emit(Change::Power { node, power });
        self.settle_backends(node);
    }

    fn set_frozen(&mut self, node: NodeId, frozen: bool) {
        let there = &mut self.nodes[node.0];
        if there.frozen == frozen || !there.power.is_up() {
            return;
        }
        there.frozen = frozen;
        self.settle_backends(node);
        self.refresh();
        if !frozen {
            self.unfreeze_components(node);
        }
    }

    fn cut(&mut self, node: NodeId, cut: Option<Cut>) {
        let there = &mut self.nodes[node.0];
        let wanted = (cut != Some(Cut::All), cut == Some(Cut::ApiServer));
        if (there.connected, there.api_cut) == wanted {
            return;
        }
        (there.connected, there.api_cut) = wanted;
        self.settle_backends(node);
        self.refresh();
    }

    fn want_kubelet(&mut self, node: NodeId, wanted: bool) {
        if self.nodes[node.0].power != Power::On {
            return;
        }
        self.nodes[node.0].kubelet.wanted = wanted;
        let takes = if wanted { KUBELET_START } else { INSIDE_TAKES };
        let due = self.now + takes.draw(&mut self.random);
        self.agenda.set(Timer::Kubelet(node), due);
    }

    fn set_ails(&mut self, node: NodeId, ails: bool) {
        self.nodes[node.0].kubelet.ails = ails;
    }

    /// The next step of a pod's containers: started, ended, or out of the network.
    pub(super) fn container_due(&mut self, id: PodId) {
        let pod = &self.pods[id.0];
        let Some(node) = pod.node else { return };
        let there = &self.nodes[node.0];
        let next = match (pod.container, there.power) {
            (_, Power::Off | Power::Booting) => return,
            (Container::Ended, Power::Stopping) => Container::Vanished,
            (_, Power::Stopping) => Container::Ended,
            // What a frozen or a stopped kubelet had begun is done when it works again.
            (_, Power::On) if !there.runs() || !there.kubelet.running => return,
            (Container::Running, Power::On) => Container::Ended,
            (_, Power::On) if pod.terminating => Container::Ended,
            (_, Power::On) => Container::Running,
        };
        self.pods[id.0].container = next;
        if next == Container::Ended && self.nodes[node.0].power == Power::Stopping {
            let refuses = ORDERLY_REFUSES.draw(&mut self.random);
            self.agenda.set(Timer::Container(id), self.after(refuses));
        }
        self.settle_backend(id);
        self.report(id);
    }

    fn settle_backends(&mut self, node: NodeId) {
        self.with_pods_on(node, Model::settle_backend);
    }

    fn settle_backend(&mut self, id: PodId) {
        let backend = self.backend(&self.pods[id.0]);
        if self.pods[id.0].backend != backend {
            self.pods[id.0].backend = backend;
            self.emit(Change::Backend { pod: id, backend });
        }
    }

    pub(super) fn backend(&self, pod: &Pod) -> Backend {
        let Some(node) = pod.node.map(|node| &self.nodes[node.0]) else { return Backend::Refuses };
        match pod.container {
            _ if !node.runs() || !node.connected => Backend::Hangs,
            Container::Running => Backend::Answers,
            Container::Waiting | Container::Ended => Backend::Refuses,
            Container::Vanished => Backend::Hangs,
        }
    }

    /// A node's agents have a connection again.
    pub(super) fn online_due(&mut self, node: NodeId) {
        self.nodes[node.0].online = true;
        if self.nodes[node.0].kubelet.running && self.agenda.due(Timer::Status(node)) == NEVER {
            self.resume_kubelet(node, POD_STATUS_SYNC);
        } else {
            self.with_pods_on(node, Model::work_on);
        }
    }

    /// Does something for every pod that is bound to a node and not gone.
    pub(super) fn with_pods_on(&mut self, node: NodeId, mut act: impl FnMut(&mut Model, PodId)) {
        for pod in 0..self.pods.len() {
            if self.pods[pod].node == Some(node) && !self.pods[pod].gone() {
                act(self, PodId(pod));
            }
        }
    }
}
