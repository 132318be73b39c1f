//! The connection to an engine. Every call has a bound on its time: a hung daemon must not hang us.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker as Bollard};

use super::endpoint::Endpoint;
use super::error::{DockerError, Unreachable};
use super::tls;
use crate::timeline::Moment;

/// The bound on calls that only ask.
pub(super) const ASK: Duration = Duration::from_secs(10);
/// bollard's own bound on an answer's first byte: out of the way, since each call here has its own.
const NEVER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Docker 20.10 speaks this.
const OLDEST_API: (u32, u32) = (1, 41);

/// A connection to a container engine. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Docker {
    pub(super) bollard: Bollard,
    about: Arc<About>,
}

#[derive(Debug)]
struct About {
    engine: String,
    version: String,
    api: String,
    podman: bool,
}

/// How the engine's clock stands to ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EngineClock {
    /// The engine's wall clock less ours, now.
    pub offset: jiff::SignedDuration,
    /// How far off that may be, to either side.
    pub uncertainty: Duration,
}

impl Docker {
    /// Connects, and asks for the engine's version: whatever it speaks from API 1.41 on is what is
    /// spoken.
    ///
    /// Errors when nothing is there, nobody listens, access is denied, the engine is too old, or it
    /// does not answer within 10 s.
    pub(crate) async fn connect(endpoint: &Endpoint) -> Result<Self, DockerError> {
        let what = format!(
            "connect to the container engine at {} ({})",
            endpoint.address, endpoint.origin
        );
        let bollard = match endpoint.certificates() {
            Some(directory) => tls::open(endpoint.host_and_port(), directory, NEVER.as_secs())
                .map_err(|why| DockerError::Tls { what: what.clone(), why })?,
            None => open(endpoint).map_err(|error| socket_error(&what, endpoint, error))?,
        };
        let bollard = bounded(&what, ASK, bollard.negotiate_version()).await?;
        let version = bounded(&what, ASK, bollard.version()).await?;
        let about = About::of(version);
        if api_number(&about.api).is_some_and(|api| api < OLDEST_API) {
            return Err(DockerError::TooOld { engine: about.describe() });
        }
        Ok(Self { bollard, about: Arc::new(about) })
    }

    /// The engine, for people: `Docker 28.2.2 (API 1.50)`, `Podman 5.4.0 (API 1.41)`.
    pub(crate) fn describe(&self) -> String {
        self.about.describe()
    }

    /// Whether it is Podman (kind needs to know).
    pub(crate) fn is_podman(&self) -> bool {
        self.about.podman
    }

    /// Whether the engine answers, within `limit`.
    pub(crate) async fn ping(&self, limit: Duration) -> Result<(), DockerError> {
        bounded("ping the container engine", limit, self.bollard.ping()).await.map(drop)
    }

    /// Measures the engine's clock against ours: half the call's time is its bound. `None` where
    /// the engine does not tell its time.
    pub(crate) async fn clock(&self) -> Result<Option<EngineClock>, DockerError> {
        let before = Moment::now();
        let info = bounded("read the container engine's clock", ASK, self.bollard.info()).await?;
        let took = Moment::now().since(before);
        let Some(engine) = info.system_time.and_then(|t| t.parse::<jiff::Timestamp>().ok()) else {
            return Ok(None);
        };
        let half = took / 2;
        let middle =
            jiff::Timestamp::now() - jiff::SignedDuration::try_from(half).unwrap_or_default();
        Ok(Some(EngineClock { offset: engine.duration_since(middle), uncertainty: half }))
    }
}

