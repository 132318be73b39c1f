//! How an attempt ended, as a class: never only a string.

use serde::{Deserialize, Serialize};

/// The part of an attempt in which something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    Dns,
    /// Opening the TCP connection.
    Connect,
    Tls,
    Send,
    /// Waiting for the answer's first byte.
    FirstByte,
    /// Reading the rest of the answer.
    Body,
    /// Of a canary: waiting for the API server to take what is asked.
    Accepted,
    /// Waiting for a new pod to be given a node.
    Bound,
    /// Waiting for its node to run it.
    Running,
    /// Waiting for a controller to do what is asked.
    Observed,
}

impl Phase {
    /// In the order of their codes.
    const ALL: [Phase; 10] = [
        Phase::Dns,
        Phase::Connect,
        Phase::Tls,
        Phase::Send,
        Phase::FirstByte,
        Phase::Body,
        Phase::Accepted,
        Phase::Bound,
        Phase::Running,
        Phase::Observed,
    ];

    /// Whether the request was accepted, so that it may still succeed.
    pub fn is_pending(self) -> bool {
        matches!(self, Phase::Bound | Phase::Running | Phase::Observed)
    }
}

/// Why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TlsCause {
    /// For a reason that has no name here.
    Other,
    /// What answered speaks no TLS.
    NoTls,
    /// The two sides share no version or cipher.
    NothingInCommon,
    /// The server refused with an alert.
    Alert,
    /// The certificate is not signed by a trusted authority.
    UnknownIssuer,
    /// The certificate has expired, or is not valid yet.
    Expired,
    /// The certificate is for another name.
    OtherName,
    /// Something else is wrong with the certificate.
    BadCertificate,
}

impl TlsCause {
    const ALL: [TlsCause; 8] = [
        TlsCause::Other,
        TlsCause::NoTls,
        TlsCause::NothingInCommon,
        TlsCause::Alert,
        TlsCause::UnknownIssuer,
        TlsCause::Expired,
        TlsCause::OtherName,
        TlsCause::BadCertificate,
    ];

    /// In words: `unknown issuer`.
    pub fn text(self) -> &'static str {
        match self {
            TlsCause::Other => "other",
            TlsCause::NoTls => "no TLS",
            TlsCause::NothingInCommon => "no version or cipher in common",
            TlsCause::Alert => "server alert",
            TlsCause::UnknownIssuer => "unknown issuer",
            TlsCause::Expired => "certificate expired or not valid yet",
            TlsCause::OtherName => "certificate for another name",
            TlsCause::BadCertificate => "bad or self-signed certificate",
        }
    }
}

/// Of `google.rpc.Code`.
const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// Of `grpc.health.v1.HealthCheckResponse.ServingStatus`.
const HEALTH: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// Where their codes in the attempts file begin, and end.
const GRPC: u16 = 2000;
const NOT_SERVING: u16 = 2032;
const AFTER: u16 = 2048;

