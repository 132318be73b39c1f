//! A study's result: what its runs measured, cell by cell, beside what the model predicts.
//!
//! ```text
//! runs of each cell -> counts.rs, result.rs -> tables.rs (terminal, Markdown) | picture.rs, story.rs (page, SVG) | csv.rs | JSON
//! ```

mod counts;
mod csv;
pub(super) mod picture;
mod result;
pub(super) mod story;
pub(super) mod tables;

pub use counts::{Consequence, MeasuredWrites, Occurrence, Rate};
pub use csv::render as csv;
pub use result::{CellReport, CellRuns, FORMAT, Repetition, StudyReport};
pub(super) use result::{Measure, RunReport};
pub(super) use tables::Table;
pub use tables::{describe, markdown, text};
