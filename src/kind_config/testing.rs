//! Kind configs for tests.

use std::sync::Arc;

use super::{DEFAULT_KUBERNETES, KindConfig, Kubernetes, Reading, read};
use crate::yaml::SourceFile;

/// A text as a file, read for the default version.
pub(crate) fn reading(text: &str) -> Reading {
    let file = SourceFile { name: "kind.yaml".into(), text: text.into() };
    read(&Arc::new(file), Kubernetes::Default(DEFAULT_KUBERNETES))
}

pub(crate) fn config(text: &str) -> KindConfig {
    reading(text).usable().unwrap_or_else(|problems| panic!("{problems}"))
}
