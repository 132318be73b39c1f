//! Where the time of several runs went: what a shorter pipeline would have to do without.

use std::time::Duration;

use crate::stats::Seconds;
use crate::timeline::{Event, Record};

/// The seconds of all runs, by what was done in them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TimeSpent {
    /// Until the steady state was reached.
    before: f64,
    /// Injected, held and undone.
    faults: f64,
    recovery: f64,
    clean_up: f64,
}

impl TimeSpent {
    /// Adds a run, from the stages in its timeline.
    pub(super) fn add(&mut self, records: &[Record]) {
        let mut stages = records.iter().filter_map(|record| match &record.event {
            Event::Stage { name } => Some((record.at, name.as_str())),
            Event::Ended => Some((record.at, "")),
            _ => None,
        });
        let Some((mut began, mut stage)) = stages.next() else { return };
        for (at, next) in stages {
            let time = match stage {
                "fault" | Event::UNDO => &mut self.faults,
                "recovery" => &mut self.recovery,
                Event::CLEAN_UP => &mut self.clean_up,
                _ => &mut self.before,
            };
            *time += at.seconds_since(began);
            (began, stage) = (at, next);
        }
    }

    /// In a line; `took`: how long it took in all, in so many queues.
    pub(super) fn describe(&self, took: Duration, queues: usize) -> String {
        let words = |seconds: f64| {
            Seconds::from(Duration::from_secs_f64(seconds.max(0.0))).rounded().to_minutes()
        };
        let Self { before, faults, recovery, clean_up } = *self;
        let between = took.as_secs_f64() - before - faults - recovery - clean_up;
        let rest = match queues {
            1 => format!(", clusters and between runs {}", words(between)),
            _ => String::new(),
        };
        let beside = if queues > 1 { format!(", in {queues} queues") } else { String::new() };
        format!(
            "time: faults {}, before them {}, recovery {}, clean-up {}{rest}; {} in all{beside}",
            words(faults),
            words(before),
            words(recovery),
            words(clean_up),
            words(took.as_secs_f64()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Moment;

    #[test]
    fn a_stage_lasts_until_the_next_and_steps_add_up() {
        let stages = [
            ("watch", 0),
            ("steady state", 2),
            ("fault", 6),
            ("undo", 16),
            ("fault", 20),
            ("undo", 25),
            ("recovery", 26),
            ("clean up", 29),
        ];
        let record = |event, second: u64| Record {
            at: Moment(second * 1_000_000_000),
            ..Record::now(event)
        };
        let stage =
            |(name, second): (&str, u64)| record(Event::Stage { name: name.into() }, second);
        let mut run: Vec<Record> = stages.into_iter().map(stage).collect();
        run.push(record(Event::Ended, 33));
        let mut spent = TimeSpent::default();
        spent.add(&run);
        assert_eq!(spent, TimeSpent { before: 6.0, faults: 20.0, recovery: 3.0, clean_up: 4.0 });
        assert_eq!(
            spent.describe(Duration::from_secs(83), 1),
            "time: faults 20s, before them 6s, recovery 3s, clean-up 4s, clusters and between runs \
             50s; 1m23s in all"
        );
        let two = spent.describe(Duration::from_secs(20), 2);
        assert!(two.ends_with("clean-up 4s; 20s in all, in 2 queues"), "{two}");
    }
}
