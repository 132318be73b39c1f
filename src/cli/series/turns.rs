//! Who may go on, of several series that run at the same time.

use tokio::sync::{Mutex, watch};

/// What a series is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Activity {
    /// A kind cluster is looked for, and created where it does not exist: others may do the same, but
    /// nothing is measured beside it.
    Preparing,
    /// A run beside others.
    Measuring,
    /// A run that nothing may disturb.
    Alone,
}

pub(in crate::cli) struct Turns {
    /// Who comes first waits here, and the others behind it, so that none waits forever.
    door: Mutex<()>,
    /// What is going on, and how often.
    now: watch::Sender<(Activity, usize)>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { door: Mutex::default(), now: watch::Sender::new((Activity::Measuring, 0)) }
    }
}

/// Lasts until it is dropped.
pub(in crate::cli) struct Turn<'t> {
    turns: &'t Turns,
    pub activity: Activity,
}

impl Turns {
    /// Waits until nothing goes on that would not go with it.
    pub(in crate::cli) async fn take(&self, activity: Activity) -> Turn<'_> {
        let _first = self.door.lock().await;
        let goes = |(now, count): &(Activity, usize)| {
            *count == 0 || (*now == activity && activity != Activity::Alone)
        };
        self.now.subscribe().wait_for(goes).await.expect("the sender lives as long as this");
        self.now.send_modify(|now| *now = (activity, now.1 + 1));
        Turn { turns: self, activity }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.now.send_modify(|(_, count)| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn equal_activities_go_together_and_others_wait_for_their_end() {
        use Activity::{Alone, Measuring, Preparing};
        let turns = Turns::default();
        let take = |activity| turns.take(activity).now_or_never();
        let (one, two) = (take(Preparing).unwrap(), take(Preparing).unwrap());
        assert!(take(Measuring).is_none() && take(Alone).is_none());
        drop(one);
        assert!(take(Measuring).is_none());
        drop(two);
        let (one, two) = (take(Measuring).unwrap(), take(Measuring).unwrap());
        assert!(take(Preparing).is_none() && take(Alone).is_none());
        drop((one, two));
        let alone = take(Alone).unwrap();
        assert!(take(Alone).is_none() && take(Measuring).is_none());
        drop(alone);
        assert!(take(Measuring).is_some());
    }

    #[test]
    fn nobody_is_overtaken() {
        let turns = Turns::default();
        let one = turns.take(Activity::Measuring).now_or_never().unwrap();
        let mut alone = Box::pin(turns.take(Activity::Alone));
        assert!(alone.as_mut().now_or_never().is_none());
        let mut later = Box::pin(turns.take(Activity::Measuring));
        assert!(later.as_mut().now_or_never().is_none(), "it would go with the first");
        drop(one);
        assert!(later.as_mut().now_or_never().is_none());
        let alone = alone.now_or_never().unwrap();
        assert!(later.as_mut().now_or_never().is_none());
        drop(alone);
        assert!(later.now_or_never().is_some());
    }
}
