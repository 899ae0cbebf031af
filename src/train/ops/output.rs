//! The output of kernels: one vector, in parts that threads write at the same time.
//!
//! In: the caller's vector. Out: the same vector with new contents; its memory is not cleared in between.

use super::vectors::{load, store};
use crate::runtime::simd::Simd;

/// The operations of a convolution on a sum before it is written: plus bias, plus residual, at least 0 if `relu`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One number an output channel.
    pub bias: Option<&'a [f32]>,
    /// Laid out as the output.
    pub residual: Option<&'a [f32]>,
    pub relu: bool,
}

impl Epilogue<'_> {
    /// # Panics
    /// If bias or residual don't fit an output of `length` numbers in so many channels.
    pub(super) fn check(&self, channels: usize, length: usize) {
        assert!(self.bias.is_none_or(|bias| bias.len() == channels));
        assert!(self.residual.is_none_or(|residual| residual.len() == length));
    }

    /// Finishes the first `count` lanes of a vector of sums, which belong to the channels from `channel` on, and writes
    /// them to the output from `at` on.
    ///
    /// # Safety
    /// As for [`Simd`]. [`Self::check`] has passed for this output; `channel + count` is at most its number of
    /// channels, and nobody else writes its `count` numbers from `at` on.
    #[inline(always)]
    pub(super) unsafe fn write<S: Simd>(
        &self,
        s: S,
        out: Out,
        at: usize,
        channel: usize,
        count: usize,
        sum: S::Vector,
    ) {
        // SAFETY: passed on.
        unsafe {
            let mut value = sum;
            if let Some(bias) = self.bias {
                value = s.add(value, load(s, bias.as_ptr().add(channel), count));
            }
            if let Some(residual) = self.residual {
                value = s.add(value, load(s, residual.as_ptr().add(at), count));
            }
            if self.relu {
                value = s.max(value, s.splat(0.0));
            }
            store(s, out.pointer().add(at), value, count);
        }
    }
}

/// The output of a kernel; ranges of different threads don't overlap.
#[derive(Clone, Copy)]
pub(super) struct Out(*mut f32);

// SAFETY: every thread writes its own range of pixels only.
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

impl Out {
    /// The first number.
    pub fn pointer(self) -> *mut f32 {
        self.0
    }
}

/// Replaces the contents of `out` by `length` numbers, all written by `write` through its pointer. The memory of `out`
/// is reused if it is large enough, and not cleared first.
///
/// # Safety
/// `write` must write every one of the `length` numbers.
pub(super) unsafe fn fill(out: &mut Vec<f32>, length: usize, write: impl FnOnce(Out)) {
    out.clear();
    out.reserve_exact(length);
    write(Out(out.as_mut_ptr()));
    // SAFETY: `write` has written them by this function's contract.
    unsafe { out.set_len(length) };
}
