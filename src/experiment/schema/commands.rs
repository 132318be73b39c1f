//! The commands of a `command` fault, and the placeholders in them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timeline::{CommandEffect, readable};

/// What injects a fault on a node, shows that it is there, undoes it, and shows that it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commands {
    pub effect: CommandEffect,
    pub inject: Vec<String>,
    pub confirm: Check,
    pub undo: Vec<String>,
    pub confirm_undone: Check,
    /// Limit for each command, and for repeating each check. Default: 60s.
    pub timeout: Duration,
}

/// A command that shows whether something is so: it ends with 0, and prints what is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub argv: Vec<String>,
    /// What its output must be, without the blanks around it. Default: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prints: Option<String>,
}

impl Commands {
    /// Each command, with its field.
    pub(crate) fn argvs(&self) -> [(&'static str, &[String]); 4] {
        [
            ("inject", &self.inject),
            ("confirm", &self.confirm.argv),
            ("undo", &self.undo),
            ("confirmUndone", &self.confirm_undone.argv),
        ]
    }

    /// The labels of the target that the commands need, each once, with the first field that does.
    pub(crate) fn labels(&self) -> Vec<(&'static str, String)> {
        let mut found: Vec<(&str, String)> = Vec::new();
        for (field, argument) in self
            .argvs()
            .into_iter()
            .flat_map(|(field, argv)| argv.iter().map(move |it| (field, it)))
        {
            let _ = fill(argument, |name| {
                if let Some(Placeholder::Label(label)) = Placeholder::named(name)
                    && found.iter().all(|(_, known)| known != label)
                {
                    found.push((field, label.to_owned()));
                }
                Ok::<_, ()>(String::new())
            });
        }
        found
    }

    /// All but the undo, a line each, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let check = |check: &Check| {
            let prints = check.prints.as_ref();
            typed(&check.argv) + &prints.map_or(String::new(), |it| format!(" (prints `{it}`)"))
        };
        let lines = [
            format!("inject: {}", typed(&self.inject)),
            format!("confirm: {}", check(&self.confirm)),
            format!("confirmUndone: {}", check(&self.confirm_undone)),
        ];
        lines.map(|line| readable(&line)).into()
    }
}

/// As a person would type it.
pub(crate) fn typed(argv: &[String]) -> String {
    let plain = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./:=@%+,".contains(c))
    };
    let word = |text: &String| match plain(text) {
        true => text.clone(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// What stands for a fact of the target, in braces: `{node}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placeholder<'t> {
    /// Its name in Kubernetes.
    Node,
    /// Its internal address.
    Address,
    /// `spec.providerID`: `aws:///eu-west-1a/i-0abc`.
    ProviderId,
    /// What is behind the last `/` of that: `i-0abc`.
    InstanceId,
    Label(&'t str),
}

impl<'t> Placeholder<'t> {
    /// Their names, for people.
    pub(crate) const NAMES: [&'static str; 5] =
        ["node", "address", "providerID", "instanceID", "label:KEY"];

    pub(crate) fn named(name: &'t str) -> Option<Self> {
        Some(match name {
            "node" => Placeholder::Node,
            "address" => Placeholder::Address,
            "providerID" => Placeholder::ProviderId,
            "instanceID" => Placeholder::InstanceId,
            _ => Placeholder::Label(name.strip_prefix("label:").filter(|key| !key.is_empty())?),
        })
    }
}

/// An argument with what `value` gives for the names in its braces. What is in double braces, or
/// holds anything but the characters of a name, is not a placeholder, and stays: templates of Go,
/// JSON, programs of awk.
pub(crate) fn fill<E>(
    argument: &str,
    mut value: impl FnMut(&str) -> Result<String, E>,
) -> Result<String, E> {
    let (mut filled, mut rest) = (String::new(), argument);
    while let Some(open) = rest.find('{') {
        let (before, braced) = rest.split_at(open);
        filled.push_str(before);
        let end = match braced.strip_prefix("{{") {
            Some(template) => template.find("}}").map(|close| close + 4),
            None => braced.find('}').map(|close| close + 1),
        };
        let Some(end) = end else {
            filled.push_str(braced);
            return Ok(filled);
        };
        let (braced, behind) = braced.split_at(end);
        match is_name(&braced[1..end - 1]) {
            true => filled.push_str(&value(&braced[1..end - 1])?),
            false => filled.push_str(braced),
        }
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_name(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic());
    first && text.chars().all(|c| c.is_ascii_alphanumeric() || ":./-_".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_single_braces_are_placeholders() {
        let of = |text: &str| fill(text, |name| Ok::<_, ()>(format!("<{name}>"))).unwrap();
        assert_eq!(of("{node}"), "<node>");
        assert_eq!(
            of("a-{node}.b/{label:topology.kubernetes.io/zone}"),
            "a-<node>.b/<label:topology.kubernetes.io/zone>"
        );
        for kept in [
            "",
            "plain",
            "{{.State.Running}}",
            "{\"a\": 1}",
            "{}",
            "{ node }",
            "{node",
            "a}b",
            "{{x",
        ] {
            assert_eq!(of(kept), kept);
        }
        assert_eq!(of("{{.Name}}-{node}"), "{{.Name}}-<node>");
    }

    #[test]
    fn commands_are_shown_as_they_are_typed() {
        let argv = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let commands = Commands {
            effect: CommandEffect::Other,
            inject: argv(&["sh", "-c", "echo a"]),
            confirm: Check { argv: argv(&["is-off", "w"]), prints: Some("shut off".into()) },
            undo: argv(&["on", "w"]),
            confirm_undone: Check { argv: argv(&["is-on", "w"]), prints: None },
            timeout: Duration::from_secs(1),
        };
        let inject = "inject: sh -c 'echo a'";
        let wanted = [inject, "confirm: is-off w (prints `shut off`)", "confirmUndone: is-on w"];
        assert_eq!(commands.lines(), wanted);
    }

    #[test]
    fn a_placeholder_has_a_name() {
        assert_eq!(Placeholder::named("label:a/b"), Some(Placeholder::Label("a/b")));
        assert_eq!(Placeholder::named("label:"), None);
        assert_eq!(Placeholder::named("providerId"), None);
        let all = Placeholder::NAMES.map(Placeholder::named);
        assert!(all.iter().all(Option::is_some));
    }
}
