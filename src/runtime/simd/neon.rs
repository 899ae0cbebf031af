//! NEON of 64-bit Arm: four lanes, thirty-two registers.

use super::{Int8Kernel, Kernel, Simd, SimdInt8, array};
use std::arch::aarch64::*;

/// `DOT`: whether it has dot products of 8-bit integers.
#[derive(Clone, Copy)]
pub struct Neon<const DOT: bool>;

/// # Safety
/// The core must have NEON.
#[target_feature(enable = "neon")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Neon::<false>) }
}

/// # Safety
/// As for [`run`].
#[target_feature(enable = "neon")]
pub unsafe fn run_int8<K: Int8Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Neon::<false>) }
}

/// # Safety
/// As for [`run`]; the core must have dot products too.
#[target_feature(enable = "neon,dotprod")]
pub unsafe fn run_dot<K: Int8Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Neon::<true>) }
}

// SAFETY (whole block): the caller promises the instruction set and valid pointers by the contract of `Simd`.
impl<const DOT: bool> Simd for Neon<DOT> {
    const LANES: usize = 4;
    const REGISTERS: usize = 32;
    type Vector = float32x4_t;

    #[inline(always)]
    unsafe fn splat(self, value: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(value) }
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> float32x4_t {
        let lanes: [f32; 4] = std::array::from_fn(|i| if i < count { unsafe { from.add(i).read() } } else { 0.0 });
        unsafe { vld1q_f32(lanes.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn load_four_times(self, from: *const f32) -> float32x4_t {
        unsafe { vld1q_dup_f32(from) }
    }
    #[inline(always)]
    unsafe fn load_pixels(self, from: *const u8, offsets: *const usize) -> float32x4_t {
        unsafe {
            let bytes = vcreate_u8(u64::from(from.add(offsets.read()).cast::<u32>().read_unaligned()));
            vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))))
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: float32x4_t) {
        unsafe { vst1q_f32(to, value) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, value: float32x4_t, count: usize) {
        let mut lanes = [0.0_f32; 4];
        unsafe { vst1q_f32(lanes.as_mut_ptr(), value) };
        for (i, v) in lanes.into_iter().take(count).enumerate() {
            unsafe { to.add(i).write(v) }
        }
    }
    #[inline(always)]
    unsafe fn store_pixels(self, to: *mut f32, value: float32x4_t) {
        unsafe {
            vst1_f32(to, vget_low_f32(value));
            vst1q_lane_f32::<2>(to.add(2), value);
        }
    }
    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8, value: float32x4_t) {
        unsafe {
            let words = vqmovn_s32(vcvtnq_s32_f32(value));
            let bytes = vreinterpret_u32_u8(vqmovun_s16(vcombine_s16(words, words)));
            to.cast::<u32>().write_unaligned(vget_lane_u32::<0>(bytes));
        }
    }
    #[inline(always)]
    unsafe fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // The second operand if one is NaN, as on the other sets.
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn where_positive(self, gate: float32x4_t, value: float32x4_t) -> float32x4_t {
        unsafe {
            let mask = vcgtq_f32(gate, vdupq_n_f32(0.0));
            vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(value)))
        }
    }
    #[inline(always)]
    unsafe fn where_greater(
        self,
        a: float32x4_t,
        b: float32x4_t,
        value: float32x4_t,
        otherwise: float32x4_t,
    ) -> float32x4_t {
        unsafe { vbslq_f32(vcgtq_f32(a, b), value, otherwise) }
    }
}

