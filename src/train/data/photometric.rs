//! Random changes of a picture's appearance that move no point.
//!
//! Pictures are `height * width * 3` values in 0..=1 (row, column, RGB) and stay in that range. Lengths are shares of
//! the picture's longer side, so that the effect does not depend on the resolution.

use super::chance::rarely;
use super::{DataError, Donor};
use crate::runtime::geometry::crop_from_frame;
use crate::runtime::image::{Border, crop_into};
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Side of an occluding rectangle: larger ones leave too little of a face.
const OCCLUSION_SIDE: Range<f32> = 0.08..0.42;
/// Range of the rectangle's centre: also beyond the border, like a hand that enters the picture.
const OCCLUSION_MIDDLE: Range<f32> = -0.1..1.1;
/// The size of a low-resolution picture: 24..=80 of 128 pixels.
const LOW_RESOLUTION: Range<f32> = 0.19..0.63;
/// Standard deviation of the blur: 0.4 to 1.7 of 128 pixels.
const BLUR_SIGMA: Range<f32> = 0.003..0.0135;
/// Length of a motion blur: 3 to 10 of 128 pixels.
const MOTION_LENGTH: Range<f32> = 0.023..0.08;
/// Share of poor-light pictures with light from one side.
const LIT_FROM_A_SIDE: f32 = 0.5;
/// The remaining light on the far side.
const SIDE_LIGHT_FALL: Range<f32> = 0.08..0.6;
/// Exponents of the remaining light of a dim picture, and of the remaining contrast of a flat one.
const TOO_DARK: Range<f32> = -2.8..-0.5;
const TOO_FLAT: Range<f32> = -2.5..-0.3;
/// Standard deviation of the noise of a dark picture, in shares of the light that is left: half of them have it.
const DARK_NOISE: Range<f32> = 0.02..0.15;
const NOISY_IN_THE_DARK: f32 = 0.5;
/// Share of the pixels that stretching clips at either end, the levels that it leads to, and the smallest span that is
/// stretched.
const CLIPPED: f32 = 0.02;
const STRETCHED_DARK: Range<f32> = 0.0..0.15;
const STRETCHED_BRIGHT: Range<f32> = 0.65..1.0;
const FEWEST_LEVELS: f32 = 0.03;
/// Standard deviation of the noise, in shares of the full range.
const NOISE_SIGMA: Range<f32> = 0.01..0.06;

/// Paints one rectangle, or with the probability `ellipses` the ellipse in it: a colour, noise, or a patch of another
/// picture.
pub(super) fn occlude(
    rng: &mut ChaCha8Rng,
    height: usize,
    width: usize,
    picture: &mut [f32],
    ellipses: f32,
    donor: &mut impl FnMut(&mut ChaCha8Rng) -> Result<Option<Donor>, DataError>,
) -> Result<(), DataError> {
    let longer = height.max(width) as f32;
    let mut extent = |length: usize| {
        let half = 0.5 * longer * rng.random_range(OCCLUSION_SIDE);
        let middle = length as f32 * rng.random_range(OCCLUSION_MIDDLE);
        // Both ends are clipped: a rectangle may lie beyond the border as a whole.
        let clip = |end: f32| end.round().clamp(0.0, length as f32) as usize;
        clip(middle - half)..clip(middle + half)
    };
    let (columns, rows) = (extent(width), extent(height));
    let is_ellipse = rarely(rng, ellipses);
    let color: [f32; 3] = rng.random();
    let source = match rng.random_range(0..4) {
        0 | 1 => donor(rng)?.map(Cover::Patch),
        2 => Some(Cover::Noise(rng.random_range(0.0..0.5_f32))),
        _ => None,
    };
    let size = rows.len().max(columns.len());
    let mut square = Vec::new();
    if let Some(Cover::Patch(Donor { frame, center, side })) = &source
        && size > 0
        && *side > 0.0
    {
        square.resize(size * size * 3, 0.0);
        crop_into(&**frame, &crop_from_frame(*center, *side, 0.0, size), size, Border::Replicate, &mut square);
    }
    let (half_height, half_width) = (0.5 * rows.len() as f32, 0.5 * columns.len() as f32);
    for (y, row) in rows.enumerate() {
        let share = (y as f32 + 0.5 - half_height) / half_height;
        let reach = if is_ellipse { half_width * (1.0 - share * share).max(0.0).sqrt() } else { half_width };
        let covered = (half_width - reach).round() as usize..(half_width + reach).round() as usize;
        let target = &mut picture[(row * width + columns.start) * 3..(row * width + columns.end) * 3];
        for (x, pixel) in target.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            // Drawn for hidden pixels too, so that the number of random draws depends only on the rectangle's size.
            let drawn = match &source {
                Some(Cover::Noise(amount)) => color.map(|c| (c + amount * (rng.random::<f32>() - 0.5)).clamp(0.0, 1.0)),
                Some(Cover::Patch(_)) if !square.is_empty() => {
                    std::array::from_fn(|channel| square[(y * size + x) * 3 + channel])
                }
                _ => color,
            };
            if covered.contains(&x) {
                *pixel = drawn;
            }
        }
    }
    Ok(())
}

