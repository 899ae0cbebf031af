//! What the detector's maps hold.
//!
//! One cell is [`STRIDE`] input pixels. [`CENTER`]: a Gaussian about each face's centre, wider for larger faces.
//! [`SIZE`] and the next: natural logarithms of the box's width and height over [`UNIT_PIXELS`]. [`OFFSET`] and the
//! next: from the cell to the box's centre, in cells, x then y. Size and offset count in the cells about the centre only.

use crate::data::Batch;
use crate::geometry::{CropSpace, Point, Rect};
use crate::heatmap::{MapSize, render_point, weight_map};
use candle_core::{Result, Tensor};

/// Maps.
pub const CHANNELS: usize = 5;
/// The map of centres.
pub const CENTER: usize = 0;
/// The first of the two size maps; the offset maps follow.
pub const SIZE: usize = 1;
/// The first of the two offset maps.
pub const OFFSET: usize = 3;
/// Input pixels of one cell.
pub const STRIDE: usize = 4;
/// The side whose logarithm is 0, in input pixels.
pub const UNIT_PIXELS: f32 = 32.0;

/// Deviation of the centre's Gaussian over the box's side.
const SIGMA_OF_SIDE: f32 = 0.08;
/// Narrowest and widest Gaussian, in cells.
const SIGMA_CELLS: (f32, f32) = (0.8, 2.5);
/// Size and offset are learnt in cells at most so far from the centre, in each direction.
const LEARNT_AROUND: f32 = 1.5;
/// Weight of size and offset against the centre map.
const BOX_WEIGHT: f64 = 1.0;

fn cell_from_input(p: Point<CropSpace>) -> (f32, f32) {
    let along = |v: f32| (v + 0.5) / STRIDE as f32 - 0.5;
    (along(p.x), along(p.y))
}

/// The box that the maps hold at a cell, in input pixels; `values` are sizes and offsets.
pub(super) fn rect_from_cell(row: usize, column: usize, values: [f32; 4]) -> Rect<CropSpace> {
    // No face is 50 times smaller or larger than the unit; the cut keeps a wild value finite.
    const LARGEST_LOG: f32 = 4.0;
    let side = |v: f32| UNIT_PIXELS * v.clamp(-LARGEST_LOG, LARGEST_LOG).exp();
    let along = |cell: f32| (cell + 0.5) * STRIDE as f32 - 0.5;
    let (width, height) = (side(values[0]), side(values[1]));
    let (x, y) = (along(column as f32 + values[2]), along(row as f32 + values[3]));
    Rect::new(x - width / 2.0, y - height / 2.0, width, height)
}

/// Draws the maps of one picture: `faces` are to be found, of what lies in `ignored` nothing is said. Boxes are in input
/// pixels; `target` and `weight` come zero-filled, `height * width *` [`CHANNELS`] each.
pub fn render(
    faces: &[Rect<CropSpace>],
    ignored: &[Rect<CropSpace>],
    (height, width): (usize, usize),
    target: &mut [f32],
    weight: &mut [f32],
) {
    let size = MapSize { height, width, channels: CHANNELS };
    // Larger faces first: where two claim a cell, the smaller keeps it.
    let mut order: Vec<&Rect<CropSpace>> = faces.iter().collect();
    order.sort_by(|a, b| b.side().total_cmp(&a.side()));
    for face in &order {
        let (x, y) = cell_from_input(face.center());
        let sigma = (SIGMA_OF_SIDE * face.side() / STRIDE as f32).clamp(SIGMA_CELLS.0, SIGMA_CELLS.1);
        // On the nearest cell, so that the peak is 1 and lies where the offset is read.
        let peak = Point::new(x.round(), y.round());
        render_point(peak, sigma, CENTER, &size, target);
    }
    let map_weights = [1.0, 0.0, 0.0, 0.0, 0.0];
    weight_map(target, &map_weights, &size, weight);
    let cells =
        |from: f32, to: f32, n: usize| from.ceil().max(0.0) as usize..((to.floor() + 1.0).max(0.0) as usize).min(n);
    for rect in ignored {
        let (x0, y0) = cell_from_input(Point::new(rect.x, rect.y));
        let (x1, y1) = cell_from_input(Point::new(rect.x + rect.width, rect.y + rect.height));
        for row in cells(y0 - 1.0, y1 + 1.0, height) {
            for column in cells(x0 - 1.0, x1 + 1.0, width) {
                weight[(row * width + column) * CHANNELS + CENTER] = 0.0;
            }
        }
    }
    for face in order {
        let (x, y) = cell_from_input(face.center());
        for row in cells(y - LEARNT_AROUND, y + LEARNT_AROUND, height) {
            for column in cells(x - LEARNT_AROUND, x + LEARNT_AROUND, width) {
                let cell = (row * width + column) * CHANNELS;
                let log = |side: f32| (side / UNIT_PIXELS).max(1e-2).ln();
                let values = [log(face.width), log(face.height), x - column as f32, y - row as f32];
                target[cell + SIZE..cell + CHANNELS].copy_from_slice(&values);
                weight[cell + SIZE..cell + CHANNELS].fill(1.0);
            }
        }
    }
}

