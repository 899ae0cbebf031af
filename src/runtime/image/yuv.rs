//! Conversion of YUV pictures to RGB.
//!
//! In: 8-bit luma and chroma samples in the layouts of cameras (YUYV, NV12) and of video (4:2:0, 4:2:2, 4:4:4 planes
//! and grey), BT.601, limited range (16..=235) or full. Out: interleaved RGB, each value within 1 of the exact formula.
//! A chroma sample applies to all pixels that share it, without interpolation. Rows are processed in blocks that the
//! compiler vectorizes for the instruction set of the running core.

use crate::runtime::simd::{Isa, Kernel, Simd, dispatch};

/// Pairs of pixels converted at once: the values of a block fill whole vectors and stay in registers and the L1 cache.
/// Half this number took three times as long with AVX2.
const PAIRS: usize = 32;

/// Fractional bits of the sums. More would not fit into 16 bits, and a vector holds twice as many 16-bit as 32-bit
/// values.
const FRACTION: u32 = 5;
/// Luma and chroma are shifted left by this many bits before the high half of their product with a coefficient is
/// taken.
const LUMA_SHIFT: u32 = 7;
const CHROMA_SHIFT: u32 = 8;

/// The luma values of black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Range {
    /// Black is 16, white 235, as in cameras, and by default in videos.
    #[default]
    Limited,
    /// Black is 0, white 255, as in JPEG.
    Full,
}

