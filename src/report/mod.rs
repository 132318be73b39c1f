//! Pure: one view of a run, and its forms: terminal, JSON, JUnit, CSV, log, page, picture.
//!
//! ```text
//! timeline, findings, verdict -> view.rs (with forecast.rs and chain.rs) -> terminal.rs | json.rs | junit.rs | describe.rs
//! timeline, findings          -> log.rs | jsonl.rs
//! view                        -> picture/ (lanes over time) -> html/ | svg.rs
//! several views               -> spread.rs | junit.rs | csv.rs | runs.rs (a row each)
//! several experiments         -> suite.rs (a row each) -> markdown.rs | github.rs (annotations) | openmetrics.rs
//! runs of a study's cells     -> study/ (tables, CSV, pictures) -> html/ | svg.rs
//! any of these                -> document.rs, for programs
//! ```

mod causes;
pub mod chain;
pub mod claims;
pub mod compare;
pub mod compare_csv;
pub mod comparison;
pub mod csv;
pub mod describe;
mod document;
mod events;
pub mod forecast;
pub mod github;
mod ground;
pub mod html;
mod ink;
pub mod json;
pub mod jsonl;
pub mod junit;
mod latency;
mod leaders;
pub mod line;
pub mod log;
pub mod markdown;
mod markdown_row;
mod measured;
mod nodes;
pub mod not_run;
pub mod openmetrics;
mod paths;
mod picture;
mod printable;
pub mod runs;
pub mod spark;
pub mod spread;
pub mod study;
mod style;
pub mod suite;
pub mod summary;
pub mod svg;
mod table;
pub mod terminal;
#[cfg(test)]
mod tests;
mod text;
pub mod view;
mod warnings;

pub use document::Document;
pub use ground::ground;
pub use ink::Ink;
pub use printable::{is_unprintable, printable};
pub use style::Style;
pub use summary::Summary;
pub use table::{list, table};
pub use text::{fill, fit, hang};
pub use view::View;
