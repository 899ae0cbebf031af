//! The landmark network's view of a face: its input and its heatmaps.
//!
//! In: a frame and the landmarks of a face in it. Out: a [`NetworkView`], made by running the landmark network once
//! more, with all its maps, on the crop around these landmarks; and its drawing: landmark heatmaps in warm colours, the
//! boundary map in cold ones, over the face in the picture or over the crop in an inset. Only inference can fail.

use super::canvas::{Placement, Room, cover};
use crate::runtime::engine::{EngineError, Landmarker, Outputs, Precision};
use crate::runtime::geometry::{
    CanvasSpace, CropSpace, FrameSpace, HeatmapSpace, Point, Rect, Similarity, heatmap_from_crop,
};
use crate::runtime::image::{Border, Frame, crop_into};
use crate::runtime::landmarks::Scheme;
use crate::runtime::model::Model;
use crate::runtime::track::{Face, HeadBox};

/// Values of a map up to the first are hidden, from the second on shown in full. In between their square is shown, so
/// that peaks stand out, as in decoding, which cubes the maps.
const SHOWN: (f32, f32) = (0.12, 0.95);
/// Opacity of a map shown in full.
const OPACITY: f32 = 0.9;
/// From weak to strong: landmark heatmaps ...
const WARM: [[f32; 3]; 3] = [[190.0, 30.0, 90.0], [255.0, 130.0, 20.0], [255.0, 250.0, 170.0]];
/// ... and the boundary map.
const COLD: [[f32; 3]; 3] = [[20.0, 60.0, 200.0], [20.0, 190.0, 235.0], [210.0, 255.0, 250.0]];
/// Side of an inset over the shorter side of the canvas.
const INSET: f32 = 0.3;
/// Between insets, and to the border, over the height of the text; the border of an inset in pixels.
const MARGIN: f32 = 0.5;
const FRAME_COLOR: [u8; 3] = [235; 3];

/// The layers of the views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkLayers {
    /// The landmark heatmaps.
    pub heatmaps: bool,
    /// The boundary map.
    pub boundary: bool,
    /// The crop, in an inset.
    pub crop: bool,
}

impl NetworkLayers {
    /// Whether the maps are needed at all.
    pub fn any(self) -> bool {
        self.heatmaps || self.boundary || self.crop
    }
}

/// The network's view of one face.
#[derive(Clone, Debug)]
pub struct NetworkView {
    /// The network's input.
    pub crop: Frame,
    pub crop_from_frame: Similarity<CropSpace, FrameSpace>,
    /// Cells a side of the maps.
    pub map_size: usize,
    /// The highest of the landmarks' heatmaps in each cell, rows from the top.
    pub heatmaps: Vec<f32>,
    /// The boundary map; empty for a model without one.
    pub boundary: Vec<f32>,
}

/// Runs the landmark network with all its maps.
pub struct NetworkViewer {
    landmarker: Landmarker,
    scheme: Option<Scheme>,
    points: usize,
    /// The input as the network has it: RGB in 0..=1.
    input: Vec<f32>,
}

impl NetworkViewer {
    /// Compiles the landmark model with all its maps.
    ///
    /// # Errors
    /// As [`Landmarker::new`].
    pub fn new(model: &Model, precision: Precision) -> Result<Self, EngineError> {
        let config = model.config();
        Ok(Self {
            landmarker: Landmarker::new(model, Outputs::All, precision)?,
            scheme: Scheme::of_points(config.points),
            points: config.points,
            input: vec![0.0; config.input_size * config.input_size * 3],
        })
    }

