//! The commands of a `command` fault.

use std::time::Duration;

use serde_json::json;

use super::fields::{Cx, Decode, Fields};
use super::scalar::{choice, positive, text};
use crate::experiment::schema::{Check, Commands, Placeholder, fill};
use crate::experiment::tree::{Node, Value};
use crate::timeline::CommandEffect;
use crate::yaml::json::written;
use crate::yaml::suggest;

/// For one that talks to a cloud.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The commands, beside their `target`.
pub(super) fn commands(fields: &mut Fields) -> Option<Box<Commands>> {
    let effect = fields
        .doc(
            "What the commands do to the node. Blast radius, expectations and analysis depend on \
             it.",
        )
        .required("effect", |cx, node| {
            choice(cx, node, "effect of a command", &CommandEffect::ALL)
        });
    let inject = fields
        .doc("The command that injects the fault: a list of arguments, run without a shell.")
        .required("inject", argv);
    let confirm = fields
        .doc("Checks that the fault is in effect; repeated until it succeeds.")
        .required("confirm", check);
    let undo = fields
        .doc("The command that undoes the fault. It may be run several times.")
        .required("undo", argv);
    let confirm_undone = fields
        .doc("Checks that the fault is gone; repeated until it succeeds.")
        .required("confirmUndone", check);
    let timeout = fields
        .doc("Limit for each command, and for repeating each check.")
        .or("timeout", TIMEOUT, positive);
    Some(Box::new(Commands {
        effect: effect?,
        inject: inject?,
        confirm: confirm?,
        undo: undo?,
        confirm_undone: confirm_undone?,
        timeout: timeout?,
    }))
}

/// A list, or a mapping of the list and what it prints.
fn check(cx: &Cx, node: &Node) -> Option<Check> {
    let printing = |node: &Node| {
        let mut fields = Fields::of(cx, node, "a check")?;
        fields
            .about("A command that exits with 0 if the check passes: its arguments, or an object.");
        let argv = fields.doc("The command and its arguments.").required("argv", argv);
        let prints = fields
            .doc("What the command must print, too; spaces around it are ignored. Default: anything.")
            .optional("prints", text);
        fields.finish();
        Some(Check { argv: argv?, prints: prints?.map(|text| text.trim().to_owned()) })
    };
    let list = || json!({"type": "array", "items": {"type": "string"}});
    cx.reads_also(list, || printing(node))?;
    match node.value {
        Value::Map(_) => printing(node),
        _ => argv(cx, node).map(|argv| Check { argv, prints: None }),
    }
}

fn argv(cx: &Cx, node: &Node) -> Option<Vec<String>> {
    if let Some(line) = node.text().filter(|line| !line.is_empty()) {
        let hint = match words(line) {
            Some(words) => format!("commands run without a shell: write `{}`", flow_list(&words)),
            None => {
                let words = ["sh", "-c", line].map(str::to_owned);
                format!("commands run without a shell; with one: `{}`", flow_list(&words))
            }
        };
        return cx.expected_hint(node, "a list of arguments", hint);
    }
    let argument: Decode<String> = argument;
    let argv: Vec<String> = cx.items(node, argument)?.into_iter().collect::<Option<_>>()?;
    match argv.first() {
        Some(program) if !program.is_empty() => Some(argv),
        _ => cx.error(node.focus(), "expected a program and its arguments, found none"),
    }
}

fn argument(cx: &Cx, node: &Node) -> Option<String> {
    if let Value::Map(_) = node.value {
        let hint = "a placeholder needs quotes: '{node}'";
        return cx.expected_hint(node, "a string", hint);
    }
    let argument = text(cx, node)?;
    if let Some((found, meant)) = misspelt(&argument) {
        let hint = format!("did you mean `{{{meant}}}`?");
        return cx.error_hint(node.focus(), format!("unknown placeholder `{{{found}}}`"), hint);
    }
    let known = |name: &str| match Placeholder::named(name) {
        Some(_) => Ok(String::new()),
        None => Err(name.to_owned()),
    };
    match fill(&argument, known) {
        Ok(_) => Some(argument),
        Err(name) => {
            let hint = suggest::hint(&name, &Placeholder::NAMES, "a placeholder is one of")
                .unwrap_or_default();
            cx.error_hint(node.focus(), format!("unknown placeholder `{{{name}}}`"), hint)
        }
    }
}

/// A placeholder with blanks in its braces, which would be passed on as it is, and what was meant.
/// What else has blanks there is a program of awk, or JSON.
fn misspelt(argument: &str) -> Option<(&str, String)> {
    argument.split('{').skip(1).find_map(|behind| {
        let (found, _) = behind.split_once('}')?;
        let name = found.trim();
        let meant = Placeholder::NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name));
        let label = name.strip_prefix("label:").map(|key| format!("label:{}", key.trim()));
        (name != found).then_some((found, meant.map(str::to_owned).or(label)?))
    })
}

/// A line's words as a shell would see them; `None`: it needs a shell.
fn words(line: &str) -> Option<Vec<String>> {
    let line = line.trim_end();
    if line.contains(['|', '&', ';', '<', '>', '$', '`', '*', '?', '(', ')', '\n']) {
        None
    } else {
        shlex::split(line)
    }
}

