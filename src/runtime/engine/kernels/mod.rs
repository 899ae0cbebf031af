//! The kernels of the plan's steps, written once against [`Simd`] and [`Factor`].
//!
//! In: a placed step, the plan's tables and memory. Kernels write the cells of the step's output and allocate nothing.

mod depthwise;
mod integer;
mod picture;
mod product;
mod run;
mod sum;
mod tile;

pub(super) use integer::RunInteger;
pub(super) use product::RunProduct;
pub(super) use run::RunWhole;
pub(super) use tile::{most_vectors, tile_cells};

use crate::runtime::simd::{Simd, SimdBf16, SimdInt8};
use std::marker::PhantomData;

/// The number type that a matrix product multiplies. A lane holds 32 bits, a group of neighbouring channels.
///
/// # Safety
/// As for [`Simd`].
pub(super) trait Factor<S: Simd> {
    /// Of one value.
    const BYTES: usize;
    /// Whether sums are integers, which become f32 by [`Self::result`].
    const IN_INTEGERS: bool = false;
    /// The group at `from` in every lane.
    #[inline(always)]
    unsafe fn spread(s: S, from: *const u8) -> S::Vector {
        // SAFETY: by the contract of the trait, `from` is valid for the four bytes of a group.
        unsafe { s.splat(from.cast::<f32>().read_unaligned()) }
    }
    /// `c` plus the products of the groups in each lane.
    unsafe fn multiply_add(s: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector;
    /// The f32 value of an integer `sum`: times `scale`, plus `bias`.
    #[inline(always)]
    unsafe fn result(_: S, sum: S::Vector, _scale: S::Vector, _bias: S::Vector) -> S::Vector {
        sum
    }
    /// Converts and writes `LANES` values.
    unsafe fn store(s: S, to: *mut u8, value: S::Vector);
    /// Converts and writes one value.
    unsafe fn store_one(to: *mut u8, value: f32);
}

/// f32.
pub(super) struct F32Factor;

// SAFETY (whole block): by the contract of the trait.
impl<S: Simd> Factor<S> for F32Factor {
    const BYTES: usize = 4;
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

/// bf16, summed in f32.
pub(super) struct Bf16Factor<S>(PhantomData<S>);

// SAFETY (whole block): by the contract of the trait.
impl<S: SimdBf16> Factor<S> for Bf16Factor<S> {
    const BYTES: usize = 2;
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

/// Values in 0..=1 as bytes of 0..=255, times 8-bit weights, summed in integers.
pub(super) struct ByteFactor<S>(PhantomData<S>);

/// The byte of 1.
const BYTE_OF_ONE: f32 = 255.0;

// SAFETY (whole block): by the contract of the trait.
impl<S: SimdInt8> Factor<S> for ByteFactor<S> {
    const BYTES: usize = 1;
    const IN_INTEGERS: bool = true;
    #[inline(always)]
    unsafe fn multiply_add(s: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        unsafe { s.dot_int8(a, b, c) }
    }
    #[inline(always)]
    unsafe fn result(s: S, sum: S::Vector, scale: S::Vector, bias: S::Vector) -> S::Vector {
        // Never contracted, so that every set rounds alike.
        unsafe { s.add(s.mul(s.int_to_f32(sum), scale), bias) }
    }
    #[inline(always)]
    unsafe fn store(s: S, to: *mut u8, value: S::Vector) {
        unsafe { s.store_u8(to, s.mul(value, s.splat(BYTE_OF_ONE))) }
    }
    #[inline(always)]
    unsafe fn store_one(to: *mut u8, value: f32) {
        unsafe { to.write((value * BYTE_OF_ONE).round_ties_even() as u8) }
    }
}
