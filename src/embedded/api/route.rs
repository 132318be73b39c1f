//! Which part of the API a request is for.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use hyper::body::Incoming;
use serde_json::Value;

use super::form::Form;
use super::patch::Patch;
use super::query::Query;
use super::respond::{Answer, json, text};
use super::served::Served;
use super::target::Target;
use super::write::Write;
use super::{ApiError, Availability, body, delete, discovery, openapi, read, review, scale, watch};
use crate::embedded::store::kinds;

struct Ask {
    method: Method,
    path: String,
    query: Query,
    accept: String,
    content_type: String,
    body: Bytes,
}

impl Ask {
    fn sent(&self) -> Result<Value, ApiError> {
        body::read(&self.content_type, &self.body)
    }

    fn patch(&self) -> Result<Patch, ApiError> {
        Patch::read(&self.content_type, &self.body)
    }
}

/// Answers a request, unless the server is frozen.
pub(super) async fn answer(
    served: Arc<Served>,
    request: http::Request<Incoming>,
) -> Result<Answer, Infallible> {
    served.availability.until(|now| now != Availability::Hanging).await;
    let answer = admitted(&served, request).await;
    // It may have been frozen in between.
    served.availability.until(|now| now != Availability::Hanging).await;
    Ok(answer.unwrap_or_else(|error| json(error.code, &error.status())))
}

async fn admitted(
    served: &Arc<Served>,
    request: http::Request<Incoming>,
) -> Result<Answer, ApiError> {
    let path = served.access.check(request.uri().path(), request.headers())?;
    let path = path.trim_end_matches('/').to_owned();
    dispatch(served, &take(path, request).await?).await
}

async fn take(path: String, request: http::Request<Incoming>) -> Result<Ask, ApiError> {
    let header = |name: http::HeaderName| {
        let values = request.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.collect::<Vec<_>>().join(",")
    };
    let (accept, content_type) = (header(http::header::ACCEPT), header(http::header::CONTENT_TYPE));
    let query = Query::parse(request.uri().query().unwrap_or_default());
    Ok(Ask {
        method: request.method().clone(),
        path,
        query,
        accept,
        content_type,
        body: body::collect(request.into_body()).await?,
    })
}

async fn dispatch(served: &Arc<Served>, ask: &Ask) -> Result<Answer, ApiError> {
    let parts: Vec<&str> = ask.path.split('/').filter(|part| !part.is_empty()).collect();
    let found = |value: Option<Value>| {
        value.map(|value| json(200, &value)).ok_or_else(ApiError::no_such_path)
    };
    match parts.as_slice() {
        ["version"] => Ok(json(200, &discovery::version(&served.version))),
        ["healthz" | "livez" | "readyz", ..] => Ok(health(served)),
        ["api"] => Ok(json(200, &discovery::core_versions(&served.address.to_string()))),
        ["api", version] => found(discovery::resources("", version)),
        ["apis"] => Ok(json(200, &discovery::groups())),
        ["apis", group, version] => found(discovery::resources(group, version)),
        ["openapi", "v3"] => Ok(json(200, &openapi::index())),
        ["openapi", "v3", root @ ..] => found(openapi::of_group(&root.join("/"))),
        ["apis", group, "v1", plural] if ask.method == Method::POST => {
            match review::answer(group, plural) {
                Some(review) => Ok(json(201, &review)),
                None => objects(served, ask, &Target::parse(&ask.path)?).await,
            }
        }
        _ => objects(served, ask, &Target::parse(&ask.path)?).await,
    }
}

fn health(served: &Served) -> Answer {
    match served.availability.now() {
        Availability::EtcdDown => {
            text(500, "text/plain; charset=utf-8", "[-]etcd failed: reason withheld\n")
        }
        _ => text(200, "text/plain; charset=utf-8", "ok"),
    }
}

