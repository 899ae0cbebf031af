//! AVX-512: sixteen lanes, thirty-two registers, masked tails.

use super::{Bf16Kernel, Int8Kernel, Kernel, Simd, SimdBf16, SimdInt8, array};
use std::arch::x86_64::*;

/// `VNNI`: whether it has dot products of 8-bit integers.
#[derive(Clone, Copy)]
pub struct Avx512<const VNNI: bool>;

/// # Safety
/// The core must have AVX-512 F, BW, DQ and VL, AVX2, FMA and F16C.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Avx512::<false>) }
}

/// # Safety
/// As for [`run`]; the core must have AVX512-BF16 too.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
pub unsafe fn run_bf16<K: Bf16Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Avx512::<false>) }
}

/// # Safety
/// As for [`run`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub unsafe fn run_int8<K: Int8Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Avx512::<false>) }
}

/// # Safety
/// As for [`run`]; the core must have AVX512-VNNI too.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub unsafe fn run_vnni<K: Int8Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Avx512::<true>) }
}

#[inline(always)]
fn first(count: usize) -> __mmask16 {
    ((1_u32 << count) - 1) as __mmask16
}

// SAFETY (whole block): the caller promises the instruction set and valid pointers by the contract of `Simd`.
impl<const VNNI: bool> Simd for Avx512<VNNI> {
    const LANES: usize = 16;
    const REGISTERS: usize = 32;
    type Vector = __m512;

    #[inline(always)]
    unsafe fn splat(self, value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> __m512 {
        unsafe { _mm512_maskz_loadu_ps(first(count), from) }
    }
    #[inline(always)]
    unsafe fn load_four_times(self, from: *const f32) -> __m512 {
        unsafe {
            let fours = _mm512_broadcast_f32x4(_mm_loadu_ps(from));
            _mm512_permutevar_ps(fours, _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3))
        }
    }
    #[inline(always)]
    unsafe fn load_pixels(self, from: *const u8, offsets: *const usize) -> __m512 {
        unsafe {
            let four_bytes = |i: usize| from.add(offsets.add(i).read()).cast::<i32>().read_unaligned();
            let bytes = _mm_cvtsi32_si128(four_bytes(0));
            let bytes = _mm_insert_epi32::<1>(bytes, four_bytes(1));
            let bytes = _mm_insert_epi32::<2>(bytes, four_bytes(2));
            let bytes = _mm_insert_epi32::<3>(bytes, four_bytes(3));
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m512) {
        unsafe { _mm512_storeu_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, value: __m512, count: usize) {
        unsafe { _mm512_mask_storeu_ps(to, first(count), value) }
    }
    #[inline(always)]
    unsafe fn store_pixels(self, to: *mut f32, value: __m512) {
        unsafe { _mm512_mask_storeu_ps(to, first(12), _mm512_maskz_compress_ps(0x7777, value)) }
    }
    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8, value: __m512) {
        unsafe {
            let integers = _mm512_max_epi32(_mm512_cvtps_epi32(value), _mm512_setzero_si512());
            _mm_storeu_si128(to.cast(), _mm512_cvtusepi32_epi8(integers));
        }
    }
    #[inline(always)]
    unsafe fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn max(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn where_positive(self, gate: __m512, value: __m512) -> __m512 {
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_ps()), value) }
    }
    #[inline(always)]
    unsafe fn where_greater(self, a: __m512, b: __m512, value: __m512, otherwise: __m512) -> __m512 {
        unsafe { _mm512_mask_mov_ps(otherwise, _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), value) }
    }
    #[inline(always)]
    unsafe fn prefetch(self, address: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}

