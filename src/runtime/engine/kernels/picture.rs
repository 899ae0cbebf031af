//! What a run begins with: the picture in its map; and the coordinates that a boundary map lets through.

use super::Factor;
use crate::runtime::engine::plan::{Cells, Map};
use crate::runtime::model::graph::BOUNDARY_GATE;
use crate::runtime::simd::Simd;

/// Writes the picture, (row, column, RGB), into its map.
///
/// # Safety
/// As for [`Simd`]; `memory` is that of the plan.
#[inline(always)]
pub(in crate::runtime::engine) unsafe fn picture<S: Simd, F: Factor<S>>(
    s: S,
    picture: &[f32],
    to: &Map,
    memory: *mut u8,
) {
    let numbers = to.width * to.channels;
    for (row, values) in picture.chunks_exact(numbers).enumerate() {
        // SAFETY: a row of the map has room for the row of the picture; the last vector is one that ends with it.
        unsafe {
            let to = memory.add(to.start + to.cell(row as isize, 0));
            let mut at = 0;
            while at + S::LANES <= numbers {
                F::store(s, to.add(at * F::BYTES), s.load(values.as_ptr().add(at)));
                at += S::LANES;
            }
            for (i, &value) in values.iter().enumerate().skip(at) {
                F::store_one(to.add(i * F::BYTES), value);
            }
        }
    }
}

/// Writes row and column coordinate of every cell whose boundary value is over the gate, zeros for the others.
///
/// # Safety
/// As for [`picture`]; `tables` are those of the plan.
#[inline(always)]
pub(in crate::runtime::engine) unsafe fn gate<S: Simd, F: Factor<S>>(
    boundary: &Cells,
    to: &Cells,
    coordinates: &[[f32; 2]],
    tables: &[Vec<u32>],
    memory: *mut u8,
) {
    let cells = tables[boundary.table].iter().zip(&tables[to.table]).zip(coordinates);
    for ((&boundary_at, &to_at), coordinates) in cells {
        // SAFETY: the tables lead to cells of maps in `memory`; the second has two channels.
        unsafe {
            let value = memory.add(boundary.start + boundary_at as usize).cast::<f32>().read();
            for (i, &coordinate) in coordinates.iter().enumerate() {
                let gated = if value > BOUNDARY_GATE { coordinate } else { 0.0 };
                F::store_one(memory.add(to.start + to_at as usize + i * F::BYTES), gated);
            }
        }
    }
}