/// The content of an occluding rectangle.
enum Cover {
    Patch(Donor),
    /// A colour with this much noise.
    Noise(f32),
}

/// Poor light: a lamp on one side, or dim or flat light, quantized to the levels that a camera has left.
pub(super) fn poor_light(rng: &mut ChaCha8Rng, height: usize, width: usize, picture: &mut [f32]) {
    if rng.random::<f32>() < LIT_FROM_A_SIDE {
        let angle = rng.random_range(0.0..std::f32::consts::TAU);
        let (x, y) = (angle.cos() / width as f32, angle.sin() / height as f32);
        let fall = rng.random_range(SIDE_LIGHT_FALL);
        let middle = rng.random_range(-0.4..0.4_f32);
        let sharp = rng.random_range(2.0..10.0_f32);
        for (row, line) in picture.chunks_exact_mut(width * 3).enumerate() {
            for (column, pixel) in line.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let along = (column as f32 - 0.5 * width as f32) * x + (row as f32 - 0.5 * height as f32) * y;
                let shade = 1.0 / (1.0 + (sharp * (along - middle)).exp());
                let light = 1.0 - (1.0 - fall) * (1.0 - shade);
                *pixel = pixel.map(|value| value * light);
            }
        }
    }
    let (gain, offset) = match rng.random_range(0..3) {
        0 => {
            // A camera in the dark shows less colour, and its own noise.
            fade(picture, rng.random());
            if rng.random::<f32>() < NOISY_IN_THE_DARK {
                let sigma = rng.random_range(DARK_NOISE);
                add_noise(rng, sigma, picture);
            }
            (rng.random_range(TOO_DARK).exp(), 0.0)
        }
        1 => {
            let contrast = rng.random_range(TOO_FLAT).exp();
            (contrast, rng.random_range(0.0..=1.0 - contrast))
        }
        _ => (1.0, 0.0),
    };
    for value in picture {
        *value = ((*value * gain + offset) * 255.0).round() / 255.0;
    }
}

/// A curve of tones for each channel.
pub(super) struct Tone {
    pub gamma: f32,
    pub contrast: f32,
    pub brightness: f32,
    pub gain: [f32; 3],
}

impl Tone {
    pub(super) fn apply(&self, picture: &mut [f32]) {
        // A table of four entries for each step of an 8-bit picture; a power for each value would cost far more.
        const STEPS: usize = 1020;
        let mut tables = [[0.0_f32; STEPS + 1]; 3];
        for step in 0..=STEPS {
            let value = (step as f32 / STEPS as f32).powf(self.gamma);
            let value = (value - 0.5) * self.contrast + 0.5 + self.brightness;
            for (table, gain) in tables.iter_mut().zip(self.gain) {
                table[step] = (value * gain).clamp(0.0, 1.0);
            }
        }
        // Added to 2^23, a number below 2^23 is rounded to an integer, which stands in the low bits: far cheaper than a
        // checked conversion.
        const ROUND: f32 = (1 << 23) as f32;
        let step = |value: f32| ((value * STEPS as f32 + ROUND).to_bits() & 0x7fff) as usize;
        for pixel in picture.as_chunks_mut::<3>().0 {
            for (value, table) in pixel.iter_mut().zip(&tables) {
                *value = table[step(*value).min(STEPS)];
            }
        }
    }
}

