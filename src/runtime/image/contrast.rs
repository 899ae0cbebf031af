//! Stretches the contrast of dull pictures.
//!
//! In: RGB values in 0..=1, in rows. A picture in a dark room or fog uses little of that range, and a network trained
//! on few such pictures finds nothing in it, so it is stretched. Any other picture stays bit-identical. Nothing fails
//! or allocates.

/// A picture whose values span less than this is stretched.
const DULL_SPAN: f32 = 0.25;
/// The range that a stretched picture spans.
const STRETCHED: [f32; 2] = [0.05, 0.85];
/// The largest gain: beyond it there is more noise than face.
const MOST_GAIN: f32 = 25.0;
/// The share of values that may lie below the span, and above it.
const OUTLIERS: f32 = 0.02;
/// About this many values are read, evenly spread.
const SAMPLES: usize = 7000;

/// Stretches the first `width` values of each row of `row` values if they use little of the range.
pub(crate) fn stretch_dull(values: &mut [f32], row: usize, width: usize) {
    let every = (values.len() / row * width / SAMPLES).max(1);
    // A multiple of three would read one channel only.
    let every = if every.is_multiple_of(3) { every + 1 } else { every };
    let Some([low, high]) = span(values.chunks_exact(row).flat_map(|row| row[..width].iter().step_by(every))) else {
        return;
    };
    if high - low >= DULL_SPAN {
        return;
    }
    let [from, to] = STRETCHED;
    let gain = ((to - from) / (high - low).max(1e-6)).min(MOST_GAIN);
    for row in values.chunks_exact_mut(row) {
        for value in &mut row[..width] {
            *value = (from + (*value - low) * gain).clamp(0.0, 1.0);
        }
    }
}

/// The span of nearly all values; `None` if there are none.
fn span<'a>(values: impl Iterator<Item = &'a f32>) -> Option<[f32; 2]> {
    const BINS: usize = 256;
    let mut counts = [0_u32; BINS];
    let mut total = 0;
    for value in values {
        // Saturates, and maps NaN to 0.
        counts[((value * BINS as f32) as usize).min(BINS - 1)] += 1;
        total += 1;
    }
    let outliers = (OUTLIERS * total as f32) as u32;
    let beyond_outliers = |order: &mut dyn Iterator<Item = usize>| {
        let mut passed = 0;
        for bin in order {
            passed += counts[bin];
            if passed > outliers {
                return Some(bin);
            }
        }
        None
    };
    let low = beyond_outliers(&mut (0..BINS))?;
    let high = beyond_outliers(&mut (0..BINS).rev())?;
    Some([low as f32 / BINS as f32, (high + 1) as f32 / BINS as f32])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of 60 values between `low` and `high`, with 6 of padding.
    fn picture(low: f32, high: f32) -> Vec<f32> {
        (0..66 * 40)
            .map(|i| if i % 66 < 60 { low + (high - low) * (i * 37 % 101) as f32 / 100.0 } else { 0.0 })
            .collect()
    }

    #[test]
    fn dark_and_foggy_pictures_span_the_range_and_their_padding_stays_black() {
        for (low, high) in [(0.0, 0.1), (0.45, 0.55), (0.9, 0.97)] {
            let mut values = picture(low, high);
            stretch_dull(&mut values, 66, 60);
            let inner = || values.chunks_exact(66).flat_map(|row| &row[..60]);
            assert!(inner().copied().fold(1.0, f32::min) < 0.08 && inner().copied().fold(0.0, f32::max) > 0.8);
            assert!(values.chunks_exact(66).flat_map(|row| &row[60..]).all(|v| *v == 0.0));
        }
    }

    #[test]
    fn a_picture_with_contrast_stays_to_the_bit_and_a_plain_one_stays_plain() {
        let before = picture(0.1, 0.6);
        let mut values = before.clone();
        stretch_dull(&mut values, 66, 60);
        assert_eq!(values, before);
        let mut plain = vec![0.3; 66 * 40];
        stretch_dull(&mut plain, 66, 60);
        assert!(plain[..60].iter().all(|v| *v == plain[0]));
        stretch_dull(&mut [], 66, 60);
    }
}
