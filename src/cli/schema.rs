//! `schema`: the JSON schemas of what `-o json` prints and of the files of experiments and studies.
//! They are published in docs/schemas/, for editors and for those who read reports.

use std::borrow::Cow;

use super::args::{Schema, SchemaOf};
use super::{exit, failure::Failure, print};
use crate::experiment;

pub(super) fn schema(args: &Schema) -> Result<u8, Failure> {
    print(&text(args.of));
    Ok(exit::PASS)
}

pub(super) fn text(of: SchemaOf) -> Cow<'static, str> {
    match of {
        SchemaOf::Report => include_str!("../../docs/schemas/report.json").into(),
        SchemaOf::Compare => include_str!("../../docs/schemas/compare.json").into(),
        SchemaOf::Experiment => format!("{:#}\n", experiment::json_schema()).into(),
        SchemaOf::Study => format!("{:#}\n", experiment::study_json_schema()).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::compare::Comparisons;
    use crate::report::Document;

    /// The schema of what is printed, from its types. Its readers know JSON, not Rust.
    fn of_type<T: schemars::JsonSchema>() -> Cow<'static, str> {
        let schema = schemars::schema_for!(T).to_value();
        (format!("{schema:#}").replace("`None`", "`null`") + "\n").into()
    }

    /// Asked for, a file that differs is written: the next build then has it, and `git diff` shows
    /// what changed for its readers.
    #[test]
    fn the_published_schemas_are_those_of_the_program() {
        let all = [
            ("report", of_type::<Document>()),
            ("compare", of_type::<Comparisons>()),
            ("experiment", text(SchemaOf::Experiment)),
            ("study", text(SchemaOf::Study)),
        ];
        #[allow(clippy::disallowed_methods)] // as `INSTA_UPDATE`, of a test alone
        let is_written = std::env::var_os("OUTAGE_WRITE_SCHEMAS").is_some();
        let mut different = String::new();
        for (name, wanted) in all {
            let file = format!("docs/schemas/{name}.json");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
            let published = std::fs::read_to_string(&path).unwrap_or_default();
            if published != wanted {
                if is_written {
                    std::fs::write(&path, &*wanted).unwrap();
                }
                different += &format!("{file}:\n{}", difference(&published, &wanted));
            }
        }
        assert!(
            different.is_empty(),
            "{different}these files are not up to date: write them with OUTAGE_WRITE_SCHEMAS=1 and \
             this test, review them with `git diff docs/schemas`, then build again"
        );
    }

    /// The lines that only one of two texts has.
    fn difference(before: &str, after: &str) -> String {
        let only = |sign: char, of: &str, other: &str| -> String {
            let lines = of.lines().filter(|line| !other.lines().any(|known| known == *line));
            lines.map(|line| format!("{sign} {line}\n")).collect()
        };
        only('-', before, after) + &only('+', after, before)
    }

    #[test]
    fn a_difference_is_of_lines() {
        assert_eq!(difference("a\nb\n", "a\nc\n"), "- b\n+ c\n");
    }
}