/// Stretches the levels so that all but the darkest and the brightest pixels fill most of the range.
pub(super) fn stretch(rng: &mut ChaCha8Rng, picture: &mut [f32]) {
    let mut levels: Vec<f32> = picture.as_chunks::<3>().0.iter().map(|p| p[0].max(p[1]).max(p[2])).collect();
    let clipped = ((levels.len() as f32 * CLIPPED) as usize).min(levels.len() - 1);
    let last = levels.len() - 1;
    let dark = *levels.select_nth_unstable_by(clipped, f32::total_cmp).1;
    let bright = *levels.select_nth_unstable_by(last - clipped, f32::total_cmp).1;
    let (from, to) = (rng.random_range(STRETCHED_DARK), rng.random_range(STRETCHED_BRIGHT));
    let gain = (to - from) / (bright - dark).max(FEWEST_LEVELS);
    picture.iter_mut().for_each(|v| *v = (from + (*v - dark) * gain).clamp(0.0, 1.0));
}

/// Removes the colour (luma of ITU-R BT.601).
pub(super) fn grey(picture: &mut [f32]) {
    fade(picture, 1.0);
}

/// Removes a share of the colour.
fn fade(picture: &mut [f32], share: f32) {
    for pixel in picture.as_chunks_mut::<3>().0 {
        let luma = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        *pixel = pixel.map(|value| ((1.0 - share) * value + share * luma).min(1.0));
    }
}

/// Scales the picture down and up again.
pub(super) fn lower_resolution(rng: &mut ChaCha8Rng, height: usize, width: usize, picture: &mut [f32]) {
    let share = rng.random_range(LOW_RESOLUTION);
    let shrunk = |length: usize| ((length as f32 * share).round() as usize).max(1);
    let (low_height, low_width) = (shrunk(height), shrunk(width));
    let low = resized(picture, (height, width), (low_height, low_width));
    picture.copy_from_slice(&resized(&low, (low_height, low_width), (height, width)));
}

/// Resizes bilinearly; for shrinking, the triangle filter is widened, so that every pixel counts.
fn resized(picture: &[f32], (height, width): (usize, usize), (new_height, new_width): (usize, usize)) -> Vec<f32> {
    let mut narrow = vec![0.0; height * new_width * 3];
    let columns = Taps::new(width, new_width);
    for (row, new_row) in picture.chunks_exact(width * 3).zip(narrow.chunks_exact_mut(new_width * 3)) {
        let (pixels, _) = row.as_chunks::<3>();
        for (pixel, (start, weights)) in new_row.as_chunks_mut::<3>().0.iter_mut().zip(columns.each()) {
            for (source, weight) in pixels[start..].iter().zip(weights) {
                for (sum, value) in pixel.iter_mut().zip(source) {
                    *sum += weight * value;
                }
            }
        }
    }
    let mut result = vec![0.0; new_height * new_width * 3];
    let rows = Taps::new(height, new_height);
    for (new_row, (start, weights)) in result.chunks_exact_mut(new_width * 3).zip(rows.each()) {
        for (source, weight) in narrow.chunks_exact(new_width * 3).skip(start).zip(weights) {
            for (sum, value) in new_row.iter_mut().zip(source) {
                *sum += weight * value;
            }
        }
        for value in new_row {
            *value = value.clamp(0.0, 1.0); // rounding may leave 1.0000001
        }
    }
    result
}

/// The weights of the source pixels that each pixel of a resized line is made of.
struct Taps {
    /// First source pixel, first weight, number of weights.
    spans: Vec<(usize, usize, usize)>,
    weights: Vec<f32>,
}

impl Taps {
    fn new(length: usize, new_length: usize) -> Self {
        let step = length as f32 / new_length as f32;
        let radius = step.max(1.0);
        let mut taps = Self { spans: Vec::with_capacity(new_length), weights: Vec::new() };
        for i in 0..new_length {
            let center = (i as f32 + 0.5) * step - 0.5;
            let start = (center - radius).ceil().max(0.0) as usize;
            let end = ((center + radius).floor() as usize).min(length - 1).max(start);
            let first = taps.weights.len();
            // Beyond the border the nearest pixel counts, or else points near it would move inwards.
            for tap in (center - radius).ceil() as i32..=(center + radius).floor() as i32 {
                let weight = (1.0 - (tap as f32 - center).abs() / radius).max(0.0);
                let inside = (tap.clamp(start as i32, end as i32)) as usize;
                if taps.weights.len() <= first + inside - start {
                    taps.weights.resize(first + inside - start + 1, 0.0);
                }
                taps.weights[first + inside - start] += weight;
            }
            let sum: f32 = taps.weights[first..].iter().sum();
            taps.weights[first..].iter_mut().for_each(|w| *w /= sum);
            taps.spans.push((start, first, taps.weights.len() - first));
        }
        taps
    }

    fn each(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.spans.iter().map(|&(start, first, count)| (start, &self.weights[first..first + count]))
    }
}

