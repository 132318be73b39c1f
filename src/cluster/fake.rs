//! An API server for tests: objects by their paths, read, created, deleted, and patched as a real one
//! does it: only as they were read, where the patch says so. A watch of a path brings the changes at
//! `PATH?watch`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};

use super::Cluster;

type Objects = BTreeMap<String, Value>;
type Answer = UnsyncBoxBody<Bytes, tower::BoxError>;
/// What happens right before a call such as `PATCH /api/v1/nodes/w` is answered; a code refuses it.
type Before = Box<dyn FnMut(&mut Objects, &str) -> Option<u16> + Send>;

#[derive(Clone)]
pub(crate) struct FakeApi {
    state: Arc<Mutex<State>>,
}

struct State {
    objects: Objects,
    before: Before,
}

impl FakeApi {
    pub(crate) fn with(path: &str, object: Value) -> Self {
        let state =
            State { objects: [(path.to_owned(), object)].into(), before: Box::new(|_, _| None) };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn before_each(
        &self,
        before: impl FnMut(&mut Objects, &str) -> Option<u16> + Send + 'static,
    ) {
        self.state.lock().unwrap().before = Box::new(before);
    }

    pub(crate) fn object(&self, path: &str) -> Value {
        self.state.lock().unwrap().objects.get(path).cloned().unwrap_or_default()
    }

    pub(crate) fn put(&self, path: &str, object: Value) {
        self.state.lock().unwrap().objects.insert(path.to_owned(), object);
    }

    pub(crate) fn cluster(&self) -> Cluster {
        let api = self.clone();
        Cluster::of_service(move |request| {
            let api = api.clone();
            async move { api.answer(request).await }
        })
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Answer>, tower::BoxError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
            return Ok(Response::new(changes(&self.object(&format!("{path}?watch")))));
        }
        let body = request.into_body().collect_bytes().await?;
        let sent = [Method::PATCH, Method::POST].contains(&method);
        let sent = sent.then(|| serde_json::from_slice::<Value>(&body)).transpose()?;
        let (code, value) = self.state.lock().unwrap().answer(&method, &path, sent);
        let body = Full::from(value.to_string()).map_err(Into::into).boxed_unsync();
        Ok(Response::builder().status(code).body(body)?)
    }
}

/// A stream of changes that stays open.
fn changes(lines: &Value) -> Answer {
    let lines = lines.as_array().cloned().unwrap_or_default().into_iter();
    let lines = lines.map(|line| Ok::<_, tower::BoxError>(Frame::data(format!("{line}\n").into())));
    StreamBody::new(stream::iter(lines).chain(stream::pending())).boxed_unsync()
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, sent: Option<Value>) -> (u16, Value) {
        let refused = (self.before)(&mut self.objects, &format!("{method} {path}"));
        let status = |code: u16| {
            let causes = json!([{"message": "The disruption budget b needs 1 healthy pods and has 1 currently"}]);
            let details = if code == 429 { json!({"causes": causes}) } else { Value::Null };
            (
                code,
                json!({"kind": "Status", "status": "Failure", "message": "no", "code": code, "details": details}),
            )
        };
        if let (None, Method::POST, Some(new)) = (refused, method.clone(), &sent) {
            let path = format!("{path}/{}", new["metadata"]["name"].as_str().unwrap_or_default());
            return match self.objects.contains_key(&path) {
                true => status(409),
                false => {
                    let made =
                        merged(new, &json!({"metadata": {"uid": "made", "resourceVersion": "1"}}));
                    self.objects.insert(path, made.clone());
                    (201, made)
                }
            };
        }
        match (refused, self.objects.get_mut(path)) {
            (Some(code), _) => status(code),
            (_, None) => status(404),
            // What finalizers hold stays until they are gone.
            (_, Some(object)) if method == Method::DELETE => {
                let whole = object.clone();
                if object["metadata"]["finalizers"].is_null() {
                    self.objects.remove(path);
                }
                (200, whole)
            }
            (_, Some(object)) => {
                if sent.as_ref().is_some_and(|patch| !holds(patch, object)) {
                    return status(409);
                }
                sent.iter().for_each(|patch| changed(object, patch));
                (200, object.clone())
            }
        }
    }
}

fn holds(patch: &Value, object: &Value) -> bool {
    let same = |key: &str| {
        patch["metadata"][key].is_null() || patch["metadata"][key] == object["metadata"][key]
    };
    same("uid") && same("resourceVersion")
}

/// Somebody patches an object: it has another version then.
pub(crate) fn changed(object: &mut Value, patch: &Value) {
    let version = object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|version| version.parse::<u64>().ok())
        .unwrap_or(0);
    *object = merged(object, patch);
    object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
}

pub(crate) fn merged(value: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut whole = value.as_object().cloned().unwrap_or_default();
    for (key, patch) in patch {
        match patch {
            Value::Null => drop(whole.remove(key)),
            patch => drop(
                whole.insert(key.clone(), merged(whole.get(key).unwrap_or(&Value::Null), patch)),
            ),
        }
    }
    Value::Object(whole)
}
