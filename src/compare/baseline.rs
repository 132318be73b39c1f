//! A baseline: what earlier runs measured, in a file that is kept with the code.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::comparison::{Comparison, Comparisons, Named};
use super::floor::Floor;
use super::key::Key;
use super::sample::{Recorded, Sample};

/// The version of the form.
const FORMAT: &str = "outage.baseline/v1";

/// What earlier runs measured: an entry for each key, sorted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// The version of this form, `outage.baseline/v1`.
    pub format: String,
    /// Each key with its runs.
    pub entries: Vec<Entry>,
}

/// The runs of one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What it is kept for.
    pub key: Key,
    /// The runs, put together.
    #[serde(flatten)]
    pub sample: Sample,
}

/// What became the history of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub experiment: String,
    pub runs: usize,
    /// The number of older ones in whose place they are.
    pub replaced: Option<usize>,
}

impl Default for Baseline {
    fn default() -> Self {
        Self { format: FORMAT.into(), entries: Vec::new() }
    }
}

impl Baseline {
    /// Reads one. Errors where a text is none, or of another version.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        match value.get("format").and_then(|format| format.as_str()) {
            Some(FORMAT) => {
                let mut baseline: Self =
                    serde_json::from_value(value).map_err(|e| e.to_string())?;
                // Files that were merged by hand may have lost the order.
                baseline.entries.sort_by(|a, b| a.key.cmp(&b.key));
                if let Some(two) = baseline.entries.windows(2).find(|two| two[0].key == two[1].key)
                {
                    let experiment = &two[0].key.experiment;
                    return Err(format!("it has two entries for the same runs of {experiment}"));
                }
                Ok(baseline)
            }
            Some(other) => Err(format!("its format is {other}; this version reads {FORMAT}")),
            None => Err(format!("it has no `format: {FORMAT}`")),
        }
    }

    /// Each key of these runs, with those of them that have it, in a stable order.
    fn entries(runs: &[Recorded<'_>]) -> Vec<Entry> {
        let mut keys: Vec<Key> = runs.iter().map(Recorded::key).collect();
        keys.sort();
        keys.dedup();
        let of = |key: Key| {
            let sample = Sample::new(runs.iter().filter(|run| run.key() == key).copied());
            Entry { key, sample }
        };
        keys.into_iter().map(of).collect()
    }

    /// Takes these runs as the history of their keys, in the place of what it had; other entries stay. Where most runs of a key
    /// do not count, its older history stays, too.
    pub fn save(&mut self, runs: &[Recorded<'_>]) -> Vec<Saved> {
        let new = Self::entries(runs).into_iter().filter(|entry| !entry.sample.is_survivors());
        let mut take = |entry: Entry| {
            let (experiment, runs) = (entry.key.experiment.clone(), entry.sample.runs.len());
            let replaced = match self.entries.binary_search_by(|old| old.key.cmp(&entry.key)) {
                Ok(at) => Some(std::mem::replace(&mut self.entries[at], entry).sample.runs.len()),
                Err(at) => {
                    self.entries.insert(at, entry);
                    None
                }
            };
            Saved { experiment, runs, replaced }
        };
        new.map(&mut take).collect()
    }

    /// These runs beside its own of the same keys; `name` is what it is called. What it has no history of is skipped, with the reason.
    pub fn compare(&self, name: &str, runs: &[Recorded<'_>], floor: Floor) -> Comparisons {
        let (mut comparisons, mut skipped) = (Vec::new(), Vec::new());
        for Entry { key, sample } in Self::entries(runs) {
            let compared = match self.entries.iter().find(|entry| entry.key == key) {
                Some(entry) => {
                    let sides = [(name, &entry.sample), ("these runs", &sample)];
                    let sides = sides.map(|(name, sample)| Named { name, sample });
                    Comparison::new(&key.experiment, sides, floor)
                }
                None => Err(self.no_history(name, &key)),
            };
            match compared {
                Ok(comparison) => comparisons.push(comparison),
                Err(why) => skipped.push(why),
            }
        }
        Comparisons::new(floor, comparisons, skipped)
    }

    /// Why there is nothing to compare with, by the entry that is nearest.
    fn no_history(&self, name: &str, key: &Key) -> String {
        let experiment = &key.experiment;
        let same = self.entries.iter().filter(|entry| entry.key.experiment == *experiment);
        let nearest = same.min_by_key(|entry| key.differences(&entry.key).len());
        let Some(nearest) = nearest else {
            return format!("{experiment}: {name} has no runs of this experiment");
        };
        let differences = key.differences(&nearest.key).into_iter();
        let differences: Vec<String> =
            differences.map(|(name, old, new)| format!("{name} was {old}, is {new}")).collect();
        format!(
            "{experiment}: {name} has no matching runs; the nearest differ: {}",
            differences.join("; ")
        )
    }
}