async fn objects(served: &Arc<Served>, ask: &Ask, target: &Target) -> Result<Answer, ApiError> {
    let watches = ask.method == Method::GET && ask.query.flag("watch");
    if !from_cache(ask, target, watches) {
        served.etcd().await?;
    }
    let form = Form::of(&ask.accept, ask.query.text("includeObject"))?;
    match (&target.name, target.part.as_deref()) {
        _ if watches => watch::watch(served, target, &ask.query, form),
        (None, _) => collection(served, ask, target, form),
        (Some(name), None) => one(served, ask, target, name, form),
        (Some(name), Some("scale")) if target.kind.has_scale => scaled(served, ask, target, name),
        (Some(name), Some("eviction")) if target.kind == &kinds::PODS => {
            let options = delete::Options::read(&ask.sent()?["deleteOptions"], &ask.query)?;
            Ok(json(201, &delete::one(served, target, name, &options)?))
        }
        (Some(name), Some("proxy")) if target.kind == &kinds::NODES => {
            let (content_type, answer) = served.hooks.node_proxy(name, &target.rest).await?;
            Ok(text(200, content_type, answer))
        }
        (Some(_), Some(part)) => Err(ApiError::new(
            404,
            "NotFound",
            format!("this cluster is a model: its {} have no {part}", target.kind.plural),
        )),
    }
}

/// Whether the API server can answer this from its cache: what may be old, and watches.
fn from_cache(ask: &Ask, target: &Target, watches: bool) -> bool {
    let may_be_old = ask.query.text("resourceVersion") == "0";
    watches
        || (ask.method == Method::GET && (may_be_old || target.part.as_deref() == Some("proxy")))
}

fn collection(served: &Served, ask: &Ask, target: &Target, form: Form) -> Result<Answer, ApiError> {
    match ask.method {
        Method::GET => read::list(served, target, &ask.query, form),
        Method::POST if target.kind.namespaced && target.namespace.is_empty() => {
            Err(ApiError::bad_request("an empty namespace may not be set during creation"))
        }
        Method::POST => {
            let made = Write::new(served, target, &ask.query)?.create(ask.sent()?)?;
            Ok(json(201, &form.object(target.kind, &made)))
        }
        Method::DELETE => {
            let gone = delete::all(served, target, &ask.query, &options(ask)?)?;
            let gone: Vec<&Value> = gone.iter().map(AsRef::as_ref).collect();
            let meta = serde_json::json!({"resourceVersion": served.store.revision().to_string()});
            Ok(json(200, &form.list(target.kind, &gone, meta)))
        }
        _ => Err(not_allowed()),
    }
}

fn one(
    served: &Served,
    ask: &Ask,
    target: &Target,
    name: &str,
    form: Form,
) -> Result<Answer, ApiError> {
    let shown = |object: &Value| json(200, &form.object(target.kind, object));
    let write = Write::new(served, target, &ask.query)?;
    match ask.method {
        Method::GET => read::get(served, target, name, form),
        Method::PUT => Ok(shown(&*write.replace(ask.sent()?)?)),
        Method::PATCH => Ok(shown(&*write.patch(&ask.patch()?)?)),
        Method::DELETE => Ok(json(200, &delete::one(served, target, name, &options(ask)?)?)),
        _ => Err(not_allowed()),
    }
}

fn scaled(served: &Served, ask: &Ask, target: &Target, name: &str) -> Result<Answer, ApiError> {
    let write = Write::new(served, target, &ask.query)?;
    let scale = match ask.method {
        Method::GET => {
            let found = served.store.get(target.kind, &target.namespace, name);
            scale::of(&*found.ok_or_else(|| ApiError::not_found(target.kind, name))?)
        }
        Method::PUT => {
            let sent = ask.sent()?;
            scale::change(&write, |_| Ok(sent.clone()))?
        }
        Method::PATCH => {
            let patch = ask.patch()?;
            scale::change(&write, |scale| patch.apply(scale))?
        }
        _ => return Err(not_allowed()),
    };
    Ok(json(200, &scale))
}

fn options(ask: &Ask) -> Result<delete::Options, ApiError> {
    let body = if ask.body.is_empty() { Value::Null } else { ask.sent()? };
    delete::Options::read(&body, &ask.query)
}

fn not_allowed() -> ApiError {
    ApiError::method_not_allowed("the server does not allow this method on the requested resource")
}
