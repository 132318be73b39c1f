//! What a run leaves behind: records, outcome classes, the clock that stamps them, and the folder
//! that holds them.
//!
//! This layer imports nothing of ours. Analysis, verdict and report read a [`Timeline`] and nothing
//! else.

pub mod attempts;
mod attempts_file;
pub(crate) mod bounded;
mod checked_line;
pub mod clock;
mod component;
mod counted;
mod damage;
mod earlier;
mod fault_kind;
mod go_duration;
pub mod header;
mod labels;
pub mod leader;
pub(crate) mod log_line;
mod object_ref;
pub mod outcome;
mod probe_kind;
mod readable;
pub mod record;
mod secret;
pub mod store;
mod taint;
mod tuning;

pub use attempts::{Attempt, AttemptReader};
pub use attempts_file::{AttemptWriter, ProbeFile, ProbeSpan};
pub use clock::{Anchor, Bracket, Moment};
pub use component::Component;
pub(crate) use counted::{counted, few, first_of};
pub use damage::{Damage, Extent, Stream};
pub use fault_kind::{
    CommandEffect, Cut, Ends, EngineActions, FaultFacts, FaultKind, FaultName, FaultTraits,
    FaultWords, Impact, TargetKind,
};
pub(crate) use go_duration::format_seconds;
pub use go_duration::{format_duration, parse_duration};
pub use header::{
    ClusterFacts, ClusterKind, ContextFacts, Header, Needs, NodeFacts, Places, ProbeHeader, Retry,
    Shard,
};
pub(crate) use labels::include_labels;
pub use object_ref::{ObjectRef, watch_of};
pub use outcome::{Outcome, Phase, TlsCause};
pub use probe_kind::ProbeKind;
pub(crate) use probe_kind::{GRPC_HEALTH_PATH, MAX_HTTP2_BODY, UNIQUE, UNIQUE_DIGITS};
pub(crate) use readable::readable;
pub use record::{
    Change, DELIVERY_LEASE, DELIVERY_WATCH, Endpoint, Event, FaultPhase, NodeRole, ObjectName,
    PodIdentity, ProcessState, Ready, Record, UnreadKind, WriteSource,
};
pub use secret::Secret;
pub(crate) use secret::{HIDDEN, credentials, is_of_name, is_secret_name, without_secrets};
pub use store::{RunFolder, StoreError, Timeline};
pub use taint::{Taint, TaintEffect};
pub(crate) use tuning::defaults;
pub use tuning::{Tolerations, Tuning, TuningSource, Unequal, minor_version};