/// The Adaptive Wing loss on the centre map, and the mean absolute error of size and offset where they are known.
///
/// # Errors
/// What the device reports.
pub fn loss(prediction: &Tensor, target: &Tensor, weight: &Tensor, normalizer: f64) -> Result<Tensor> {
    let centers = |t: &Tensor| t.narrow(3, CENTER, 1)?.contiguous();
    let boxes = |t: &Tensor| t.narrow(3, SIZE, CHANNELS - SIZE)?.contiguous();
    let center = crate::loss::adaptive_wing(&centers(prediction)?, &centers(target)?, &centers(weight)?, normalizer)?;
    let weight = boxes(weight)?;
    let count = weight.sum_all()?.to_scalar::<f32>()?.max(1.0);
    let difference = ((boxes(prediction)? - boxes(target)?)?.abs()? * weight)?.sum_all()?;
    center + (difference * (BOX_WEIGHT / f64::from(count)))?
}

/// [`loss`] on plain numbers; its gradient with respect to `prediction` is left in `gradient`.
pub fn loss_and_gradient(prediction: &[f32], batch: &Batch, gradient: &mut Vec<f32>) -> f64 {
    let centers = |maps: &[f32]| maps.iter().skip(CENTER).step_by(CHANNELS).copied().collect::<Vec<f32>>();
    let [p, y, w] = [prediction, &batch.target, &batch.weight].map(centers);
    let mut of_centers = Vec::new();
    let center = crate::loss::loss_and_gradient(&p, &y, &w, batch.normalizer, &mut of_centers);
    let boxes =
        |maps: &[f32]| maps.chunks_exact(CHANNELS).map(|cell| f64::from(cell[SIZE..].iter().sum::<f32>())).sum::<f64>();
    let factor = BOX_WEIGHT / boxes(&batch.weight).max(1.0);
    let mut difference = 0.0;
    gradient.resize(prediction.len(), 0.0);
    let cells = prediction.chunks_exact(CHANNELS).zip(batch.target.chunks_exact(CHANNELS));
    let cells = cells.zip(batch.weight.chunks_exact(CHANNELS)).zip(gradient.chunks_exact_mut(CHANNELS));
    for ((((p, y), w), g), of_center) in cells.zip(of_centers) {
        g[CENTER] = of_center;
        for c in SIZE..CHANNELS {
            let d = p[c] - y[c];
            difference += f64::from(d.abs() * w[c]);
            let sign = if d == 0.0 { 0.0 } else { d.signum() };
            g[c] = sign * w[c] * factor as f32;
        }
    }
    center + difference * factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::random;
    use candle_core::Var;

    #[test]
    fn both_forms_of_the_loss_agree() {
        let shape = [2, 9, 7, CHANNELS];
        let prediction = Var::from_tensor(&random(&shape, 1)).unwrap();
        let target = random(&shape, 2).relu().unwrap();
        let weight = random(&shape, 3).relu().unwrap();
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = loss(&prediction, &target, &weight, 77.0).unwrap();
        let batch = Batch { input: vec![], target: values(&target), weight: values(&weight), normalizer: 77.0, len: 2 };
        let mut gradient = Vec::new();
        let actual = loss_and_gradient(&values(&prediction), &batch, &mut gradient);
        assert!((actual / f64::from(expected.to_scalar::<f32>().unwrap()) - 1.0).abs() < 1e-5);
        let gradients = expected.backward().unwrap();
        let expected = values(gradients.get(&prediction).unwrap());
        assert_eq!(gradient.len(), expected.len());
        assert!(gradient.iter().zip(&expected).all(|(a, e)| (a - e).abs() < 1e-5));
    }

    #[test]
    fn ignored_places_count_nothing_and_faces_count_more() {
        let (height, width) = (12, 12);
        let mut target = vec![0.0; height * width * CHANNELS];
        let mut weight = target.clone();
        render(
            &[Rect::new(4.0, 4.0, 12.0, 12.0)],
            &[Rect::new(32.0, 32.0, 8.0, 8.0)],
            (height, width),
            &mut target,
            &mut weight,
        );
        let at = |row: usize, column: usize| weight[(row * width + column) * CHANNELS];
        assert_eq!([at(2, 2), at(9, 9), at(11, 2)], [11.0, 0.0, 1.0]);
        assert_eq!(weight.iter().skip(SIZE).step_by(CHANNELS).filter(|w| **w == 1.0).count(), 9);
    }

    #[test]
    fn a_box_survives_the_maps() {
        let face = Rect::new(10.3, 20.9, 33.0, 47.0);
        let (x, y) = cell_from_input(face.center());
        let (row, column) = (y.round(), x.round());
        let values = [(33.0_f32 / 32.0).ln(), (47.0_f32 / 32.0).ln(), x - column, y - row];
        let back = rect_from_cell(row as usize, column as usize, values);
        assert!((back.x - face.x).abs() < 1e-3 && (back.height - face.height).abs() < 1e-3);
    }
}
