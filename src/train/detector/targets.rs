//! Targets and loss of the detector's maps (see [`crate::runtime::detect::maps`] for what they hold).
//!
//! The target of the centre map is a Gaussian about each face's centre, wider for larger faces. Size and offset count in
//! the cells about the centre only.

use crate::runtime::detect::maps::{CENTER, CHANNELS, LOGIT_AT_ZERO, SIZE, STRIDE, UNIT_PIXELS};
use crate::runtime::geometry::{CropSpace, Point, Rect};
use crate::train::data::Batch;
use crate::train::targets::{MapSize, render_point};
use candle_core::{Result, Tensor};

/// Deviation of the centre's Gaussian over the box's side.
const SIGMA_OF_SIDE: f32 = 0.08;
/// Narrowest and widest Gaussian, in cells.
const SIGMA_CELLS: (f32, f32) = (0.8, 2.5);
/// Size and offset are learnt in cells at most so far from the centre, in each direction.
const LEARNT_AROUND: f32 = 1.5;
/// Weight of size and offset against the centre map.
const BOX_WEIGHT: f64 = 1.0;
/// Height of the target from which on a cell is a face's centre; the highest cell of each has 1.
const FACE_TARGET: f32 = 0.999;

fn cell_from_input(p: Point<CropSpace>) -> (f32, f32) {
    let along = |v: f32| (v + 0.5) / STRIDE as f32 - 0.5;
    (along(p.x), along(p.y))
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
    weight.iter_mut().step_by(CHANNELS).for_each(|w| *w = 1.0);
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

/// The focal loss of CenterNet on the centre map (Zhou, Wang, Krahenbuhl: Objects as Points, 2019, equation 1: alpha 2,
/// beta 4), a face; and the mean absolute error of size and offset where they are known. Adaptive Wing and any other
/// distance to the Gaussian keep the peaks of small and doubtful faces low, since their exact cell is uncertain; here the
/// cells beside the right one cost little.
///
/// # Errors
/// What the device reports.
pub fn loss(prediction: &Tensor, target: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let centers = |t: &Tensor| t.narrow(3, CENTER, 1)?.contiguous();
    let boxes = |t: &Tensor| t.narrow(3, SIZE, CHANNELS - SIZE)?.contiguous();
    let center = focal(&centers(prediction)?, &centers(target)?, &centers(weight)?)?;
    let weight = boxes(weight)?;
    let count = weight.sum_all()?.to_scalar::<f32>()?.max(1.0);
    let difference = ((boxes(prediction)? - boxes(target)?)?.abs()? * weight)?.sum_all()?;
    center + (difference * (BOX_WEIGHT / f64::from(count)))?
}

fn focal(value: &Tensor, target: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let logit = (value + f64::from(LOGIT_AT_ZERO))?;
    // ln(1 + e^x), without overflow.
    let softplus = |x: &Tensor| x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?;
    let (miss, alarm) = (softplus(&logit.neg()?)?, softplus(&logit)?);
    let face = target.ge(FACE_TARGET)?.to_dtype(target.dtype())?;
    let faces = (&face * weight)?.sum_all()?.to_scalar::<f32>()?.max(1.0);
    // Scores as exponentials of what was just computed: p = e^-miss, 1 - p = e^-alarm.
    let found = ((alarm.affine(-2.0, 0.0)?.exp()? * &miss)? * &face)?;
    let free = (target.affine(-1.0, 1.0)?.powf(4.0)? * face.affine(-1.0, 1.0)?)?;
    let invented = ((miss.affine(-2.0, 0.0)?.exp()? * alarm)? * free)?;
    ((found + invented)? * weight)?.sum_all()? / f64::from(faces)
}

/// [`loss`] on plain numbers; its gradient with respect to `prediction` is left in `gradient`.
pub fn loss_and_gradient(prediction: &[f32], batch: &Batch, gradient: &mut Vec<f32>) -> f64 {
    let (targets, weights) = (&batch.target, &batch.weight);
    let cells = |maps| <[f32]>::chunks_exact(maps, CHANNELS);
    let (mut faces, mut boxes) = (0.0, 0.0);
    for (y, w) in cells(targets).zip(cells(weights)) {
        faces += if y[CENTER] >= FACE_TARGET { f64::from(w[CENTER]) } else { 0.0 };
        boxes += f64::from(w[SIZE..].iter().sum::<f32>());
    }
    let (per_face, per_box) = (1.0 / faces.max(1.0), BOX_WEIGHT / boxes.max(1.0));
    let (mut center, mut difference) = (0.0, 0.0);
    gradient.resize(prediction.len(), 0.0);
    for (((v, y), w), g) in
        cells(prediction).zip(cells(targets)).zip(cells(weights)).zip(gradient.chunks_exact_mut(CHANNELS))
    {
        let logit = v[CENTER] + LOGIT_AT_ZERO;
        let (miss, alarm) = (softplus(-logit), softplus(logit));
        // The score and what it lacks to 1.
        let (p, q) = ((-miss).exp(), (-alarm).exp());
        let (value, slope) = if y[CENTER] >= FACE_TARGET {
            (q * q * miss, -q * q * (2.0 * p * miss + q))
        } else {
            let free = (1.0 - y[CENTER]).powi(4);
            (p * p * alarm * free, p * p * (2.0 * q * alarm + p) * free)
        };
        center += f64::from(value * w[CENTER]);
        g[CENTER] = slope * w[CENTER] * per_face as f32;
        for c in SIZE..CHANNELS {
            let d = v[c] - y[c];
            difference += f64::from(d.abs() * w[c]);
            let sign = if d == 0.0 { 0.0 } else { d.signum() };
            g[c] = sign * w[c] * per_box as f32;
        }
    }
    center * per_face + difference * per_box
}

/// ln(1 + e^x), without overflow.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::detect::decode;
    use crate::runtime::detect::maps::{rect_from_cell, value_of_score};
    use crate::runtime::heatmap::HeatmapView;
    use crate::train::ops::tests::random;
    use candle_core::Var;

    #[test]
    fn both_forms_of_the_loss_agree() {
        let shape = [2, 9, 7, CHANNELS];
        let prediction = Var::from_tensor(&random(&shape, 1).affine(3.0, 2.0).unwrap()).unwrap();
        // Cut to 0..=1, so that some cells are centres.
        let target = random(&shape, 2).affine(2.0, 0.0).unwrap().clamp(0.0, 1.0).unwrap();
        let weight = random(&shape, 3).relu().unwrap();
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let batch = Batch { input: vec![], target: values(&target), weight: values(&weight), normalizer: 1.0, len: 2 };
        assert!(batch.target.iter().step_by(CHANNELS).any(|y| *y == 1.0));
        let expected = loss(&prediction, &target, &weight).unwrap();
        let mut gradient = Vec::new();
        let actual = loss_and_gradient(&values(&prediction), &batch, &mut gradient);
        assert!((actual / f64::from(expected.to_scalar::<f32>().unwrap()) - 1.0).abs() < 1e-5);
        let gradients = expected.backward().unwrap();
        let expected = values(gradients.get(&prediction).unwrap());
        assert_eq!(gradient.len(), expected.len());
        for (a, e) in gradient.iter().zip(&expected) {
            assert!((a - e).abs() < 1e-5 * (1.0 + e.abs()), "{a} {e}");
        }
    }

    #[test]
    fn ignored_places_count_nothing() {
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
        assert_eq!([at(2, 2), at(9, 9), at(11, 2)], [1.0, 0.0, 1.0]);
        assert_eq!(weight.iter().skip(SIZE).step_by(CHANNELS).filter(|w| **w == 1.0).count(), 9);
    }

    /// The loss of one cell with this score and target; a cell that is a face's centre is added, since the loss is that
    /// of a face.
    fn loss_of(found_score: f32, cell_target: f32, cell_weight: f32) -> f32 {
        let cells =
            |center: f32, other: f32| [&[center, 0.0, 0.0, 0.0, 0.0][..], &[other, 0.0, 0.0, 0.0, 0.0]].concat();
        let tensor = |v: Vec<f32>| Tensor::from_vec(v, (1, 1, 2, CHANNELS), &candle_core::Device::Cpu).unwrap();
        let prediction = tensor(cells(value_of_score(0.999_999), value_of_score(found_score)));
        let loss = loss(&prediction, &tensor(cells(1.0, cell_target)), &tensor(cells(1.0, cell_weight))).unwrap();
        loss.to_scalar::<f32>().unwrap()
    }

    #[test]
    fn the_loss_is_the_published_formula() {
        // (1 - y)^4 p^2 ln(1 - p) away from a face; half of (1 - p)^2 ln p at one of two faces.
        for (p, y, expected) in
            [(0.5_f32, 0.0_f32, 0.25 * std::f32::consts::LN_2), (0.2, 0.5, 0.0625 * 0.04 * -(0.8_f32.ln()))]
        {
            assert!((loss_of(p, y, 1.0) - expected).abs() < 1e-5, "{p} {y}");
        }
        assert!((loss_of(0.3, 1.0, 1.0) - 0.5 * 0.49 * -(0.3_f32.ln())).abs() < 1e-5);
        assert!(loss_of(0.9, 0.0, 0.0) < 1e-5, "ignored");
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

    #[test]
    fn boxes_come_back_from_their_targets() {
        let (height, width) = (36, 48);
        let mut target = vec![0.0; height * width * CHANNELS];
        let mut weight = target.clone();
        let faces = [Rect::new(20.0, 30.0, 41.0, 50.0), Rect::new(120.0, 60.0, 12.0, 14.0)];
        render(&faces, &[], (height, width), &mut target, &mut weight);
        target.iter_mut().step_by(CHANNELS).for_each(|v| *v = value_of_score(0.98 * *v));
        let view = HeatmapView { values: &target, height, width, channels: CHANNELS };
        let mut found = Vec::new();
        decode(&view, 0.5, &mut found);
        assert_eq!(found.len(), 2);
        for face in faces {
            let frame =
                Rect::new((face.x + 0.5) / 0.5 - 0.5, (face.y + 0.5) / 0.5 - 0.5, face.width / 0.5, face.height / 0.5);
            assert!(found.iter().any(|d| d.rect.iou(&frame) > 0.99), "{found:?}");
        }
    }
}