    /// Fills `view` with the network's view of the face; false if the face has no crop.
    ///
    /// # Errors
    /// As [`Landmarker::predict`].
    pub fn look(&mut self, frame: &Frame, face: &Face, view: &mut NetworkView) -> Result<bool, EngineError> {
        let box_side = self.landmarker.box_side();
        let Some(head) = HeadBox::around(&face.landmarks, self.scheme, box_side) else { return Ok(false) };
        let size = self.landmarker.input_size();
        view.crop_from_frame = head.crop_from_frame(self.landmarker.crop_scale(), size);
        self.landmarker.predict(frame, &view.crop_from_frame)?;

        crop_into(frame, &view.crop_from_frame, size, Border::Replicate, &mut self.input);
        view.crop.resize(size, size);
        for (byte, value) in view.crop.rgb_mut().iter_mut().zip(&self.input) {
            *byte = (value * 255.0).round() as u8;
        }
        let Some(maps) = self.landmarker.all_maps() else { return Ok(false) };
        view.map_size = maps.width;
        let cells = maps.values.chunks_exact(maps.channels);
        view.heatmaps.clear();
        view.heatmaps.extend(cells.clone().map(|cell| cell[..self.points].iter().copied().fold(0.0, f32::max)));
        view.boundary.clear();
        view.boundary.extend(cells.filter_map(|cell| cell.get(self.points)));
        Ok(true)
    }
}

impl Default for NetworkView {
    /// Empty.
    fn default() -> Self {
        Self {
            crop: Frame::default(),
            crop_from_frame: Similarity::new(1.0, 0.0, 0.0, 0.0),
            map_size: 0,
            heatmaps: Vec::new(),
            boundary: Vec::new(),
        }
    }
}

/// Draws the maps over the faces in the picture.
pub fn draw_maps(canvas: &mut Frame, placement: &Placement, views: &[NetworkView], layers: NetworkLayers) {
    for view in views {
        let crop = view.crop.width() as f32;
        let frame_from_crop = view.crop_from_frame.inverse();
        let corners = [(-0.5, -0.5), (crop - 0.5, -0.5), (-0.5, crop - 0.5), (crop - 0.5, crop - 0.5)]
            .map(|(x, y)| placement.canvas_from_frame(frame_from_crop.apply(Point::new(x, y))));
        let Some(area) = Rect::around(corners) else { continue };
        let crop_from_canvas = |p| view.crop_from_frame.apply(placement.frame_from_canvas(p));
        let area = Area::within(&area, canvas);
        tint(canvas, &area, view, layers, crop_from_canvas);
    }
}

/// Draws the crops with the maps over them, one below the other at the right of `room`, as many as fit there.
pub fn draw_insets(
    canvas: &mut Frame,
    room: Room,
    is_mirrored: bool,
    views: &[NetworkView],
    layers: NetworkLayers,
    text: f32,
) {
    let side = (INSET * room.width.min(room.height) as f32).round();
    let margin = (MARGIN * text).round();
    let (right, bottom) = ((room.left + room.width) as f32, (room.top + room.height) as f32);
    for (i, view) in views.iter().enumerate() {
        let (left, top) = (right - side - margin, room.top as f32 + margin + i as f32 * (side + margin));
        if side < 2.0 || view.map_size == 0 || left < room.left as f32 || top + side > bottom {
            break;
        }
        let scale = view.crop.width() as f32 / side;
        let crop_from_canvas = |p: Point<CanvasSpace>| {
            let x = (p.x - left + 0.5) / side;
            let x = if is_mirrored { 1.0 - x } else { x };
            Point::new(x * view.crop.width() as f32 - 0.5, (p.y - top + 0.5) * scale - 0.5)
        };
        let border = Area::within(&Rect::new(left - 1.0, top - 1.0, side + 2.0, side + 2.0), canvas);
        border.for_each(canvas, |pixel, _| *pixel = FRAME_COLOR);
        let area = Area::within(&Rect::new(left, top, side, side), canvas);
        area.for_each(canvas, |pixel, p| *pixel = sample(&view.crop, crop_from_canvas(p)));
        tint(canvas, &area, view, layers, crop_from_canvas);
    }
}

