//! The objects of the embedded cluster: what etcd and the API server's cache are to a real one.
//!
//! One revision counts all writes. The last of them are kept as history: watches, pages of a list and lists at an old revision are
//! all read from it.

mod error;
mod feed;
mod fields;
mod handle;
pub mod kinds;
mod labels;
pub mod object;
mod state;

pub use error::StoreError;
pub use feed::Feed;
pub use fields::FieldSelector;
pub use handle::Store;
pub use kinds::Kind;
pub use labels::LabelSelector;
pub use object::Object;
pub use state::{Change, Snapshot, Writer};
