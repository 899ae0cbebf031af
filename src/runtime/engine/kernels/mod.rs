//! The kernels of the plan's steps, written once over [`Simd`] and [`Factor`].

mod depthwise;
mod picture;
mod product;

pub(super) use picture::{gate, picture};
pub(super) use product::{RunProduct, most_vectors, tile_cells};

use crate::runtime::simd::{Simd, SimdBf16, SimdInt8, quantize_u8};
use std::marker::PhantomData;

/// The numbers that a matrix product multiplies. Four bytes, a group of neighbouring channels, go into every lane.
///
/// # Safety
/// As for [`Simd`].
pub(super) trait Factor<S: Simd> {
    /// Of one number.
    const BYTES: usize;
    /// Whether sums are integers, and [`Self::floats`] makes numbers of them.
    const SUMS_INTEGERS: bool = false;
    /// The four bytes at `from` in every lane.
    unsafe fn spread(s: S, from: *const u8) -> S::Vector;
    /// `c` plus the products of the groups in each lane.
    unsafe fn multiply_add(s: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector;
    /// Sums as single-precision numbers.
    #[inline(always)]
    unsafe fn floats(s: S, sums: S::Vector) -> S::Vector {
        let _ = s;
        sums
    }
    /// Writes `LANES` numbers.
    unsafe fn store(s: S, to: *mut u8, value: S::Vector);
    /// Writes one number.
    unsafe fn store_one(to: *mut u8, value: f32);
}

/// [`super::plan::Arithmetic::Single`].
pub(super) struct Single;

// SAFETY (whole block): by the contract of the trait.
impl<S: Simd> Factor<S> for Single {
    const BYTES: usize = 4;
    #[inline(always)]
    unsafe fn spread(s: S, from: *const u8) -> S::Vector {
        unsafe { s.splat(from.cast::<f32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn multiply_add(s: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        unsafe { s.mul_add(a, b, c) }
    }
    #[inline(always)]
    unsafe fn store(s: S, to: *mut u8, value: S::Vector) {
        unsafe { s.store(to.cast(), value) }
    }
    #[inline(always)]
    unsafe fn store_one(to: *mut u8, value: f32) {
        unsafe { to.cast::<f32>().write_unaligned(value) }
    }
}

/// [`super::plan::Arithmetic::Bf16`].
pub(super) struct Brain<S>(PhantomData<S>);

// SAFETY (whole block): by the contract of the trait.
impl<S: SimdBf16> Factor<S> for Brain<S> {
    const BYTES: usize = 2;
    #[inline(always)]
    unsafe fn spread(s: S, from: *const u8) -> S::Vector {
        unsafe { s.splat(from.cast::<f32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn multiply_add(s: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        unsafe { s.dot_bf16(a, b, c) }
    }
    #[inline(always)]
    unsafe fn store(s: S, to: *mut u8, value: S::Vector) {
        unsafe { s.store_bf16(to.cast(), value) }
    }
    #[inline(always)]
    unsafe fn store_one(to: *mut u8, value: f32) {
        unsafe { to.cast::<half::bf16>().write_unaligned(half::bf16::from_f32(value)) }
    }
}

/// [`super::plan::Arithmetic::Int8`]: the left factor without sign, 128 standing for 0, the right one with sign.
pub(super) struct Byte<S>(PhantomData<S>);

// SAFETY (whole block): by the contract of the trait.
impl<S: SimdInt8> Factor<S> for Byte<S> {
    const BYTES: usize = 1;
    const SUMS_INTEGERS: bool = true;
    #[inline(always)]
    unsafe fn spread(s: S, from: *const u8) -> S::Vector {
        unsafe { s.splat(from.cast::<f32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn multiply_add(s: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        unsafe { s.dot_int8(a, b, c) }
    }
    #[inline(always)]
    unsafe fn floats(s: S, sums: S::Vector) -> S::Vector {
        unsafe { s.int_to_f32(sums) }
    }
    #[inline(always)]
    unsafe fn store(s: S, to: *mut u8, value: S::Vector) {
        unsafe { s.store_u8(to, value) }
    }
    #[inline(always)]
    unsafe fn store_one(to: *mut u8, value: f32) {
        unsafe { to.write(quantize_u8(value)) }
    }
}
