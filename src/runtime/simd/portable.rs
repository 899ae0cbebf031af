//! Plain Rust for any core, eight lanes: the reference for every other instruction set.

use super::{Simd, SimdBf16, SimdInt8, quantize_u8};

#[derive(Clone, Copy)]
pub struct Portable;

const LANES: usize = 8;

#[inline(always)]
fn map2(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

// SAFETY (whole block): nothing here needs an instruction set; pointers are valid by the contract of `Simd`.
impl Simd for Portable {
    const LANES: usize = LANES;
    const REGISTERS: usize = 16;
    type Vector = [f32; LANES];

    #[inline(always)]
    unsafe fn splat(self, value: f32) -> Self::Vector {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Vector {
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> Self::Vector {
        std::array::from_fn(|i| if i < count { unsafe { from.add(i).read() } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn load_four_times(self, from: *const f32) -> Self::Vector {
        std::array::from_fn(|i| unsafe { from.add(i / 4).read() })
    }
    #[inline(always)]
    unsafe fn load_pixels(self, from: *const u8, offsets: *const usize) -> Self::Vector {
        std::array::from_fn(|i| f32::from(unsafe { from.add(offsets.add(i / 4).read() + i % 4).read() }))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::Vector) {
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(value) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, value: Self::Vector, count: usize) {
        for (i, v) in value.into_iter().take(count).enumerate() {
            unsafe { to.add(i).write(v) }
        }
    }
    #[inline(always)]
    unsafe fn store_pixels(self, to: *mut f32, value: Self::Vector) {
        let [a, b, c, _, d, e, f, _] = value;
        unsafe { to.cast::<[f32; 6]>().write_unaligned([a, b, c, d, e, f]) }
    }
    #[inline(always)]
    unsafe fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        map2(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        map2(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        map2(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        map2(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn where_positive(self, gate: Self::Vector, value: Self::Vector) -> Self::Vector {
        map2(gate, value, |g, v| if g > 0.0 { v } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn where_greater(
        self,
        a: Self::Vector,
        b: Self::Vector,
        value: Self::Vector,
        otherwise: Self::Vector,
    ) -> Self::Vector {
        std::array::from_fn(|i| if a[i] > b[i] { value[i] } else { otherwise[i] })
    }
}

// SAFETY (whole block): as above.
impl SimdBf16 for Portable {
    #[inline(always)]
    unsafe fn dot_bf16(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        let low = |v: f32| f32::from_bits(v.to_bits() << 16);
        let high = |v: f32| f32::from_bits(v.to_bits() & 0xffff_0000);
        std::array::from_fn(|i| c[i] + low(a[i]) * low(b[i]) + high(a[i]) * high(b[i]))
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut half::bf16, value: Self::Vector) {
        for (i, v) in value.into_iter().enumerate() {
            unsafe { to.add(i).write(half::bf16::from_f32(v)) }
        }
    }
}

// SAFETY (whole block): as above.
impl SimdInt8 for Portable {
    #[inline(always)]
    unsafe fn dot_int8(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| {
            let products = a[i].to_ne_bytes().into_iter().zip(b[i].to_ne_bytes());
            let sum: i32 = products.map(|(a, b)| i32::from(a) * i32::from(b as i8)).sum();
            f32::from_bits((c[i].to_bits() as i32 + sum) as u32)
        })
    }
    #[inline(always)]
    unsafe fn int_to_f32(self, integers: Self::Vector) -> Self::Vector {
        integers.map(|v| v.to_bits() as i32 as f32)
    }
    #[inline(always)]
    unsafe fn store_u8(self, to: *mut u8, value: Self::Vector) {
        for (i, v) in value.into_iter().enumerate() {
            unsafe { to.add(i).write(quantize_u8(v)) }
        }
    }
}
