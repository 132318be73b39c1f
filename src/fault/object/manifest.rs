//! An object is created, and deleted afterwards: what it does is up to its controller (Chaos Mesh,
//! Litmus, a network plugin), and what shows that it does it, the object says itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{AWAY, LOOK, Lookup, ON_ITS_WAY, ObjectContext, ObjectFault, not_on_objects};
use crate::cluster::{AnyObject, Cluster, ClusterError, ServedKind};
use crate::experiment::{AppliedObject, Fault, Sign};
use crate::fault::FaultError;
use crate::timeline::{FaultPhase, format_duration};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub kind: ServedKind,
    /// Where it is created; `None`: it is of no namespace.
    pub namespace: Option<String>,
    #[serde(flatten)]
    pub applied: AppliedObject,
    /// What records call it: `NetworkChaos/delay`.
    pub target: String,
}

impl ObjectFault for Manifest {
    /// As long as its controller may need to undo what it did, by default; the object says more.
    const UNDO_TIMEOUT: Duration = AWAY;
    const RUNS_EMBEDDED: bool = true;

    fn undo_timeout(fault: &Fault) -> Duration {
        AWAY + timeout_of(fault)
    }

    fn injection_timeout(fault: &Fault) -> Duration {
        timeout_of(fault)
    }

    async fn plan<L: Lookup>(fault: &Fault, lookup: &mut L) -> Result<Vec<Self>, L::Error> {
        let Fault::Manifest { applied } = fault else { return Err(not_on_objects(fault).into()) };
        let namespace = lookup.namespace(applied.object.namespace.as_deref());
        Ok(vec![Self::of(lookup.cluster(), namespace, applied).await?])
    }

    async fn preview(
        fault: &Fault,
        cluster: Option<&Cluster>,
    ) -> Result<Option<String>, FaultError> {
        let Fault::Manifest { applied } = fault else { return Ok(None) };
        if let Some(cluster) = cluster {
            let namespace = applied.object.namespace.clone().unwrap_or_default();
            let planned = Self::of(cluster, namespace, applied).await?;
            // Of a namespace that is not there yet nothing can be there.
            if !planned.kind.namespaced || applied.object.namespace.is_some() {
                planned.must_be_free(cluster).await?;
            }
        }
        Ok(Some(format!("delete the {applied}")))
    }

    fn target(&self) -> &str {
        &self.target
    }

    async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError> {
        let Self { kind, namespace, applied, .. } = self;
        self.must_be_free(context.cluster).await?;
        context.report(FaultPhase::Requested, format!("create the {}", self.name()));
        let (cluster, manifest) = (context.cluster, &applied.manifest);
        cluster.create_marked(kind, namespace.as_deref(), manifest, context.mark).await?;
        context.report(FaultPhase::Returned, "accepted by the API server");
        let end = Instant::now() + applied.timeout;
        loop {
            let seen = self.look(context.cluster).await;
            let seen = match (seen, &applied.in_effect) {
                (Ok(_), None) => return self.confirmed(context, "it exists".into()),
                (Ok(object), Some(sign)) if sign.is_in(&object.json) => {
                    return self.confirmed(context, sign.describe(&object.json));
                }
                (Ok(object), Some(sign)) => sign.describe(&object.json),
                (Err(error), _) if error.may_pass() => error.to_string(),
                (Err(error), _) => return Err(error.into()),
            };
            if Instant::now() >= end {
                let why = format!("{seen} {} after its creation", format_duration(applied.timeout));
                return Err(self.failed("confirm the effect of", why));
            }
            sleep(LOOK).await;
        }
    }

    async fn undo(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
        let Self { kind, namespace, applied, .. } = self;
        let (cluster, namespace) = (context.cluster, namespace.as_deref());
        for look_again in [true, false] {
            match self.look(cluster).await {
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
                Ok(object) if object.mark.as_deref() == Some(context.mark) => {
                    cluster.delete_any(kind, namespace, &applied.object.name, &object.uid).await?;
                    return self.until_undone(cluster, &object.uid).await;
                }
                Ok(_) => {
                    return Ok(
                        "the object of this name was not created by this run, and is kept".into()
                    );
                }
            }
            if look_again {
                sleep(ON_ITS_WAY).await;
            }
        }
        Ok("the object is gone".into())
    }

    fn describe(&self) -> String {
        format!("delete the {}", self.name())
    }

    fn by_hand(&self, kubectl: &str) -> Option<String> {
        let ServedKind { api_version, plural, .. } = &self.kind;
        let kind = match api_version.rsplit_once('/') {
            Some((group, version)) => format!("{plural}.{version}.{group}"),
            None => plural.clone(),
        };
        let namespace = self.namespace.iter().map(|namespace| format!("-n {namespace} "));
        let namespace = namespace.collect::<String>();
        Some(format!("{kubectl} {namespace}delete {kind} {}", self.applied.object.name))
    }
}

