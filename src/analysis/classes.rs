//! Outcomes counted by class.

use super::findings::ClassCount;
use crate::timeline::Outcome;

/// A count for each outcome that was seen. There are few, so a list is enough.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes(Vec<(Outcome, u64)>);

impl Classes {
    #[inline]
    pub(super) fn count(&mut self, outcome: Outcome) {
        match self.0.iter_mut().find(|(seen, _)| *seen == outcome) {
            Some((_, count)) => *count += 1,
            None => self.0.push((outcome, 1)),
        }
    }

    pub(super) fn add(&mut self, other: &Classes) {
        for (outcome, count) in &other.0 {
            match self.0.iter_mut().find(|(seen, _)| seen == outcome) {
                Some((_, sum)) => *sum += count,
                None => self.0.push((*outcome, *count)),
            }
        }
    }

    /// By label, most first, then by name.
    pub(super) fn counts(&self) -> Vec<ClassCount> {
        let mut counts: Vec<ClassCount> = Vec::new();
        for (outcome, count) in &self.0 {
            let class = outcome.label();
            match counts.iter_mut().find(|c| c.class == class) {
                Some(same) => same.count += count,
                None => counts.push(ClassCount { class, count: *count }),
            }
        }
        counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.class.cmp(&b.class)));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Phase;

    #[test]
    fn one_label_is_one_class() {
        let mut classes = Classes::default();
        for outcome in
            [Outcome::Refused, Outcome::Timeout(Phase::Connect), Outcome::Timeout(Phase::FirstByte)]
        {
            classes.count(outcome);
        }
        let shown: Vec<_> = classes.counts().into_iter().map(|c| (c.class, c.count)).collect();
        assert_eq!(shown, [("timeout".to_owned(), 2), ("refused".to_owned(), 1)]);
    }
}
