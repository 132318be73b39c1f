//! A workload's files as kubectl reads them, once for everybody: several documents, lists, YAML 1.1
//! scalars. Every object knows its place, and Services and pods are typed facts.

mod fields;
mod ingress;
mod kinds;
mod manifest;
mod object;
mod pods;
mod service;

pub(crate) use crate::model::Controller;
pub(crate) use ingress::{IngressSpec, Route};
pub(crate) use kinds::resource_name;
pub(crate) use manifest::Manifest;
pub(crate) use object::{Object, with_article};
pub(crate) use pods::{container_ports, target_port};
pub(crate) use service::{Exposure, Service, routing};
