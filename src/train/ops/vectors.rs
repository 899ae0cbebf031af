//! Whole vectors of numbers, and the shorter ones at the end of a row of channels.

use super::dense::MOST_CHANNELS;
use crate::runtime::simd::Simd;

/// The values of a pixel beyond the picture.
pub(super) static ZEROS: [f32; MOST_CHANNELS] = [0.0; MOST_CHANNELS];

/// The first `count` lanes from memory, all of them if that is a whole vector.
///
/// # Safety
/// As for [`Simd`]; `count <= S::LANES` numbers lie there.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(s: S, from: *const f32, count: usize) -> S::Vector {
    // SAFETY: passed on.
    unsafe { if count == S::LANES { s.load(from) } else { s.load_partial(from, count) } }
}

/// The first `count` lanes to memory, all of them if that is a whole vector.
///
/// # Safety
/// As for [`Simd`]; `count <= S::LANES` numbers have room there, and nobody else writes them.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(s: S, to: *mut f32, value: S::Vector, count: usize) {
    // SAFETY: passed on.
    unsafe { if count == S::LANES { s.store(to, value) } else { s.store_partial(to, value, count) } }
}
