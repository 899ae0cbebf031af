//! Training targets: target heatmaps, the boundary map, and the weights of the loss.
//!
//! In: landmarks in cells of the heatmap. Out: targets and weights, the maps of one picture interleaved: (row, column,
//! map). Positions are in [`HeatmapSpace`](crate::runtime::geometry::HeatmapSpace): an integer is the centre of a cell.
//! Targets are Gaussians around the exact position, which decoding recovers to a fraction of a cell; the paper's own
//! ([`TargetStyle::Official`]) are centred on whole cells. Nothing fails; a buffer of the wrong length is a bug in the
//! caller and panics.

mod encode;
mod landmark_targets;

pub use encode::{MapSize, render_boundary, render_point};
pub use landmark_targets::{LandmarkTargets, TargetStyle};
#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Point;
    use crate::runtime::heatmap::{Calibration, Decoding, HeatmapView, decode};

    /// The worst error in cells over positions at `from..` cells from the border, decoded from clean targets.
    fn worst_error(from: f32, until: f32) -> f32 {
        let size = MapSize { height: 32, width: 32, channels: 2 };
        let mut worst = 0.0_f32;
        for i in 0..40 {
            for j in 0..40 {
                let along = |k: i32| from + (until - from) * (k as f32 + 0.37) / 40.0;
                let center = Point::new(along(i), 31.0 - along(j));
                let mut map = vec![0.0; 32 * 32 * 2];
                render_point(center, 1.0, 1, &size, &mut map);
                render_point(Point::new(3.0, 3.0), 1.0, 0, &size, &mut map);
                let view = HeatmapView { values: &map, height: 32, width: 32, channels: 2 };
                let mut peaks = Vec::new();
                decode(&view, 2, Decoding::Centroid, &Calibration::default(), &mut peaks);
                worst = worst.max(peaks[1].cell.distance(center));
            }
        }
        worst
    }

    #[test]
    fn positions_four_cells_inside_come_back_to_a_fiftieth_of_a_cell() {
        assert!(worst_error(4.0, 27.0) < 0.02, "{}", worst_error(4.0, 27.0));
    }

    #[test]
    fn at_the_border_the_cut_window_costs_at_most_this() {
        // The window loses cells on one side only, so the centroid is drawn inwards.
        assert!(worst_error(2.0, 4.0) < 0.02, "{}", worst_error(2.0, 4.0));
        assert!(worst_error(1.0, 2.0) < 0.1, "{}", worst_error(1.0, 2.0));
        assert!(worst_error(0.0, 1.0) < 0.5, "{}", worst_error(0.0, 1.0));
    }
}
