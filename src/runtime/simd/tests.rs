//! Every instruction set gives the results of the portable one.

use super::*;

struct EveryOperation<'a>(&'a [f32], &'a [half::f16]);

impl Kernel for EveryOperation<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) -> Vec<f32> {
        // SAFETY: both slices hold 64 values, at least twice the widest vector, and `out` is resized before each store.
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
                let offsets = [40, 3, 0, 21];
                let pixels = s.load_pixels(self.1.as_ptr().cast(), offsets.as_ptr().add(start));
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

struct EveryBf16Operation<'a>(&'a [f32]);

impl Bf16Kernel for EveryBf16Operation<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    unsafe fn run<S: SimdBf16>(self, s: S) -> Vec<f32> {
        let mut rounded = vec![half::bf16::ZERO; 64];
        let mut out = vec![0.0; 32];
        // SAFETY: 64 values are read and rounded; `LANES` pairs from each half fill a vector each.
        unsafe {
            for start in (0..64).step_by(S::LANES) {
                s.store_bf16(rounded.as_mut_ptr().add(start), s.load(self.0.as_ptr().add(start)));
            }
            for start in (0..16).step_by(S::LANES) {
                let a = s.load(rounded.as_ptr().add(2 * start).cast());
                let b = s.load(rounded.as_ptr().add(32 + 2 * start).cast());
                s.store(out.as_mut_ptr().add(start), s.dot_bf16(a, b, s.splat(0.5)));
            }
        }
        out[16..].copy_from_slice(&rounded[..16].iter().map(|h| h.to_f32()).collect::<Vec<_>>());
        out
    }
}

#[test]
fn bf16_products_are_the_portable_ones_on_every_set() {
    let numbers: Vec<f32> = (0..64).map(|i| ((i * 29 % 64) as f32 - 31.0) * 0.37).collect();
    let rounded = |i: usize| half::bf16::from_f32(numbers[i]).to_f32();
    let mut sets = vec![Isa::Portable];
    sets.extend(Isa::available().into_iter().filter(|isa| isa.has_bf16()));
    for isa in sets {
        let actual = dispatch_bf16(isa, EveryBf16Operation(&numbers));
        for i in 0..16 {
            let dot = 0.5 + rounded(2 * i) * rounded(32 + 2 * i) + rounded(2 * i + 1) * rounded(33 + 2 * i);
            assert!((actual[i] - dot).abs() <= 1e-4 * dot.abs().max(1.0), "{}: {} for {dot}", isa.name(), actual[i]);
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

struct EveryInt8Operation<'a>(&'a [f32], &'a [u8]);

impl Int8Kernel for EveryInt8Operation<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    unsafe fn run<S: SimdInt8>(self, s: S) -> Vec<f32> {
        let mut quantized = vec![0_u8; 64];
        let mut out = vec![0.0; 16];
        // SAFETY: the slices hold 64 f32 and 128 u8 values, at least what a vector needs.
        unsafe {
            for start in (0..64).step_by(S::LANES) {
                s.store_u8(quantized.as_mut_ptr().add(start), s.load(self.0.as_ptr().add(start)));
            }
            for start in (0..16).step_by(S::LANES) {
                let a = s.load(quantized.as_ptr().add(4 * start).cast());
                let b = s.load(self.1.as_ptr().add(4 * start).cast());
                let sums = s.dot_int8(a, b, s.dot_int8(b, a, s.splat(0.0)));
                s.store(out.as_mut_ptr().add(start), s.int_to_f32(sums));
            }
        }
        out.extend(quantized.into_iter().map(f32::from));
        out
    }
}

#[test]
fn int8_products_are_exact_on_every_set() {
    let numbers: Vec<f32> = (0..64).map(|i| (i * 29 % 64) as f32 * 5.3 - 160.0).collect();
    let others: Vec<u8> = (0..128).map(|i| (i * 89 % 256) as u8).collect();
    let quantized = |i: usize| (numbers[i].round_ties_even() + 128.0).clamp(0.0, 255.0) as u8;
    let product = |a: u8, b: u8| i32::from(a) * i32::from(b as i8);
    let mut sets = vec![Isa::Portable];
    sets.extend(Isa::available().into_iter().filter(|isa| isa.has_int8()));
    for isa in sets {
        let actual = dispatch_int8(isa, EveryInt8Operation(&numbers, &others));
        for (lane, actual) in actual[..16].iter().enumerate() {
            let sum = |i: usize| product(quantized(i), others[i]) + product(others[i], quantized(i));
            let expected: i32 = (4 * lane..4 * lane + 4).map(sum).sum();
            assert_eq!(*actual, expected as f32, "{} in lane {lane}", isa.name());
        }
        assert!((0..64).all(|i| actual[16 + i] == f32::from(quantized(i))), "{}", isa.name());
    }
}
