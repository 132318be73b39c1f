//! A Service's ports: what is requested, and what can be listened on here.
//!
//! A Service shows the ports at which it can be asked; where one is another than was requested, an
//! annotation says which it stands for. So what a client has read it can write back, and what it
//! requested it can request again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::embedded::store::{Cause, object};

/// Which port each published one stands for, where it is another: `{"8080":80}`.
const REQUESTED: &str = "embedded.outage/requested-ports";
/// The lists of a patch that name ports.
const LISTS: [&str; 2] = ["ports", "$setElementOrder/ports"];

fn requested(service: &Value) -> BTreeMap<u16, u16> {
    let noted = service["metadata"]["annotations"][REQUESTED].as_str();
    noted.and_then(|noted| serde_json::from_str(noted).ok()).unwrap_or_default()
}

/// A port that can be; others are for the check of the whole.
fn number(port: &Value) -> Option<u16> {
    port["port"].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
}

/// The numbers that a field has in its TCP ports.
pub(crate) fn tcp_ports<'a>(
    service: &'a Value,
    field: &'static str,
) -> impl Iterator<Item = u16> + Clone + use<'a> {
    let tcp = |port: &&Value| port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP");
    let number = move |port: &Value| u16::try_from(port[field].as_u64()?).ok();
    ports(service).filter(tcp).filter_map(number)
}

fn has_node_ports(service: &Value) -> bool {
    ["NodePort", "LoadBalancer"].iter().any(|kind| service["spec"]["type"] == *kind)
}

pub(crate) fn node_ports(service: &Value) -> impl Iterator<Item = u16> {
    tcp_ports(service, "nodePort").filter(|_| has_node_ports(service))
}

/// Gives its ports one on each node, where they have none. `reachable` gives the one that can be
/// listened on in the place of another; `free` gives one that no Service has.
pub(crate) fn publish_on_nodes(
    service: &mut Value,
    reachable: impl Fn(u16) -> u16,
    mut free: impl FnMut() -> u16,
) {
    let published = has_node_ports(service);
    for port in service["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let asked = port["nodePort"].as_u64().and_then(|port| u16::try_from(port).ok());
        match asked.filter(|port| *port != 0) {
            Some(asked) if published => port["nodePort"] = reachable(asked).into(),
            None if published => port["nodePort"] = free().into(),
            _ => drop(object::as_map(port).shift_remove("nodePort")),
        }
    }
    if published {
        let policy = object::map_mut(service, "spec").entry("externalTrafficPolicy");
        policy.or_insert_with(|| "Cluster".into());
    }
}

fn ports(service: &Value) -> impl Iterator<Item = &Value> + Clone {
    service["spec"]["ports"].as_array().into_iter().flatten()
}

/// The ports that are there twice, in Kubernetes' words.
pub(crate) fn duplicates(service: &Value) -> Vec<Cause> {
    let (before, mut seen) = (requested(service), BTreeSet::new());
    let twice = ports(service).enumerate().filter_map(|(index, port)| {
        let published = number(port)?;
        let wanted = before.get(&published).copied().unwrap_or(published);
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let value = json!({"port": wanted, "protocol": protocol});
        (!seen.insert((wanted, protocol))).then(|| {
            Cause::new(format!("spec.ports[{index}]"), format!("Duplicate value: {value}"))
        })
    });
    twice.collect()
}

/// Puts the ports that are listened on in the place of those that are requested. `reachable` gives
/// one for a port among all.
pub(crate) fn publish(service: &mut Value, reachable: impl Fn(u16, &[u16]) -> u16) {
    let before = requested(service);
    let request = |port: u16| before.get(&port).copied().unwrap_or(port);
    let all: Vec<u16> = ports(service).filter_map(number).map(request).collect();
    let mut others = BTreeMap::new();
    for port in service["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let Some(wanted) = number(port).map(request) else { continue };
        // What is behind is what was asked for; only what is in front may be another.
        if port["targetPort"].is_null() {
            port["targetPort"] = wanted.into();
        }
        let given = reachable(wanted, &all);
        port["port"] = given.into();
        if given != wanted {
            others.insert(given, wanted);
        }
    }
    note(service, &others);
}

