//! What is said of an undo that cannot get into its node, through whose kubelet the way leads.

use std::time::Duration;

use tokio::time::Instant;

use crate::node::{AccessError, AccessErrorKind};
use crate::timeline::format_duration;

/// An API server that has just started forbids everything to everybody for a moment.
const NOT_ALLOWED: Duration = Duration::from_secs(3);
const CHECK: &str = "once the credentials and the rights are valid, `kubectl outage recover` verifies that it is undone";

/// A way in that is closed, and what has been said of it.
pub(super) struct ClosedWay {
    /// What happens in the meantime.
    by_timer: String,
    is_said: bool,
    /// Since when this user is not let in; `None`: that is not why.
    not_allowed: Option<Instant>,
    not_allowed_is_said: bool,
}

impl ClosedWay {
    /// `after`: how long after its effect the node's own timer undoes the fault.
    pub(super) fn new(after: Duration) -> Self {
        let by_timer = format!(
            "the node's own timer undoes the fault {} after it took effect",
            format_duration(after)
        );
        Self { by_timer, is_said: false, not_allowed: None, not_allowed_is_said: false }
    }

    /// What is said of another attempt that did not get in, each thing once.
    pub(super) fn news(&mut self, error: &AccessError) -> Option<String> {
        let now = Instant::now();
        let is_allowed = error.kind != AccessErrorKind::NotAllowed;
        self.not_allowed = (!is_allowed).then(|| self.not_allowed.unwrap_or(now));
        let why = match self.not_allowed {
            None if !std::mem::replace(&mut self.is_said, true) => String::new(),
            Some(since) if now >= since + NOT_ALLOWED && !self.not_allowed_is_said => {
                self.not_allowed_is_said = true;
                format!(" ({error})")
            }
            _ => return None,
        };
        Some(format!("no command can be run in the node{why}; {}", self.by_timer))
    }

    /// The error with which an undo ends that never got in.
    pub(super) fn in_the_end(self, error: AccessError) -> AccessError {
        if error.kind != AccessErrorKind::NotAllowed {
            return error;
        }
        let message = format!("{error}; {}, which could not be verified", self.by_timer);
        AccessError { message, hint: Some(CHECK), ..error }
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::samples::{ThroughKubelet, fault, plan_of};
    use crate::fault::undo;
    use crate::node::AccessErrorKind::{self, Away, NotAllowed};
    use crate::timeline::{FaultKind, FaultPhase};

    /// What an undo says while the node gives these answers, one a look, the last for ever; and how
    /// it ends.
    async fn undone(answers: &[Option<AccessErrorKind>]) -> (Vec<String>, Option<String>) {
        let (mut said, mut looks) = (Vec::new(), 0);
        let node = ThroughKubelet::new(|command| {
            let answer = answers[looks.min(answers.len() - 1)];
            looks += usize::from(command == "true");
            answer.map_or(Ok("7 S"), Err)
        });
        let plan = plan_of(&fault(FaultKind::KubeletStop)).unwrap();
        let mut progress = |phase: FaultPhase, text: String| {
            if phase == FaultPhase::Waits {
                said.push(text);
            }
        };
        let ended = undo(&plan, node.way(), &mut progress).await;
        (said, ended.err().map(|error| format!("{error}; {}", error.hint().unwrap_or_default())))
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_that_is_closed_is_said_once_and_so_are_rights_that_were_lost() {
        let closed = "no command can be run in the node; the node's own timer undoes the fault ";
        let (said, ended) = undone(&[Some(Away), Some(Away), None]).await;
        assert!(said.len() == 1 && said[0].starts_with(closed), "{said:?}");
        assert_eq!(ended, None);
        let (said, ended) = undone(&[Some(Away), Some(NotAllowed)]).await;
        assert!(said.len() == 2 && said[0].starts_with(closed), "{said:?}");
        assert!(
            said[1].contains("(run a command: the kubelet refuses); the node's own"),
            "{said:?}"
        );
        let ended = ended.unwrap();
        assert!(ended.contains("which could not be verified; once the credentials"), "{ended}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_has_just_started_forbids_nothing_for_good() {
        let (said, ended) = undone(&[Some(NotAllowed), Some(NotAllowed), None]).await;
        assert_eq!((said.len(), ended), (0, None), "{said:?}");
    }
}