/// An answer as plain JSON: bollard refuses one that has a word which it does not know, such as
/// Podman's state `stopped`, and then gives what came.
pub(super) async fn bounded_json<T: serde::Serialize>(
    what: &str,
    limit: Duration,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<serde_json::Value, DockerError> {
    let call = async {
        match call.await {
            Ok(answer) => Ok(serde_json::to_value(answer)?),
            Err(bollard::errors::Error::JsonDataError { contents, .. }) => {
                Ok(serde_json::from_str(&contents)?)
            }
            Err(error) => Err(error),
        }
    };
    bounded(what, limit, call).await
}

/// Awaits a call for at most `limit`, and puts its error into our words. bollard's futures are
/// large, and ours would hold many: a box costs nothing beside a call.
pub(super) async fn bounded<T>(
    what: &str,
    limit: Duration,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, DockerError> {
    match tokio::time::timeout(limit, Box::pin(call)).await {
        Ok(result) => result.map_err(|error| DockerError::of(what, error)),
        Err(_) => Err(DockerError::Timeout { what: what.into(), after: limit }),
    }
}

fn open(endpoint: &Endpoint) -> Result<Bollard, bollard::errors::Error> {
    match endpoint.socket() {
        #[cfg(unix)]
        Some(_) => {
            Bollard::connect_with_unix(&endpoint.address, NEVER.as_secs(), API_DEFAULT_VERSION)
        }
        #[cfg(not(unix))]
        Some(_) => {
            Err(bollard::errors::Error::UnsupportedURISchemeError { uri: endpoint.address.clone() })
        }
        None => Bollard::connect_with_http(&endpoint.address, NEVER.as_secs(), API_DEFAULT_VERSION),
    }
}

/// A socket in a directory that we may not enter looks as if it were not there.
fn socket_error(what: &str, endpoint: &Endpoint, error: bollard::errors::Error) -> DockerError {
    let forbidden = endpoint
        .socket()
        .and_then(|path| std::fs::metadata(path).err())
        .is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
    match DockerError::of(what, error) {
        DockerError::Unreachable { what, detail, .. } if forbidden => {
            DockerError::Unreachable { what, why: Unreachable::Forbidden, detail }
        }
        other => other,
    }
}

fn api_number(api: &str) -> Option<(u32, u32)> {
    let (major, minor) = api.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl About {
    fn of(version: bollard::models::SystemVersion) -> Self {
        let podman = version
            .components
            .iter()
            .flatten()
            .any(|part| part.name.to_lowercase().contains("podman"));
        Self {
            engine: if podman { "Podman" } else { "Docker" }.into(),
            version: version.version.unwrap_or_else(|| "of unknown version".into()),
            api: version.api_version.unwrap_or_default(),
            podman,
        }
    }

    fn describe(&self) -> String {
        format!("{} {} (API {})", self.engine, self.version, self.api)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;

    #[tokio::test]
    async fn any_supported_version_is_spoken_and_named() {
        for (api, podman, named) in [
            ("1.41", false, "Docker 9.8.7 (API 1.41)"),
            ("1.99", false, "Docker 9.8.7 (API 1.99)"),
            ("1.41", true, "Podman 9.8.7 (API 1.41)"),
        ] {
            let engine = FakeEngine::start();
            engine.with(|state| (state.api, state.podman) = (api.into(), podman));
            assert_eq!(Docker::connect(&engine.endpoint()).await.unwrap().describe(), named);
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_too_old_is_refused() {
        let engine = FakeEngine::start();
        engine.with(|state| state.api = "1.40".into());
        let error = Docker::connect(&engine.endpoint()).await.unwrap_err();
        assert!(
            matches!(&error, DockerError::TooOld { engine } if engine == "Docker 9.8.7 (API 1.40)"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn no_socket_and_a_dead_socket_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.sock");
        let endpoint = Endpoint {
            address: format!("unix://{}", path.display()),
            origin: "DOCKER_HOST".into(),
        };
        let error = Docker::connect(&endpoint).await.unwrap_err();
        assert!(
            matches!(error, DockerError::Unreachable { why: Unreachable::NotThere, .. }),
            "{error}"
        );
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let error = Docker::connect(&endpoint).await.unwrap_err();
        assert!(
            matches!(error, DockerError::Unreachable { why: Unreachable::NotRunning, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("(DOCKER_HOST): nothing listens"), "{error}");
        assert!(error.hint().unwrap().contains("start the engine"));
    }

    #[tokio::test]
    async fn a_hung_engine_is_a_timeout() {
        let engine = FakeEngine::start();
        let docker = Docker::connect(&engine.endpoint()).await.unwrap();
        engine.with(|state| state.hung = true);
        let error = docker.ping(Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, DockerError::Timeout { .. }), "{error}");
    }

    #[tokio::test]
    async fn the_engines_clock_is_measured() {
        let engine = FakeEngine::start();
        let docker = Docker::connect(&engine.endpoint()).await.unwrap();
        engine.with(|state| state.clock_ahead = Duration::from_secs(3));
        let clock = docker.clock().await.unwrap().unwrap();
        let off = (clock.offset.as_secs_f64() - 3.0).abs();
        assert!(off <= clock.uncertainty.as_secs_f64() + 0.001, "{clock:?}");
    }
}