fn note(service: &mut Value, others: &BTreeMap<u16, u16>) {
    let meta = object::meta_mut(service);
    if others.is_empty() {
        if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.shift_remove(REQUESTED);
        }
        return;
    }
    let annotations = object::as_map(meta.entry("annotations").or_insert_with(|| json!({})));
    annotations.insert(REQUESTED.into(), json!(others).to_string().into());
}

/// A patch whose ports are joined by number, with the published numbers in the place of the
/// requested ones: who applies a manifest a second time means what it became. Errors, in words,
/// where one number would mean two ports.
pub(crate) fn in_published_terms<'a>(
    service: &Value,
    patch: &'a Value,
) -> Result<Cow<'a, Value>, String> {
    let others = requested(service);
    if others.is_empty() {
        return Ok(Cow::Borrowed(patch));
    }
    let mut patch = patch.clone();
    for list in LISTS {
        let Some(items) = patch
            .pointer_mut("/spec")
            .and_then(|spec| spec.get_mut(list))
            .and_then(Value::as_array_mut)
        else {
            continue;
        };
        let named: BTreeSet<u16> = items.iter().filter_map(number).collect();
        for item in items {
            let stand_in =
                number(item).and_then(|port| others.iter().find(|(_, wanted)| **wanted == port));
            let Some((given, wanted)) = stand_in else { continue };
            if named.contains(given) {
                return Err(format!(
                    "port {given} stands for port {wanted} in this cluster; delete and recreate the Service"
                ));
            }
            item["port"] = (*given).into();
        }
    }
    Ok(Cow::Owned(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As for one who is not root: 80 becomes 8080, or 10080 where that is requested too.
    fn reachable(port: u16, all: &[u16]) -> u16 {
        match port {
            80 if all.contains(&8080) => 10_080,
            80 => 8080,
            port => port,
        }
    }

    fn service(ports: &[u16]) -> Value {
        let ports: Vec<Value> =
            ports.iter().map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
        json!({"metadata": {"name": "web"}, "spec": {"ports": ports}})
    }

    fn published(service: &Value) -> Vec<u16> {
        ports(service).filter_map(number).collect()
    }

    #[test]
    fn what_was_read_can_be_written_and_what_was_wished_wished_again() {
        let mut web = service(&[80, 8080]);
        publish(&mut web, reachable);
        assert_eq!(published(&web), [10_080, 8080]);
        assert_eq!(ports(&web).map(|port| &port["targetPort"]).collect::<Vec<_>>(), [80, 8080]);
        let once = web.clone();
        publish(&mut web, reachable);
        assert_eq!(web, once);
        let mut fewer = once.clone();
        fewer["spec"]["ports"] = json!([{"port": 8080}]);
        publish(&mut fewer, reachable);
        assert_eq!((published(&fewer), requested(&fewer).is_empty()), (vec![8080], true));
    }

    #[test]
    fn a_patch_finds_the_port_that_it_means() {
        let mut web = service(&[80]);
        publish(&mut web, reachable);
        let patch = |ports: &[u16]| json!({"spec": {"ports": ports.iter().map(|port| json!({"port": port})).collect::<Vec<_>>()}});
        let meant =
            |ports: &[u16]| in_published_terms(&web, &patch(ports)).map(|patch| published(&patch));
        assert_eq!(meant(&[80]), Ok(vec![8080]));
        assert_eq!(meant(&[8080, 9000]), Ok(vec![8080, 9000]));
        assert!(meant(&[80, 8080]).unwrap_err().contains("stands for port 80"));
        let order = json!({"spec": {"$setElementOrder/ports": [{"port": 80}]}});
        assert_eq!(
            in_published_terms(&web, &order).unwrap()["spec"]["$setElementOrder/ports"],
            json!([{"port": 8080}])
        );
    }

    #[test]
    fn a_port_that_is_there_twice_is_found_in_either_of_its_forms() {
        let mut web = service(&[80, 9000]);
        assert_eq!(duplicates(&web), []);
        publish(&mut web, reachable);
        web["spec"]["ports"][1]["port"] = 80.into();
        let twice =
            Cause::new("spec.ports[1]", "Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}");
        assert_eq!(duplicates(&web), [twice]);
        web["spec"]["ports"][1]["protocol"] = "UDP".into();
        assert_eq!(duplicates(&web), []);
    }
}