/// Covers an area of the canvas with the maps.
fn tint(
    canvas: &mut Frame,
    area: &Area,
    view: &NetworkView,
    layers: NetworkLayers,
    crop_from_canvas: impl Fn(Point<CanvasSpace>) -> Point<CropSpace>,
) {
    let cell_from_crop = heatmap_from_crop(view.map_size, view.crop.width());
    let maps = [(layers.boundary, &view.boundary, &COLD), (layers.heatmaps, &view.heatmaps, &WARM)];
    for (_, map, colors) in maps.into_iter().filter(|(is_on, map, _)| *is_on && !map.is_empty()) {
        area.for_each(canvas, |pixel, p| {
            let value = value_at(map, view.map_size, cell_from_crop.apply(crop_from_canvas(p)));
            let along = ((value - SHOWN.0) / (SHOWN.1 - SHOWN.0)).clamp(0.0, 1.0);
            if along > 0.0 {
                cover(pixel, color_of(colors, along * along), OPACITY * along);
            }
        });
    }
}

/// Whole pixels of a canvas.
struct Area {
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
}

impl Area {
    fn within(rect: &Rect<CanvasSpace>, canvas: &Frame) -> Self {
        let range = |from: f32, length: f32, whole: usize| {
            let pixel = |v: f32| (v.ceil().max(0.0) as usize).min(whole);
            pixel(from)..pixel(from + length)
        };
        Self { columns: range(rect.x, rect.width, canvas.width()), rows: range(rect.y, rect.height, canvas.height()) }
    }

    fn for_each(&self, canvas: &mut Frame, mut change: impl FnMut(&mut [u8; 3], Point<CanvasSpace>)) {
        let width = canvas.width();
        for y in self.rows.clone() {
            let row = &mut canvas.rgb_mut().as_chunks_mut::<3>().0[y * width..][..width];
            for (x, pixel) in self.columns.clone().zip(&mut row[self.columns.clone()]) {
                change(pixel, Point::new(x as f32, y as f32));
            }
        }
    }
}

/// The value at a place between four cells; 0 outside the map.
fn value_at(map: &[f32], size: usize, at: Point<HeatmapSpace>) -> f32 {
    let last = size as f32 - 0.5;
    if !(at.x > -0.5 && at.y > -0.5 && at.x < last && at.y < last) {
        return 0.0;
    }
    let ((x0, x1, fx), (y0, y1, fy)) = (neighbours(at.x, size), neighbours(at.y, size));
    let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
    let row = |y: usize| mix(map[y * size + x0], map[y * size + x1], fx);
    mix(row(y0), row(y1), fy)
}

/// The colour at a place between four pixels; that of the nearest one outside the picture.
fn sample(picture: &Frame, at: Point<CropSpace>) -> [u8; 3] {
    let (width, height) = (picture.width(), picture.height());
    let ((x0, x1, fx), (y0, y1, fy)) = (neighbours(at.x, width), neighbours(at.y, height));
    let value = |x: usize, y: usize, i: usize| f32::from(picture.rgb()[(y * width + x) * 3 + i]);
    let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
    std::array::from_fn(|i| {
        let row = |y: usize| mix(value(x0, y, i), value(x1, y, i), fx);
        mix(row(y0), row(y1), fy) as u8
    })
}

/// The two of `count` places around `at` (at a border the same one twice), and the share of the second.
fn neighbours(at: f32, count: usize) -> (usize, usize, f32) {
    let at = at.clamp(0.0, (count - 1) as f32);
    let first = at as usize;
    (first, (first + 1).min(count - 1), at - first as f32)
}

