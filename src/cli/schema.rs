//! `schema`: the JSON schema of what `-o json` prints.

use super::{exit, failure::Failure, print};

/// Prints it.
pub(super) fn schema() -> Result<u8, Failure> {
    print(crate::report::JSON_SCHEMA);
    Ok(exit::PASS)
}
