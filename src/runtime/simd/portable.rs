//! Plain Rust for any core, eight lanes: the reference for every other instruction set.

use super::{Simd, SimdBf16, SimdInt8, block_channel};

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
    unsafe fn store_u8(self, to: *mut u8, value: Self::Vector) {
        let bytes = value.map(|v| v.round_ties_even().clamp(0.0, 255.0) as u8);
        unsafe { to.cast::<[u8; LANES]>().write_unaligned(bytes) }
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

type Bytes = [u8; 4 * LANES];

#[inline(always)]
fn bytes(vector: [f32; LANES]) -> Bytes {
    std::array::from_fn(|i| vector[i / 4].to_bits().to_le_bytes()[i % 4])
}

#[inline(always)]
fn vector(bytes: Bytes) -> [f32; LANES] {
    std::array::from_fn(|i| f32::from_bits(u32::from_le_bytes(std::array::from_fn(|j| bytes[4 * i + j]))))
}

/// From the lanes of a quad to channels.
#[inline(always)]
fn channels<T: Copy + Default>(quad: [[T; LANES]; 4]) -> [T; 4 * LANES] {
    let mut channels = [T::default(); 4 * LANES];
    for (k, lanes) in quad.into_iter().enumerate() {
        lanes.into_iter().enumerate().for_each(|(lane, value)| channels[block_channel(4, k, lane)] = value);
    }
    channels
}

// SAFETY (whole block): as above.
impl SimdInt8 for Portable {
    const LEFT_OFFSET: i32 = 0;
    #[inline(always)]
    unsafe fn dot_int8(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| {
            let products = a[i].to_bits().to_le_bytes().into_iter().zip(b[i].to_bits().to_le_bytes());
            let sum: i32 = products.map(|(a, b)| i32::from(a) * i32::from(b as i8)).sum();
            f32::from_bits((c[i].to_bits() as i32 + sum) as u32)
        })
    }
    #[inline(always)]
    unsafe fn int_to_f32(self, integers: Self::Vector) -> Self::Vector {
        integers.map(|v| v.to_bits() as i32 as f32)
    }
    #[inline(always)]
    unsafe fn f32_to_int(self, values: Self::Vector) -> Self::Vector {
        values.map(|v| f32::from_bits(v.round_ties_even() as i32 as u32))
    }
    #[inline(always)]
    unsafe fn interleave(self, rows: [Self::Vector; 4]) -> [Self::Vector; 4] {
        let rows = rows.map(bytes);
        std::array::from_fn(|k| vector(std::array::from_fn(|i| rows[i % 4][block_channel(4, k, i / 4)])))
    }
    #[inline(always)]
    unsafe fn narrow_unsigned(self, integers: [Self::Vector; 4]) -> Self::Vector {
        vector(channels(integers.map(|v| v.map(|v| (v.to_bits() as i32).clamp(0, 255) as u8))))
    }
    #[inline(always)]
    unsafe fn narrow_signed(self, integers: [Self::Vector; 4]) -> Self::Vector {
        vector(channels(integers.map(|v| v.map(|v| ((v.to_bits() as i32).clamp(-128, 127) + 128) as u8))))
    }
    #[inline(always)]
    unsafe fn load_in_turn(self, from: [*const u8; 2]) -> Self::Vector {
        vector(std::array::from_fn(|i| unsafe { from[i / 8 % 2].add(i / 16 * 8 + i % 8).read() }))
    }
    #[inline(always)]
    unsafe fn store_in_turn(self, to: [*mut u8; 2], vector: Self::Vector) {
        for (i, byte) in bytes(vector).into_iter().enumerate() {
            unsafe { to[i / 8 % 2].add(i / 16 * 8 + i % 8).write(byte) }
        }
    }
    #[inline(always)]
    unsafe fn pair_in_channel_order(self, pair: [Self::Vector; 2]) -> [Self::Vector; 2] {
        let mut all = [0.0; 2 * LANES];
        for (k, lanes) in pair.into_iter().enumerate() {
            lanes.into_iter().enumerate().for_each(|(lane, value)| all[block_channel(2, k, lane)] = value);
        }
        std::array::from_fn(|j| std::array::from_fn(|i| all[j * LANES + i]))
    }
    #[inline(always)]
    unsafe fn quad_in_channel_order(self, quad: [Self::Vector; 4]) -> [Self::Vector; 4] {
        let all = channels(quad);
        std::array::from_fn(|j| std::array::from_fn(|i| all[j * LANES + i]))
    }
}
