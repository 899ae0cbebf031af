//! Measures a core's peak rate of multiplications and additions: loops in registers, without memory.
//!
//! Out: billions of multiplications and additions per second. A measurement takes about a quarter of a millisecond. It
//! answers two questions: which number type is fastest on this core, and how close a kernel is to the peak.

use super::{
    Bf16Kernel, Int8Kernel, Isa, Kernel, Simd, SimdBf16, SimdInt8, array, dispatch, dispatch_bf16, dispatch_int8,
};
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

/// Billions of multiplications and additions per second.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Rates {
    pub f32: f64,
    /// Of bf16 dot products; `None` if the instruction set has none.
    pub bf16: Option<f64>,
    /// Of int8 dot products; `None` for the portable set.
    pub int8: Option<f64>,
}

/// Independent sums: enough to hide the latency of an instruction, few enough to leave registers for factors.
const CHAINS: usize = 14;
/// Passes through all sums in one measurement: about ten microseconds.
const PASSES: usize = 8000;
/// The number of measurements. The fastest counts, since other work of the core can only slow it down.
const ROUNDS: usize = 9;

impl Rates {
    /// Measures the rates of `isa`, which the core must have.
    pub fn measure(isa: Isa) -> Self {
        let mut best = [f64::INFINITY; 3];
        let mut time = |number: usize, run: &dyn Fn() -> f32| {
            let start = Instant::now();
            black_box(run());
            best[number] = best[number].min(start.elapsed().as_secs_f64());
        };
        // In turn, so that a change of the core's frequency affects all alike.
        for _ in 0..ROUNDS {
            time(0, &|| dispatch(isa, Loop));
            if isa.has_bf16() {
                time(1, &|| dispatch_bf16(isa, Loop));
            }
            // The rate would depend on the compiler and say nothing about a kernel.
            if isa != Isa::Portable {
                time(2, &|| dispatch_int8(isa, Loop));
            }
        }
        let lanes = super::lanes(isa);
        // A 32-bit lane multiplies and adds as many numbers as fit into it.
        let rate = |number: usize, in_lane: usize| {
            best[number].is_finite().then(|| (2 * lanes * in_lane * CHAINS * PASSES) as f64 / best[number] / 1e9)
        };
        Self { f32: rate(0, 1).unwrap_or(0.0), bf16: rate(1, 2), int8: rate(2, 4) }
    }

    /// The rates of [`Isa::active`], measured once per process, so that every engine decides by the same rates.
    pub fn of_this_core() -> &'static Self {
        static RATES: OnceLock<Rates> = OnceLock::new();
        RATES.get_or_init(|| Self::measure(Isa::active()))
    }
}

/// [`PASSES`] times a multiply-add of each of [`CHAINS`] sums.
struct Loop;

/// # Safety
/// As for [`Simd`].
#[inline(always)]
unsafe fn repeat<S: Simd>(s: S, step: impl Fn(S::Vector) -> S::Vector) -> f32 {
    // SAFETY: by this function's contract; `out` has room for the widest vector.
    unsafe {
        let mut sums: [S::Vector; CHAINS] = array(|i| s.splat(black_box(i as f32)));
        for _ in 0..PASSES {
            sums.iter_mut().for_each(|sum| *sum = step(*sum));
        }
        let mut out = [0.0_f32; 16];
        let sum = sums.into_iter().fold(s.splat(0.0), |a, b| s.add(a, b));
        s.store(out.as_mut_ptr(), sum);
        out[0]
    }
}

// Each result is a factor of the next, so that no part of an operation can be moved out of the loop.
impl Kernel for Loop {
    type Output = f32;
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) -> f32 {
        // SAFETY: by the contract of `Kernel`.
        unsafe {
            let half = s.splat(black_box(0.5));
            repeat(s, |sum| s.mul_add(sum, half, half))
        }
    }
}

impl Bf16Kernel for Loop {
    type Output = f32;
    #[inline(always)]
    unsafe fn run<S: SimdBf16>(self, s: S) -> f32 {
        // SAFETY: by the contract of `Bf16Kernel`.
        unsafe {
            let zero = s.splat(black_box(0.0));
            repeat(s, |sum| s.dot_bf16(sum, zero, sum))
        }
    }
}

impl Int8Kernel for Loop {
    type Output = f32;
    #[inline(always)]
    unsafe fn run<S: SimdInt8>(self, s: S) -> f32 {
        // SAFETY: by the contract of `Int8Kernel`.
        unsafe {
            let zero = s.splat(black_box(0.0));
            repeat(s, |sum| s.dot_int8(sum, zero, sum))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_type_of_an_instruction_set_has_a_rate() {
        for isa in Isa::available() {
            let Rates { f32, bf16, int8 } = Rates::measure(isa);
            assert!(f32 > 0.0 && f32.is_finite(), "{}", isa.name());
            assert_eq!((bf16.is_some(), int8.is_some()), (isa.has_bf16(), isa != Isa::Portable), "{}", isa.name());
        }
        assert_eq!(Rates::of_this_core(), Rates::of_this_core());
    }
}
