//! What a run leaves behind: records, outcome classes, the clock that stamps them, and the folder that holds them.
//!
//! This layer imports nothing of ours. Analysis, verdict and report read a [`Timeline`] and nothing else.

pub mod attempts;
pub mod clock;
pub mod header;
pub mod outcome;
pub mod record;
pub mod store;

pub use attempts::{Attempt, AttemptReader, AttemptWriter, ProbeSpan};
pub use clock::{Anchor, Bracket, Moment};
pub use header::{ClusterFacts, ClusterKind, Header, NodeFacts, ProbeHeader, Tuning, TuningSource};
pub use outcome::{Outcome, Phase, TlsCause};
pub use record::{Change, Endpoint, Event, FaultPhase, NodeRole, Ready, Record};
pub use store::{RunFolder, StoreError, Timeline};
