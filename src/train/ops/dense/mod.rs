//! Dense convolution on the CPU: every output channel sees every input channel.
//!
//! Activations are f32 (image, row, column, channel), weights `[out, in, kernel, kernel]`. The forward pass is a matrix
//! product that never builds its left side: a tile of a few output pixels times a few vectors of output channels stays
//! in registers while the taps of the filter pass over the picture in place (pixels beyond it read zeros). The input
//! gradient is the same product with flipped, transposed weights; the weight gradient is a sum of outer products over
//! the pixels. All of it is written once over [`crate::runtime::simd::Simd`].
//!
//! All of these work on plain slices and panic if one has the wrong length.

mod forward;
mod input_gradient;
mod packed;
mod shape;
mod tile;
mod weight_gradient;

pub use forward::run_parallel;
pub use input_gradient::input_gradient;
pub use packed::PackedWeights;
pub(super) use packed::blocks;
pub use shape::ConvShape;
pub(crate) use shape::MOST_CHANNELS;
pub use weight_gradient::weight_gradient;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::simd::Isa;
    use crate::train::gpu::candle::ops::new_vector;
    use crate::train::ops::Epilogue;
    use crate::train::ops::tests::random_numbers;

    #[test]
    fn every_instruction_set_gives_the_portable_result() {
        for (h, w, cin, cout, k, s, p) in [
            (9, 7, 3, 99, 3, 2, 1),
            (8, 8, 48, 40, 1, 1, 0),
            (6, 5, 16, 70, 3, 1, 1),
            (11, 6, 5, 17, 5, 3, 0),
            (5, 9, 131, 1, 3, 1, 2),
            (7, 7, 1, 129, 7, 2, 3),
        ] {
            let shape = ConvShape { height: h, width: w, inputs: cin, outputs: cout, kernel: k, stride: s, padding: p };
            let x = random_numbers(2 * h * w * cin, 1);
            let weight = random_numbers(cout * cin * k * k, 2);
            let (oh, ow) = shape.output_size();
            let dy = random_numbers(2 * oh * ow * cout, 3);
            let all = |isa| {
                let packed = PackedWeights::new(isa, &weight, cout, cin, k);
                let none = Epilogue::default();
                let residual = new_vector(|out| run_parallel(&shape, 2, &x, &packed, none, out));
                let epilogue = Epilogue { bias: Some(&dy[..cout]), residual: Some(&residual), relu: true };
                let mut out = new_vector(|out| run_parallel(&shape, 2, &x, &packed, epilogue, out));
                out.extend(new_vector(|out| input_gradient(isa, &shape, 2, &dy, &weight, Some(&x), out)));
                out.extend(weight_gradient(isa, &shape, 2, &x, &dy));
                out
            };
            let expected = all(Isa::Portable);
            for isa in Isa::available() {
                for (a, e) in all(isa).iter().zip(&expected) {
                    assert!((a - e).abs() < 1e-3 * e.abs().max(1.0), "{}: {a} instead of {e}", isa.name());
                }
            }
        }
    }
}
