//! The inner loop of dense convolutions: a tile of sums in registers.

use crate::runtime::simd::{Simd, array};

/// `sums[m][v] += from[m][k] * weights[k][v]` for all `k < length`.
#[inline(always)]
pub(super) unsafe fn accumulate<S: Simd, const M: usize, const V: usize>(
    s: S,
    from: &[*const f32; M],
    length: usize,
    weights: *const f32,
    sums: &mut [[S::Vector; V]; M],
) {
    // SAFETY: the caller has `length` numbers behind every pointer and `length * V` vectors of weights.
    unsafe {
        let mut local = *sums;
        for k in 0..length {
            let row = weights.add(k * V * S::LANES);
            let w: [S::Vector; V] = array(|v| s.load(row.add(v * S::LANES)));
            for m in 0..M {
                let value = s.splat(*from[m].add(k));
                for v in 0..V {
                    local[m][v] = s.mul_add(value, w[v], local[m][v]);
                }
            }
        }
        *sums = local;
    }
}
