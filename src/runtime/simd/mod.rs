//! One vocabulary of vector operations, with one implementation per instruction set, chosen at run time.
//!
//! A kernel is written once against [`Simd`] and instantiated for every instruction set: [`dispatch`] calls it inside
//! a function compiled for that set, so everything marked `#[inline(always)]` becomes its instructions. The set is
//! the best one that the core has; the environment variable `AWING_ISA` (`avx512`, `avx2`, `neon`, `portable`) forces
//! another. Every set gives the results of the portable one up to rounding; tests hold that.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use std::sync::OnceLock;

/// Vector operations on `LANES` single-precision numbers.
///
/// # Safety
/// All methods require that the running core has the instruction set; [`dispatch`] sees to that. Those that take a
/// pointer require that it is valid for the stated number of elements; no alignment is asked.
#[expect(clippy::missing_safety_doc, reason = "the contract is the trait's, the same for every method")]
pub trait Simd: Copy + Send + Sync + 'static {
    /// Numbers in one vector.
    const LANES: usize;
    /// Vector registers that the core has: kernels size their accumulator tiles by it.
    const REGISTERS: usize;
    type Vector: Copy;

    unsafe fn splat(self, value: f32) -> Self::Vector;
    unsafe fn load(self, from: *const f32) -> Self::Vector;
    /// The first `count <= LANES` numbers; the other lanes are 0 and their memory is not touched.
    unsafe fn load_partial(self, from: *const f32, count: usize) -> Self::Vector;
    /// `LANES / 4` numbers, each in four lanes.
    unsafe fn load_four_times(self, from: *const f32) -> Self::Vector;
    /// Four bytes, as numbers, from each of `LANES / 4` places behind `from`.
    unsafe fn load_pixels(self, from: *const u8, places: *const usize) -> Self::Vector;
    unsafe fn store(self, to: *mut f32, value: Self::Vector);
    /// Writes the first `count <= LANES` lanes and nothing else.
    unsafe fn store_partial(self, to: *mut f32, value: Self::Vector, count: usize);
    /// Writes the first three of every four lanes, `LANES / 4 * 3` numbers, and nothing else.
    unsafe fn store_pixels(self, to: *mut f32, value: Self::Vector);
    unsafe fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c` with one rounding where the instruction set has it.
    unsafe fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The lanes of `value` where `gate > 0`, else 0: the gradient of a ReLU.
    unsafe fn where_positive(self, gate: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// The lanes of `value` where `a > b`, else those of `otherwise`.
    unsafe fn where_greater(
        self,
        a: Self::Vector,
        b: Self::Vector,
        value: Self::Vector,
        otherwise: Self::Vector,
    ) -> Self::Vector;
    /// Tells the core that the line at `address`, any address, will be read soon; where it can't be told, nothing happens.
    #[inline(always)]
    unsafe fn prefetch(self, address: *const u8) {
        let _ = address;
    }
}

/// Dot products of bfloat16 numbers (the upper half of a single-precision number), summed in single precision.
///
/// A vector of the operands holds `2 * LANES` bfloat16 numbers, lane `i` the pair `2i`, `2i + 1`.
///
/// # Safety
/// As for [`Simd`]; [`dispatch_brain_float`] sees to the instruction set.
#[expect(clippy::missing_safety_doc, reason = "the contract is the trait's, the same for every method")]
pub trait BrainFloat: Simd {
    /// `c[i] + a[2i] * b[2i] + a[2i + 1] * b[2i + 1]`, in an order and with an intermediate rounding of the core's own.
    unsafe fn dot(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Writes `LANES` numbers, rounded to the nearest.
    unsafe fn store_brain_float(self, to: *mut half::bf16, value: Self::Vector);
}

/// Dot products of bytes, summed in 32-bit integers.
///
/// A vector of the operands holds `4 * LANES` bytes, lane `i` those from `4i` on; a vector of sums holds `LANES` integers.
///
/// # Safety
/// As for [`Simd`]; [`dispatch_bytes`] sees to the instruction set.
#[expect(clippy::missing_safety_doc, reason = "the contract is the trait's, the same for every method")]
pub trait Bytes: BrainFloat {
    /// `c[i]` plus the four products of `a[4i..]`, without sign, and `b[4i..]`, with sign.
    unsafe fn dot_bytes(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Integers as single-precision numbers.
    unsafe fn floats(self, integers: Self::Vector) -> Self::Vector;
    /// Writes `LANES` bytes without sign: numbers rounded to the nearest, plus 128, cut to 0..=255.
    unsafe fn store_bytes(self, to: *mut u8, value: Self::Vector);
}

/// An instruction set that kernels exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// AVX-512 F, BW, DQ and VL, with FMA: 16 lanes.
    Avx512,
    /// AVX2, FMA and F16C: 8 lanes.
    Avx2,
    /// NEON of 64-bit Arm: 4 lanes.
    Neon,
    /// Plain Rust for any core.
    Portable,
}

impl Isa {
    /// All, the best first.
    const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// Every instruction set that the running core has, the best first. The portable one is always there.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether the running core has it. Detection is remembered, so this costs next to nothing.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Portable => true,
            _ => false,
        }
    }

    /// Whether the core multiplies bfloat16 numbers by itself with this set.
    pub fn has_brain_float(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => self.is_available() && is_x86_feature_detected!("avx512bf16"),
            _ => false,
        }
    }

    /// Whether the core multiplies bytes by itself with this set, and bfloat16 numbers too.
    pub fn has_bytes(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => self.has_brain_float() && is_x86_feature_detected!("avx512vnni"),
            _ => false,
        }
    }

    /// The instruction set that kernels use unless they are told another: that of `AWING_ISA`, else the best. An
    /// unknown or absent set in `AWING_ISA` is reported once and ignored.
    pub fn active() -> Isa {
        static ACTIVE: OnceLock<Isa> = OnceLock::new();
        *ACTIVE.get_or_init(|| {
            let available = Self::available();
            let Ok(wish) = std::env::var("AWING_ISA") else { return available[0] };
            match available.iter().find(|isa| isa.name() == wish) {
                Some(&isa) => isa,
                None => {
                    let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
                    tracing::warn!("AWING_ISA={wish} is not to be had here; choose one of {}", names.join(", "));
                    available[0]
                }
            }
        })
    }

    /// The name that `AWING_ISA` knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Neon => "neon",
            Isa::Portable => "portable",
        }
    }
}

/// A computation written against [`Simd`]. Mark `run` and what it calls `#[inline(always)]`.
pub trait Kernel {
    type Output;