/// A picture in YUV and its layout in memory.
#[derive(Clone, Copy, Debug)]
pub enum Yuv<'a> {
    /// Y0 U Y1 V for every two pixels; `stride` bytes a row.
    Yuyv { bytes: &'a [u8], stride: usize },
    /// A plane of luma, then one of U V pairs for every 2x2 pixels; both have `stride` bytes a row.
    Nv12 { bytes: &'a [u8], stride: usize },
    /// A plane of luma, one of U, one of V, without gaps; a chroma sample for `across` x `down` pixels (each 1 or 2).
    Planes { bytes: &'a [u8], across: usize, down: usize },
    /// Only luma.
    Grey { bytes: &'a [u8], stride: usize },
}

impl Yuv<'_> {
    /// The number of bytes of a picture of `width` x `height` pixels in this layout; `None` if the layout does not
    /// support that size.
    pub fn bytes_needed(self, width: usize, height: usize) -> Option<usize> {
        let rows = |stride: usize, least: usize, rows: usize| {
            // The last row may end with its last pixel.
            (stride >= least).then(|| stride.checked_mul(rows.checked_sub(1)?)?.checked_add(least)).flatten()
        };
        match self {
            Yuv::Yuyv { stride, .. } if width.is_multiple_of(2) => rows(stride, width.checked_mul(2)?, height),
            Yuv::Nv12 { stride, .. } if width.is_multiple_of(2) => {
                rows(stride, width, height.checked_add(height.div_ceil(2))?)
            }
            Yuv::Yuyv { .. } | Yuv::Nv12 { .. } => None,
            Yuv::Planes { across, down, .. } => {
                let chroma = width.div_ceil(across).checked_mul(height.div_ceil(down))?;
                width.checked_mul(height)?.checked_add(chroma.checked_mul(2)?)
            }
            Yuv::Grey { stride, .. } => rows(stride, width, height),
        }
    }

    fn bytes(&self) -> &[u8] {
        match *self {
            Yuv::Yuyv { bytes, .. } | Yuv::Nv12 { bytes, .. } | Yuv::Planes { bytes, .. } | Yuv::Grey { bytes, .. } => {
                bytes
            }
        }
    }

    /// Converts to `width * height * 3` bytes of RGB with the instructions of `isa`. Returns false and leaves `rgb`
    /// untouched if either buffer is too short or the layout does not support the size.
    pub fn to_rgb(self, isa: Isa, width: usize, height: usize, range: Range, rgb: &mut [u8]) -> bool {
        let enough = self.bytes_needed(width, height).is_some_and(|needed| self.bytes().len() >= needed);
        if width == 0 || height == 0 || !enough || rgb.len() != width * height * 3 {
            return false;
        }
        dispatch(isa, Conversion { yuv: self, width, height, matrix: Matrix::of(range), rgb });
        true
    }
}

/// BT.601, scaled so that the high 16 bits of a product have [`FRACTION`] fractional bits.
#[derive(Clone, Copy)]
struct Matrix {
    black: i16,
    luma: i16,
    red_v: i16,
    green_u: i16,
    green_v: i16,
    blue_u: i16,
}

impl Matrix {
    fn of(range: Range) -> Self {
        let (luma, chroma, black) = match range {
            Range::Limited => (255.0 / 219.0, 255.0 / 224.0, 16),
            Range::Full => (1.0, 1.0, 0),
        };
        // Weights of red, green and blue in luma.
        const KR: f64 = 0.299;
        const KB: f64 = 0.114;
        const KG: f64 = 1.0 - KR - KB;
        let fixed = |value: f64, shift: u32| (value * f64::from(1 << (16 + FRACTION - shift))).round() as i16;
        let chroma = |value: f64| fixed(value * chroma, CHROMA_SHIFT);
        Self {
            black,
            luma: fixed(luma, LUMA_SHIFT),
            red_v: chroma(2.0 * (1.0 - KR)),
            green_u: chroma(-2.0 * (1.0 - KB) * KB / KG),
            green_v: chroma(-2.0 * (1.0 - KR) * KR / KG),
            blue_u: chroma(2.0 * (1.0 - KB)),
        }
    }
}

struct Conversion<'a> {
    yuv: Yuv<'a>,
    width: usize,
    height: usize,
    matrix: Matrix,
    rgb: &'a mut [u8],
}

/// The samples of `PAIRS` pairs of pixels that share their chroma.
#[derive(Default)]
struct Block {
    /// Luma of the left and of the right pixels.
    left: [i16; PAIRS],
    right: [i16; PAIRS],
    u: [i16; PAIRS],
    v: [i16; PAIRS],
}

impl Kernel for Conversion<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let Self { yuv, width, height, matrix, rgb } = self;
        let mut block = Block::default();
        for (row, out) in rgb.chunks_exact_mut(width * 3).enumerate() {
            match yuv {
                Yuv::Yuyv { bytes, stride } => {
                    let line = &bytes[row * stride..row * stride + width * 2];
                    let (groups, rest) = line.as_chunks::<{ 4 * PAIRS }>();
                    let (targets, last) = out.as_chunks_mut::<{ 6 * PAIRS }>();
                    for (group, target) in groups.iter().zip(targets) {
                        block.take_yuyv(group);
                        block.to_rgb(&matrix, target);
                    }
                    if !rest.is_empty() {
                        block.take_yuyv(&padded(rest));
                        block.to_rgb_partly(&matrix, last);
                    }
                }
                Yuv::Nv12 { bytes, stride } => {
                    let luma = &bytes[row * stride..row * stride + width];
                    let at = (height + row / 2) * stride;
                    let chroma = &bytes[at..at + width];
                    convert_row(&mut block, &matrix, luma, out, |block, from, count| {
                        let pairs = &chroma[from..from + count];
                        match pairs.try_into() {
                            Ok(whole) => block.take_uv(whole),
                            Err(_) => block.take_uv(&padded(pairs)),
                        }
                    });
                }
                Yuv::Planes { bytes, across, down } => {
                    let (luma, chroma) = bytes.split_at(width * height);
                    let (samples, lines) = (width.div_ceil(across), height.div_ceil(down));
                    let (u, v) = chroma.split_at(samples * lines);
                    let at = row / down * samples;
                    let (u, v) = (&u[at..at + samples], &v[at..at + samples]);
                    let luma = &luma[row * width..(row + 1) * width];
                    if across == 1 {
                        convert_row_of_single_pixels(&mut block, &matrix, luma, [u, v], out);
                        continue;
                    }
                    convert_row(&mut block, &matrix, luma, out, |block, from, count| {
                        let samples = from / 2..(from + count).div_ceil(2);
                        widen(&u[samples.clone()], &mut block.u);
                        widen(&v[samples], &mut block.v);
                    });
                }
                Yuv::Grey { bytes, stride } => {
                    (block.u, block.v) = ([128; PAIRS], [128; PAIRS]);
                    let luma = &bytes[row * stride..row * stride + width];
                    convert_row(&mut block, &matrix, luma, out, |_, _, _| {});
                }
            }
        }
    }
}

/// The bytes, padded with zeros.
#[inline(always)]
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut whole = [0; N];
    whole[..bytes.len()].copy_from_slice(bytes);
    whole
}

#[inline(always)]
fn widen(from: &[u8], to: &mut [i16; PAIRS]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = i16::from(from);
    }
}

