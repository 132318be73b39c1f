//! `validate`: checks experiments and studies without touching any cluster.

use std::path::PathBuf;

use super::args::{Experiments, Validate};
use super::env::Env;
use super::load::{Place, Setting};
use super::study::planned;
use super::{exit, failure::Failure, load, print};
use crate::experiment::{self, Source};
use crate::plan::RunLength;
use crate::stats::Seconds;

/// Checks; prints one line for each good experiment or study.
pub(super) fn validate(args: &Validate, env: &Env) -> Result<u8, Failure> {
    let (studies, experiments) = apart(&args.experiments);
    for source in studies {
        let file = source.name().to_owned();
        let study = load::study(source, Setting { namespace: None, place: Place::OWN }, env)?;
        print(&format!("{file}: {}", planned::summary(&study)));
    }
    if experiments.filename.is_empty() && experiments.names.is_empty() && !args.is_empty() {
        return Ok(exit::PASS);
    }
    for parsed in load::experiments(&experiments, Place::OWN, env)? {
        let at_least = RunLength::of(&parsed.experiment).at_least;
        print(&format!(
            "{}: valid ({} takes at least {})",
            parsed.source.name(),
            parsed.experiment.name,
            Seconds::from(at_least).to_minutes()
        ));
    }
    Ok(exit::PASS)
}

impl Validate {
    fn is_empty(&self) -> bool {
        self.experiments.filename.is_empty() && self.experiments.names.is_empty()
    }
}

/// The studies among what was named, and the rest.
fn apart(named: &Experiments) -> (Vec<Source>, Experiments) {
    let (mut studies, mut rest) = (Vec::new(), named.clone());
    let mut is_study = |name: String| {
        let source = (name != "-").then(|| experiment::load_study(&name).ok()).flatten();
        let study = source.filter(experiment::is_study);
        let found = study.is_some();
        studies.extend(study);
        found
    };
    rest.filename.retain(|file: &PathBuf| !is_study(file.to_string_lossy().into_owned()));
    rest.names.retain(|name| !is_study(name.clone()));
    (studies, rest)
}
