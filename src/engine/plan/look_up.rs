//! What an experiment names that exists already: looked for before anything is made or injected.

use crate::engine::error::RunError;
use crate::engine::plan::placement::{Place, Placement, absent, found, list_pods};
use crate::engine::plan::pods;
use crate::experiment::{Expectation, Experiment, From, Pods, PodsBy, Probe, Target};
use crate::fault;
use crate::timeline::ObjectRef;

impl Placement<'_> {
    /// Refused where anything is not there, or not as a probe or a fault needs it.
    pub(crate) async fn look_up(&self, experiment: &Experiment) -> Result<(), RunError> {
        let probed = |service: &ObjectRef| {
            experiment.probes.iter().any(|probe| probe.ask.service() == Some(service))
        };
        // The Service that a probe targets is read with its port.
        for service in experiment.elsewhere().values().flatten().filter(|it| !probed(it)) {
            self.find_service(service).await?;
        }
        for probe in &experiment.probes {
            self.look_up_probe(probe).await?;
        }
        for step in experiment.steps() {
            let Some((fault, _)) = step.fault() else { continue };
            if let Some(ObjectRef { namespace: Some(namespace), name }) = fault.deployment() {
                let read = self.cluster.deployment(namespace, name).await;
                found(read, "Deployment", namespace, name)?;
            }
            if fault.applied().is_some() {
                let found = fault::preview_undo(fault, Some(self.cluster)).await;
                found.map_err(RunError::refused_by)?;
            }
            pods::pods_now(self.cluster, &experiment.blast_radius, fault).await?;
        }
        for expectation in &experiment.expect {
            if let Expectation::NotRescheduled { pods } | Expectation::Restarted { pods, .. } =
                expectation
            {
                self.look_up_pods(pods).await?;
            }
        }
        Ok(())
    }

    /// Who asks and who is asked, as far as the workload does not create them.
    async fn look_up_probe(&self, probe: &Probe) -> Result<(), RunError> {
        let place = match &probe.from {
            From::Pod(Pods { namespace: None, by }) => Place::Pod {
                node: String::new(),
                pod: ObjectRef::new(None, &by.to_string()),
                uid: String::new(),
            },
            _ => self.place(probe).await?,
        };
        let mut ask = probe.ask.clone();
        let are_there = ask
            .tls_settings_mut()
            .is_none_or(|tls| tls.secrets_mut().all(|secret| secret.namespace.is_some()));
        if are_there {
            self.read_secrets(&mut ask).await?;
        }
        match probe.ask.target() {
            Some(target) if target.namespace().is_some() => {
                self.destination(probe, &place, target).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    async fn look_up_pods(&self, pods: &Pods) -> Result<(), RunError> {
        let Some(namespace) = &pods.namespace else { return Ok(()) };
        match pods::pods(self.cluster, namespace, pods).await?.is_empty() {
            false => Ok(()),
            true => Err(match &pods.by {
                PodsBy::Name(name) => absent("Pod", namespace, name),
                by => {
                    RunError::refused(format!("there is no pod {by} in the namespace {namespace}"))
                        .hint(list_pods(namespace))
                }
            }),
        }
    }
}

impl Target {
    /// The namespace of what exists already; `None`: it is the run's own, or an address.
    fn namespace(&self) -> Option<&str> {
        match self {
            Target::Service { service, .. } | Target::Published { service, .. } => {
                service.namespace.as_deref()
            }
            Target::Ingress { ingress, .. } => ingress.namespace.as_deref(),
            Target::Pod { pods, .. } => pods.namespace.as_deref(),
            Target::Address { .. } => None,
        }
    }
}
