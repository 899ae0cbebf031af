//! Landmarks with sub-pixel positions and confidences, decoded from heatmaps.
//!
//! The maps of one picture are interleaved, (row, column, map). Positions are in [`HeatmapSpace`]: an integer is the
//! centre of a cell. Nothing here fails; a buffer of the wrong length is a bug in the caller and panics.
//!
//! [`HeatmapSpace`]: crate::runtime::geometry::HeatmapSpace

mod decode;

pub use decode::{Calibration, Decoding, HeatmapView, Peak, decode};