fn color_of(colors: &[[f32; 3]; 3], strength: f32) -> [u8; 3] {
    let at = strength * 2.0;
    let first = (at as usize).min(1);
    let share = at - first as f32;
    std::array::from_fn(|i| (colors[first][i] + (colors[first + 1][i] - colors[first][i]) * share) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::crop_from_frame;
    use crate::runtime::landmarks::Landmark;

    /// A crop of 64 pixels a side about (50, 40) in a frame of 100 x 80, and one bright cell of 16 x 16.
    fn view(cell: (usize, usize)) -> NetworkView {
        let mut heatmaps = vec![0.0; 16 * 16];
        heatmaps[cell.1 * 16 + cell.0] = 1.0;
        NetworkView {
            crop: Frame::filled(64, 64, [50; 3]),
            crop_from_frame: crop_from_frame(Point::new(50.0, 40.0), 60.0, 0.0, 64),
            map_size: 16,
            heatmaps,
            boundary: Vec::new(),
        }
    }

    fn brightest(canvas: &Frame, is_counted: impl Fn(usize) -> bool) -> (usize, usize) {
        let pixels = canvas.rgb().chunks_exact(3).enumerate();
        let counted = pixels.filter(|(i, _)| is_counted(i % canvas.width()));
        let (i, _) = counted.max_by_key(|(_, p)| u32::from(p[0]) + u32::from(p[1])).unwrap();
        (i % canvas.width(), i / canvas.width())
    }

    #[test]
    fn a_heatmap_lies_where_its_landmark_is_in_the_picture_mirrored_or_not() {
        let cell = (12, 4);
        let layers = NetworkLayers { heatmaps: true, ..NetworkLayers::default() };
        let view = view(cell);
        let crop_from_cell = heatmap_from_crop(16, 64).inverse();
        let in_crop = crop_from_cell.apply(Point::new(cell.0 as f32, cell.1 as f32));
        let in_frame = view.crop_from_frame.inverse().apply(in_crop);
        for is_mirrored in [false, true] {
            let placement = Placement::fit((100, 80), (300, 300), is_mirrored);
            let mut canvas = Frame::filled(300, 300, [0; 3]);
            draw_maps(&mut canvas, &placement, std::slice::from_ref(&view), layers);
            let (x, y) = brightest(&canvas, |_| true);
            let expected = placement.canvas_from_frame(in_frame);
            let found = Point::new(x as f32, y as f32);
            // The middle of a cell is shown in full around it.
            assert!(found.distance(expected) < 5.0, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn insets_show_the_crop_as_often_as_there_is_room() {
        let views = vec![view((8, 8)); 9];
        let layers = NetworkLayers { crop: true, ..NetworkLayers::default() };
        let mut canvas = Frame::filled(400, 300, [0; 3]);
        let room = Room::of(&canvas);
        draw_insets(&mut canvas, room, true, &views, layers, 12.0);
        let shown = canvas.rgb().chunks_exact(3).filter(|p| *p == [50; 3]).count();
        assert_eq!(shown, 3 * 90 * 90);
        for (width, height) in [(1, 1), (0, 0), (5, 2000)] {
            let room = Room { left: 0, top: 0, width, height };
            draw_insets(&mut Frame::filled(width, height, [0; 3]), room, false, &views, layers, 12.0);
        }
    }

    #[test]
    fn the_network_looks_at_the_face_that_is_there() {
        let mut frame = Frame::filled(640, 480, [0; 3]);
        let points = crate::train::synth::Scene::demo(1, 1).draw(0.5, &mut frame)[0].to_vec();
        let rect = Rect::around(points.iter().copied()).unwrap();
        let landmarks = points.into_iter().map(|point| Landmark { point, confidence: 1.0 }).collect();
        let face = Face { id: 1, score: 1.0, rect, landmarks };
        let model = crate::runtime::model::default_landmarks().unwrap();
        let mut viewer = NetworkViewer::new(&model, Precision::F32).unwrap();
        let mut view = NetworkView::default();
        assert!(viewer.look(&frame, &face, &mut view).unwrap());
        assert_eq!(view.heatmaps.len(), view.map_size * view.map_size);
        // The landmarks of the drawn face lie on bright cells of the network's maps.
        let cell_from_crop = heatmap_from_crop(view.map_size, view.crop.width());
        let values = face
            .landmarks
            .iter()
            .map(|l| cell_from_crop.apply(view.crop_from_frame.apply(l.point)))
            .map(|cell| value_at(&view.heatmaps, view.map_size, cell));
        let mean = values.sum::<f32>() / face.landmarks.len() as f32;
        let everywhere = view.heatmaps.iter().sum::<f32>() / view.heatmaps.len() as f32;
        assert!(mean > 0.4 && mean > 2.0 * everywhere, "{mean}, {everywhere} everywhere");
        let nowhere = Landmark { point: Point::new(f32::NAN, 0.0), confidence: 1.0 };
        let none = Face { landmarks: vec![nowhere; 98], ..face };
        assert!(!viewer.look(&frame, &none, &mut view).unwrap());
    }
}
