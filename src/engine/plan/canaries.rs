//! Canaries in a run: from the experiment's words to what is started.

use crate::canary::{CanarySpec, describe};
use crate::engine::error::RunError;
use crate::experiment::{Canary, Experiment, Probe};
use crate::plan::needs::needs;
use crate::probe::ProbeSpec;
use crate::timeline::{ProbeHeader, ProbeKind};

pub(crate) fn canaries(experiment: &Experiment, namespace: &str) -> Vec<CanarySpec> {
    experiment
        .probes
        .iter()
        .filter_map(|probe| Some(spec(probe, probe.ask.canary()?, namespace)))
        .collect()
}

fn spec(probe: &Probe, canary: Canary, namespace: &str) -> CanarySpec {
    let header = ProbeHeader {
        name: probe.name.clone(),
        kind: ProbeKind::Canary,
        target: describe(canary).into(),
        service: None,
        from: "this machine".into(),
        from_node: None,
        reused: false,
        control: false,
        paths: Vec::new(),
        needs: needs(&probe.ask),
    };
    let (namespace, interval_ns) = (namespace.to_owned(), ProbeSpec::interval_of(probe.rate));
    CanarySpec { header, canary, namespace, interval_ns, timeout: probe.timeout }
}

/// What to do about what the embedded cluster does not have.
pub(crate) const ON_KIND: &str = "use --cluster kind to run the experiment in a kind cluster";

/// The embedded cluster has no autoscaler.
pub(crate) fn refuse_unmodelled(experiment: &Experiment) -> Result<(), RunError> {
    let probe =
        experiment.probes.iter().find(|probe| probe.ask.canary() == Some(Canary::Autoscaling));
    probe.map_or(Ok(()), |probe| {
        let text = format!(
            "probe {} is a canary for the autoscaler, which the embedded cluster does not have",
            probe.name
        );
        Err(RunError::refused(text).hint(ON_KIND))
    })
}