fn named(names: &[&'static str], number: u8) -> &'static str {
    names.get(usize::from(number)).copied().unwrap_or("UNKNOWN")
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Answered as the probe counts success.
    #[default]
    Ok,
    /// Answered with an HTTP status that the probe does not count as success.
    Status(u16),
    /// Answered with a status that is success, and a body that is not.
    WrongBody,
    /// Answered with a gRPC status other than OK.
    Grpc(u8),
    /// A gRPC server answered that it is not serving: the number is that of its health status.
    NotServing(u8),
    /// Not finished by the deadline.
    Timeout(Phase),
    /// The connection was refused (RST in answer to SYN).
    Refused,
    /// The connection was reset or closed early.
    Reset(Phase),
    /// No route, host or network unreachable.
    Unreachable,
    /// The name could not be resolved (an answer that says so; no answer is `Timeout(Dns)`).
    Dns,
    Tls(TlsCause),
    /// The answer is not of the probe's protocol.
    Protocol,
    /// The prober itself could not carry it out (no ports, no descriptors): says nothing of the
    /// cluster.
    Prober,
    /// Due, and never sent: the prober fell behind. Says nothing of the cluster.
    NotSent,
    /// Still in flight when the probe was stopped.
    Cut,
    /// Accepted, and then nobody could see what became of it in time: the API server reported nothing.
    /// Says nothing of who was to do it.
    Unseen,
}

impl Outcome {
    #[inline(always)]
    pub fn is_ok(self) -> bool {
        matches!(self, Outcome::Ok)
    }

    /// Whether the attempt says that the service failed its client. Neither this nor
    /// [`Self::is_ok`]: the attempt says nothing.
    #[inline(always)]
    pub fn is_failure(self) -> bool {
        !matches!(
            self,
            Outcome::Ok | Outcome::Prober | Outcome::NotSent | Outcome::Cut | Outcome::Unseen
        )
    }

    /// Whether the server gave a complete answer, wanted or not.
    pub fn is_answer(self) -> bool {
        matches!(
            self,
            Outcome::Ok
                | Outcome::Status(_)
                | Outcome::WrongBody
                | Outcome::Grpc(_)
                | Outcome::NotServing(_)
        )
    }

    /// The class in one word, as reports list it: `timeout`, `refused`, `status 503`.
    pub fn label(self) -> String {
        match self {
            Outcome::Ok => "ok".into(),
            Outcome::Status(code) => format!("status {code}"),
            Outcome::WrongBody => "wrong body".into(),
            Outcome::Grpc(code) => format!("gRPC {}", named(&GRPC_CODES, code)),
            Outcome::NotServing(status) => format!("health {}", named(&HEALTH, status)),
            Outcome::Timeout(Phase::Dns) => "DNS timeout".into(),
            Outcome::Timeout(Phase::Accepted) => "not accepted".into(),
            Outcome::Timeout(Phase::Bound) => "not bound".into(),
            Outcome::Timeout(Phase::Running) => "not running".into(),
            Outcome::Timeout(Phase::Observed) => "not done".into(),
            Outcome::Timeout(_) => "timeout".into(),
            Outcome::Refused => "refused".into(),
            Outcome::Reset(_) => "reset".into(),
            Outcome::Unreachable => "unreachable".into(),
            Outcome::Dns => "DNS".into(),
            Outcome::Tls(_) => "TLS".into(),
            Outcome::Protocol => "protocol".into(),
            Outcome::Prober => "prober".into(),
            Outcome::NotSent => "not sent".into(),
            Outcome::Cut => "cut".into(),
            Outcome::Unseen => "unseen".into(),
        }
    }

    /// Why, where it is known: a failure of TLS.
    pub fn cause(self) -> Option<&'static str> {
        match self {
            Outcome::Tls(cause) => Some(cause.text()),
            _ => None,
        }
    }

    /// The outcome as a small number for the attempts file; the inverse of [`Self::from_code`].
    pub fn code(self) -> u16 {
        match self {
            Outcome::Ok => 0,
            Outcome::Refused => 1,
            Outcome::Unreachable => 2,
            Outcome::Dns => 3,
            // Before causes were recorded, all were 4.
            Outcome::Tls(TlsCause::Other) => 4,
            Outcome::Tls(cause) => 48 + cause as u16,
            Outcome::Protocol => 5,
            Outcome::Prober => 6,
            Outcome::NotSent => 7,
            Outcome::Cut => 8,
            Outcome::Unseen => 9,
            Outcome::Timeout(phase) => 16 + phase as u16,
            Outcome::Reset(phase) => 32 + phase as u16,
            // A status that no server sends: earlier versions read it as a failure with status 0.
            Outcome::WrongBody => 64,
            // Statuses have three digits.
            Outcome::Grpc(code) => GRPC + u16::from(code),
            Outcome::NotServing(status) => NOT_SERVING + u16::from(status),
            Outcome::Status(status) => 64 + status,
        }
    }

    /// The outcome of a code; `None` for a code that this version does not know.
    pub fn from_code(code: u16) -> Option<Self> {
        const PLAIN: [Outcome; 10] = [
            Outcome::Ok,
            Outcome::Refused,
            Outcome::Unreachable,
            Outcome::Dns,
            Outcome::Tls(TlsCause::Other),
            Outcome::Protocol,
            Outcome::Prober,
            Outcome::NotSent,
            Outcome::Cut,
            Outcome::Unseen,
        ];
        match code {
            0..=9 => PLAIN.get(code as usize).copied(),
            16..=25 => Some(Outcome::Timeout(Phase::ALL[code as usize - 16])),
            49..=55 => Some(Outcome::Tls(TlsCause::ALL[code as usize - 48])),
            32..=41 => Some(Outcome::Reset(Phase::ALL[code as usize - 32])),
            64 => Some(Outcome::WrongBody),
            GRPC..NOT_SERVING => Some(Outcome::Grpc((code - GRPC) as u8)),
            NOT_SERVING..AFTER => Some(Outcome::NotServing((code - NOT_SERVING) as u8)),
            65.. => Some(Outcome::Status(code - 64)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_inverse() {
        for code in 0..2100 {
            if let Some(outcome) = Outcome::from_code(code) {
                assert_eq!(outcome.code(), code, "{outcome:?}");
            }
        }
        for outcome in [
            Outcome::Ok,
            Outcome::Status(599),
            Outcome::WrongBody,
            Outcome::Grpc(14),
            Outcome::NotServing(2),
            Outcome::Timeout(Phase::Body),
            Outcome::Reset(Phase::Send),
        ] {
            assert_eq!(Outcome::from_code(outcome.code()), Some(outcome));
        }
        for phase in Phase::ALL {
            assert_eq!(
                Outcome::from_code(Outcome::Timeout(phase).code()),
                Some(Outcome::Timeout(phase))
            );
            assert_eq!(
                Outcome::from_code(Outcome::Reset(phase).code()),
                Some(Outcome::Reset(phase))
            );
        }
        for cause in TlsCause::ALL {
            assert_eq!(Outcome::from_code(Outcome::Tls(cause).code()), Some(Outcome::Tls(cause)));
        }
    }

    #[test]
    fn an_attempt_of_the_prober_proves_nothing() {
        assert!(!Outcome::NotSent.is_failure() && !Outcome::NotSent.is_ok());
        assert!(!Outcome::Unseen.is_failure() && !Outcome::Unseen.is_ok());
        assert!(
            Outcome::Timeout(Phase::Connect).is_failure()
                && Outcome::Timeout(Phase::Bound).is_failure()
        );
    }
}
