//! kind's standard error: its progress for people, and the reasons of its failures.

use super::kind_error::KindError;

/// How many lines an error keeps.
const LAST_LINES: usize = 12;

#[derive(Debug, Default)]
pub(super) struct KindOutput {
    lines: Vec<String>,
    image: String,
    pull_failed: Option<String>,
    in_trace: bool,
}

impl KindOutput {
    /// Takes a line; gives back what it says when people want to see it.
    pub(super) fn read_line<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let line = line.trim();
        // `-v 1` puts the place in kind's source before what it adds; only the pull is worth
        // knowing of that.
        if let Some((_, debug)) =
            line.strip_prefix("DEBUG: ").and_then(|rest| rest.split_once("] "))
        {
            return self.read_debug(debug);
        }
        if line == "Stack Trace:" {
            self.in_trace = true;
        }
        // The trace is for kind's developers; the `Command Output:` after it is for users.
        if self.in_trace && !line.starts_with("Command Output:") {
            return None;
        }
        self.in_trace = false;
        if let Some(image) =
            line.strip_prefix("• Ensuring node image (").and_then(|rest| rest.split(')').next())
        {
            self.image = image.to_owned();
        }
        if line.is_empty() || is_stack_frame(line) {
            return None;
        }
        self.lines.push(line.to_owned());
        step(line)
    }

    fn read_debug<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        if line.starts_with("Trying again to pull image:") {
            self.pull_failed = Some(line.split(" ... ").nth(1).unwrap_or(line).to_owned());
        }
        line.starts_with("Pulling image:").then(|| bare(line))
    }

    /// The failure to pull a node image: kind tries five times, and the first failure tells as much
    /// as the last.
    pub(super) fn failed_pull(&self) -> Option<KindError> {
        let why = self.pull_failed.clone()?;
        Some(KindError::Image { image: self.image.clone(), why })
    }

    pub(super) fn error(&self, name: &str) -> KindError {
        let find = |texts: &[&str]| {
            self.lines.iter().find(|line| texts.iter().any(|text| line.contains(text))).cloned()
        };
        if find(&["already exist for a cluster with the name"]).is_some() {
            return KindError::Exists { name: name.to_owned() };
        }
        if let Some(why) = find(&[
            "port is already allocated",
            "address already in use",
            "failed to bind host port",
        ]) {
            return KindError::Port { why };
        }
        let engine = [
            "Cannot connect to the Docker daemon",
            "permission denied while trying to connect",
            "Is the docker daemon running",
        ];
        if let Some(why) = find(&engine) {
            return KindError::Engine { why };
        }
        if let Some(why) = find(&["failed to pull image"]) {
            return KindError::Image { image: self.image.clone(), why };
        }
        let from = self.lines.iter().position(|line| line.starts_with("ERROR:")).unwrap_or(0);
        let lines = &self.lines[from..];
        KindError::Failed { lines: lines[lines.len().saturating_sub(LAST_LINES)..].to_vec() }
    }
}

/// kubeadm, too, prints Go stack frames (`main.main`, `runtime/proc.go:290`) before its advice.
fn is_stack_frame(line: &str) -> bool {
    line.contains('.') && !line.contains(char::is_whitespace)
}

/// kind reports a step twice: at its begin (a bullet) and at its end (a tick), which is nothing
/// new.
fn step(line: &str) -> Option<&str> {
    line.strip_prefix(['•', '✗']).map(bare)
}

/// Without the pictures around it.
fn bare(text: &str) -> &str {
    text.trim().trim_end_matches(|c: char| !c.is_alphanumeric() && c != ')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_kind_is_reported_once() {
        assert_eq!(step("• Preparing nodes 📦 📦   ..."), Some("Preparing nodes"));
        assert_eq!(step("✓ Preparing nodes 📦 📦"), None);
        assert_eq!(bare("Pulling image: kindest/node ..."), "Pulling image: kindest/node");
    }

    #[test]
    fn stack_frames_are_left_out() {
        let frames = ["main.main", "runtime/proc.go:290", "k8s.io/x@v1.34.4/cmd/kubeadm.go:25"];
        assert!(frames.iter().all(|line| is_stack_frame(line)));
        let advice = "[control-plane-check] kube-scheduler is not healthy after 4m0.000465s";
        assert!(!is_stack_frame(advice) && !is_stack_frame("last"));
    }

    #[test]
    fn errors_are_recognised() {
        let of = |text: &str| {
            let mut output = KindOutput::default();
            for line in text.lines() {
                output.read_line(line);
            }
            output.error("a")
        };
        assert!(matches!(
            of(
                "ERROR: failed to create cluster: node(s) already exist for a cluster with the name \"a\""
            ),
            KindError::Exists { .. }
        ));
        assert!(matches!(
            of("ERROR: x\ndocker: Bind for 0.0.0.0:80 failed: port is already allocated."),
            KindError::Port { .. }
        ));
        assert!(matches!(
            of("ERROR: failed to list: Cannot connect to the Docker daemon at unix:///x"),
            KindError::Engine { .. }
        ));
        let failed = of(
            "Creating\nERROR: failed to init\nStack Trace:\n a.go:1\n\nCommand Output: timed out waiting\nlast",
        );
        assert_eq!(
            failed.to_string(),
            "kind failed: ERROR: failed to init\nCommand Output: timed out waiting\nlast"
        );
    }
}
