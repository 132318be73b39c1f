//! How a file would say a value: the defaults of fields, for those who read about them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use crate::experiment::claim::PassMeans;
use crate::experiment::schema::{
    ApiServer, BlastRadius, Cluster, Connection, Count, Direction, During, ErrorTime, From, Method,
    Side, StatusRange,
};
use crate::stats::Quantile;
use crate::timeline::format_duration;

pub(crate) trait Written {
    /// `None`: it takes words, which the field's description has.
    fn written(&self) -> Option<Json> {
        None
    }
}

impl<T> Written for Vec<T> {}
impl<K, V> Written for BTreeMap<K, V> {}
impl Written for BlastRadius {}
impl Written for Cluster {}
impl Written for From {}

impl Written for Duration {
    fn written(&self) -> Option<Json> {
        Some(format_duration(*self).into())
    }
}

/// Of the numbers with a fraction only rates have a default.
impl Written for f64 {
    fn written(&self) -> Option<Json> {
        Some(format!("{self}/s").into())
    }
}

impl Written for String {
    fn written(&self) -> Option<Json> {
        (!self.is_empty()).then(|| self.as_str().into())
    }
}

impl Written for Count {
    fn written(&self) -> Option<Json> {
        match self {
            Count::Exactly(count) => Some((*count).into()),
            Count::All => Some("all".into()),
        }
    }
}

impl Written for StatusRange {
    fn written(&self) -> Option<Json> {
        Some(format!("{}-{}", self.from, self.to).into())
    }
}

/// What a timeline has as a file has it.
macro_rules! as_in_timelines {
    ($($type:ty),*) => {$(
        impl Written for $type {
            fn written(&self) -> Option<Json> {
                serde_json::to_value(self).ok()
            }
        }
    )*};
}

as_in_timelines!(
    bool, u32, ApiServer, Connection, Direction, During, ErrorTime, Method, PassMeans, Quantile,
    Side
);
