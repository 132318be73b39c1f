//! A study's result: what its runs measured, cell by cell, beside what the model predicts.
//!
//! ```text
//! runs of each cell -> result.rs -> tables.rs (terminal, Markdown) | csv.rs | JSON
//! ```

mod csv;
mod result;
mod tables;

pub use csv::render as csv;
pub use result::{CellReport, CellRuns, FORMAT, Repetition, StudyReport, counts};
pub use tables::{markdown, text};
