//! Sub-pixel positions, each with a confidence, read off heatmaps.
//!
//! Maps of one picture lie side by side, (row, column, map). Positions are in [`HeatmapSpace`]: an integer is the centre
//! of a cell. Nothing here fails; buffers of the wrong length are a defect of the caller and panic.
//!
//! [`HeatmapSpace`]: crate::runtime::geometry::HeatmapSpace

mod decode;

pub use decode::{Calibration, Decoding, HeatmapView, Peak, decode};
