//! What a run of draws proves about a share.

/// The level at which this program excludes a chance: 5 %, for each edge on its own.
pub const LEVEL: f64 = 0.05;

/// One-sided 5 % quantile of the normal distribution.
const Z: f64 = 1.644_853_6;

/// How many independent draws must all miss, before it is excluded (at [`LEVEL`]) that a share of
/// `1 - miss` could have been hit: the least k with `miss^k <= LEVEL`. 1 where every draw hits;
/// `None` where none does, so that no number of draws proves anything.
pub fn draws_to_exclude(miss: f64) -> Option<u64> {
    if !(0.0..1.0).contains(&miss) {
        return None;
    }
    if miss <= LEVEL {
        return Some(1);
    }
    Some((LEVEL.ln() / miss.ln()).ceil() as u64)
}

/// The lower bound (one-sided, at [`LEVEL`]) of a share of which `hits` of `total` draws were seen;
/// 0 without a draw.
///
/// Where every draw hit: Clopper and Pearson's exact bound, `LEVEL^(1/n)`. Else Wilson's score
/// bound (1927).
pub fn share_at_least(hits: u64, total: u64) -> f64 {
    let n = total as f64;
    match (hits, total) {
        (0, _) | (_, 0) => 0.0,
        _ if hits >= total => LEVEL.powf(1.0 / n),
        _ => {
            let share = hits as f64 / n;
            let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
            ((share + Z * Z / (2.0 * n) - spread) / (1.0 + Z * Z / n)).max(0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_share() {
        assert_eq!(draws_to_exclude(0.0), Some(1));
        assert_eq!(draws_to_exclude(0.5), Some(5));
        assert_eq!(draws_to_exclude(0.9), Some(29));
        assert_eq!(draws_to_exclude(1.0), None);
        assert_eq!(draws_to_exclude(f64::NAN), None);
    }

    #[test]
    fn fewer_draws_would_not_do() {
        for miss in [0.1, 0.25, 0.5, 2.0 / 3.0, 0.75, 0.9, 0.99] {
            let k = draws_to_exclude(miss).unwrap() as i32;
            assert!(miss.powi(k) <= LEVEL && miss.powi(k - 1) > LEVEL, "{miss}: {k}");
        }
    }

    #[test]
    fn bounds_of_a_share() {
        assert_eq!(share_at_least(0, 10), 0.0);
        assert_eq!(share_at_least(0, 0), 0.0);
        assert!((share_at_least(24, 24) - 0.8826).abs() < 1e-3);
        assert!((share_at_least(50, 100) - 0.4190).abs() < 1e-3);
    }
}