/// Converts a row of luma with the chroma that `fill` writes into the block, for `count` pixels from pixel `from`.
#[inline(always)]
fn convert_row(
    block: &mut Block,
    matrix: &Matrix,
    luma: &[u8],
    out: &mut [u8],
    fill: impl Fn(&mut Block, usize, usize),
) {
    let (groups, rest) = luma.as_chunks::<{ 2 * PAIRS }>();
    let (targets, last) = out.as_chunks_mut::<{ 6 * PAIRS }>();
    for (index, (group, target)) in groups.iter().zip(targets).enumerate() {
        block.take_luma(group);
        fill(block, index * 2 * PAIRS, 2 * PAIRS);
        block.to_rgb(matrix, target);
    }
    if !rest.is_empty() {
        block.take_luma(&padded(rest));
        fill(block, luma.len() - rest.len(), rest.len());
        block.to_rgb_partly(matrix, last);
    }
}

/// Without shared chroma each pixel is treated as a pair, of which only the left one is used.
#[inline(always)]
fn convert_row_of_single_pixels(block: &mut Block, matrix: &Matrix, luma: &[u8], [u, v]: [&[u8]; 2], out: &mut [u8]) {
    let chunks = luma.chunks(PAIRS).zip(u.chunks(PAIRS)).zip(v.chunks(PAIRS)).zip(out.chunks_mut(3 * PAIRS));
    for (((luma, u), v), out) in chunks {
        widen(luma, &mut block.left);
        widen(u, &mut block.u);
        widen(v, &mut block.v);
        let mut pairs = [0; 6 * PAIRS];
        block.to_rgb(matrix, &mut pairs);
        for (pixel, pair) in out.chunks_exact_mut(3).zip(pairs.chunks_exact(6)) {
            pixel.copy_from_slice(&pair[..3]);
        }
    }
}

impl Block {
    #[inline(always)]
    fn take_yuyv(&mut self, bytes: &[u8; 4 * PAIRS]) {
        for i in 0..PAIRS {
            self.left[i] = i16::from(bytes[4 * i]);
            self.u[i] = i16::from(bytes[4 * i + 1]);
            self.right[i] = i16::from(bytes[4 * i + 2]);
            self.v[i] = i16::from(bytes[4 * i + 3]);
        }
    }

    #[inline(always)]
    fn take_luma(&mut self, bytes: &[u8; 2 * PAIRS]) {
        for i in 0..PAIRS {
            (self.left[i], self.right[i]) = (i16::from(bytes[2 * i]), i16::from(bytes[2 * i + 1]));
        }
    }

    #[inline(always)]
    fn take_uv(&mut self, bytes: &[u8; 2 * PAIRS]) {
        for i in 0..PAIRS {
            (self.u[i], self.v[i]) = (i16::from(bytes[2 * i]), i16::from(bytes[2 * i + 1]));
        }
    }

    #[inline(always)]
    fn to_rgb(&self, matrix: &Matrix, out: &mut [u8; 6 * PAIRS]) {
        let (mut red, mut green, mut blue) = ([0_u8; 2 * PAIRS], [0_u8; 2 * PAIRS], [0_u8; 2 * PAIRS]);
        // The high half of the product; it never overflows, see the scales above.
        let times = |a: i16, b: i16| ((i32::from(a) * i32::from(b)) >> 16) as i16;
        // Half a unit of the result, plus half of the last place for each of the high halves, which were rounded down.
        let cut = |value: i16| ((value + (1 << (FRACTION - 1)) + 1) >> FRACTION).clamp(0, 255) as u8;
        for i in 0..PAIRS {
            let luma = |y: i16| times((y - matrix.black) << LUMA_SHIFT, matrix.luma);
            let (left, right) = (luma(self.left[i]), luma(self.right[i]));
            let (u, v) = ((self.u[i] - 128) << CHROMA_SHIFT, (self.v[i] - 128) << CHROMA_SHIFT);
            let (r, b) = (times(v, matrix.red_v), times(u, matrix.blue_u));
            let g = times(u, matrix.green_u) + times(v, matrix.green_v);
            (red[2 * i], red[2 * i + 1]) = (cut(left + r), cut(right + r));
            (green[2 * i], green[2 * i + 1]) = (cut(left + g), cut(right + g));
            (blue[2 * i], blue[2 * i + 1]) = (cut(left + b), cut(right + b));
        }
        for i in 0..2 * PAIRS {
            out[3 * i] = red[i];
            out[3 * i + 1] = green[i];
            out[3 * i + 2] = blue[i];
        }
    }

