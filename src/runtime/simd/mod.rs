//! Vector operations behind one trait, with one implementation per instruction set, chosen at run time.
//!
//! A kernel is written once against [`Simd`] and instantiated for every instruction set: [`dispatch`] calls it inside a
//! function compiled for that set, so everything marked `#[inline(always)]` uses the set's instructions. By default
//! kernels use the best set of the running core; the environment variable `AWING_ISA` (`avx512`, `avxvnni`, `avx2`,
//! `neon`, `portable`) forces another. Every set gives the results of the portable one up to rounding; integer sums are
//! equal bit for bit. Tests check both.
//!
//! Products in bf16 and int8 are extensions ([`SimdBf16`], [`SimdInt8`]) with their own dispatchers. Not every core
//! with an instruction set has bf16; int8 gives the same integers on every core.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod rates;
#[cfg(test)]
mod tests;

pub use rates::Rates;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// Operations on vectors of `LANES` f32 values.
///
/// # Safety
/// All methods require that the running core has the instruction set; [`dispatch`] checks that. Methods that take a
/// pointer require that it is valid for the stated number of elements; it need not be aligned.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Values in one vector.
    const LANES: usize;
    /// The core's number of vector registers, from which kernels choose the size of their accumulator tiles.
    const REGISTERS: usize;
    type Vector: Copy;

    unsafe fn splat(self, value: f32) -> Self::Vector;
    unsafe fn load(self, from: *const f32) -> Self::Vector;
    /// Loads the first `count <= LANES` values; the other lanes are 0 and their memory is not accessed.
    unsafe fn load_partial(self, from: *const f32, count: usize) -> Self::Vector;
    /// Loads `LANES / 4` values and repeats each in four lanes.
    unsafe fn load_four_times(self, from: *const f32) -> Self::Vector;
    /// Loads four bytes from each of `LANES / 4` offsets (in bytes, from `from`) and converts them to f32.
    unsafe fn load_pixels(self, from: *const u8, offsets: *const usize) -> Self::Vector;
    unsafe fn store(self, to: *mut f32, value: Self::Vector);
    /// Writes the first `count <= LANES` lanes and nothing else.
    unsafe fn store_partial(self, to: *mut f32, value: Self::Vector, count: usize);
    /// Writes the first three of every four lanes, `LANES / 4 * 3` values, and nothing else.
    unsafe fn store_pixels(self, to: *mut f32, value: Self::Vector);
    /// Writes `LANES` bytes: each value, at most 2^30, rounded to the nearest integer, ties to even, and clamped to
    /// 0..=255.
    unsafe fn store_u8(self, to: *mut u8, value: Self::Vector);
    unsafe fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once if the instruction set has a fused multiply-add, else twice.
    unsafe fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `value` in the lanes where `gate > 0`, else 0: the gradient of a ReLU.
    unsafe fn where_positive(self, gate: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// `value` in the lanes where `a > b`, else `otherwise`.
    unsafe fn where_greater(
        self,
        a: Self::Vector,
        b: Self::Vector,
        value: Self::Vector,
        otherwise: Self::Vector,
    ) -> Self::Vector;
    /// Prefetches the cache line at `address`, which need not be valid. Does nothing on sets without such an
    /// instruction.
    #[inline(always)]
    unsafe fn prefetch(self, address: *const u8) {
        let _ = address;
    }
}

/// The array `[f(0), f(1), ...]`, for kernels. The compiler may leave `from_fn` and `map` of the standard library as
/// calls. What is not inlined is compiled without the instruction set, and each vector operation in it becomes a call
/// too.
#[inline(always)]
pub fn array<T: Copy, const N: usize>(mut f: impl FnMut(usize) -> T) -> [T; N] {
    let mut array = [const { MaybeUninit::uninit() }; N];
    let mut i = 0;
    while i < N {
        array[i].write(f(i));
        i += 1;
    }
    // SAFETY: every element was written.
    unsafe { (&raw const array).cast::<[T; N]>().read() }
}

/// The output of `outputs` neighbouring ones, with windows `stride` apart, that reads input `input` with tap `tap`;
/// `None` if there is none. In loops that the compiler unrolls it costs nothing.
#[inline(always)]
pub const fn output_of_tap(input: usize, tap: usize, stride: usize, outputs: usize) -> Option<usize> {
    if input >= tap && (input - tap).is_multiple_of(stride) && (input - tap) / stride < outputs {
        Some((input - tap) / stride)
    } else {
        None
    }
}

