//! What the server says that it has.

use serde_json::{Value, json};

/// The answer of `/version`.
pub(super) fn version(version: &str) -> Value {
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    json!({"major": major, "minor": minor, "gitVersion": version, "gitCommit": "", "gitTreeState": "clean", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)})
}
