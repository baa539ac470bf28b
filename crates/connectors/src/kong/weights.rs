//! Weights: whole numbers from 0 to 65,535, of which 100 is the normal one. Pure.

use causeway_core::Instance;

/// What a weight of 1 is in Kong.
const NORMAL: f64 = 100.0;
const MOST: f64 = 65_535.0;
/// A weight is rounded where that changes it by no more than this share.
const CLOSE: f64 = 0.05;

/// A target's weight for ours. What takes traffic always takes some.
pub(super) fn to_kong(weight: f64) -> i64 {
    if weight <= 0.0 {
        return 0;
    }
    // Within the bounds every value is a whole number of few digits.
    (weight * NORMAL).round().clamp(1.0, MOST) as i64
}

/// Our weight for a target's.
pub(super) fn from_kong(weight: i64) -> f64 {
    weight.max(0) as f64 / NORMAL
}

/// The weight as a target can have it by itself, where that is nearly the same; else as it is, for [`share`].
pub(super) fn alone(weight: f64) -> f64 {
    let held = from_kong(to_kong(weight));
    if (held - weight).abs() <= weight * CLOSE { held } else { weight }
}

/// Changes weights that targets cannot have so that they stand to each other as before, as far as whole numbers let them.
/// The others stay.
pub(super) fn share<'a>(records: impl Iterator<Item = &'a mut Instance>) {
    let mut records: Vec<_> = records.filter(|record| record.weight > 0.0).collect();
    if records.iter().all(|record| from_kong(to_kong(record.weight)) == record.weight) {
        return;
    }
    let least = records.iter().map(|record| record.weight).fold(f64::INFINITY, f64::min);
    let most = records.iter().map(|record| record.weight).fold(0.0, f64::max);
    // The smallest becomes at least 1, unless the largest would no longer fit then.
    let factor = (1.0 / (least * NORMAL)).max(1.0).min(MOST / NORMAL / most);
    for record in &mut records {
        record.weight = from_kong(to_kong(record.weight * factor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(weights: &[f64]) -> Vec<i64> {
        let one = |weight: &f64| Instance::new("127.0.0.1", 1).with(|one| one.weight = alone(*weight));
        let mut records: Vec<_> = weights.iter().map(one).collect();
        share(records.iter_mut());
        records.iter().map(|record| to_kong(record.weight)).collect()
    }

    #[test]
    fn weights_keep_their_ratios() {
        for (weights, expected) in [
            (&[1.0, 1.0][..], &[100, 100][..]),
            (&[1.0, 0.5, 0.0], &[100, 50, 0]),
            (&[0.3, 1.7], &[30, 170]),
            (&[10_000.0, 5_000.0, 1.0], &[65_535, 32_768, 7]),
            (&[20_000.0], &[65_535]),
            (&[0.001, 0.002], &[1, 2]),
            (&[0.001, 1.0], &[1, 1_000]),
            (&[0.0001, 10_000.0, 0.0], &[1, 65_535, 0]),
            (&[0.015, 0.03], &[2, 3]),
            (&[], &[]),
        ] {
            assert_eq!(shared(weights), expected, "{weights:?}");
        }
    }

    #[test]
    fn what_a_target_has_reads_back() {
        for weight in [0, 1, 7, 29, 57, 100, 655, 65_535] {
            assert_eq!(to_kong(from_kong(weight)), weight);
            assert_eq!(alone(from_kong(weight)), from_kong(weight));
        }
        assert_eq!((to_kong(f64::MIN_POSITIVE), to_kong(f64::MAX), from_kong(-1)), (1, 65_535, 0.0));
    }
}
