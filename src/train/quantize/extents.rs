//! How far the values of a map's channels reach, without the rare ones that lie far beyond all others.
//!
//! In: the values of a map, face after face. Out: for each channel the ends of the interval that holds all but a share
//! of its values, to a sixteenth of an octave. Such values would make the steps of 8-bit integers coarse for all
//! others.

/// Parts of an octave.
const PARTS: usize = 16;
/// Octaves on each side of one; what is smaller counts as zero.
const OCTAVES: usize = 16;
/// Bins of one sign.
const BINS: usize = 2 * OCTAVES * PARTS;
/// The bits of a number in front of those that tell parts of an octave.
const SHIFT: u32 = f32::MANTISSA_DIGITS - 1 - PARTS.ilog2();
/// The number of the first bin, among all of positive floats.
const FIRST: usize = (127 - OCTAVES) * PARTS;

/// The values of a map's channels, counted.
#[derive(Clone)]
pub(super) struct Extents {
    /// For each channel, from the lowest to the highest values.
    counts: Vec<[u32; 2 * BINS]>,
}

impl Extents {
    pub fn new(channels: usize) -> Self {
        Self { counts: vec![[0; 2 * BINS]; channels] }
    }

    /// Adds the cells of a map.
    pub fn add(&mut self, values: &[f32]) {
        for cell in values.chunks_exact(self.counts.len()) {
            for (counts, value) in self.counts.iter_mut().zip(cell) {
                let magnitude = (value.abs().to_bits() >> SHIFT) as usize;
                let bin = magnitude.saturating_sub(FIRST).min(BINS - 1);
                counts[if value.is_sign_negative() { BINS - 1 - bin } else { BINS + bin }] += 1;
            }
        }
    }

    /// For each channel, the ends of the interval below and above which `beyond` of its values lie each. If almost all
    /// values of a channel are alike, so that the interval would say nothing of the others, it reaches `least` as far
    /// as they do at least.
    pub fn intervals(&self, beyond: f64, least: f32) -> Vec<(f32, f32)> {
        let interval = |counts: &[u32; 2 * BINS]| {
            let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
            let allowed = (total as f64 * beyond) as u64;
            let from = |mut bins: Box<dyn Iterator<Item = usize>>, allowed: u64| {
                let mut passed = 0;
                let bin = bins.find(|&bin| {
                    passed += u64::from(counts[bin]);
                    passed > allowed
                });
                bin.map_or(0.0, outer_end)
            };
            let low = |allowed| from(Box::new(0..2 * BINS), allowed);
            let high = |allowed| from(Box::new((0..2 * BINS).rev()), allowed);
            let middle = 0.5 * (low(allowed) + high(allowed));
            let reach = |end: f32| middle + least * (end - middle);
            (low(allowed).min(reach(low(0))), high(allowed).max(reach(high(0))))
        };
        self.counts.iter().map(interval).collect()
    }
}

/// The end of a bin that is further from zero; zero for the bins of the smallest values.
fn outer_end(bin: usize) -> f32 {
    let end = |magnitude: usize| match magnitude {
        0 => 0.0,
        _ => f32::from_bits(((FIRST + magnitude + 1) << SHIFT) as u32),
    };
    if bin < BINS { -end(BINS - 1 - bin) } else { end(bin - BINS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_values_are_left_out_up_to_their_share() {
        let mut extents = Extents::new(2);
        for i in 0..10_000 {
            let even = i as f32 / 10_000.0;
            extents.add(&[if i % 2_000 == 0 { 50.0 } else { even }, 3.0 * even - 1.0]);
        }
        let about = |a: f32, b: f32| (a - b).abs() <= 0.07 * b.abs();
        let intervals = extents.intervals(0.001, 0.0);
        assert!((0.0..0.01).contains(&intervals[0].0) && about(intervals[0].1, 1.0), "{intervals:?}");
        assert!(about(intervals[1].0, -1.0) && about(intervals[1].1, 2.0), "{intervals:?}");
        assert!(about(extents.intervals(0.0, 0.0)[0].1, 50.0));
        assert!(about(extents.intervals(0.001, 0.5)[0].1, 25.0));
    }

    #[test]
    fn a_channel_without_values_has_no_extent() {
        let mut extents = Extents::new(1);
        extents.add(&[0.0; 100]);
        assert_eq!(extents.intervals(0.001, 0.25), [(0.0, 0.0)]);
    }
}