impl Manifest {
    async fn of(
        cluster: &Cluster,
        namespace: String,
        applied: &AppliedObject,
    ) -> Result<Self, FaultError> {
        let (version, name) = (applied.api_version(), applied.kind());
        let kind =
            cluster.served_kind(version, name).await?.ok_or_else(|| FaultError::Impossible {
                why: format!("the cluster has no kind {name} in {version}"),
                hint: Some("is its operator installed? `kubectl api-resources` lists the kinds"),
            })?;
        Ok(Self {
            namespace: kind.namespaced.then_some(namespace),
            target: format!("{name}/{}", applied.object.name),
            kind,
            applied: applied.clone(),
        })
    }

    fn name(&self) -> String {
        let in_namespace = self.namespace.iter().map(|namespace| format!("{namespace}/"));
        let namespace = in_namespace.collect::<String>();
        format!("{} {namespace}{}", self.kind.kind, self.applied.object.name)
    }

    fn failed(&self, what: &str, why: String) -> FaultError {
        FaultError::Object { what: format!("{what} the {}", self.name()), why }
    }

    fn confirmed(&self, context: &mut ObjectContext, seen: String) -> Result<(), FaultError> {
        context.report(FaultPhase::Confirmed, seen);
        Ok(())
    }

    async fn look(&self, cluster: &Cluster) -> Result<AnyObject, ClusterError> {
        cluster.any_object(&self.kind, self.namespace.as_deref(), &self.applied.object.name).await
    }

    /// What exists is not ours: it is neither changed nor deleted.
    async fn must_be_free(&self, cluster: &Cluster) -> Result<(), FaultError> {
        match self.look(cluster).await {
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Err(self.failed("create", "an object of this name already exists".into())),
        }
    }

    /// Its controller undoes what it did while finalizers hold the object.
    async fn until_undone(&self, cluster: &Cluster, uid: &str) -> Result<String, FaultError> {
        let end = Instant::now() + self.applied.timeout;
        loop {
            let seen = match self.look(cluster).await {
                Err(error) if error.is_not_found() => return Ok("the object is gone".into()),
                Err(error) if error.may_pass() => error.to_string(),
                Err(error) => return Err(error.into()),
                Ok(object) if object.uid != uid => return Ok("the object is gone".into()),
                Ok(object) => match &self.applied.undone {
                    Some(sign) if sign.is_in(&object.json) => {
                        return Ok(sign.describe(&object.json));
                    }
                    sign => still_there(&object, sign.as_ref()),
                },
            };
            if Instant::now() >= end {
                let limit = format_duration(self.applied.timeout);
                return Err(self.failed("undo", format!("{seen} {limit} after the call")));
            }
            sleep(LOOK).await;
        }
    }
}

fn still_there(object: &AnyObject, sign: Option<&Sign>) -> String {
    let held = match object.finalizers.is_empty() {
        true => String::new(),
        false => format!(" (finalizers {})", object.finalizers.join(", ")),
    };
    let says = sign.map_or(String::new(), |sign| format!(", and {}", sign.describe(&object.json)));
    format!("it still exists{held}{says}")
}