// SAFETY (whole block): the caller promises the instruction set, with dot products if `DOT`.
impl<const DOT: bool> SimdInt8 for Neon<DOT> {
    /// Fewer cores multiply signed by unsigned integers than signed ones.
    const LEFT_OFFSET: i32 = 128;
    #[inline(always)]
    unsafe fn dot_int8(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe {
            let a = vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_f32(a), vdupq_n_u8(128)));
            let (b, mut c) = (vreinterpretq_s8_f32(b), vreinterpretq_s32_f32(c));
            if DOT {
                // The intrinsic is not stable.
                std::arch::asm!(
                    "sdot {c:v}.4s, {a:v}.16b, {b:v}.16b",
                    c = inout(vreg) c,
                    a = in(vreg) a,
                    b = in(vreg) b,
                    options(pure, nomem, nostack, preserves_flags)
                );
            } else {
                let low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
                let high = vpaddlq_s16(vmull_s8(vget_high_s8(a), vget_high_s8(b)));
                c = vaddq_s32(c, vpaddq_s32(low, high));
            }
            vreinterpretq_f32_s32(c)
        }
    }
    #[inline(always)]
    unsafe fn int_to_f32(self, integers: float32x4_t) -> float32x4_t {
        unsafe { vcvtq_f32_s32(vreinterpretq_s32_f32(integers)) }
    }
    #[inline(always)]
    unsafe fn f32_to_int(self, values: float32x4_t) -> float32x4_t {
        unsafe { vreinterpretq_f32_s32(vcvtnq_s32_f32(values)) }
    }
    #[inline(always)]
    unsafe fn interleave(self, rows: [float32x4_t; 4]) -> [float32x4_t; 4] {
        unsafe {
            let [a, b, c, d] = array(|i| vreinterpretq_u8_f32(rows[i]));
            let words = |v| vreinterpretq_u16_u8(v);
            let (low, high) = (words(vzip1q_u8(a, b)), words(vzip2q_u8(a, b)));
            let (low2, high2) = (words(vzip1q_u8(c, d)), words(vzip2q_u8(c, d)));
            let quads =
                [vzip1q_u16(low, low2), vzip2q_u16(low, low2), vzip1q_u16(high, high2), vzip2q_u16(high, high2)];
            array(|k| vreinterpretq_f32_u16(quads[k]))
        }
    }
    #[inline(always)]
    unsafe fn narrow_unsigned(self, integers: [float32x4_t; 4]) -> float32x4_t {
        unsafe {
            let [a, b, c, d] = array(|i| vqmovn_s32(vreinterpretq_s32_f32(integers[i])));
            let (low, high) = (vqmovun_s16(vcombine_s16(a, b)), vqmovun_s16(vcombine_s16(c, d)));
            vreinterpretq_f32_u8(vcombine_u8(low, high))
        }
    }
    #[inline(always)]
    unsafe fn narrow_signed(self, integers: [float32x4_t; 4]) -> float32x4_t {
        unsafe {
            let [a, b, c, d] = array(|i| vqmovn_s32(vreinterpretq_s32_f32(integers[i])));
            let (low, high) = (vqmovn_s16(vcombine_s16(a, b)), vqmovn_s16(vcombine_s16(c, d)));
            vreinterpretq_f32_u8(veorq_u8(vreinterpretq_u8_s8(vcombine_s8(low, high)), vdupq_n_u8(128)))
        }
    }
    #[inline(always)]
    unsafe fn load_in_turn(self, [a, b]: [*const u8; 2]) -> float32x4_t {
        unsafe { vreinterpretq_f32_u8(vcombine_u8(vld1_u8(a), vld1_u8(b))) }
    }
    #[inline(always)]
    unsafe fn store_in_turn(self, [a, b]: [*mut u8; 2], bytes: float32x4_t) {
        unsafe {
            let bytes = vreinterpretq_u8_f32(bytes);
            vst1_u8(a, vget_low_u8(bytes));
            vst1_u8(b, vget_high_u8(bytes));
        }
    }
    #[inline(always)]
    unsafe fn pair_in_channel_order(self, pair: [float32x4_t; 2]) -> [float32x4_t; 2] {
        pair
    }
    #[inline(always)]
    unsafe fn quad_in_channel_order(self, quad: [float32x4_t; 4]) -> [float32x4_t; 4] {
        quad
    }
}
