//! NEON of 64-bit Arm: four lanes, thirty-two registers.

use super::{Kernel, Simd};
use std::arch::aarch64::*;

#[derive(Clone, Copy)]
pub struct Neon;

/// # Safety
/// The core must have NEON.
#[target_feature(enable = "neon")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller promises the instruction set.
    unsafe { kernel.run(Neon) }
}

// SAFETY (whole block): the caller promises the instruction set and valid pointers by the contract of `Simd`.
impl Simd for Neon {
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
        // The second operand where one is NaN, as on the other sets.
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
