//! What can go wrong with an engine, in words for people.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use super::tls;
use crate::timeline::format_duration;
use bollard::errors::Error as Bollard;

/// Why an engine can't be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// There is no such socket, or no such host.
    NotThere,
    /// The socket is there and nobody listens.
    NotRunning,
    /// The system forbids it.
    Forbidden,
    /// It listens and speaks something else, or broke off.
    Broken,
}

/// Why a call to the engine failed. Fits after "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DockerError {
    /// The engine can't be reached.
    #[error("{what}: {}", unreachable_text(*.why, .detail))]
    Unreachable {
        /// What was tried, with the address.
        what: String,
        why: Unreachable,
        /// The system's words.
        detail: String,
    },
    /// No connection over TLS: the certificates do not match, or can't be read.
    #[error("{what}: {why}")]
    Tls {
        /// What was tried, with the address.
        what: String,
        why: String,
    },
    /// No answer in time.
    #[error("{what}: the container engine did not answer within {}", format_duration(*.after))]
    Timeout {
        what: String,
        /// How long was waited.
        after: Duration,
    },
    #[error("{what}: there is no such container")]
    NoSuchContainer { what: String },
    /// The container is paused: nothing can be run in it.
    #[error("{what}: the container is paused")]
    Paused { what: String },
    #[error("{what}: the container is not running")]
    NotRunning { what: String },
    #[error("{what}: the container is not paused")]
    NotPaused { what: String },
    #[error("{what}: {message}")]
    Refused {
        what: String,
        /// The HTTP status; 0 where there was none.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The engine is older than what is supported.
    #[error("use {engine}: it is older than Docker 20.10 (API 1.41), the oldest supported version")]
    TooOld { engine: String },
}

fn unreachable_text(why: Unreachable, detail: &str) -> String {
    match why {
        Unreachable::NotThere => "the container engine's socket does not exist".into(),
        Unreachable::NotRunning => "nothing listens on the container engine's socket".into(),
        Unreachable::Forbidden => "permission denied on the container engine's socket".into(),
        Unreachable::Broken => detail.to_owned(),
    }
}

impl DockerError {
    /// What a person can do.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable { why: Unreachable::NotThere, .. } => {
                "is Docker installed and started? check with `docker version`; DOCKER_HOST or \
                 `docker context use` names another engine"
            }
            Self::Unreachable { why: Unreachable::NotRunning, .. } => {
                "start the engine: `sudo systemctl start docker`, or Docker Desktop, or `colima start`"
            }
            Self::Unreachable { why: Unreachable::Forbidden, .. } => {
                "add yourself to the socket's group (`sudo usermod -aG docker $USER`, then log in again), or use rootless Docker"
            }
            Self::Unreachable { why: Unreachable::Broken, .. } => {
                "does a container engine listen there? check with `docker version`; one that uses \
                 TLS needs DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH"
            }
            Self::Tls { .. } => {
                "check with `docker version`, which uses the same ca.pem, cert.pem and key.pem \
                 (DOCKER_CERT_PATH, or the docker context); also check this machine's clock"
            }
            Self::Refused { message, .. } if message.contains("HTTP request to an HTTPS") => {
                "this engine uses TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use a docker \
                 context that has its certificates"
            }
            Self::Timeout { .. } => {
                "the engine hangs or is overloaded: `docker ps` should answer immediately"
            }
            Self::Paused { .. } => "`docker unpause` resumes it",
            Self::TooOld { .. } => "update the container engine",
            Self::NoSuchContainer { .. }
            | Self::NotRunning { .. }
            | Self::NotPaused { .. }
            | Self::Refused { .. } => return None,
        })
    }

    pub(super) fn of(what: &str, error: Bollard) -> Self {
        match error {
            Bollard::DockerResponseServerError { status_code, message } => {
                Self::of_answer(what, status_code, message)
            }
            Bollard::SocketNotFoundError(path) => Self::Unreachable {
                what: what.into(),
                why: Unreachable::NotThere,
                detail: format!("no socket at {path}"),
            },
            Bollard::JsonDataError { .. }
            | Bollard::JsonSerdeError { .. }
            | Bollard::APIVersionParseError {} => Self::Refused {
                what: what.into(),
                status: 0,
                message: format!("unexpected response: {}", deepest(&error)),
            },
            other if let Some(why) = tls::refusal(&other) => Self::Tls { what: what.into(), why },
            other => Self::Unreachable {
                what: what.into(),
                why: why_unreachable(&other),
                detail: deepest(&other),
            },
        }
    }

    fn of_answer(what: &str, status: u16, message: String) -> Self {
        let what = what.to_owned();
        let lower = message.to_lowercase();
        let says = |words: &str| lower.contains(words);
        match status {
            404 if says("no such container") || says("no container with") => {
                Self::NoSuchContainer { what }
            }
            409 | 500 if says("is not paused") => Self::NotPaused { what },
            409 | 500 if says("is paused") => Self::Paused { what },
            409 | 500 if says("is not running") => Self::NotRunning { what },
            _ => Self::Refused { what, status, message: message.trim().to_owned() },
        }
    }
}

/// bollard wraps hyper, which wraps the system's error: the innermost says what happened.
fn why_unreachable(error: &Bollard) -> Unreachable {
    // Its own source is that of the system's error: it would be skipped.
    if let Bollard::IOError { err } = error
        && let Some(why) = why_of(err)
    {
        return why;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(why) = error.downcast_ref::<io::Error>().and_then(why_of) {
            return why;
        }
        cause = error.source();
    }
    Unreachable::Broken
}

fn why_of(error: &io::Error) -> Option<Unreachable> {
    match error.kind() {
        io::ErrorKind::NotFound => Some(Unreachable::NotThere),
        io::ErrorKind::PermissionDenied => Some(Unreachable::Forbidden),
        io::ErrorKind::ConnectionRefused => Some(Unreachable::NotRunning),
        _ => None,
    }
}

fn deepest(error: &Bollard) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A container whose engine can't be asked is not a container that does not exist.
    #[test]
    fn an_engine_that_cannot_be_asked_is_named() {
        let cut = |kind: io::ErrorKind| {
            DockerError::of("inspect container c", Bollard::IOError { err: kind.into() })
        };
        assert_eq!(
            cut(io::ErrorKind::NotFound).to_string(),
            "inspect container c: the container engine's socket does not exist"
        );
        assert_eq!(
            cut(io::ErrorKind::ConnectionRefused).to_string(),
            "inspect container c: nothing listens on the container engine's socket"
        );
    }

    #[test]
    fn answers_become_typed() {
        let of = |status, message: &str| DockerError::of_answer("pause x", status, message.into());
        assert!(matches!(of(404, "No such container: x"), DockerError::NoSuchContainer { .. }));
        assert!(matches!(
            of(404, "no container with name or ID \"x\" found"),
            DockerError::NoSuchContainer { .. }
        ));
        assert!(matches!(
            of(409, "Container x is paused, unpause the container before exec"),
            DockerError::Paused { .. }
        ));
        assert!(matches!(
            of(409, "Cannot kill container: x: Container y is not running"),
            DockerError::NotRunning { .. }
        ));
        assert!(matches!(of(500, "Container x is not paused"), DockerError::NotPaused { .. }));
        assert!(matches!(of(404, "No such exec instance"), DockerError::Refused { .. }));
        assert_eq!(of(500, "disk full\n").to_string(), "pause x: disk full");
    }
}
