//! What a kind config really asks for: effective settings, predictions, traps, and what kind would refuse or ignore without a word.
//!
//! ```text
//! text -> located tree -> fields that kind knows (fields.rs) -> nodes (nodes.rs)
//!      -> patches (patches.rs), YAML inside YAML (`yaml::inner`) -> settings with their places (settings.rs)
//!      -> what each kubelet has (effective.rs) -> traps at their places (traps.rs), outlook (outlook.rs)
//! ```

mod effective;
mod extra_args;
mod fields;
mod nodes;
mod outlook;
mod patches;
mod schema;
mod settings;
mod told;
mod traps;

pub(crate) mod text;

use std::sync::Arc;

pub(crate) use effective::{Asked, KubeletGroup};
pub(crate) use nodes::ConfigNode;
pub(crate) use outlook::{Outlook, outlook};
pub(crate) use traps::without_place;

use crate::experiment::{Diagnostic, Diagnostics, SourceFile, Span, yaml};
use told::Told;

/// What was found in a kind config.
#[derive(Clone, Debug)]
pub(crate) struct Linted {
    /// All problems, in the file's order.
    pub problems: Diagnostics,
    /// What the config asks for, as far as it was understood.
    pub asked: Asked,
}

/// Reads a kind config. `kubernetes` is the version (`v1.34.4`) where the config names no node image that tells it.
///
/// Errors: the file is no kind config at all; all problems of it.
pub(crate) fn lint(file: &Arc<SourceFile>, kubernetes: &str) -> Result<Linted, Diagnostics> {
    let mut problems = Diagnostics::default();
    let documents = yaml::parse(file, &mut problems).unwrap_or_default();
    let Some(root) = documents.first() else {
        if !problems.has_errors() {
            problems.push(
                Diagnostic::error("the file is empty").at(file, Span::of_bytes(&file.text, 0, 0)),
            );
        }
        return Err(problems);
    };
    let mut told = Told::new(file, problems);
    if !fields::is_kind_config(&mut told, root) {
        return Err(told.into_problems());
    }
    if let Some(second) = documents.get(1) {
        told.warn(
            second.focus(),
            "kind reads the first document of a file, and this is another one",
        )
        .hint("put it into a file of its own");
    }
    fields::check(&mut told, root, &schema::CLUSTER, fields::Reader::Kind);
    let nodes = nodes::read(&mut told, root, kubernetes);
    let patches = patches::read(&mut told, root, &nodes);
    let settings = settings::read(&mut told, &patches, &nodes);
    let asked = effective::asked(nodes, &settings);
    traps::tell(&mut told, root, &asked, &settings);
    let mut problems = told.into_problems();
    problems.sort();
    Ok(Linted { problems, asked })
}
