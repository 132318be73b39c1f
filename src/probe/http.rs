//! An HTTP probe: a request over HTTP/1.1, with or without TLS.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::http_answer::{Expected, HttpAnswer};
use super::protocol::{Answer, Exchange, Protocol};
use super::secret::Secret;
use super::tls::{Tls, TlsQuestion};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpQuestion {
    /// `GET`, `PATCH`, ...
    pub method: String,
    pub host: String,
    pub path: String,
    /// Headers to send besides Host.
    pub headers: Vec<(String, String)>,
    /// The lowest and the highest status that counts as success.
    pub success: (u16, u16),
    /// The response header that names the backend, in any case.
    pub backend_header: String,
    /// What is sent behind the headers.
    pub body: Option<Body>,
    /// The value of the Authorization header. It never travels: a prober elsewhere asks without it.
    #[serde(skip)]
    pub authorization: Option<Secret<String>>,
    pub tls: Option<TlsQuestion>,
}

impl HttpQuestion {
    /// A GET over plain HTTP, with nothing but defaults.
    pub fn get(host: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: "GET".into(),
            host: host.into(),
            path: path.into(),
            headers: Vec::new(),
            success: (200, 399),
            backend_header: "x-backend".into(),
            body: None,
            authorization: None,
            tls: None,
        }
    }
}

/// What is sent behind a request's headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    pub content_type: String,
    /// The text. Where it has [`Body::SLOT`], each attempt sends its own number there, so that no
    /// two are alike.
    pub text: String,
}

impl Body {
    /// Stands for the attempt's number, as twelve digits.
    pub const SLOT: &str = "<<<<slot>>>>";
}

/// An HTTP request, prepared.
#[derive(Debug)]
pub(super) struct Http {
    request: Request,
    expected: Arc<Expected>,
    tls: Option<Tls>,
}

impl Http {
    pub(super) fn new(question: &HttpQuestion, reused: bool) -> Result<Self, String> {
        let expected =
            Expected { backend_header: question.backend_header.clone(), success: question.success };
        Ok(Self {
            request: Request::new(question, reused),
            expected: Arc::new(expected),
            tls: question.tls.as_ref().map(Tls::new).transpose()?,
        })
    }
}

impl Protocol for Http {
    fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    fn exchange(&self) -> Option<&dyn Exchange> {
        Some(self)
    }
}

impl Exchange for Http {
    fn request(&self, slot: u64) -> Cow<'_, [u8]> {
        self.request.of(slot)
    }

    fn answer(&self) -> Box<dyn Answer> {
        Box::new(HttpAnswer::new(Arc::clone(&self.expected)))
    }
}

/// The bytes of a question: the same for every attempt but for the place of its number, if it has
/// one.
struct Request {
    bytes: Vec<u8>,
    slot: Option<Range<usize>>,
}

/// Without the bytes: they may hold a password.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Request {
    fn new(question: &HttpQuestion, reused: bool) -> Self {
        let mut text = head(question, reused);
        let mut slot = None;
        if let Some(Body { text: body, .. }) = &question.body {
            slot =
                body.find(Body::SLOT).map(|at| text.len() + at..text.len() + at + Body::SLOT.len());
            text.push_str(body);
        }
        Self { bytes: text.into_bytes(), slot }
    }

    #[inline]
    fn of(&self, slot: u64) -> Cow<'_, [u8]> {
        let Some(place) = self.slot.clone() else { return Cow::Borrowed(&self.bytes) };
        let mut bytes = self.bytes.clone();
        let number = format!("{:0width$}", slot % 1_000_000_000_000, width = place.len());
        bytes[place].copy_from_slice(number.as_bytes());
        Cow::Owned(bytes)
    }
}

fn head(question: &HttpQuestion, reused: bool) -> String {
    let HttpQuestion { method, host, path, headers, .. } = question;
    let connection = if reused { "keep-alive" } else { "close" };
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n");
    for (default, value) in [("User-Agent", "kubectl-outage"), ("Accept", "*/*")] {
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(default)) {
            text.push_str(&format!("{default}: {value}\r\n"));
        }
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(Secret(value)) = &question.authorization {
        text.push_str(&format!("Authorization: {value}\r\n"));
    }
    if let Some(body) = &question.body {
        text.push_str(&format!(
            "Content-Type: {}\r\nContent-Length: {}\r\n",
            body.content_type,
            body.text.len()
        ));
    }
    text.push_str("\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_each_header_once() {
        let headers = vec![("user-agent".into(), "me".into())];
        let question = HttpQuestion { headers, ..HttpQuestion::get("web:80", "/x?y") };
        let text = String::from_utf8(Request::new(&question, false).of(7).into_owned()).unwrap();
        assert_eq!(
            text,
            "GET /x?y HTTP/1.1\r\nHost: web:80\r\nConnection: close\r\nAccept: */*\r\nuser-agent: me\r\n\r\n"
        );
    }

    #[test]
    fn no_two_writes_are_alike_and_nothing_shows_the_password() {
        let body = Body {
            content_type: "application/json".into(),
            text: format!(r#"{{"a":"{}"}}"#, Body::SLOT),
        };
        let authorization = Some(Secret("Bearer hunter2".to_owned()));
        let question = HttpQuestion {
            method: "PATCH".into(),
            body: Some(body),
            authorization,
            ..HttpQuestion::get("api", "/x")
        };
        let request = Request::new(&question, true);
        let text = |slot| String::from_utf8(request.of(slot).into_owned()).unwrap();
        assert!(
            text(7).starts_with("PATCH /x HTTP/1.1\r\nHost: api\r\nConnection: keep-alive\r\n"),
            "{}",
            text(7)
        );
        assert!(
            text(7).contains("\r\nAuthorization: Bearer hunter2\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n")
        );
        assert!(text(7).ends_with("\r\n\r\n{\"a\":\"000000000007\"}"));
        assert!(text(u64::MAX).ends_with("{\"a\":\"073709551615\"}"));
        let shown =
            format!("{question:?} {request:?} {}", serde_json::to_string(&question).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
