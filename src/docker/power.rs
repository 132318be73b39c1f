//! A container's power switch.

use std::time::Duration;

use bollard::query_parameters::{
    KillContainerOptions, StartContainerOptions, StopContainerOptions,
};

use super::client::{Docker, bounded};
use super::error::DockerError;

/// The bound on switching, which the engine may have to queue behind other work.
const SWITCH: Duration = Duration::from_secs(30);

impl Docker {
    /// An orderly stop: the image's stop signal, and a kill after `grace` (whole seconds, rounded
    /// up). Returns when the container has ended. One that is not running is not an error.
    ///
    /// When the future is dropped, the engine goes on stopping.
    pub(crate) async fn stop(&self, container: &str, grace: Duration) -> Result<(), DockerError> {
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = StopContainerOptions { t: Some(seconds), signal: None };
        let call = self.bollard.stop_container(container, Some(options));
        bounded(&format!("stop container {container}"), grace + SWITCH, call).await
    }

    /// Power loss: SIGKILL. Errors with `NotRunning` when it does not run.
    pub(crate) async fn kill(&self, container: &str) -> Result<(), DockerError> {
        let options = KillContainerOptions { signal: "SIGKILL".into() };
        bounded(
            &format!("kill container {container}"),
            SWITCH,
            self.bollard.kill_container(container, Some(options)),
        )
        .await
    }

    /// A freeze. Errors when it is paused already, or not running.
    pub(crate) async fn pause(&self, container: &str) -> Result<(), DockerError> {
        bounded(
            &format!("pause container {container}"),
            SWITCH,
            self.bollard.pause_container(container),
        )
        .await
    }

    /// Ends a freeze. Errors when it is not paused.
    pub(crate) async fn unpause(&self, container: &str) -> Result<(), DockerError> {
        bounded(
            &format!("unpause container {container}"),
            SWITCH,
            self.bollard.unpause_container(container),
        )
        .await
    }

    /// Starts it. One that runs is not an error, **even if it is just being stopped**: look again
    /// afterwards.
    pub(crate) async fn start(&self, container: &str) -> Result<(), DockerError> {
        let call = self.bollard.start_container(container, None::<StartContainerOptions>);
        bounded(&format!("start container {container}"), SWITCH, call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;

    #[tokio::test]
    async fn switches_and_their_refusals() {
        let engine = FakeEngine::start();
        let docker = engine.connect().await;
        docker.start("c-worker").await.unwrap(); // 304
        docker.pause("c-worker").await.unwrap();
        assert!(matches!(
            docker.pause("c-worker").await,
            Err(DockerError::Refused { status: 409, .. })
        ));
        docker.unpause("c-worker").await.unwrap();
        assert!(matches!(docker.unpause("c-worker").await, Err(DockerError::NotPaused { .. })));
        docker.stop("c-worker", Duration::from_millis(1500)).await.unwrap();
        assert_eq!(engine.calls().last().unwrap(), "POST /containers/c-worker/stop?t=2");
        docker.stop("c-worker", Duration::ZERO).await.unwrap(); // 304
        assert!(matches!(docker.kill("c-worker").await, Err(DockerError::NotRunning { .. })));
        assert!(matches!(docker.start("nobody").await, Err(DockerError::NoSuchContainer { .. })));
    }
}