    /// The first `out.len() / 3` pixels.
    #[inline(always)]
    fn to_rgb_partly(&self, matrix: &Matrix, out: &mut [u8]) {
        let mut whole = [0; 6 * PAIRS];
        self.to_rgb(matrix, &mut whole);
        out.copy_from_slice(&whole[..out.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    /// BT.601 by its textbook formula.
    fn exact(range: Range, y: u8, u: u8, v: u8) -> [f64; 3] {
        let (y, u, v) = match range {
            Range::Limited => {
                ((f64::from(y) - 16.0) / 219.0, (f64::from(u) - 128.0) / 224.0, (f64::from(v) - 128.0) / 224.0)
            }
            Range::Full => (f64::from(y) / 255.0, (f64::from(u) - 128.0) / 255.0, (f64::from(v) - 128.0) / 255.0),
        };
        let (red, blue) = (y + 1.402 * v, y + 1.772 * u);
        let green = (y - 0.299 * red - 0.114 * blue) / 0.587;
        [red, green, blue].map(|value| 255.0 * value.clamp(0.0, 1.0))
    }

    fn noise(count: usize, seed: u64) -> Vec<u8> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| random.random()).collect()
    }

    /// Converts with every instruction set and compares with the samples that `sample` gives for a pixel.
    fn check(
        yuv: Yuv<'_>,
        (width, height): (usize, usize),
        range: Range,
        sample: impl Fn(usize, usize) -> (u8, u8, u8),
    ) {
        for isa in Isa::available() {
            let mut rgb = vec![0; width * height * 3];
            assert!(yuv.to_rgb(isa, width, height, range, &mut rgb));
            for (at, pixel) in rgb.chunks_exact(3).enumerate() {
                let (y, u, v) = sample(at % width, at / width);
                for (actual, expected) in pixel.iter().zip(exact(range, y, u, v)) {
                    let error = (f64::from(*actual) - expected).abs();
                    assert!(error <= 1.0, "{}: {pixel:?} for {:?}", isa.name(), (y, u, v));
                }
            }
        }
    }

    #[test]
    fn every_layout_has_the_colours_of_the_formula() {
        for (width, height) in [(2, 1), (64, 2), (130, 5), (198, 3)] {
            for range in [Range::Limited, Range::Full] {
                let stride = width * 2 + 6;
                let bytes = noise(stride * height, 1);
                check(Yuv::Yuyv { bytes: &bytes, stride }, (width, height), range, |x, y| {
                    let at = y * stride + x / 2 * 4;
                    (bytes[y * stride + 2 * x], bytes[at + 1], bytes[at + 3])
                });
                let stride = width + 10;
                let bytes = noise(stride * (height + height.div_ceil(2)), 2);
                check(Yuv::Nv12 { bytes: &bytes, stride }, (width, height), range, |x, y| {
                    let at = (height + y / 2) * stride + x / 2 * 2;
                    (bytes[y * stride + x], bytes[at], bytes[at + 1])
                });
                check(Yuv::Grey { bytes: &bytes, stride }, (width, height), range, |x, y| {
                    (bytes[y * stride + x], 128, 128)
                });
            }
        }
        for (width, height) in [(1_usize, 1_usize), (65, 3), (131, 4)] {
            for (across, down) in [(1, 1), (2, 1), (2, 2)] {
                let samples = width.div_ceil(across);
                let chroma = samples * height.div_ceil(down);
                let bytes = noise(width * height + 2 * chroma, 3);
                check(Yuv::Planes { bytes: &bytes, across, down }, (width, height), Range::Limited, |x, y| {
                    let at = width * height + y / down * samples + x / across;
                    (bytes[y * width + x], bytes[at], bytes[at + chroma])
                });
            }
        }
    }

    #[test]
    fn too_few_bytes_and_impossible_sizes_are_refused() {
        let bytes = [0; 24];
        let mut rgb = vec![7; 4 * 3 * 3];
        for yuv in [
            Yuv::Yuyv { bytes: &bytes[..23], stride: 8 },
            Yuv::Yuyv { bytes: &bytes, stride: 7 },
            Yuv::Nv12 { bytes: &bytes[..19], stride: 4 },
            Yuv::Planes { bytes: &bytes[..15], across: 2, down: 2 },
            Yuv::Grey { bytes: &bytes[..11], stride: 4 },
        ] {
            assert!(!yuv.to_rgb(Isa::Portable, 4, 3, Range::Limited, &mut rgb), "{yuv:?}");
        }
        assert!(!Yuv::Yuyv { bytes: &bytes, stride: 8 }.to_rgb(Isa::Portable, 3, 3, Range::Limited, &mut rgb[..27]));
        assert!(!Yuv::Grey { bytes: &[], stride: 0 }.to_rgb(Isa::Portable, 0, 0, Range::Limited, &mut []));
        assert!(rgb.iter().all(|&v| v == 7));
        assert!(Yuv::Yuyv { bytes: &bytes, stride: 8 }.to_rgb(Isa::Portable, 4, 3, Range::Limited, &mut rgb));
    }
}
