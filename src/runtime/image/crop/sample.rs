//! Bilinear sampling of a picture along a rotated grid.

use super::Border;
use crate::runtime::geometry::{CropSpace, FrameSpace, Point, Similarity};
use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};

/// 8-bit RGB pixels of a picture, or of the part of it that is sampled.
#[derive(Clone, Copy)]
pub(super) struct Pixels<'a> {
    pub rgb: &'a [u8],
    /// The size of the whole picture.
    pub width: usize,
    pub height: usize,
    /// Bytes from one pixel to the next, at least 3.
    pub step: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Byte offset from the picture's first pixel to the start of `rgb`, which may be only a part of the picture.
    pub skipped: usize,
}

/// Writes `crop_size * crop_size` pixels in 0..=1 to `out`.
pub(super) fn sample(
    isa: Isa,
    pixels: &Pixels<'_>,
    frame_from_crop: &Similarity<FrameSpace, CropSpace>,
    crop_size: usize,
    border: Border,
    out: &mut [f32],
) {
    dispatch(isa, Sampling { pixels, frame_from_crop, crop_size, border, out });
}

struct Sampling<'a> {
    pixels: &'a Pixels<'a>,
    frame_from_crop: &'a Similarity<FrameSpace, CropSpace>,
    crop_size: usize,
    border: Border,
    out: &'a mut [f32],
}

impl Kernel for Sampling<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let Self { pixels, frame_from_crop, crop_size, border, out } = self;
        let (dx, dy) = (fixed(frame_from_crop.a), fixed(frame_from_crop.b));
        let steps = Steps { x: multiples(dx), y: multiples(dy) };
        for (row, line) in out.chunks_exact_mut(crop_size * 3).enumerate() {
            let start = frame_from_crop.apply(Point::new(0.0, row as f32));
            let (mut x, mut y) = (fixed(start.x), fixed(start.y));
            let (groups, rest) = line.as_chunks_mut();
            // SAFETY (both): the core has the instruction set, by the contract of `Kernel::run`.
            for group in groups {
                unsafe { sample_group(s, pixels, (x, y), &steps, border, group) };
                x = x.wrapping_add(dx.wrapping_mul(GROUP as i64));
                y = y.wrapping_add(dy.wrapping_mul(GROUP as i64));
            }
            if !rest.is_empty() {
                let mut whole = [0.0; GROUP * 3];
                unsafe { sample_group(s, pixels, (x, y), &steps, border, &mut whole) };
                rest.copy_from_slice(&whole[..rest.len()]);
            }
        }
    }
}

/// Positions are in units of 2^-32 pixels: rounding down is then a shift, while `f32::floor` is a function call on
/// baseline x86-64.
const FRACTION_BITS: u32 = 32;
/// Positions further outside than any picture is wide are clamped to this. Sums of a few positions do not overflow.
const FAR: f64 = (1_u64 << 24) as f64;

fn fixed(coordinate: f32) -> i64 {
    (f64::from(coordinate).clamp(-FAR, FAR) * (1_u64 << FRACTION_BITS) as f64) as i64
}

/// The fractional part of a position, in 0..1.
#[inline(always)]
fn fraction(position: i64) -> f32 {
    ((position as u32) >> 8) as i32 as f32 * (1.0 / (1 << 24) as f32)
}

/// Crop pixels that are sampled together: neighbours in a row.
const GROUP: usize = 16;

/// The offsets, in the picture, of the pixels of a group from its first.
struct Steps {
    x: [i64; GROUP],
    y: [i64; GROUP],
}

fn multiples(step: i64) -> [i64; GROUP] {
    std::array::from_fn(|i| step.wrapping_mul(i as i64))
}

