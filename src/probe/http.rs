//! An HTTP probe: a request over HTTP/1.1 or HTTP/2, with or without TLS.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::expected::{BodyCheck, BodyExpectation, Expected};
use super::http_answer::HttpAnswer;
use super::http2::{self, Http2Answer, Judge};
use super::protocol::{Answer, Exchange, Protocol};
use super::request::{Request, Series, with_places};
use super::tls::{Tls, TlsQuestion};
use crate::timeline::Secret;

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
    /// Whether it is asked over HTTP/2: by TLS as agreed (ALPN), else because both sides know.
    #[serde(default)]
    pub http2: bool,
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
            http2: false,
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
    http2: Option<Http2>,
}

/// What the reader of an HTTP/2 connection must know.
#[derive(Debug)]
struct Http2 {
    reused: bool,
    /// The length of a request's body.
    body: usize,
}

impl Http {
    pub(super) fn new(question: &HttpQuestion, reused: bool) -> Result<Self, String> {
        Self::of_series(question, reused, Series::random())
    }

    fn of_series(question: &HttpQuestion, reused: bool, series: Series) -> Result<Self, String> {
        let expected = Expected {
            backend_header: question.backend_header.clone(),
            success: question.success,
            is_head: question.method == "HEAD",
            body: BodyCheck::new(question.expected_body.clone())?,
        };
        let body = with_places(question.body.as_ref().map_or("", |body| &body.text));
        let fields = fields(question, body.len());
        let request = |path: &String| match question.http2 {
            false => {
                let text = with_places(&head(question, path, reused, &fields)) + &body;
                Ok(Request::new(text.into_bytes(), series))
            }
            true => http2::request(&http2_fields(question, path, &fields), body.as_bytes(), series),
        };
        let tls = question.tls.as_ref().map(Tls::new).transpose()?;
        Ok(Self {
            requests: question.paths.iter().map(request).collect::<Result<_, _>>()?,
            expected: Arc::new(expected),
            tls: tls.map(|tls| if question.http2 { tls.offering(http2::ALPN) } else { tls }),
            http2: question.http2.then_some(Http2 { reused, body: body.len() }),
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
    fn request(&self, slot: u64, before: u32) -> Cow<'_, [u8]> {
        self.requests[(slot % self.requests.len() as u64) as usize].of(slot, before)
    }

    fn answer(&self) -> Box<dyn Answer> {
        let expected = Arc::clone(&self.expected);
        match self.http2 {
            None => Box::new(HttpAnswer::new(expected)),
            Some(Http2 { reused, body }) => {
                Box::new(Http2Answer::new(expected as Arc<dyn Judge>, reused, body))
            }
        }
    }
}

/// What is sent besides the host; `body` is its length.
fn fields(question: &HttpQuestion, body: usize) -> Vec<(String, String)> {
    let HttpQuestion { headers, method, .. } = question;
    let mut fields: Vec<(String, String)> = Vec::new();
    for (default, value) in [("User-Agent", "kubectl-outage"), ("Accept", "*/*")] {
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(default)) {
            fields.push((default.into(), value.into()));
        }
    }
    fields.extend(headers.iter().cloned());
    if let Some(Secret(value)) = &question.authorization {
        fields.push(("Authorization".into(), value.clone()));
    }
    if let Some(Body { content_type: Some(content_type), .. }) = &question.body {
        fields.push(("Content-Type".into(), content_type.clone()));
    }
    // Without one some servers answer a write with 411 (RFC 9110, 8.6).
    if question.body.is_some() || matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
        fields.push(("Content-Length".into(), body.to_string()));
    }
    fields
}

fn head(question: &HttpQuestion, path: &str, reused: bool, fields: &[(String, String)]) -> String {
    let HttpQuestion { method, host, .. } = question;
    let connection = if reused { "keep-alive" } else { "close" };
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n");
    fields.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    text + "\r\n"
}

fn http2_fields(
    question: &HttpQuestion,
    path: &str,
    fields: &[(String, String)],
) -> Vec<(String, String)> {
    let scheme = if question.tls.is_some() { "https" } else { "http" };
    let own = [
        (":method", question.method.as_str()),
        (":scheme", scheme),
        (":path", path),
        (":authority", &question.host),
    ];
    let fields = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), with_places(value)));
    own.map(|(name, value)| (name.to_owned(), with_places(value)))
        .into_iter()
        .chain(fields)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::UNIQUE;

    /// The request of a slot, in the series 12345678.
    fn text(question: &HttpQuestion, reused: bool, slot: u64) -> String {
        let http = Http::of_series(question, reused, Series(12_345_678)).unwrap();
        String::from_utf8(http.request(slot, 0).into_owned()).unwrap()
    }

    #[test]
    fn a_request_has_each_header_once() {
        let headers = vec![("user-agent".into(), "me".into())];
        let question = HttpQuestion { headers, ..HttpQuestion::get("web:80", "/x?y") };
        let text = text(&question, false, 7);
        assert_eq!(
            text,
            "GET /x?y HTTP/1.1\r\nHost: web:80\r\nConnection: close\r\nAccept: */*\r\nuser-agent: me\r\n\r\n"
        );
    }

    #[test]
    fn a_write_without_a_body_says_so() {
        let lengths = |method: &str| {
            let question = HttpQuestion { method: method.into(), ..HttpQuestion::get("web", "/") };
            text(&question, false, 0).matches("\r\nContent-Length: 0\r\n").count()
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
        let text = |slot| text(&question, true, slot);
        let request = Http::new(&question, true).unwrap();
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
