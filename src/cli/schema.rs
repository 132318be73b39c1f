//! `schema`: the JSON schemas of what `-o json` prints and of the files of experiments and studies.

use super::args::{Schema, SchemaOf};
use super::{exit, failure::Failure, print};
use crate::{experiment, report};

pub(super) fn schema(args: &Schema) -> Result<u8, Failure> {
    match args.of {
        SchemaOf::Report => print(report::JSON_SCHEMA),
        SchemaOf::Compare => print(report::compare::JSON_SCHEMA),
        SchemaOf::Experiment => print(&format!("{:#}", experiment::json_schema())),
        SchemaOf::Study => print(&format!("{:#}", experiment::study_json_schema())),
    }
    Ok(exit::PASS)
}