/// Samples the pixels of a group whose first lies at `start`.
///
/// # Safety
/// The core must have the instruction set of `S`.
#[inline(always)]
unsafe fn sample_group<S: Simd>(
    s: S,
    pixels: &Pixels<'_>,
    start: (i64, i64),
    steps: &Steps,
    border: Border,
    out: &mut [f32; GROUP * 3],
) {
    let stride = pixels.stride;
    // Four bytes are read for each neighbour; at the last pixel of the picture, the fourth may lie beyond the end.
    let neighbours = [0, pixels.step, stride, stride + pixels.step];
    let read = neighbours[3] + 4;
    // Positions below these have four neighbours.
    let limit = |length: usize| (length as i64 - 1) << FRACTION_BITS;
    let (x_limit, y_limit) = (limit(pixels.width), limit(pixels.height));

    let is_inside = |i: usize| {
        let (x, y) = (start.0.wrapping_add(steps.x[i]), start.1.wrapping_add(steps.y[i]));
        (0..x_limit).contains(&x) && (0..y_limit).contains(&y)
    };
    // Positions lie on a line: if both ends are inside, so are those between.
    let is_covered = border == Border::Replicate || (is_inside(0) && is_inside(GROUP - 1));
    if !is_covered || x_limit == 0 || y_limit == 0 {
        return sample_each(pixels, start, steps, border, out);
    }
    let (mut places, mut fx, mut fy) = ([0_usize; GROUP], [0.0_f32; GROUP], [0.0_f32; GROUP]);
    let mut is_readable = true;
    for i in 0..GROUP {
        // A position outside moves to just before the last pixel, where the weight of the other neighbour is
        // negligible.
        let x = start.0.wrapping_add(steps.x[i]).clamp(0, x_limit - 1);
        let y = start.1.wrapping_add(steps.y[i]).clamp(0, y_limit - 1);
        // Products of 32-bit numbers, for which vector instructions exist.
        let whole = |position: i64| u64::from((position >> FRACTION_BITS) as u32);
        let place = whole(y) * u64::from(stride as u32) + whole(x) * u64::from(pixels.step as u32);
        places[i] = (place as usize).wrapping_sub(pixels.skipped);
        (fx[i], fy[i]) = (fraction(x), fraction(y));
        is_readable &= places[i].saturating_add(read) <= pixels.rgb.len();
    }
    if !is_readable {
        return sample_each(pixels, start, steps, border, out);
    }
    let (rgb, at_once) = (pixels.rgb.as_ptr(), S::LANES / 4);
    for first in (0..GROUP).step_by(at_once) {
        // SAFETY: `first + at_once <= GROUP`, and four bytes can be read at every neighbour of every place.
        unsafe {
            let neighbour = |i: usize| s.load_pixels(rgb.add(neighbours[i]), places.as_ptr().add(first));
            let between = |p: S::Vector, q: S::Vector, f: S::Vector| s.add(p, s.mul(f, s.sub(q, p)));
            let (fx, fy) = (s.load_four_times(fx.as_ptr().add(first)), s.load_four_times(fy.as_ptr().add(first)));
            let above = between(neighbour(0), neighbour(1), fx);
            let below = between(neighbour(2), neighbour(3), fx);
            let value = s.mul(between(above, below, fy), s.splat(1.0 / 255.0));
            s.store_pixels(out.as_mut_ptr().add(first * 3), value);
        }
    }
}

/// Like [`sample_group`], one pixel at a time.
#[cold]
fn sample_each(pixels: &Pixels<'_>, start: (i64, i64), steps: &Steps, border: Border, out: &mut [f32; GROUP * 3]) {
    for (i, pixel) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (start.0.wrapping_add(steps.x[i]), start.1.wrapping_add(steps.y[i]));
        *pixel = interpolate_at_border(pixels, x, y, border);
    }
}

/// The interpolated pixel in 0..=1, at any position.
fn interpolate_at_border(pixels: &Pixels<'_>, x: i64, y: i64, border: Border) -> [f32; 3] {
    let (column, row) = (x >> FRACTION_BITS, y >> FRACTION_BITS);
    let (fx, fy) = (fraction(x), fraction(y));
    let (last_column, last_row) = (pixels.width as i64 - 1, pixels.height as i64 - 1);
    if border == Border::Black && (column < -1 || row < -1 || column > last_column || row > last_row) {
        return [0.0; 3];
    }
    let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
    let mut sum = [0.0_f32; 3];
    for (corner, weight) in weights.iter().enumerate() {
        let (x, y) = (column + (corner as i64 & 1), row + (corner as i64 >> 1));
        let (nearest_x, nearest_y) = (x.clamp(0, last_column), y.clamp(0, last_row));
        if border == Border::Black && (x, y) != (nearest_x, nearest_y) {
            continue;
        }
        let at = nearest_y as usize * pixels.stride + nearest_x as usize * pixels.step - pixels.skipped;
        for (s, &value) in sum.iter_mut().zip(&pixels.rgb[at..at + 3]) {
            *s += weight * f32::from(value);
        }
    }
    sum.map(|s| s * (1.0 / 255.0))
}