fn timeout_of(fault: &Fault) -> Duration {
    if let Fault::Manifest { applied } = fault { applied.timeout } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::fake::FakeApi;
    use crate::fault::{ObjectFaultRecord, ObjectUndo, inject_object, undo_object};
    use crate::timeline::ObjectRef;

    const KINDS: &str = "/apis/chaos-mesh.org/v1alpha1";
    const ALL: &str = "/apis/chaos-mesh.org/v1alpha1/namespaces/shop/networkchaos";
    const DELAY: &str = "/apis/chaos-mesh.org/v1alpha1/namespaces/shop/networkchaos/delay";

    fn applied() -> AppliedObject {
        let manifest = json!({"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "NetworkChaos",
            "metadata": {"name": "delay", "namespace": "shop"}, "spec": {"action": "delay"}});
        AppliedObject {
            object: ObjectRef::new(Some("shop"), "delay"),
            manifest,
            file: None,
            in_effect: Some(Sign::Condition { type_: "AllInjected".into(), status: "True".into() }),
            undone: None,
            timeout: Duration::from_millis(600),
        }
    }

    /// A server with the kind, and a controller that says that all is injected when it is asked so
    /// often.
    fn api(injected_after: u32) -> FakeApi {
        let kinds = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "chaos-mesh.org/v1alpha1",
            "resources": [{"name": "networkchaos", "singularName": "networkchaos", "kind": "NetworkChaos",
                "namespaced": true, "verbs": ["get", "list", "create", "delete"]}]});
        let api = FakeApi::with(KINDS, kinds);
        let mut looks = 0;
        api.before_each(move |objects, call| {
            if call == format!("GET {DELAY}")
                && let Some(object) = objects.get_mut(DELAY)
            {
                looks += 1;
                let status = if looks >= injected_after { "True" } else { "False" };
                object["status"] =
                    json!({"conditions": [{"type": "AllInjected", "status": status}]});
            }
            None
        });
        api
    }

    async fn planned(api: &FakeApi, applied: &AppliedObject) -> Result<ObjectUndo, FaultError> {
        let planned = Manifest::of(&api.cluster(), "shop".into(), applied).await?;
        Ok(ObjectUndo::new("r", 0, ObjectFaultRecord::Manifest(planned)))
    }

    async fn carry_out(api: &FakeApi, undo: &ObjectUndo, back: bool) -> Result<String, String> {
        let (cluster, mut last) = (api.cluster(), String::new());
        let progress: &mut dyn FnMut(FaultPhase, String) = &mut |_, seen| last = seen;
        let result = match back {
            false => inject_object(undo, &cluster, progress).await,
            true => undo_object(undo, &cluster, progress).await,
        };
        result.map(|()| last).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn it_is_created_seen_to_be_in_effect_and_deleted() {
        let api = api(2);
        let undo = planned(&api, &applied()).await.unwrap();
        let text = serde_json::to_string(&undo).unwrap();
        assert_eq!(serde_json::from_str::<ObjectUndo>(&text).unwrap(), undo);
        assert_eq!(
            undo.by_hand("kubectl").unwrap(),
            "kubectl -n shop delete networkchaos.v1alpha1.chaos-mesh.org delay"
        );
        assert_eq!(carry_out(&api, &undo, false).await.unwrap(), "condition AllInjected is True");
        assert_eq!(api.object(DELAY)["metadata"]["labels"]["outage.run"], "r-0");
        for _ in 0..2 {
            assert_eq!(carry_out(&api, &undo, true).await.unwrap(), "the object is gone");
            assert_eq!(api.object(DELAY), Value::Null);
        }
    }

    #[tokio::test]
    async fn what_exists_is_neither_changed_nor_deleted() {
        let api = api(1);
        let undo = planned(&api, &applied()).await.unwrap();
        api.put(DELAY, json!({"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "NetworkChaos", "metadata": {"name": "delay", "uid": "theirs"}}));
        let error = carry_out(&api, &undo, false).await.unwrap_err();
        assert_eq!(
            error,
            "create the NetworkChaos shop/delay: an object of this name already exists"
        );
        let seen = carry_out(&api, &undo, true).await.unwrap();
        assert_eq!(seen, "the object of this name was not created by this run, and is kept");
        assert_eq!(api.object(DELAY)["metadata"]["uid"], "theirs");
    }

    #[tokio::test]
    async fn one_without_an_effect_is_an_error_and_is_deleted_all_the_same() {
        let api = api(u32::MAX);
        let undo = planned(&api, &applied()).await.unwrap();
        let error = carry_out(&api, &undo, false).await.unwrap_err();
        assert_eq!(
            error,
            "confirm the effect of the NetworkChaos shop/delay: condition AllInjected is False 600ms after its creation"
        );
        carry_out(&api, &undo, true).await.unwrap();
        assert_eq!(api.object(DELAY), Value::Null);
    }

    #[tokio::test]
    async fn one_that_stays_is_not_undone_unless_it_says_so() {
        let api = api(1);
        let mut held = applied();
        held.manifest["metadata"]["finalizers"] = json!(["chaos-mesh/records"]);
        let undo = planned(&api, &held).await.unwrap();
        carry_out(&api, &undo, false).await.unwrap();
        let error = carry_out(&api, &undo, true).await.unwrap_err();
        assert!(
            error.ends_with("it still exists (finalizers chaos-mesh/records) 600ms after the call"),
            "{error}"
        );
        held.undone =
            Some(Sign::Field { path: ".status.conditions[0].status".into(), value: "True".into() });
        let undo = planned(&api, &held).await.unwrap();
        assert_eq!(
            carry_out(&api, &undo, true).await.unwrap(),
            ".status.conditions[0].status is True"
        );
        assert!(api.object(ALL).is_null());
    }

    #[tokio::test]
    async fn a_kind_that_is_not_installed_is_said() {
        let api = FakeApi::with("/none", Value::Null);
        let error = planned(&api, &applied()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the cluster has no kind NetworkChaos in chaos-mesh.org/v1alpha1"
        );
        assert!(error.hint().unwrap().contains("api-resources"));
    }
}
