//! Steps that a single thread runs: all but products.

use super::picture::{gate, picture};
use super::sum::sum;
use super::{Bf16Factor, ByteFactor, F32Factor, Factor};
use crate::runtime::engine::plan::{Action, Address};
use crate::runtime::simd::{Bf16Kernel, Int8Kernel, Kernel, Simd, SimdBf16, SimdInt8};

/// Runs a step that is not a product.
pub(in crate::runtime::engine) struct RunWhole<'a> {
    pub action: &'a Action<Address>,
    /// `height * width * 3` values.
    pub picture: &'a [f32],
    /// The plan's.
    pub tables: &'a [Vec<u32>],
    /// The plan's.
    pub memory: *mut u8,
}

impl RunWhole<'_> {
    /// # Safety
    /// The core has the instruction set; action, picture, tables and memory are of one plan.
    #[inline(always)]
    unsafe fn run_in<S: Simd, F: Factor<S>>(self, s: S) {
        // SAFETY: by this function's contract.
        unsafe {
            match self.action {
                Action::Picture(action) => picture::<S, F>(s, action, self.picture, self.memory),
                Action::Gate(action) => gate::<S, F>(action, self.tables, self.memory),
                Action::Sum(action) => sum::<S, F>(s, action, self.tables, self.memory),
                Action::Product(_) | Action::Integer(_) => unreachable!("products are run in parts"),
            }
        }
    }
}

impl Kernel for RunWhole<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        // SAFETY: the core has the instruction set by the contract of `Kernel`; the rest is of one plan.
        unsafe { self.run_in::<S, F32Factor>(s) }
    }
}

impl Bf16Kernel for RunWhole<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: SimdBf16>(self, s: S) {
        // SAFETY: as above.
        unsafe { self.run_in::<S, Bf16Factor<S>>(s) }
    }
}

impl Int8Kernel for RunWhole<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: SimdInt8>(self, s: S) {
        match self.action {
            // SAFETY: as above.
            Action::Picture(action) => unsafe { picture::<S, ByteFactor<S>>(s, action, self.picture, self.memory) },
            _ => unreachable!("of what has no products, only the picture is written in bytes"),
        }
    }
}
