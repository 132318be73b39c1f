//! Evidence that etcd was down, or of no use to the API servers.

use super::super::findings::{Cause, FaultFinding};
use super::evidence::{self, Sources};
use super::interval_set::{IntervalSet, NEVER, Span};
use super::split::Evidence;
use crate::timeline::{Component, Event, Impact, Needs};

/// When something was so because of a fault.
type Spans = fn(&FaultFinding) -> Vec<Span>;

impl Sources<'_> {
    /// The node's etcd member knows of no leader, or is down: it does not answer, and its process
    /// was not running at some time in between.
    pub(super) fn member_away(&self, node: &str) -> Vec<Span> {
        let mut away = self.member_spans(node, |answers, has_leader| answers && !has_leader);
        let gone = self.member_gone(node);
        away.extend(self.member_silent(node).into_iter().filter(|silent| gone.meets(silent)));
        away
    }

    /// The node's etcd member did not answer in time, and nothing else shows that it was down: on
    /// a node without a free processor that may be whoever asked.
    pub(super) fn member_unseen(&self, node: &str) -> IntervalSet {
        let gone = self.member_gone(node);
        let silent = self.member_silent(node).into_iter();
        IntervalSet::Union(silent.filter(|silent| !gone.meets(silent)).collect())
    }

    fn member_silent(&self, node: &str) -> Vec<Span> {
        self.member_spans(node, |answers, _| !answers)
    }

    fn member_spans(&self, node: &str, wanted: fn(bool, bool) -> bool) -> Vec<Span> {
        self.spans(self.timeline.records.iter().filter_map(|record| match &record.event {
            Event::EtcdMember { node: on, answers, has_leader, .. } if on == node => {
                Some((record.bracket(), wanted(*answers, *has_leader)))
            }
            _ => None,
        }))
    }

    /// The node's member runs no more.
    fn member_gone(&self, node: &str) -> IntervalSet {
        IntervalSet::any(vec![self.node_away(node), self.process_away(Component::Etcd, node)])
    }

    /// No member leads, or fewer are there than are a quorum.
    pub(super) fn etcd_away(&self) -> IntervalSet {
        let members = self.control_planes().into_iter().map(|node| self.member_gone(node));
        IntervalSet::any(vec![
            self.without_leader(Component::Etcd),
            self.no_quorum_without(members),
        ])
    }

    /// Members are there, and API servers have nothing of them.
    pub(super) fn etcd_useless(&self) -> Evidence {
        let spans: [(Cause, Spans); 2] =
            [(Cause::EtcdEnding, ending), (Cause::EtcdData, without_data)];
        let faults = || self.faults.iter().filter(|fault| fault.component == Some(Component::Etcd));
        let of_kind =
            spans.into_iter().filter(|(_, spans)| faults().any(|fault| !spans(fault).is_empty()));
        let holds = |spans: Spans| {
            let of = |node: &str| {
                IntervalSet::Union(
                    faults().filter(|fault| fault.target == node).flat_map(spans).collect(),
                )
            };
            let useless = self
                .control_planes()
                .into_iter()
                .map(|node| IntervalSet::any(vec![self.member_gone(node), of(node)]));
            let some = IntervalSet::Union(faults().flat_map(spans).collect());
            IntervalSet::all(vec![some, self.no_quorum_without(useless)])
        };
        of_kind.map(|(cause, spans)| (cause, holds(spans))).collect()
    }

    /// Where so many of these members have what is wrong with one that the others have no quorum.
    fn no_quorum_without(&self, members: impl Iterator<Item = IntervalSet>) -> IntervalSet {
        let control_planes = self.control_planes().len();
        IntervalSet::AtLeast(control_planes - control_planes / 2, members.collect())
    }

    /// etcd could be asked again, and who was failing then had no answer yet: an API server looks
    /// for a lost etcd ever less often.
    pub(super) fn etcd_returned(&self) -> IntervalSet {
        let gaps = self.leader(Component::Etcd).flat_map(|leader| &leader.gaps);
        self.until_answered(gaps.filter_map(|gap| gap.until), |needs| {
            matches!(needs, Needs::ApiServer { node: None, etcd: true })
        })
    }

    /// The same for the etcd member on the API server's node.
    pub(super) fn member_returned(&self, node: &str) -> IntervalSet {
        let ask = |needs: &Needs| matches!(needs, Needs::ApiServer { node: Some(on), etcd: true } if on == node);
        let until = self.member_away(node).into_iter().map(|away| away.until);
        self.until_answered(until.filter(|until| *until != NEVER), ask)
    }
}

/// When the member was shutting down.
fn ending(fault: &FaultFinding) -> Vec<Span> {
    // Its data is put back while it is down.
    let again =
        fault.undo_requested.map(|asked| Span::exact(asked, fault.undone.unwrap_or(NEVER.latest)));
    let traits = fault.kind.traits();
    match traits.impact {
        _ if traits.holds_down() => vec![evidence::ending(fault)],
        Impact::EtcdData => [Some(evidence::ending(fault)), again].into_iter().flatten().collect(),
        _ => Vec::new(),
    }
}

/// When the member knew nothing of what it had known.
fn without_data(fault: &FaultFinding) -> Vec<Span> {
    let lost = fault.returned.filter(|_| fault.kind.traits().impact == Impact::EtcdData);
    lost.map(|lost| Span::exact(lost, fault.undo_requested.unwrap_or(NEVER.latest)))
        .into_iter()
        .collect()
}
