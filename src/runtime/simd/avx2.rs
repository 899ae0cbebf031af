//! AVX2 with FMA and F16C: eight lanes, sixteen registers.

use super::{Int8Kernel, Kernel, Simd, SimdInt8, array};
use std::arch::x86_64::*;

/// `VNNI`: whether it has dot products of 8-bit integers (AVX-VNNI).
#[derive(Clone, Copy)]
pub struct Avx2<const VNNI: bool>;

/// # Safety
/// The core must have AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Avx2::<false>) }
}

/// # Safety
/// As for [`run`].
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn run_int8<K: Int8Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Avx2::<false>) }
}

/// # Safety
/// As for [`run`]; the core must have AVX-VNNI too.
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub unsafe fn run_vnni<K: Int8Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Avx2::<true>) }
}

/// Eight of these from index `8 - count` on are a mask of `count` set lanes, then clear ones.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

// SAFETY (function): `count <= 8`, so the eight integers lie in `MASKS`; the caller promises AVX2.
#[inline(always)]
unsafe fn first(count: usize) -> __m256i {
    debug_assert!(count <= 8);
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast()) }
}

// SAFETY (whole block): the caller promises the instruction set and valid pointers by the contract of `Simd`.
impl<const VNNI: bool> Simd for Avx2<VNNI> {
    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    type Vector = __m256;

    #[inline(always)]
    unsafe fn splat(self, value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> __m256 {
        unsafe { _mm256_maskload_ps(from, first(count)) }
    }
    #[inline(always)]
    unsafe fn load_four_times(self, from: *const f32) -> __m256 {
        unsafe {
            let pairs = _mm256_castpd_ps(_mm256_broadcast_sd(&from.cast::<f64>().read_unaligned()));
            _mm256_permutevar_ps(pairs, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1))
        }
    }
    #[inline(always)]
    unsafe fn load_pixels(self, from: *const u8, offsets: *const usize) -> __m256 {
        unsafe {
            let four_bytes = |i: usize| from.add(offsets.add(i).read()).cast::<i32>().read_unaligned();
            let bytes = _mm_insert_epi32::<1>(_mm_cvtsi32_si128(four_bytes(0)), four_bytes(1));
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m256) {
        unsafe { _mm256_storeu_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, value: __m256, count: usize) {
        unsafe { _mm256_maskstore_ps(to, first(count), value) }
    }
    #[inline(always)]
    unsafe fn store_pixels(self, to: *mut f32, value: __m256) {
        unsafe {
            let together = _mm256_permutevar8x32_ps(value, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
            _mm_storeu_ps(to, _mm256_castps256_ps128(together));
            _mm_storel_pd(to.add(4).cast(), _mm_castps_pd(_mm256_extractf128_ps::<1>(together)));
        }
    }
    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8, value: __m256) {
        unsafe {
            let integers = _mm256_cvtps_epi32(value);
            let (low, high) = (_mm256_castsi256_si128(integers), _mm256_extracti128_si256::<1>(integers));
            let words = _mm_packs_epi32(low, high);
            _mm_storel_epi64(to.cast(), _mm_packus_epi16(words, words));
        }
    }
    #[inline(always)]
    unsafe fn add(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn where_positive(self, gate: __m256, value: __m256) -> __m256 {
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(gate, _mm256_setzero_ps()), value) }
    }
    #[inline(always)]
    unsafe fn where_greater(self, a: __m256, b: __m256, value: __m256, otherwise: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(otherwise, value, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }
    }
    #[inline(always)]
    unsafe fn prefetch(self, address: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}

/// The same bits as integers.
///
/// # Safety
/// As for [`SimdInt8`].
#[inline(always)]
unsafe fn integers<const N: usize>(vectors: [__m256; N]) -> [__m256i; N] {
    // SAFETY: by this function's contract.
    array(|i| unsafe { _mm256_castps_si256(vectors[i]) })
}

// SAFETY (whole block): the caller promises the instruction set, with AVX-VNNI if `VNNI`.
impl<const VNNI: bool> SimdInt8 for Avx2<VNNI> {
    const LEFT_OFFSET: i32 = 0;
    #[inline(always)]
    unsafe fn dot_int8(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe {
            let [a, b, c] = integers([a, b, c]);
            _mm256_castsi256_ps(if VNNI {
                _mm256_dpbusd_avx_epi32(c, a, b)
            } else {
                let pairs = _mm256_maddubs_epi16(a, b);
                _mm256_add_epi32(c, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
            })
        }
    }
    #[inline(always)]
    unsafe fn int_to_f32(self, integers: __m256) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(_mm256_castps_si256(integers)) }
    }
    #[inline(always)]
    unsafe fn f32_to_int(self, values: __m256) -> __m256 {
        unsafe { _mm256_castsi256_ps(_mm256_cvtps_epi32(values)) }
    }
    #[inline(always)]
    unsafe fn interleave(self, rows: [__m256; 4]) -> [__m256; 4] {
        unsafe {
            let [a, b, c, d] = integers(rows);
            let (low, high) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
            let (low2, high2) = (_mm256_unpacklo_epi8(c, d), _mm256_unpackhi_epi8(c, d));
            let quads = [
                _mm256_unpacklo_epi16(low, low2),
                _mm256_unpackhi_epi16(low, low2),
                _mm256_unpacklo_epi16(high, high2),
                _mm256_unpackhi_epi16(high, high2),
            ];
            array(|k| _mm256_castsi256_ps(quads[k]))
        }
    }
    #[inline(always)]
    unsafe fn narrow_unsigned(self, integers: [__m256; 4]) -> __m256 {
        unsafe {
            let [a, b, c, d] = self::integers(integers);
            let (ab, cd) = (_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
            _mm256_castsi256_ps(_mm256_packus_epi16(ab, cd))
        }
    }
    #[inline(always)]
    unsafe fn narrow_signed(self, integers: [__m256; 4]) -> __m256 {
        unsafe {
            let [a, b, c, d] = self::integers(integers);
            let (ab, cd) = (_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
            let signed = _mm256_packs_epi16(ab, cd);
            _mm256_castsi256_ps(_mm256_xor_si256(signed, _mm256_set1_epi8(-128)))
        }
    }
    #[inline(always)]
    unsafe fn load_in_turn(self, [a, b]: [*const u8; 2]) -> __m256 {
        unsafe {
            let (a, b) = (_mm_loadu_si128(a.cast()), _mm_loadu_si128(b.cast()));
            _mm256_castsi256_ps(_mm256_set_m128i(_mm_unpackhi_epi64(a, b), _mm_unpacklo_epi64(a, b)))
        }
    }
    #[inline(always)]
    unsafe fn store_in_turn(self, [a, b]: [*mut u8; 2], bytes: __m256) {
        unsafe {
            let both = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_castps_si256(bytes));
            _mm_storeu_si128(a.cast(), _mm256_castsi256_si128(both));
            _mm_storeu_si128(b.cast(), _mm256_extracti128_si256::<1>(both));
        }
    }
    #[inline(always)]
    unsafe fn pair_in_channel_order(self, [a, b]: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)] }
    }
    #[inline(always)]
    unsafe fn quad_in_channel_order(self, [a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
        unsafe {
            [
                _mm256_permute2f128_ps::<0x20>(a, b),
                _mm256_permute2f128_ps::<0x20>(c, d),
                _mm256_permute2f128_ps::<0x31>(a, b),
                _mm256_permute2f128_ps::<0x31>(c, d),
            ]
        }
    }
}
