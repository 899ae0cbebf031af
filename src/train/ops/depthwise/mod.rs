//! Depthwise convolution: every channel has its own filter.
//!
//! Activations are f32 (image, row, column, channel), weights `[channels, 1, kernel, kernel]`. One vector holds
//! neighbouring channels of one pixel; a few output pixels of a row are summed in registers at a time. [`run_parallel`]
//! and the gradients work on plain slices and panic if one has the wrong length.

mod forward;
mod gradients;
mod shape;

pub use forward::run_parallel;
pub use gradients::{input_gradient, weight_gradient};
pub use shape::{DepthwiseShape, Packed};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::simd::Isa;
    use crate::train::gpu::candle::ops::new_vector;
    use crate::train::ops::Epilogue;
    use crate::train::ops::tests::random_numbers;

    #[test]
    fn every_instruction_set_gives_the_portable_result() {
        for (height, width, channels, kernel, stride) in [
            (1, 1, 3, 3, 1),
            (7, 9, 17, 3, 1),
            (12, 14, 16, 5, 1),
            (11, 8, 48, 5, 2),
            (16, 20, 99, 3, 2),
            (2, 3, 20, 5, 1),
            (32, 5, 33, 5, 2),
            (9, 9, 8, 7, 1),
        ] {
            let shape = DepthwiseShape { height, width, channels, kernel, stride, padding: kernel / 2 };
            let (oh, ow) = shape.output_size();
            let x = random_numbers(height * width * channels, 1);
            let weight = random_numbers(channels * kernel * kernel, 2);
            let dy = random_numbers(oh * ow * channels, 3);
            let all = |isa| {
                let mut out = vec![f32::NAN; dy.len()];
                let packed = Packed::new(&weight, channels, kernel);
                let epilogue = Epilogue { bias: Some(&weight[..channels]), residual: Some(&dy), relu: true };
                run_parallel(isa, &shape, 1, &x, &packed, epilogue, &mut out);
                out.extend(new_vector(|out| input_gradient(isa, &shape, 1, &dy, &weight, Some(&x), out)));
                out.extend(weight_gradient(isa, &shape, 1, &x, &dy));
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