/// Dot products of bf16 values (the upper half of an f32), summed in f32.
///
/// An operand vector holds `2 * LANES` bf16 values: lane `i` holds the pair `2i`, `2i + 1`.
///
/// # Safety
/// As for [`Simd`]; [`dispatch_bf16`] checks the instruction set.
pub trait SimdBf16: Simd {
    /// `c[i] + a[2i] * b[2i] + a[2i + 1] * b[2i + 1]`; order and intermediate rounding depend on the core.
    unsafe fn dot_bf16(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Writes `LANES` values, rounded to the nearest bf16.
    unsafe fn store_bf16(self, to: *mut half::bf16, value: Self::Vector);
}

/// Dot products of 8-bit integers, summed in 32-bit integers.
///
/// A vector holds `4 * LANES` 8-bit integers, or `LANES` 32-bit integers or f32 values. Channels come in *quads*: four
/// vectors of 32-bit numbers for as many channels as one vector of bytes. Lane `i` of vector `k` is the channel
/// [`block_channel`]`(4, k, i)`: in this order, widening and narrowing are done within 128 bits, without permutations.
/// What is left of the channels may be a *pair*: two vectors for half as many channels, where lane `i` of vector `k` is
/// the channel [`block_channel`]`(2, k, i)`. The pairs of two cells side by side are one quad, whose bytes belong to
/// the cells in turn, eight each ([`Self::load_in_turn`], [`Self::store_in_turn`]).
///
/// Results are integers that are the same on every set, bit for bit; conversions from and to f32 round to the nearest,
/// ties to even.
///
/// # Safety
/// As for [`Simd`]; [`dispatch_int8`] checks the instruction set.
pub trait SimdInt8: Simd {
    /// The zero point that [`Self::dot_int8`] subtracts from its unsigned factors.
    const LEFT_OFFSET: i32;
    /// `c[i]` plus the dot product of `a[4i..4i + 4]`, unsigned minus [`Self::LEFT_OFFSET`], and `b[4i..4i + 4]`,
    /// signed. The absolute values of `b[2j]` and `b[2j + 1]` have a sum of at most [`MOST_OF_TWO_WEIGHTS`], so that
    /// sums of two products fit into 16 bits.
    unsafe fn dot_int8(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Converts 32-bit integers to f32.
    unsafe fn int_to_f32(self, integers: Self::Vector) -> Self::Vector;
    /// Converts f32 values of at most 2^30 to the nearest 32-bit integers.
    unsafe fn f32_to_int(self, values: Self::Vector) -> Self::Vector;
    /// The bytes of four rows side by side: those of a channel become the four bytes of its lane, as a quad.
    unsafe fn interleave(self, rows: [Self::Vector; 4]) -> [Self::Vector; 4];
    /// Bytes as a quad of 32-bit integers.
    #[inline(always)]
    unsafe fn widen(self, bytes: Self::Vector) -> [Self::Vector; 4] {
        // SAFETY: by this function's contract.
        unsafe {
            let zero = self.splat(0.0);
            self.interleave([bytes, zero, zero, zero])
        }
    }
    /// A quad of 32-bit integers as bytes, clamped to 0..=255.
    unsafe fn narrow_unsigned(self, integers: [Self::Vector; 4]) -> Self::Vector;
    /// A quad of 32-bit integers as bytes, clamped to -128..=127, plus 128.
    unsafe fn narrow_signed(self, integers: [Self::Vector; 4]) -> Self::Vector;
    /// From a quad to vectors of neighbouring channels.
    unsafe fn quad_in_channel_order(self, quad: [Self::Vector; 4]) -> [Self::Vector; 4];
    /// From a pair to vectors of neighbouring channels.
    unsafe fn pair_in_channel_order(self, pair: [Self::Vector; 2]) -> [Self::Vector; 2];
    /// Loads eight bytes from each of two places in turn, `2 * LANES` bytes from each.
    unsafe fn load_in_turn(self, from: [*const u8; 2]) -> Self::Vector;
    /// Writes what [`Self::load_in_turn`] loads.
    unsafe fn store_in_turn(self, to: [*mut u8; 2], bytes: Self::Vector);
}

/// The largest sum of the absolute values of two neighbouring weights ([`SimdInt8::dot_int8`]).
pub const MOST_OF_TWO_WEIGHTS: f32 = 128.0;

/// The channel in lane `lane` of vector `vector` of a quad or a pair, of four or two `vectors` ([`SimdInt8`]).
#[inline(always)]
pub const fn block_channel(vectors: usize, vector: usize, lane: usize) -> usize {
    lane / 4 * (4 * vectors) + vector * 4 + lane % 4
}

/// An instruction set with its own kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// AVX-512 F, BW, DQ and VL, with FMA: 16 lanes.
    Avx512,
    /// As [`Self::Avx2`], with int8 dot products (AVX-VNNI).
    AvxVnni,
    /// AVX2, FMA and F16C: 8 lanes.
    Avx2,
    /// NEON of 64-bit Arm: 4 lanes.
    Neon,
    /// Plain Rust for any core.
    Portable,
}

impl Isa {
    /// All, the best first.
    const ALL: [Self; 5] = [Self::Avx512, Self::AvxVnni, Self::Avx2, Self::Neon, Self::Portable];

