//! The objects of the embedded cluster: what etcd and the API server's cache are to a real one.
//!
//! One revision counts all writes. The last of them are kept as history, from which watches read.

mod error;
mod fields;
mod handle;
pub(crate) mod kinds;
mod labels;
pub(crate) mod object;
mod state;

pub(crate) use error::{Cause, StoreError};
pub(crate) use fields::FieldSelector;
pub(crate) use handle::{Feed, Store};
pub(crate) use kinds::Kind;
pub(crate) use labels::LabelSelector;
pub(crate) use object::Object;
pub(crate) use state::{Change, Writer};
