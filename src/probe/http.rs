//! An HTTP probe: a request over HTTP/1.1, with or without TLS.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::expected::{BodyCheck, BodyExpectation, Expected};
use super::http_answer::HttpAnswer;
use super::protocol::{Answer, Exchange, Protocol};
use super::tls::{Tls, TlsQuestion};
use crate::timeline::{Secret, UNIQUE};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpQuestion {
    /// `GET`, `PATCH`, ...
    pub method: String,
    pub host: String,
    /// At least one: the attempt of slot i asks for the one of number i modulo their count.
    pub paths: Vec<String>,
    /// Headers to send besides Host.
    pub headers: Vec<(String, String)>,
    /// The lowest and the highest status that counts as success.
    pub success: (u16, u16),
    /// What else the answer must have.
    #[serde(default)]
    pub expected_body: BodyExpectation,
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
            paths: vec![path.into()],
            headers: Vec::new(),
            success: (200, 399),
            expected_body: BodyExpectation::default(),
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
    /// `None`: the headers say it.
    pub content_type: Option<String>,
    pub text: String,
}

/// An HTTP request, prepared.
#[derive(Debug)]
pub(super) struct Http {
    /// One for each path.
    requests: Vec<Request>,
    expected: Arc<Expected>,
    tls: Option<Tls>,
}

impl Http {
    pub(super) fn new(question: &HttpQuestion, reused: bool) -> Result<Self, String> {
        let expected = Expected {
            backend_header: question.backend_header.clone(),
            success: question.success,
            is_head: question.method == "HEAD",
            body: BodyCheck::new(question.expected_body.clone())?,
        };
        let series = Series::random();
        let request = |path: &String| Request::new(question, path, reused, series);
        Ok(Self {
            requests: question.paths.iter().map(request).collect(),
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
        self.requests[(slot % self.requests.len() as u64) as usize].of(slot)
    }

    fn answer(&self) -> Box<dyn Answer> {
        Box::new(HttpAnswer::new(Arc::clone(&self.expected)))
    }
}

/// The first digits of a prober's unique numbers, which tell it from other runs.
#[derive(Clone, Copy, Debug)]
struct Series(u64);

impl Series {
    /// The numbers of one series. All numbers have 16 digits, the first no 0, and are exact where
    /// numbers are floating-point (JavaScript's are up to 9007199254740991).
    const LENGTH: u64 = 100_000_000;
    const SERIES: std::ops::Range<u64> = 10_000_000..90_000_000;

    fn random() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self(Self::SERIES.start + random % (Self::SERIES.end - Self::SERIES.start))
    }

    fn number(self, slot: u64) -> u64 {
        self.0 * Self::LENGTH + slot % Self::LENGTH
    }
}

/// What stands for a unique number until there is one.
const DIGITS: &str = "0000000000000000";

/// The bytes of a request: the same for every attempt but for the places of its number, if it has
/// any.
struct Request {
    bytes: Vec<u8>,
    /// Where the number's digits begin.
    unique: Vec<usize>,
    series: Series,
}

/// Without the bytes: they may hold a password.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Request {
    fn new(question: &HttpQuestion, path: &str, reused: bool, series: Series) -> Self {
        let body = question.body.as_ref().map_or("", |body| &body.text);
        let text = head(question, path, reused) + body;
        let mut parts = text.split(UNIQUE);
        let (mut bytes, mut unique) = (parts.next().unwrap_or_default().to_owned(), Vec::new());
        for part in parts {
            unique.push(bytes.len());
            bytes.extend([DIGITS, part]);
        }
        Self { bytes: bytes.into_bytes(), unique, series }
    }

    #[inline]
    fn of(&self, slot: u64) -> Cow<'_, [u8]> {
        if self.unique.is_empty() {
            return Cow::Borrowed(&self.bytes);
        }
        let number = self.series.number(slot).to_string();
        let mut bytes = self.bytes.clone();
        for &place in &self.unique {
            bytes[place..place + DIGITS.len()].copy_from_slice(number.as_bytes());
        }
        Cow::Owned(bytes)
    }
}

fn head(question: &HttpQuestion, path: &str, reused: bool) -> String {
    let HttpQuestion { method, host, headers, .. } = question;
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
        if let Some(content_type) = &body.content_type {
            text.push_str(&format!("Content-Type: {content_type}\r\n"));
        }
        let length = body.text.replace(UNIQUE, DIGITS).len();
        text.push_str(&format!("Content-Length: {length}\r\n"));
    } else if matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
        // Else some servers answer 411 (RFC 9110, 8.6).
        text.push_str("Content-Length: 0\r\n");
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
        let request = Request::new(&question, &question.paths[0], false, Series(1));
        let text = String::from_utf8(request.of(7).into_owned()).unwrap();
        assert_eq!(
            text,
            "GET /x?y HTTP/1.1\r\nHost: web:80\r\nConnection: close\r\nAccept: */*\r\nuser-agent: me\r\n\r\n"
        );
    }

    #[test]
    fn a_write_without_a_body_says_so() {
        let lengths = |method: &str| {
            let question = HttpQuestion { method: method.into(), ..HttpQuestion::get("web", "/") };
            head(&question, "/", false).matches("\r\nContent-Length: 0\r\n").count()
        };
        assert_eq!(["POST", "PUT", "PATCH"].map(lengths), [1; 3]);
        assert_eq!(["GET", "HEAD", "DELETE", "OPTIONS"].map(lengths), [0; 4]);
    }

    #[test]
    fn no_two_writes_are_alike_and_nothing_shows_the_password() {
        let body = Body {
            content_type: Some("application/json".into()),
            text: format!(r#"{{"a":"{}"}}"#, UNIQUE),
        };
        let authorization = Some(Secret("Bearer hunter2".to_owned()));
        let question = HttpQuestion {
            method: "PATCH".into(),
            body: Some(body),
            authorization,
            ..HttpQuestion::get("api", "/x?$(unique)")
        };
        let request = Request::new(&question, &question.paths[0], true, Series(12_345_678));
        let text = |slot| String::from_utf8(request.of(slot).into_owned()).unwrap();
        assert!(
            text(7).starts_with(
                "PATCH /x?1234567800000007 HTTP/1.1\r\nHost: api\r\nConnection: keep-alive\r\n"
            ),
            "{}",
            text(7)
        );
        assert!(
            text(7).contains("\r\nAuthorization: Bearer hunter2\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n")
        );
        assert!(text(7).ends_with("\r\n\r\n{\"a\":\"1234567800000007\"}"));
        assert!(text(u64::MAX).ends_with("{\"a\":\"1234567809551615\"}"));
        let shown =
            format!("{question:?} {request:?} {}", serde_json::to_string(&question).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