    /// # Safety
    /// As for [`Simd`]: the core must have the instruction set of `S`.
    unsafe fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `kernel` with the instructions of `isa`.
///
/// # Panics
/// If the core does not have it.
pub fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    assert!(isa.is_available(), "this processor has no {}", isa.name());
    // SAFETY: the core has the set.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::run(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::run(kernel),
            Isa::Portable => kernel.run(portable::Portable),
            other => unreachable!("{} is not of this processor family", other.name()),
        }
    }
}

/// A computation that needs [`BrainFloat`]. Mark `run` and what it calls `#[inline(always)]`.
pub trait BrainFloatKernel {
    type Output;

    /// # Safety
    /// As for [`BrainFloat`]: the core must have the instruction set of `S`.
    unsafe fn run<S: BrainFloat>(self, simd: S) -> Self::Output;
}

/// As [`dispatch`], for sets that have bfloat16 ([`Isa::has_brain_float`]) and for the portable one, which does without.
///
/// # Panics
/// If `isa` has none.
pub fn dispatch_brain_float<K: BrainFloatKernel>(isa: Isa, kernel: K) -> K::Output {
    assert!(isa.has_brain_float() || isa == Isa::Portable, "this processor has no bfloat16 with {}", isa.name());
    // SAFETY: the core has the set, and bfloat16 with it.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::run_brain_float(kernel),
            Isa::Portable => kernel.run(portable::Portable),
            other => unreachable!("{} has no bfloat16", other.name()),
        }
    }
}

