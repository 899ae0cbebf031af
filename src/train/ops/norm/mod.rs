//! Batch normalization over the last dimension, with the ReLU that mostly follows it.
//!
//! PyTorch's semantics: in training the batch's mean and biased variance normalize, and the running statistics follow
//! with the unbiased variance; in evaluation the running ones normalize. The functions on slices panic if one has
//! the wrong length.

mod kernels;

pub(crate) use kernels::{NormOf, Statistics, gradients, inverse_deviation, normalize, statistics};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::simd::Isa;
    use crate::train::ops::tests::random_numbers;

    #[test]
    fn every_instruction_set_gives_the_portable_result() {
        for channels in [1, 5, 16, 35, 64, 99] {
            let [x, dy] = [1, 2].map(|seed| random_numbers(130 * channels, seed));
            let [gamma, beta] = [3, 4].map(|seed| random_numbers(channels, seed));
            for relu in [false, true] {
                let all = |isa| {
                    let statistics = statistics(isa, &x, channels);
                    let norm = NormOf { gamma: &gamma, statistics: &statistics, fixed: false, epsilon: 1e-5, relu };
                    let (mut y, mut dx) = (Vec::new(), Vec::new());
                    normalize(isa, &norm, &beta, &x, &mut y);
                    let (dgamma, dbeta) = gradients(isa, &norm, &x, &y, &dy, &mut dx);
                    [y, dx, dgamma, dbeta, statistics.mean.clone(), statistics.variance.clone()].concat()
                };
                let expected = all(Isa::Portable);
                for isa in Isa::available() {
                    for (a, e) in all(isa).iter().zip(&expected) {
                        assert!((a - e).abs() < 1e-4 * e.abs().max(1.0), "{}: {a} instead of {e}", isa.name());
                    }
                }
            }
        }
    }
}
