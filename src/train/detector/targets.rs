//! Targets of the detector's maps (see [`crate::runtime::detect::maps`] for their contents).
//!
//! In: the boxes of the faces of one picture, in pixels of the network's input. Out: target and weight of every cell,
//! (row, column, channel). The target of the centre map is a Gaussian around each face's centre, wider for larger
//! faces. Size and offset count only in cells near the centre. Nothing here fails.

use crate::runtime::detect::maps::{CENTER, CHANNELS, SIZE, STRIDE, UNIT_PIXELS};
use crate::runtime::geometry::{CropSpace, Point, Rect};
use crate::train::targets::{MapSize, render_point};

/// Size and offset count in cells up to this distance from the centre, in each direction.
const LEARNT_AROUND: f32 = 1.5;

fn cell_from_input(p: Point<CropSpace>) -> (f32, f32) {
    let along = |v: f32| (v + 0.5) / STRIDE as f32 - 0.5;
    (along(p.x), along(p.y))
}

/// Draws the maps of one picture: `faces` are to be found, cells in `ignored` have weight 0. Boxes are in input pixels;
/// `sigma_cells` is the standard deviation of the Gaussian for a box's longer side, both in cells; `target` and
/// `weight` come zero-filled, `height * width *` [`CHANNELS`] each.
pub fn render(
    faces: &[Rect<CropSpace>],
    ignored: &[Rect<CropSpace>],
    (height, width): (usize, usize),
    sigma_cells: impl Fn(f32) -> f32,
    target: &mut [f32],
    weight: &mut [f32],
) {
    let size = MapSize { height, width, channels: CHANNELS };
    // Larger faces first: if two share a cell, the smaller one keeps it.
    let mut order: Vec<&Rect<CropSpace>> = faces.iter().collect();
    order.sort_by(|a, b| b.side().total_cmp(&a.side()));
    for face in &order {
        let (x, y) = cell_from_input(face.center());
        // On the nearest cell, so that the peak is 1 and lies where the offset is read.
        let peak = Point::new(x.round(), y.round());
        render_point(peak, sigma_cells(face.side() / STRIDE as f32), CENTER, &size, target);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::detect::decode;
    use crate::runtime::detect::maps::{rect_from_cell, value_of_probability};
    use crate::runtime::heatmap::HeatmapView;

    #[test]
    fn ignored_places_count_nothing() {
        let (height, width) = (12, 12);
        let mut target = vec![0.0; height * width * CHANNELS];
        let mut weight = target.clone();
        render(
            &[Rect::new(4.0, 4.0, 12.0, 12.0)],
            &[Rect::new(32.0, 32.0, 8.0, 8.0)],
            (height, width),
            |_| 0.8,
            &mut target,
            &mut weight,
        );
        let at = |row: usize, column: usize| weight[(row * width + column) * CHANNELS];
        assert_eq!([at(2, 2), at(9, 9), at(11, 2)], [1.0, 0.0, 1.0]);
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

    #[test]
    fn boxes_come_back_from_their_targets() {
        let (height, width) = (36, 48);
        let mut target = vec![0.0; height * width * CHANNELS];
        let mut weight = target.clone();
        let faces = [Rect::new(20.0, 30.0, 41.0, 50.0), Rect::new(120.0, 60.0, 12.0, 14.0)];
        render(&faces, &[], (height, width), |_| 0.8, &mut target, &mut weight);
        target.iter_mut().step_by(CHANNELS).for_each(|v| *v = value_of_probability(0.98 * *v));
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