/// A computation that needs [`Bytes`]. Mark `run` and what it calls `#[inline(always)]`.
pub trait BytesKernel {
    type Output;

    /// # Safety
    /// As for [`Bytes`]: the core must have the instruction set of `S`.
    unsafe fn run<S: Bytes>(self, simd: S) -> Self::Output;
}

/// As [`dispatch`], for sets that have products of bytes ([`Isa::has_bytes`]) and for the portable one, which does without.
///
/// # Panics
/// If `isa` is another one.
pub fn dispatch_bytes<K: BytesKernel>(isa: Isa, kernel: K) -> K::Output {
    assert!(isa.has_bytes() || isa == Isa::Portable, "this processor has no products of bytes with {}", isa.name());
    // SAFETY: the core has the set, and products of bytes with it.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::run_bytes(kernel),
            Isa::Portable => kernel.run(portable::Portable),
            other => unreachable!("{} has no products of bytes", other.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct EveryOperation<'a>(&'a [f32], &'a [half::f16]);

    impl Kernel for EveryOperation<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        unsafe fn run<S: Simd>(self, s: S) -> Vec<f32> {
            // SAFETY: both slices hold 64 numbers, at least twice the widest vector, and so does `out` for each part.
            unsafe {
                let mut out = Vec::new();
                for start in (0..32).step_by(S::LANES) {
                    let a = s.load(self.0.as_ptr().add(start));
                    let b = s.load(self.0.as_ptr().add(start + 32));
                    let values = [
                        s.add(a, b),
                        s.sub(a, b),
                        s.mul(a, b),
                        s.max(a, b),
                        s.max(s.splat(f32::NAN), b),
                        s.mul_add(a, b, s.splat(0.5)),
                        s.where_positive(a, b),
                        s.where_greater(a, b, s.splat(2.0), a),
                    ];
                    out.resize(out.len().max(values.len() * 32), 0.0);
                    for (i, v) in values.into_iter().enumerate() {
                        s.store(out.as_mut_ptr().add(i * 32 + start), v);
                    }
                }
                for start in (0..4).step_by(S::LANES / 4) {
                    let places = [40, 3, 0, 21];
                    let pixels = s.load_pixels(self.1.as_ptr().cast(), places.as_ptr().add(start));
                    let factors = s.load_four_times(self.0.as_ptr().add(start));
                    let at = out.len();
                    out.resize(at + S::LANES / 4 * 3, 0.0);
                    s.store_pixels(out.as_mut_ptr().add(at), s.mul(pixels, factors));
                }
                let partial = s.load_partial(self.0.as_ptr(), 3);
                out.extend([0.0; 16]);
                s.store(out.as_mut_ptr().add(out.len() - 16), partial);
                out.extend([9.0; 16]);
                let at = out.len() - 16;
                s.store_partial(out.as_mut_ptr().add(at), s.load(self.0.as_ptr()), 3);
                out
            }
        }
    }

    struct EveryBrainFloatOperation<'a>(&'a [f32]);

    impl BrainFloatKernel for EveryBrainFloatOperation<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        unsafe fn run<S: BrainFloat>(self, s: S) -> Vec<f32> {
            let mut halves = vec![half::bf16::ZERO; 64];
            let mut out = vec![0.0; 32];
            // SAFETY: 64 numbers are read and narrowed; `LANES` pairs from each half fill a vector each.
            unsafe {
                for start in (0..64).step_by(S::LANES) {
                    s.store_brain_float(halves.as_mut_ptr().add(start), s.load(self.0.as_ptr().add(start)));
                }
                for start in (0..16).step_by(S::LANES) {
                    let a = s.load(halves.as_ptr().add(2 * start).cast());
                    let b = s.load(halves.as_ptr().add(32 + 2 * start).cast());
                    s.store(out.as_mut_ptr().add(start), s.dot(a, b, s.splat(0.5)));
                }
            }
            out[16..].copy_from_slice(&halves[..16].iter().map(|h| h.to_f32()).collect::<Vec<_>>());
            out
        }
    }

    #[test]
    fn brain_float_products_are_the_portable_ones() {
        let numbers: Vec<f32> = (0..64).map(|i| ((i * 29 % 64) as f32 - 31.0) * 0.37).collect();
        let rounded = |i: usize| half::bf16::from_f32(numbers[i]).to_f32();
        let mut sets = vec![Isa::Portable];
        sets.extend(Isa::available().into_iter().filter(|isa| isa.has_brain_float()));
        for isa in sets {
            let actual = dispatch_brain_float(isa, EveryBrainFloatOperation(&numbers));
            for i in 0..16 {
                let dot = 0.5 + rounded(2 * i) * rounded(32 + 2 * i) + rounded(2 * i + 1) * rounded(33 + 2 * i);
                assert!(
                    (actual[i] - dot).abs() <= 1e-4 * dot.abs().max(1.0),
                    "{}: {} for {dot}",
                    isa.name(),
                    actual[i]
                );
                assert_eq!(actual[16 + i], rounded(i), "{}", isa.name());
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_portable_results() {
        let numbers: Vec<f32> = (0..64).map(|i| ((i * 29 % 64) as f32 - 31.0) * 0.37).collect();
        let halves: Vec<half::f16> = numbers.iter().map(|&v| half::f16::from_f32(v)).collect();
        let expected = dispatch(Isa::Portable, EveryOperation(&numbers, &halves));
        for isa in Isa::available() {
            let actual = dispatch(isa, EveryOperation(&numbers, &halves));
            assert_eq!(actual.len(), expected.len());
            for (i, (a, e)) in actual.iter().zip(&expected).enumerate() {
                assert!((a - e).abs() <= 1e-4, "{} at {i}: {a} instead of {e}", isa.name());
            }
        }
    }

    struct EveryBytesOperation<'a>(&'a [f32], &'a [u8]);

    impl BytesKernel for EveryBytesOperation<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        unsafe fn run<S: Bytes>(self, s: S) -> Vec<f32> {
            let mut bytes = vec![0_u8; 64];
            let mut out = vec![0.0; 16];
            // SAFETY: the slices hold 64 numbers and 128 bytes, at least what a vector needs.
            unsafe {
                for start in (0..64).step_by(S::LANES) {
                    s.store_bytes(bytes.as_mut_ptr().add(start), s.load(self.0.as_ptr().add(start)));
                }
                for start in (0..16).step_by(S::LANES) {
                    let a = s.load(bytes.as_ptr().add(4 * start).cast());
                    let b = s.load(self.1.as_ptr().add(4 * start).cast());
                    let sums = s.dot_bytes(a, b, s.dot_bytes(b, a, s.splat(0.0)));
                    s.store(out.as_mut_ptr().add(start), s.floats(sums));
                }
            }
            out.extend(bytes.into_iter().map(f32::from));
            out
        }
    }

    #[test]
    fn products_of_bytes_are_those_of_integers() {
        let numbers: Vec<f32> = (0..64).map(|i| (i * 29 % 64) as f32 * 5.3 - 160.0).collect();
        let others: Vec<u8> = (0..128).map(|i| (i * 89 % 256) as u8).collect();
        let byte = |i: usize| (numbers[i].round_ties_even() + 128.0).clamp(0.0, 255.0) as u8;
        let product = |a: u8, b: u8| i32::from(a) * i32::from(b as i8);
        let mut sets = vec![Isa::Portable];
        sets.extend(Isa::available().into_iter().filter(|isa| isa.has_bytes()));
        for isa in sets {
            let actual = dispatch_bytes(isa, EveryBytesOperation(&numbers, &others));
            for (lane, actual) in actual[..16].iter().enumerate() {
                let sum = |i: usize| product(byte(i), others[i]) + product(others[i], byte(i));
                let expected: i32 = (4 * lane..4 * lane + 4).map(sum).sum();
                assert_eq!(*actual, expected as f32, "{} in lane {lane}", isa.name());
            }
            assert!((0..64).all(|i| actual[16 + i] == f32::from(byte(i))), "{}", isa.name());
        }
    }
}
