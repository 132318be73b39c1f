//! `schema`: the JSON schema of what `-o json` prints.

use super::{exit, failure::Failure, print};

/// Prints it.
pub fn schema() -> Result<u8, Failure> {
    print(&serde_json::to_string_pretty(&crate::report::json_schema()).expect("is plain data"));
    Ok(exit::PASS)
}
