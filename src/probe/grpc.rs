//! A gRPC probe: the health of a server, as `grpc.health.v1.Health/Check` says it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::http2::{self, Http2Answer, Judge, Reply};
use super::protocol::{Answer, Exchange, Malformed, Protocol};
use super::request::{Request, Series};
use super::tls::{Tls, TlsQuestion};
use crate::timeline::{GRPC_HEALTH_PATH, Outcome};

/// Of `google.rpc.Code`, what stands for any other, too.
const UNKNOWN: u8 = 2;
const LAST_CODE: u8 = 16;
/// Of `HealthCheckResponse.ServingStatus`.
const SERVING: u8 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcQuestion {
    pub host: String,
    /// Whose health is asked for, as the server names it; empty: its own.
    pub health_service: String,
    /// The response header that names the backend, in any case.
    pub backend_header: String,
    pub tls: Option<TlsQuestion>,
}

#[derive(Debug)]
pub(super) struct Grpc {
    request: Request,
    body: usize,
    reused: bool,
    health: Arc<Health>,
    tls: Option<Tls>,
}

impl Grpc {
    pub(super) fn new(question: &GrpcQuestion, reused: bool) -> Result<Self, String> {
        let scheme = if question.tls.is_some() { "https" } else { "http" };
        let fields = [
            (":method", "POST"),
            (":scheme", scheme),
            (":path", GRPC_HEALTH_PATH),
            (":authority", &question.host),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "kubectl-outage"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = check(&question.health_service)?;
        let tls = question.tls.as_ref().map(Tls::new).transpose()?;
        Ok(Self {
            request: http2::request(&fields, &body, Series::random())?,
            body: body.len(),
            reused,
            health: Arc::new(Health { backend_header: question.backend_header.clone() }),
            tls: tls.map(|tls| tls.offering(http2::ALPN)),
        })
    }
}

/// A `HealthCheckRequest` as gRPC sends it: not compressed, its length, its fields.
fn check(service: &str) -> Result<Vec<u8>, String> {
    let field = match u8::try_from(service.len()) {
        Ok(0) => Vec::new(),
        Ok(length @ ..0x80) => [&[0x0a, length], service.as_bytes()].concat(),
        _ => return Err("a gRPC service name can have at most 127 characters".into()),
    };
    Ok([&[0, 0, 0, 0, field.len() as u8], &field[..]].concat())
}

impl Protocol for Grpc {
    fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    fn exchange(&self) -> Option<&dyn Exchange> {
        Some(self)
    }
}

impl Exchange for Grpc {
    fn request(&self, slot: u64, before: u32) -> Cow<'_, [u8]> {
        self.request.of(slot, before)
    }

    fn answer(&self) -> Box<dyn Answer> {
        let judge = Arc::clone(&self.health) as Arc<dyn Judge>;
        Box::new(Http2Answer::new(judge, self.reused, self.body))
    }
}

#[derive(Debug)]
struct Health {
    backend_header: String,
}

impl Judge for Health {
    fn backend_header(&self) -> &str {
        &self.backend_header
    }

    fn needs_body(&self, _: u16) -> bool {
        true
    }

    fn outcome(&self, reply: Reply<'_>) -> Result<Outcome, Malformed> {
        match (reply.grpc_status, reply.status) {
            (Some("0"), _) => match serving_status(reply.body)? {
                SERVING => Ok(Outcome::Ok),
                other => Ok(Outcome::NotServing(other)),
            },
            (Some(code), _) => {
                let code = code.parse().ok().filter(|code| (1..=LAST_CODE).contains(code));
                Ok(Outcome::Grpc(code.unwrap_or(UNKNOWN)))
            }
            // A proxy answers itself.
            (None, status @ (..200 | 300..)) => Ok(Outcome::Status(status)),
            (None, _) => Err(Malformed),
        }
    }
}

/// The status of a `HealthCheckResponse`, its only field. Left out, it is 0, which is UNKNOWN.
fn serving_status(body: &[u8]) -> Result<u8, Malformed> {
    match body {
        [0, 0, 0, 0, 0] => Ok(0),
        [0, 0, 0, 0, 2, 0x08, status @ ..=3] => Ok(*status),
        _ => Err(Malformed),
    }
}
