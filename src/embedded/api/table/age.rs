//! How long ago something was, as kubectl prints it.

use jiff::Timestamp;
use serde_json::Value;

/// How long ago a moment was; `<unknown>` where there is none.
pub(super) fn since(moment: &Value) -> String {
    let then = moment.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    then.map_or("<unknown>".to_owned(), |then| {
        human(Timestamp::now().duration_since(then).as_secs())
    })
}

/// Two or three figures of a time in seconds, with the steps of Kubernetes'
/// `duration.HumanDuration`.
fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |great: i64, unit: &str, small: i64, part: &str| match small {
        0 => format!("{great}{unit}"),
        _ => format!("{great}{unit}{small}{part}"),
    };
    match seconds {
        i64::MIN..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_kubectls() {
        let (minute, hour, day) = (60, 3600, 86_400);
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (119, "119s"),
            (2 * minute, "2m"),
            (3 * minute + 7, "3m7s"),
            (179 * minute, "179m"),
            (3 * hour + 5 * minute, "3h5m"),
            (47 * hour, "47h"),
            (2 * day + hour, "2d1h"),
            (700 * day, "700d"),
            (2 * 365 * day + day, "2y1d"),
            (9 * 365 * day, "9y"),
        ] {
            assert_eq!(human(seconds), expected);
        }
        assert_eq!(since(&Value::Null), "<unknown>");
    }
}
