//! Pure: runs beside other runs, or beside a baseline of earlier ones.
//!
//! ```text
//! header   -> conditions.rs (what may explain a difference), key.rs (what a baseline is kept for) ─┐
//! findings -> quantities.rs (what was measured) ───────────────────────────────────────────────┴-> sample.rs
//! two samples -> difference.rs (a verdict a quantity), changes.rs (what differs in how they were made) -> comparison.rs
//! samples <-> baseline.rs
//! ```

mod baseline;
mod changes;
mod comparison;
mod conditions;
mod difference;
mod floor;
mod key;
mod quantities;
mod sample;
#[cfg(test)]
mod tests;

pub use baseline::{Baseline, Saved};
pub use changes::Change;
pub use comparison::{Comparison, Comparisons, FORMAT, Named, Pair, Side, pair};
pub use difference::{Difference, Spread, Verdict};
pub use floor::{Floor, FloorPart};
pub use key::Key;
pub use quantities::Unit;
pub use sample::{Recorded, Sample};
