//! Durations (`200ms`, `1.5s`, `1m30s`) and rates (`50/s`) as people write them.

use std::time::Duration;

use super::super::tree::quoted;

/// The longest duration that an experiment may name.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);
pub(crate) const RATES: Rates = Rates {
    least: 1.0,
    most: 1000.0,
    limits: "a rate is 1/s to 1000/s; only canaries can be slower",
    forms: "`50/s` or `3000/min`",
};
/// The rates of canaries: each attempt is work for the whole control plane.
pub(crate) const CANARY_RATES: Rates = Rates {
    least: 0.01,
    most: 5.0,
    limits: "a canary's rate is 0.01/s to 5/s",
    forms: "`0.5/s` or `3/min`",
};

/// Which rates are allowed, in attempts a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    least: f64,
    most: f64,
    limits: &'static str,
    forms: &'static str,
}

impl Rates {
    fn allow(self, rate: f64) -> bool {
        (self.least..=self.most).contains(&rate)
    }
}

/// Why a text is not a duration or rate, and what would have been one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Misread {
    /// What is wrong: a lowercase fragment.
    pub message: String,
    pub hint: String,
}

fn misread<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Misread> {
    Err(Misread { message: message.into(), hint: hint.into() })
}

/// Reads a duration: numbers with a unit (`ms`, `s`, `m`, `h`), the larger unit first. Errors: no
/// unit, another unit, nothing, below 1 ms (but 0) or above 24 h.
pub(crate) fn duration(text: &str) -> Result<Duration, Misread> {
    const FORMS: &str = "write it as `200ms`, `1.5s`, `2m`, `1m30s` or `1h`";
    if let Some(number) =
        text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
    {
        let hint = match number {
            n if n * 1e-3 > LONGEST.as_secs_f64() => FORMS.to_owned(),
            n if n > LONGEST.as_secs_f64() => format!("did you mean `{text}ms`?"),
            n if n >= 100.0 => format!("did you mean `{text}ms` or `{text}s`?"),
            _ => format!("did you mean `{text}s`?"),
        };
        return misread(
            format!("expected a duration, found {}, which has no unit", quoted(text)),
            hint,
        );
    }
    let no_duration = || misread(format!("expected a duration, found {}", quoted(text)), FORMS);
    let (mut rest, mut millis, mut last_unit) = (text, 0.0, f64::INFINITY);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let (Ok(number), Some(unit)) = (number.parse::<f64>(), unit_in_millis(unit)) else {
            return no_duration();
        };
        if unit >= last_unit {
            return no_duration();
        }
        millis += number * unit;
        (rest, last_unit) = (tail, unit);
    }
    match millis {
        _ if text.is_empty() => no_duration(),
        m if m > LONGEST.as_millis() as f64 => {
            misread(format!("{} is longer than a day", quoted(text)), "24h is the longest")
        }
        m if m > 0.0 && m < 1.0 => misread(
            format!("{} is shorter than a millisecond", quoted(text)),
            "1ms is the shortest",
        ),
        m => Ok(Duration::from_micros((m * 1000.0).round() as u64)),
    }
}

fn unit_in_millis(unit: &str) -> Option<f64> {
    Some(match unit {
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        "h" => 3600e3,
        _ => return None,
    })
}

/// Reads a rate of an ordinary probe (see [`rate_of`]).
#[cfg(test)]
pub(crate) fn rate(text: &str) -> Result<f64, Misread> {
    rate_of(text, RATES)
}

/// Reads a rate, `50/s` or `3/min`, as attempts a second. Errors: no unit, another unit, one that
/// is not allowed.
pub(crate) fn rate_of(text: &str, rates: Rates) -> Result<f64, Misread> {
    let Some((number, unit)) = text.split_once('/') else {
        return match text.parse::<f64>() {
            Ok(bare) if rates.allow(bare) => misread(
                format!("expected a rate, found `{text}`, which has no unit"),
                format!("did you mean `{text}/s`?"),
            ),
            Ok(bare) if bare.is_finite() => {
                misread(format!("the rate `{text}` has no unit and is out of range"), rates.limits)
            }
            _ => misread(no_rate(text), format!("write it as {}", rates.forms)),
        };
    };
    let per_second = match (number.trim().parse::<f64>(), unit.trim()) {
        (Ok(number), "s") => number,
        (Ok(number), "m" | "min") => number / 60.0,
        _ => return misread(no_rate(text), format!("write it as {}", rates.forms)),
    };
    if !rates.allow(per_second) {
        return misread(format!("the rate `{text}` is out of range"), rates.limits);
    }
    Ok(per_second)
}

fn no_rate(text: &str) -> String {
    format!("expected a rate, found {}", super::super::tree::quoted(text))
}

/// Writes a duration as an experiment would have it: `1m30s`, `1.5s`, `200ms`.
pub(crate) fn written(duration: Duration) -> String {
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    let fraction = f64::from(duration.subsec_nanos()) / 1e9;
    match (minutes, seconds as f64 + fraction) {
        (0, s) if s < 1.0 => format!("{}ms", duration.as_micros() as f64 / 1000.0),
        (0, s) => format!("{s}s"),
        (m, 0.0) if m % 60 == 0 => format!("{}h", m / 60),
        (m, 0.0) => format!("{m}m"),
        (m, s) => format!("{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_forms_are_durations() {
        let cases = [
            ("200ms", 200),
            ("1.5s", 1500),
            ("2m", 120_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("0s", 0),
            (".5s", 500),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "",
            "s",
            "15x",
            "1s1m",
            "1s1s",
            "-5s",
            "1 s",
            "1.2.3s",
            "ms200",
            "25h",
            "0.1ms",
            "1e3s",
            "infs",
            "1d",
            "99999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_unit_gets_the_unit_as_a_hint() {
        assert_eq!(duration("15").unwrap_err().hint, "did you mean `15s`?");
        assert_eq!(rate("50").unwrap_err().hint, "did you mean `50/s`?");
    }

    #[test]
    fn rates_are_a_second() {
        assert_eq!(rate("50/s"), Ok(50.0));
        assert_eq!(rate("3000/m"), Ok(50.0));
        assert_eq!(rate("2.5/s"), Ok(2.5));
        for text in [
            "0/s",
            "0",
            "1000000000/s",
            "1000000000",
            "1001/s",
            "30/m",
            "-1/s",
            "NaN/s",
            "inf/s",
            "50/h",
            "/s",
            "fast",
            "50 s",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_canary_has_rates_of_its_own() {
        let canary = |text| rate_of(text, CANARY_RATES);
        assert_eq!(
            (canary("0.5/s"), canary("3/min"), canary("3/m")),
            (Ok(0.5), Ok(0.05), Ok(0.05))
        );
        for text in ["50/s", "0.5/min", "5.1/s", "0/s"] {
            assert_eq!(
                canary(text).unwrap_err().hint,
                "a canary's rate is 0.01/s to 5/s",
                "{text}"
            );
        }
        assert_eq!(canary("often").unwrap_err().hint, "write it as `0.5/s` or `3/min`");
    }

    proptest! {
        #[test]
        fn a_written_duration_is_read_again(millis in 0u64..86_400_000) {
            let exact = Duration::from_millis(millis);
            prop_assert_eq!(duration(&written(exact)), Ok(exact));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = duration(&text);
            let _ = rate(&text);
        }
    }
}