/// Blurs with a Gaussian.
pub(super) fn blur(rng: &mut ChaCha8Rng, height: usize, width: usize, picture: &mut [f32]) {
    let sigma = rng.random_range(BLUR_SIGMA) * height.max(width) as f32;
    let radius = (2.5 * sigma).ceil() as i32;
    let mut kernel: Vec<(i32, i32, f32)> =
        (-radius..=radius).map(|d| (d, 0, (-0.5 * (d as f32 / sigma).powi(2)).exp())).collect();
    average(height, width, picture, &kernel);
    kernel.iter_mut().for_each(|(dx, dy, _)| (*dx, *dy) = (0, *dx));
    average(height, width, picture, &kernel);
}

/// Blurs along a line of random direction.
pub(super) fn motion_blur(rng: &mut ChaCha8Rng, height: usize, width: usize, picture: &mut [f32]) {
    let half = 0.5 * rng.random_range(MOTION_LENGTH) * height.max(width) as f32;
    let (sin, cos) = (rng.random::<f32>() * std::f32::consts::PI).sin_cos();
    let steps = half.ceil() as i32;
    let kernel: Vec<(i32, i32, f32)> = (-steps..=steps)
        .map(|step| {
            let along = half * step as f32 / steps as f32;
            ((along * cos).round() as i32, (along * sin).round() as i32, 1.0)
        })
        .collect();
    average(height, width, picture, &kernel);
}

/// Replaces every pixel by the mean of its neighbours at `(dx, dy)` with the given weights (made to sum up to 1);
/// beyond the border the nearest pixel counts.
fn average(height: usize, width: usize, picture: &mut [f32], kernel: &[(i32, i32, f32)]) {
    let margin = kernel.iter().map(|k| k.0.unsigned_abs() as usize).max().unwrap_or(0);
    let padded_width = width + 2 * margin;
    let mut padded = vec![[0.0_f32; 3]; height * padded_width];
    let (pixels, _) = picture.as_chunks::<3>();
    for (line, row) in padded.chunks_exact_mut(padded_width).zip(pixels.chunks_exact(width)) {
        line[..margin].fill(row[0]);
        line[margin..margin + width].copy_from_slice(row);
        line[margin + width..].fill(row[width - 1]);
    }
    let sum: f32 = kernel.iter().map(|k| k.2).sum();
    for (y, row) in picture.chunks_exact_mut(width * 3).enumerate() {
        row.fill(0.0);
        for &(dx, dy, weight) in kernel {
            let line = (y as i32 + dy).clamp(0, height as i32 - 1) as usize * padded_width;
            let start = line + (margin as i32 + dx) as usize;
            let weight = weight / sum;
            for (value, source) in row.iter_mut().zip(padded[start..start + width].as_flattened()) {
                *value += weight * source;
            }
        }
        for value in row {
            *value = value.clamp(0.0, 1.0);
        }
    }
}

/// Adds noise.
pub(super) fn noise(rng: &mut ChaCha8Rng, picture: &mut [f32]) {
    let sigma = rng.random_range(NOISE_SIGMA);
    add_noise(rng, sigma, picture);
}

/// Adds noise of this standard deviation that is nearly Gaussian: in each channel, or the same in all three.
fn add_noise(rng: &mut ChaCha8Rng, sigma: f32, picture: &mut [f32]) {
    /// Standard deviation of the sum of four random bytes.
    const SPREAD: f32 = 147.8;
    let colored = rng.random::<bool>();
    let mut bytes = vec![0_u8; if colored { 4 * picture.len() } else { 4 * picture.len() / 3 }];
    rng.fill_bytes(&mut bytes);
    let drawn = bytes.as_chunks::<4>().0.iter().map(|b| {
        let sum: u16 = b.iter().map(|&byte| u16::from(byte)).sum();
        (f32::from(sum) - 510.0) * (sigma / SPREAD)
    });
    if colored {
        picture.iter_mut().zip(drawn).for_each(|(value, noise)| *value = (*value + noise).clamp(0.0, 1.0));
    } else {
        for (pixel, noise) in picture.as_chunks_mut::<3>().0.iter_mut().zip(drawn) {
            *pixel = pixel.map(|value| (value + noise).clamp(0.0, 1.0));
        }
    }
}

