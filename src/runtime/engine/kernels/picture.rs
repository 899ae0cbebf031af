//! Copies the picture to its map at the start of a run, and writes the coordinates where a boundary map exceeds its
//! gate.

use super::Factor;
use crate::runtime::engine::plan::{Address, Gate, Picture};
use crate::runtime::model::graph::BOUNDARY_GATE;
use crate::runtime::simd::Simd;

/// Copies the picture `from`, (row, column, RGB), to its map.
///
/// # Safety
/// As for [`Simd`]; `picture` and `memory` are of one plan, `from` has as many values as its map.
#[inline(always)]
pub(in crate::runtime::engine) unsafe fn picture<S: Simd, F: Factor<S>>(
    s: S,
    picture: &Picture<Address>,
    from: &[f32],
    memory: *mut u8,
) {
    let count = picture.row_values;
    for (row, values) in from.chunks_exact(count).enumerate() {
        // SAFETY: a row of the map has room for a row of the picture; vectors end with it at the latest.
        unsafe {
            let to = memory.add(picture.start.0 + row * picture.row_bytes);
            let mut at = 0;
            while at + S::LANES <= count {
                F::store(s, to.add(at * F::BYTES), s.load(values.as_ptr().add(at)));
                at += S::LANES;
            }
            for (i, &value) in values.iter().enumerate().skip(at) {
                F::store_one(to.add(i * F::BYTES), value);
            }
        }
    }
}

/// Writes the row and column coordinate of every cell where the boundary map exceeds the gate, zeros elsewhere.
///
/// # Safety
/// As for [`Simd`]; `gate`, `tables` and `memory` are of one plan.
#[inline(always)]
pub(in crate::runtime::engine) unsafe fn gate<S: Simd, F: Factor<S>>(
    gate: &Gate<Address>,
    tables: &[Vec<u32>],
    memory: *mut u8,
) {
    let Gate { boundary, to, coordinates } = gate;
    let cells = tables[boundary.table].iter().zip(&tables[to.table]).zip(coordinates);
    for ((&boundary_at, &to_at), coordinates) in cells {
        // SAFETY: the tables lead to cells of maps in `memory`; the second has two channels.
        unsafe {
            let value = memory.add(boundary.start.0 + boundary_at as usize).cast::<f32>().read();
            for (i, &coordinate) in coordinates.iter().enumerate() {
                let gated = if value > BOUNDARY_GATE { coordinate } else { 0.0 };
                F::store_one(memory.add(to.start.0 + to_at as usize + i * F::BYTES), gated);
            }
        }
    }
}
