//! What an HTTP probe sends, and which answers are success.

use std::collections::BTreeMap;

use serde_json::json;

use super::fields::{Cx, Fields, record};
use super::scalar::{choice, flag, scalar, sentence, text_or_file, texts};
use super::target::{self, target};
use super::tls::{FIELDS, tls_settings};
use super::url;
use crate::experiment::diagnostic::{Diagnostic, Span};
use crate::experiment::schema::{Ask, BodyJson, FileText, HttpAsk, Method, StatusRange, Target};
use crate::experiment::tree::{Node, Value, quoted};
use crate::timeline::{MAX_HTTP2_BODY, UNIQUE, UNIQUE_DIGITS};
use crate::yaml::suggest;

/// Statuses whose answers have no body.
const BODILESS: [u16; 2] = [204, 304];

pub(super) fn http(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields = Fields::of(cx, node, "an `http` probe")?;
    let asked = target(
        &mut fields,
        &[
            ("service", target::service),
            ("ingress", target::ingress),
            ("url", target::web_address),
            ("pod", target::pod),
        ],
    );
    fields.about("An HTTP request. Redirects are not followed.");
    let host = fields.doc(target::HOST).optional("host", target::host);
    let tls = fields
        .doc("Whether a Service, pod or Ingress is probed over HTTPS.")
        .or("tls", false, flag);
    let http2 = fields
        .doc("The version of HTTP: `1.1` or `2`. Default: `1.1`.")
        .optional("version", version);
    let method = fields.doc("The method.").or("method", Method::Get, method);
    let path = fields
        .doc("The path and query. Default: that of the `url` or of the Ingress's rule, else `/`.")
        .optional("path", path);
    let paths = fields.doc("Several paths, which are requested in turn.").optional("paths", paths);
    let headers = fields
        .doc("Headers to send, besides `Host`. `$(unique)` in a value differs in each request.")
        .or("headers", BTreeMap::new(), headers);
    let body = fields
        .doc("The body to send: a text, or `{file: FILE}`. `$(unique)` differs in each request.")
        .optional("body", body);
    let success = fields
        .doc("Statuses that count as success: a range such as `200-399`, or one.")
        .or("success", StatusRange::default(), status_range);
    let body_contains = fields
        .doc("Text that the response's body must contain.")
        .optional("bodyContains", sentence);
    let body_json =
        fields.doc("What the response's body must have, as JSON.").optional("bodyJson", body_json);
    let backend_header = fields.doc(target::BACKEND_HEADER).optional("backendHeader", header_name);
    let settings = tls_settings(&mut fields);
    let keys = Keys::of(&fields);
    fields.finish();
    let (target, url_path) = asked?;
    let (mut tls, method, success) = (tls?, method?, success?);
    let target = ingress_host(cx, target, host?, keys.host, &mut tls)?;
    if let (Target::Address { .. }, Some(key)) = (&target, keys.tls) {
        cx.error_hint::<()>(
            key,
            "`tls` is not for a `url`: its scheme decides",
            "write `https://`",
        );
    }
    let mut paths = paths?.unwrap_or_default();
    let path = match (path?, url_path) {
        (Some(path), None) => path,
        (given, Some(own)) if given.is_some() || (!paths.is_empty() && own != "/") => {
            let key = keys.path.or(keys.paths)?;
            let hint = "put the path into the `url`";
            return cx.error_hint(key, "a `url` already has its path", hint);
        }
        (_, own) => {
            let default = if matches!(target, Target::Ingress { .. }) { "" } else { "/" };
            paths.first().cloned().or(own).unwrap_or_else(|| default.into())
        }
    };
    if let (Some(_), Some(key)) = (keys.path, keys.paths) {
        cx.error_hint::<()>(
            key,
            "`path` and `paths` are mutually exclusive",
            "list all in `paths`",
        );
    }
    paths.truncate(if paths.len() > 1 { usize::MAX } else { 0 });
    let ask = HttpAsk {
        http2: http2?.unwrap_or_default(),
        method,
        path,
        paths,
        headers: headers?,
        body: body?,
        success,
        body_contains: body_contains?,
        body_json: body_json?,
        backend_header: backend_header?.unwrap_or_else(|| HttpAsk::BACKEND_HEADER.into()),
        tls,
        settings: settings?,
        ..HttpAsk::get(target)
    };
    keys.check(cx, &ask);
    Some(Ask::Http(Box::new(ask)))
}

