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

/// Every operation on 8-bit integers, compared with plain arithmetic.
struct Int8Check;

impl Int8Kernel for Int8Check {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: SimdInt8>(self, s: S) {
        let lanes = S::LANES;
        let bytes = |seed: usize| -> Vec<u8> { (0..4 * lanes).map(|i| ((i + seed) * 89 % 256) as u8).collect() };
        // Pairs of weights at the limit: 127 and 1, -64 and 64.
        let weights: Vec<i8> = (0..4 * lanes).map(|i| [127, 1, -64, 64, -127, -1, 5, -120][i % 8]).collect();
        let integers = |k: usize| -> Vec<i32> {
            (0..lanes)
                .map(|i| [-70_000, -129, -128, -1, 0, 127, 128, 255, 256, 40_000][(k * 5 + i) % 10] + i as i32)
                .collect()
        };
        let as_bytes = |integers: Vec<i32>| integers.into_iter().flat_map(i32::to_ne_bytes).collect::<Vec<u8>>();
        // SAFETY: every buffer holds one vector.
        unsafe {
            let load = |bytes: &[u8]| s.load(bytes.as_ptr().cast());
            let stored = |vector: S::Vector| {
                let mut bytes = vec![0_u8; 4 * lanes];
                s.store(bytes.as_mut_ptr().cast(), vector);
                bytes
            };
            let stored_integers = |vector: S::Vector| -> Vec<i32> {
                stored(vector).chunks_exact(4).map(|b| i32::from_ne_bytes(b.try_into().unwrap())).collect()
            };
            for factors in [bytes(3), vec![255; 4 * lanes], vec![0; 4 * lanes]] {
                let sums = s.dot_int8(
                    load(&factors),
                    load(&weights.iter().map(|&w| w as u8).collect::<Vec<_>>()),
                    load(&as_bytes(integers(1))),
                );
                let expected: Vec<i32> = (0..lanes)
                    .map(|i| {
                        let product = |j: usize| (i32::from(factors[j]) - S::LEFT_OFFSET) * i32::from(weights[j]);
                        integers(1)[i] + (4 * i..4 * i + 4).map(product).sum::<i32>()
                    })
                    .collect();
                assert_eq!(stored_integers(sums), expected);
            }

            let rows: [Vec<u8>; 4] = std::array::from_fn(|row| bytes(row * 31));
            let quads = s.interleave(std::array::from_fn(|row| load(&rows[row]))).map(stored);
            for (k, quad) in quads.iter().enumerate() {
                for (i, byte) in quad.iter().enumerate() {
                    assert_eq!(*byte, rows[i % 4][block_channel(4, k, i / 4)], "vector {k}, byte {i}");
                }
            }

            let quad = std::array::from_fn(|k| load(&as_bytes(integers(k))));
            let (unsigned, signed) = (stored(s.narrow_unsigned(quad)), stored(s.narrow_signed(quad)));
            let ordered = s.quad_in_channel_order(quad).map(stored_integers).concat();
            for (k, i) in (0..4).flat_map(|k| (0..lanes).map(move |i| (k, i))) {
                let (channel, integer) = (block_channel(4, k, i), integers(k)[i]);
                assert_eq!(unsigned[channel], integer.clamp(0, 255) as u8);
                assert_eq!(signed[channel], (integer.clamp(-128, 127) + 128) as u8);
                assert_eq!(ordered[channel], integer);
            }

            let widened = s.widen(load(&bytes(7))).map(stored_integers);
            let pair = s.pair_in_channel_order([quad[0], quad[1]]).map(stored_integers).concat();
            for (k, i) in (0..4).flat_map(|k| (0..lanes).map(move |i| (k, i))) {
                assert_eq!(widened[k][i], i32::from(bytes(7)[block_channel(4, k, i)]));
                if k < 2 {
                    assert_eq!(pair[block_channel(2, k, i)], integers(k)[i]);
                }
            }

            // The pairs of two cells are a quad.
            let cells = [bytes(11), bytes(48)];
            let both = s.load_in_turn([cells[0].as_ptr(), cells[1].as_ptr()]);
            let widened = s.widen(both).map(stored_integers);
            for (k, i) in (0..4).flat_map(|k| (0..lanes).map(move |i| (k, i))) {
                assert_eq!(widened[k][i], i32::from(cells[k / 2][block_channel(2, k % 2, i)]));
            }
            let mut written = [vec![9_u8; 2 * lanes + 1], vec![9_u8; 2 * lanes + 1]];
            let [a, b] = &mut written;
            s.store_in_turn([a.as_mut_ptr(), b.as_mut_ptr()], both);
            for (written, cell) in written.iter().zip(&cells) {
                assert_eq!(*written, [&cell[..2 * lanes], &[9]].concat());
            }

            let floats = s.int_to_f32(quad[0]);
            let halves = s.mul(floats, s.splat(0.5));
            let expected = integers(0).into_iter().map(|v| (v as f32 * 0.5).round_ties_even());
            assert_eq!(stored_integers(s.f32_to_int(halves)), expected.clone().map(|v| v as i32).collect::<Vec<_>>());
            let mut clamped = vec![9_u8; lanes + 1];
            s.store_u8(clamped.as_mut_ptr(), halves);
            assert_eq!(clamped, expected.map(|v| v.clamp(0.0, 255.0) as u8).chain([9]).collect::<Vec<_>>());
        }
    }
}

#[test]
fn int8_operations_are_exact_on_every_set() {
    for isa in Isa::available() {
        dispatch_int8(isa, Int8Check);
    }
    // SAFETY: the core has the sets; these are the ways without dot products, which a core that has them does not take.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        if Isa::Avx512.is_available() {
            avx512::run_int8(Int8Check);
        }
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        neon::run_int8(Int8Check);
    }
}