    /// Every instruction set of the running core, the best first. The portable one is always among them.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether the running core has it. The standard library caches detection, so this is cheap.
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
            Self::AvxVnni => Self::Avx2.is_available() && is_x86_feature_detected!("avxvnni"),
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

    /// Whether the core has bf16 products ([`SimdBf16`]) in this set.
    pub fn has_bf16(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => self.is_available() && is_x86_feature_detected!("avx512bf16"),
            _ => false,
        }
    }

    /// The instruction set that kernels use by default: that of `AWING_ISA`, else the best. If `AWING_ISA` names a set
    /// that is unknown or that the core lacks, a warning is logged once and the best is used.
    pub fn active() -> Isa {
        static ACTIVE: OnceLock<Isa> = OnceLock::new();
        *ACTIVE.get_or_init(|| {
            let available = Self::available();
            let Ok(wish) = std::env::var("AWING_ISA") else { return available[0] };
            match available.iter().find(|isa| isa.name() == wish) {
                Some(&isa) => isa,
                None => {
                    let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
                    tracing::warn!("AWING_ISA={wish} is not available here; choose one of {}", names.join(", "));
                    available[0]
                }
            }
        })
    }

    /// Its name in `AWING_ISA`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "avx512",
            Isa::AvxVnni => "avxvnni",
            Isa::Avx2 => "avx2",
            Isa::Neon => "neon",
            Isa::Portable => "portable",
        }
    }
}

/// A computation written against [`Simd`]. Mark `run` and everything it calls `#[inline(always)]`.
pub trait Kernel {
    type Output;

    /// # Safety
    /// As for [`Simd`]: the core must have the instruction set of `S`.
    unsafe fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `kernel` with the instructions of `isa`.
///
/// # Panics
/// If the core does not have `isa`.
pub fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    assert!(isa.is_available(), "this processor has no {}", isa.name());
    // SAFETY: the core has the set.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni | Isa::Avx2 => avx2::run(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::run(kernel),
            Isa::Portable => kernel.run(portable::Portable),
            other => unreachable!("{} is not of this processor family", other.name()),
        }
    }
}

/// Values in a vector of `isa`.
///
/// # Panics
/// If the core does not have `isa`.
pub fn lanes(isa: Isa) -> usize {
    struct Ask;
    impl Kernel for Ask {
        type Output = usize;
        #[inline(always)]
        unsafe fn run<S: Simd>(self, _: S) -> usize {
            S::LANES
        }
    }
    dispatch(isa, Ask)
}

/// A computation written against [`SimdBf16`]. Mark `run` and everything it calls `#[inline(always)]`.
pub trait Bf16Kernel {
    type Output;

    /// # Safety
    /// As for [`SimdBf16`]: the core must have the instruction set of `S`.
    unsafe fn run<S: SimdBf16>(self, simd: S) -> Self::Output;
}

/// As [`dispatch`], for sets with bf16 products ([`Isa::has_bf16`]) and, in tests, for the portable one, which
/// emulates them.
///
/// # Panics
/// If the core has no bf16 products in `isa`.
pub fn dispatch_bf16<K: Bf16Kernel>(isa: Isa, kernel: K) -> K::Output {
    assert!(isa.has_bf16() || isa == Isa::Portable, "this processor has no bf16 products in {}", isa.name());
    // SAFETY: the core has the set and its bf16 products.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::run_bf16(kernel),
            #[cfg(any(test, not(target_arch = "x86_64")))]
            Isa::Portable => kernel.run(portable::Portable),
            other => unreachable!("{} has no bf16 products", other.name()),
        }
    }
}

/// A computation written against [`SimdInt8`]. Mark `run` and everything it calls `#[inline(always)]`.
pub trait Int8Kernel {
    type Output;

    /// # Safety
    /// As for [`SimdInt8`]: the core must have the instruction set of `S`.
    unsafe fn run<S: SimdInt8>(self, simd: S) -> Self::Output;
}

/// As [`dispatch`]. Where an instruction set has no dot products of 8-bit integers, other instructions give the same
/// results.
///
/// # Panics
/// If the core does not have `isa`.
pub fn dispatch_int8<K: Int8Kernel>(isa: Isa, kernel: K) -> K::Output {
    assert!(isa.is_available(), "this processor has no {}", isa.name());
    // SAFETY: the core has the set.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if is_x86_feature_detected!("avx512vnni") => avx512::run_vnni(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::run_int8(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => avx2::run_vnni(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::run_int8(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon if std::arch::is_aarch64_feature_detected!("dotprod") => neon::run_dot(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::run_int8(kernel),
            Isa::Portable => kernel.run(portable::Portable),
            other => unreachable!("{} is not of this processor family", other.name()),
        }
    }
}