/// A list as YAML writes it on one line.
fn flow_list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| written(word)).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::super::method::step;
    use super::{flow_list, words};
    use crate::experiment::schema::{Fault, Step};
    use crate::timeline::{CommandEffect, FaultName, Impact};

    const FAULT: &str = "{fault: {command: {target: {role: worker}, effect: nodeDown, inject: [docker, stop, '{node}'], confirm: {argv: [docker, inspect, '--format={{.State.Running}}', '{node}'], prints: 'false'}, undo: [docker, start, '{node}'], confirmUndone: [docker, top, '{node}']}}, for: 15s}";

    fn problem(from: &str, to: &str) -> String {
        assert!(FAULT.contains(from), "{from}");
        decoded(&FAULT.replace(from, to), step).1
    }

    #[test]
    fn commands_are_lists_and_checks_may_say_what_is_printed() {
        let (found, problems) = decoded(FAULT, step);
        assert_eq!(problems, "");
        let Some(Step::Fault { fault, .. }) = found else { panic!("{found:?}") };
        let again = serde_json::to_value(&fault).unwrap();
        assert_eq!(again["command"]["effect"], "nodeDown");
        assert_eq!(serde_json::from_value::<Fault>(again).unwrap(), fault);
        let Fault::Command { commands, .. } = &fault else { panic!("{fault:?}") };
        assert_eq!(commands.confirm.prints.as_deref(), Some("false"));
        assert_eq!(commands.confirm_undone.argv, ["docker", "top", "{node}"]);
        assert_eq!(fault.name(), FaultName::Command(CommandEffect::NodeDown));
        assert!(fault.takes_node() && fault.traits().impact == Impact::MachineOff);
    }

    #[test]
    fn several_lines_and_parentheses_need_a_shell() {
        for line in ["a x\nsleep 5\n", "(a x)", "a x)"] {
            assert_eq!(words(line), None, "{line}");
        }
        assert_eq!(words("a x\n").unwrap(), ["a", "x"]);
        assert_eq!(flow_list(&["sh".into(), "a\nb".into()]), r#"[sh, "a\nb"]"#);
    }

    #[test]
    fn mistakes_are_reported_where_they_are() {
        let shell = problem("[docker, stop, '{node}']", "docker stop x");
        assert!(
            shell.contains("expected a list of arguments") && shell.contains("`[docker, stop, x]`"),
            "{shell}"
        );
        // Each list that a hint shows is what it says, in YAML.
        for (line, argv) in [
            ("virsh start '{node}'", &["virsh", "start", "{node}"][..]),
            ("virsh start {node}", &["virsh", "start", "{node}"]),
            ("aws --ids a:b -n 5 \"it's\" yes", &["aws", "--ids", "a:b", "-n", "5", "it's", "yes"]),
            ("echo a, '' {node}: a#x", &["echo", "a,", "", "{node}:", "a#x"]),
            ("docker ps | grep '{node}'", &["sh", "-c", "docker ps | grep '{node}'"]),
            ("echo \"$HOME", &["sh", "-c", "echo \"$HOME"]),
        ] {
            let written = format!("'{}'", line.replace('\'', "''"));
            let shown = problem("[docker, stop, '{node}']", &written);
            let list = shown.rsplit_once(": `").or(shown.rsplit_once("write `")).unwrap().1;
            let list = list.split("]`").next().unwrap();
            let read = problem("[docker, stop, '{node}']", &format!("{list}]"));
            assert_eq!(read, "", "{line}: {shown}");
            let (found, _) =
                decoded(&FAULT.replace("[docker, stop, '{node}']", &format!("{list}]")), step);
            let Some(Step::Fault { fault: Fault::Command { commands, .. }, .. }) = found else {
                panic!("{found:?}")
            };
            assert_eq!(commands.inject, argv, "{line}");
        }
        for (found, meant) in
            [("{node }", "{node}"), ("{ Address}", "{address}"), ("{ label: a/b}", "{label:a/b}")]
        {
            let problem = problem("stop, '{node}'", &format!("stop, 'x-{found}'"));
            let wanted = format!("unknown placeholder `{found}`");
            let hint = format!("did you mean `{meant}`?");
            assert!(problem.contains(&wanted) && problem.contains(&hint), "{problem}");
        }
        assert!(
            problem("stop, '{node}'", "stop, '{Node}'").contains("unknown placeholder `{Node}`")
        );
        assert_eq!(problem("stop, '{node}'", "stop, '{ print $1 }', '{ print }'"), "");
        let bare = problem("[docker, stop, '{node}']", "[docker, stop, {node}]");
        assert!(bare.contains("a placeholder needs quotes"), "{bare}");
        let unknown = problem("stop, '{node}'", "stop, '{providerId}'");
        assert!(
            unknown.contains("unknown placeholder `{providerId}`")
                && unknown.contains("providerID"),
            "{unknown}"
        );
        assert!(problem("[docker, stop, '{node}']", "[]").contains("found none"));
        assert!(problem(" effect: nodeDown,", "").contains("`command` needs `effect`"));
        assert!(problem("nodeDown", "nodedown").contains("did you mean `nodeDown`?"));
        assert!(problem("prints", "print").contains("did you mean `prints`?"));
    }
}