/// The centre of a square picture's light, in its pixels, and the sum of the light.
#[cfg(test)]
pub(super) fn center_of_light(
    picture: &[f32],
    size: usize,
) -> (crate::runtime::geometry::Point<crate::runtime::geometry::CropSpace>, f64) {
    let (mut x, mut y, mut sum) = (0.0, 0.0, 0.0);
    for (i, pixel) in picture.chunks_exact(3).enumerate() {
        let light = f64::from(pixel[0]);
        x += light * (i % size) as f64;
        y += light * (i / size) as f64;
        sum += light;
    }
    (crate::runtime::geometry::Point::new((x / sum) as f32, (y / sum) as f32), sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Point;
    use rand::SeedableRng;

    const SIZE: usize = 64;

    /// A smooth spot of light that lies between the pixels.
    fn spot() -> Vec<f32> {
        let middle = Point::<crate::runtime::geometry::CropSpace>::new(29.3, 33.6);
        let value = |i: usize| {
            let d = Point::new((i % SIZE) as f32, (i / SIZE) as f32).distance(middle) / 3.0;
            (-0.5 * d * d).exp()
        };
        (0..SIZE * SIZE).flat_map(|i| [value(i); 3]).collect()
    }

    #[test]
    fn nothing_that_blurs_moves_the_light_or_loses_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let before = center_of_light(&spot(), SIZE);
        for change in [lower_resolution, blur, motion_blur] {
            for _ in 0..50 {
                let mut picture = spot();
                change(&mut rng, SIZE, SIZE, &mut picture);
                assert_ne!(picture, spot());
                let after = center_of_light(&picture, SIZE);
                assert!(after.0.distance(before.0) < 0.05, "{before:?} {after:?}");
                assert!((after.1 / before.1 - 1.0).abs() < 0.02, "{before:?} {after:?}");
            }
        }
    }

    #[test]
    fn a_plain_picture_stays_plain_when_blurred() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for change in [lower_resolution, blur, motion_blur] {
            let mut picture = vec![0.25; 9 * 20 * 3];
            change(&mut rng, 9, 20, &mut picture);
            assert!(picture.iter().all(|v| (v - 0.25).abs() < 1e-5));
        }
    }

    #[test]
    fn poor_light_keeps_what_is_bright_brighter_and_only_whole_levels() {
        for seed in 0..100 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut picture = spot();
            poor_light(&mut rng, SIZE, SIZE, &mut picture);
            assert!(picture.iter().all(|v| (0.0..=1.0).contains(v) && (255.0 * v - (255.0 * v).round()).abs() < 1e-3));
            let at = |x: usize, y: usize| picture[(y * SIZE + x) * 3];
            assert!(at(29, 34) > at(18, 34) && at(29, 34) > at(29, 50), "seed {seed}");
        }
    }

    #[test]
    fn an_ellipse_covers_less_than_its_rectangle() {
        let covered = |ellipses: f32| {
            let mut rng = ChaCha8Rng::seed_from_u64(5);
            let mut sum = 0;
            for _ in 0..200 {
                let mut picture = vec![-1.0; SIZE * SIZE * 3];
                occlude(&mut rng, SIZE, SIZE, &mut picture, ellipses, &mut |_| Ok(None)).unwrap();
                sum += picture.iter().filter(|v| **v >= 0.0).count();
            }
            sum as f64
        };
        let share = covered(1.0) / covered(0.0);
        assert!((0.7..0.9).contains(&share), "{share}");
    }

    #[test]
    fn neutral_tones_change_nothing_visible() {
        let mut picture = spot();
        Tone { gamma: 1.0, contrast: 1.0, brightness: 0.0, gain: [1.0; 3] }.apply(&mut picture);
        assert!(picture.iter().zip(spot()).all(|(a, b)| (a - b).abs() < 0.6 / 1020.0));
        let mut darker = spot();
        Tone { gamma: 2.0, contrast: 1.0, brightness: 0.0, gain: [1.0, 1.0, 0.5] }.apply(&mut darker);
        assert!(darker.iter().zip(spot()).all(|(a, b)| *a <= b + 0.001));
        assert!(darker[5] < 0.51 * darker[4] + 0.001);
    }

    #[test]
    fn noise_has_no_mean() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..10 {
            let mut picture = vec![0.5; 64 * 64 * 3];
            noise(&mut rng, &mut picture);
            let mean = picture.iter().sum::<f32>() / picture.len() as f32;
            let variance = picture.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / picture.len() as f32;
            assert!((mean - 0.5).abs() < 0.004);
            assert!((0.008..0.065).contains(&variance.sqrt()));
        }
    }
}