// SAFETY (whole block): the caller promises AVX512-BF16 and valid pointers by the contract of `SimdBf16`; every bit
// pattern is valid in the types that vectors are reinterpreted as.
impl SimdBf16 for Avx512<false> {
    #[inline(always)]
    unsafe fn dot_bf16(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe {
            _mm512_dpbf16_ps(c, std::mem::transmute::<__m512, __m512bh>(a), std::mem::transmute::<__m512, __m512bh>(b))
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut half::bf16, value: __m512) {
        unsafe { to.cast::<__m256bh>().write_unaligned(_mm512_cvtneps_pbh(value)) }
    }
}

/// The same bits as integers.
///
/// # Safety
/// As for [`SimdInt8`].
#[inline(always)]
unsafe fn integers<const N: usize>(vectors: [__m512; N]) -> [__m512i; N] {
    // SAFETY: by this function's contract.
    array(|i| unsafe { _mm512_castps_si512(vectors[i]) })
}

// SAFETY (whole block): the caller promises the instruction set, with AVX512-VNNI if `VNNI`.
impl<const VNNI: bool> SimdInt8 for Avx512<VNNI> {
    const LEFT_OFFSET: i32 = 0;
    #[inline(always)]
    unsafe fn dot_int8(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe {
            let [a, b, c] = integers([a, b, c]);
            _mm512_castsi512_ps(if VNNI {
                _mm512_dpbusd_epi32(c, a, b)
            } else {
                let pairs = _mm512_maddubs_epi16(a, b);
                _mm512_add_epi32(c, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
            })
        }
    }
    #[inline(always)]
    unsafe fn int_to_f32(self, integers: __m512) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_castps_si512(integers)) }
    }
    #[inline(always)]
    unsafe fn f32_to_int(self, values: __m512) -> __m512 {
        unsafe { _mm512_castsi512_ps(_mm512_cvtps_epi32(values)) }
    }
    #[inline(always)]
    unsafe fn interleave(self, rows: [__m512; 4]) -> [__m512; 4] {
        unsafe {
            let [a, b, c, d] = integers(rows);
            let (low, high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
            let (low2, high2) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
            let quads = [
                _mm512_unpacklo_epi16(low, low2),
                _mm512_unpackhi_epi16(low, low2),
                _mm512_unpacklo_epi16(high, high2),
                _mm512_unpackhi_epi16(high, high2),
            ];
            array(|k| _mm512_castsi512_ps(quads[k]))
        }
    }
    #[inline(always)]
    unsafe fn narrow_unsigned(self, integers: [__m512; 4]) -> __m512 {
        unsafe {
            let [a, b, c, d] = self::integers(integers);
            let (ab, cd) = (_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
            _mm512_castsi512_ps(_mm512_packus_epi16(ab, cd))
        }
    }
    #[inline(always)]
    unsafe fn narrow_signed(self, integers: [__m512; 4]) -> __m512 {
        unsafe {
            let [a, b, c, d] = self::integers(integers);
            let (ab, cd) = (_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
            let signed = _mm512_packs_epi16(ab, cd);
            _mm512_castsi512_ps(_mm512_xor_si512(signed, _mm512_set1_epi8(-128)))
        }
    }
    #[inline(always)]
    unsafe fn widen(self, bytes: __m512) -> [__m512; 4] {
        unsafe {
            let bytes = _mm512_castps_si512(bytes);
            // The four bytes from `k * 4` on of every 128 bits; a negative index gives 0.
            array(|k| {
                let k = k as i32 * 4;
                let lane = |byte: i32| i32::from_le_bytes([(k + byte) as u8, 0x80, 0x80, 0x80]);
                let order = _mm_setr_epi32(lane(0), lane(1), lane(2), lane(3));
                _mm512_castsi512_ps(_mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(order)))
            })
        }
    }
    #[inline(always)]
    unsafe fn load_in_turn(self, [a, b]: [*const u8; 2]) -> __m512 {
        unsafe {
            let first = _mm512_castsi256_si512(_mm256_loadu_si256(a.cast()));
            let both = _mm512_inserti64x4::<1>(first, _mm256_loadu_si256(b.cast()));
            _mm512_castsi512_ps(_mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), both))
        }
    }
    #[inline(always)]
    unsafe fn store_in_turn(self, [a, b]: [*mut u8; 2], bytes: __m512) {
        unsafe {
            let order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
            let both = _mm512_permutexvar_epi64(order, _mm512_castps_si512(bytes));
            _mm256_storeu_si256(a.cast(), _mm512_castsi512_si256(both));
            _mm256_storeu_si256(b.cast(), _mm512_extracti64x4_epi64::<1>(both));
        }
    }
    #[inline(always)]
    unsafe fn pair_in_channel_order(self, [a, b]: [__m512; 2]) -> [__m512; 2] {
        unsafe {
            let (low, high) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
            [_mm512_shuffle_f32x4::<0xd8>(low, low), _mm512_shuffle_f32x4::<0xd8>(high, high)]
        }
    }
    #[inline(always)]
    unsafe fn quad_in_channel_order(self, [a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
        unsafe {
            let (ab, ab2) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
            let (cd, cd2) = (_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
            [
                _mm512_shuffle_f32x4::<0x88>(ab, cd),
                _mm512_shuffle_f32x4::<0xdd>(ab, cd),
                _mm512_shuffle_f32x4::<0x88>(ab2, cd2),
                _mm512_shuffle_f32x4::<0xdd>(ab2, cd2),
            ]
        }
    }
}