/// Where the fields are that must fit others.
struct Keys {
    host: Option<Span>,
    tls: Option<Span>,
    path: Option<Span>,
    paths: Option<Span>,
    body: Option<Span>,
    /// The first that says what the answer's body must be.
    expected_body: Option<(&'static str, Span)>,
    /// The first that is for TLS only.
    of_tls: Option<(&'static str, Span)>,
}

impl Keys {
    fn of(fields: &Fields) -> Self {
        Self {
            host: fields.key("host"),
            tls: fields.key("tls"),
            path: fields.key("path"),
            paths: fields.key("paths"),
            body: fields.key("body"),
            expected_body: fields.first_key(&["bodyContains", "bodyJson"]),
            of_tls: fields.first_key(&FIELDS),
        }
    }

    fn check(&self, cx: &Cx, ask: &HttpAsk) {
        let method = ask.method.name();
        if !ask.uses_tls() {
            let hint = "use an `https://` URL; for a Service, pod or Ingress, set `tls: true`";
            refuse_tls_fields(cx, self.of_tls, "HTTPS", hint);
        }
        if let (Some(key), false) = (self.body, ask.method.takes_body()) {
            let message = format!("servers may ignore or refuse the body of a {method} request");
            let warning = Diagnostic::warning(message).at(cx.file(), key);
            cx.report(warning.hint("set `method`, for example to POST"));
        }
        let body = ask.body.as_ref().map_or("", |body| &body.text);
        if let (Some(key), true) = (self.body, ask.http2)
            && body.replace(UNIQUE, &"0".repeat(UNIQUE_DIGITS)).len() > MAX_HTTP2_BODY
        {
            let message = "the body of an HTTP/2 request can have at most 64 KiB";
            cx.error_hint::<()>(key, message, "use `version: 1.1`");
        }
        let Some((name, key)) = self.expected_body else { return };
        let StatusRange { from, to } = ask.success;
        if ask.method == Method::Head {
            let message = format!("`{name}` cannot be met: the answer to HEAD has no body");
            cx.error_hint::<()>(key, message, "use `method: GET`");
        } else if from == to && BODILESS.contains(&from) {
            let message = format!("`{name}` cannot be met: an answer of status {from} has no body");
            cx.error::<()>(key, message);
        }
    }
}

/// The host and TLS of an Ingress belong to the target.
pub(super) fn ingress_host(
    cx: &Cx,
    target: Target,
    host: Option<String>,
    key: Option<Span>,
    tls: &mut bool,
) -> Option<Target> {
    match (target, key) {
        (Target::Ingress { ingress, service, of_paths, .. }, _) => {
            let tls = std::mem::take(tls);
            Some(Target::Ingress { ingress, host, tls, service, of_paths })
        }
        (_, Some(key)) => cx.error(key, "`host` is for an `ingress` only"),
        (other, None) => Some(other),
    }
}

pub(super) fn refuse_tls_fields(
    cx: &Cx,
    first: Option<(&'static str, Span)>,
    needed: &str,
    hint: &str,
) {
    if let Some((name, key)) = first {
        cx.error_hint::<()>(key, format!("`{name}` needs {needed}"), hint);
    }
}

/// Whether it is HTTP/2.
fn version(cx: &Cx, node: &Node) -> Option<bool> {
    cx.reads(|| json!({"enum": ["1.1", "2", 1.1, 2]}))?;
    choice(cx, node, "HTTP version", &[("1.1", false), ("2", true)])
}

fn method(cx: &Cx, node: &Node) -> Option<Method> {
    choice(cx, node, "method", &Method::ALL.map(|method| (method.name(), method)))
}

fn path(cx: &Cx, node: &Node) -> Option<String> {
    let text = sentence(cx, node)?;
    match url::path_problem(&text) {
        None => {
            warn_of_slips(cx, node, &text);
            Some(text)
        }
        Some(why) => cx.error_hint(node.focus(), format!("{} is not a path", quoted(&text)), why),
    }
}

/// Several paths: at least one.
fn paths(cx: &Cx, node: &Node) -> Option<Vec<String>> {
    let paths = cx.items(node, path)?.into_iter().collect::<Option<Vec<_>>>()?;
    if paths.is_empty() { cx.expected(node, "a list of paths") } else { Some(paths) }
}

fn body(cx: &Cx, node: &Node) -> Option<FileText> {
    if let Value::Map(entries) = &node.value
        && entries.iter().all(|(key, _)| suggest::closest(key, ["file"]).is_none())
    {
        let hint = "quote it, or save it to a file and write `{file: body.json}`";
        return cx.error_hint(node.focus(), "a body is a text, not a mapping", hint);
    }
    let found = text_or_file(cx, node)?;
    warn_of_slips(cx, node, &found.text);
    Some(found)
}

/// Warns of what resembles `$(unique)`: it is sent as it is.
fn warn_of_slips(cx: &Cx, node: &Node, text: &str) {
    const WORD: &str = "unique";
    let slips = text.split("$(").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_right = word == WORD && after.starts_with(')');
        (!is_right && suggest::closest(word, [WORD]).is_some()).then(|| {
            let closed = if after.starts_with(')') { ")" } else { "" };
            format!("`$({word}{closed}` is sent as it is")
        })
    });
    for message in slips {
        let warning = Diagnostic::warning(message).at(cx.file(), node.focus());
        cx.report(warning.hint(format!("did you mean `{UNIQUE}`?")));
    }
}

fn body_json(cx: &Cx, node: &Node) -> Option<BodyJson> {
    record!(cx, node, "a JSON expectation" => BodyJson {
        /// A JSONPath (RFC 9535), such as `$.status`. It must select at least one value.
        path: required("path", json_path),
        /// What every value that it selects must be: a string, a number or a boolean.
        equals: required("equals", scalar),
    })
}

fn json_path(cx: &Cx, node: &Node) -> Option<String> {
    let text = sentence(cx, node)?;
    match serde_json_path::JsonPath::parse(&text) {
        Ok(_) => Some(text),
        Err(_) => cx.error_hint(
            node.focus(),
            format!("{} is not a JSONPath", quoted(&text)),
            "a JSONPath looks like `$.status` or `$.checks[0].status`",
        ),
    }
}

/// `200-399`, or one status.
fn status_range(cx: &Cx, node: &Node) -> Option<StatusRange> {
    cx.reads(|| json!({"type": ["string", "integer"]}))?;
    let text = node.text().unwrap_or_default();
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) if 100 <= from && from <= to && to <= 599 => {
            Some(StatusRange { from, to })
        }
        _ => cx.expected(node, "statuses such as `200-399`, or one such as `200`"),
    }
}

fn headers(cx: &Cx, node: &Node) -> Option<BTreeMap<String, String>> {
    const OURS: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];
    let headers = texts(cx, node)?;
    let problem = |(name, value): (&String, &String)| {
        let at = node.get(name).map_or(node.focus(), |value| value.key.unwrap_or(value.span));
        if !is_header_name(name) {
            return cx.error(at, format!("{} cannot be the name of a header", quoted(name)));
        }
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            return cx.error(at, format!("the header {} is set by the probe itself", quoted(name)));
        }
        if value.contains(|c: char| c.is_control()) {
            return cx.error(
                at,
                format!("the value of {} has characters that a header cannot carry", quoted(name)),
            );
        }
        warn_of_slips(cx, node.get(name).unwrap_or(node), value);
        Some(())
    };
    let fine: Vec<Option<()>> = headers.iter().map(problem).collect();
    fine.into_iter().collect::<Option<()>>().map(|()| headers)
}

pub(super) fn header_name(cx: &Cx, node: &Node) -> Option<String> {
    match sentence(cx, node)? {
        name if is_header_name(&name) => Some(name.to_ascii_lowercase()),
        name => cx.error(node.focus(), format!("{} cannot be the name of a header", quoted(&name))),
    }
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}
