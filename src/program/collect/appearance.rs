//! Measurements of a face in a frame: sharpness, similarity to other faces, and difficulty for the model.
//!
//! In: a frame and its landmarks. Out: plain numbers. A face whose landmarks have no box has none. Nothing fails.

use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::image::{Border, Cropper, Frame, FrameView};
use crate::runtime::landmarks::{Landmark, Scheme};
use crate::runtime::model::BoxSide;
use crate::runtime::track::HeadBox;
use crate::train::thumbnail::{Thumbnail, grey};

/// Side of the upright crop that is measured, in pixels: about as much detail as the network sees.
const CROP_SIZE: usize = 96;
/// Side of that crop over the head's.
const CROP_SCALE: f32 = 1.1;
/// Added to the variance that sharpness is relative to, so that a face without any contrast is not sharp.
const LEAST_VARIANCE: f32 = 1e-4;

/// Differences that count as one: of the mean landmark, in radii of the face ...
const SHAPE_UNIT: f32 = 0.08;
/// ... of the mean cell of the thumbnail, of 0..=1 ...
const LOOK_UNIT: f32 = 0.07;
/// ... and of the size, as a logarithm.
const SIZE_UNIT: f32 = 0.4;

/// The appearance of a face in a frame.
#[derive(Clone, Debug)]
pub(super) struct Appearance {
    /// The variance of the Laplacian of the grey crop over the variance of the crop itself.
    pub sharpness: f32,
    pub head: HeadBox,
    /// The landmarks about their centre, in radii of the face (root of the mean squared distance).
    shape: Vec<[f32; 2]>,
    /// Of the grey crop.
    thumbnail: Thumbnail,
}

/// Measures faces in the same buffers.
pub(super) struct Meter {
    cropper: Cropper,
    crop: Vec<f32>,
    grey: Vec<f32>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { cropper: Cropper::new(), crop: vec![0.0; CROP_SIZE * CROP_SIZE * 3], grey: Vec::new() }
    }

    /// The appearance of a face; `None` if the landmarks can't be a face.
    pub(super) fn measure(&mut self, frame: &Frame, landmarks: &[Landmark]) -> Option<Appearance> {
        let scheme = Scheme::of_points(landmarks.len());
        let head = HeadBox::around(landmarks, scheme, BoxSide::Longer)?;
        let crop_from_frame = head.crop_from_frame(CROP_SCALE, CROP_SIZE);
        let view = FrameView::from(frame);
        self.cropper.crop_into(&view, &crop_from_frame, CROP_SIZE, Border::Replicate, &mut self.crop);
        self.grey.clear();
        self.grey.extend(grey(&self.crop));
        Some(Appearance {
            sharpness: sharpness(&self.grey),
            head,
            shape: shape(landmarks, 0.0)?,
            thumbnail: Thumbnail::of(&self.grey, CROP_SIZE),
        })
    }
}

impl Appearance {
    /// The difference of two faces in shape and pose, light and appearance, and size: 0 for the same, 1 where another
    /// frame starts to teach something new.
    pub(super) fn difference(&self, other: &Self) -> f32 {
        let shape = mean_distance(&self.shape, &other.shape);
        let look = self.thumbnail.difference(&other.thumbnail);
        let size = (self.head.side / other.head.side).ln().abs();
        shape / SHAPE_UNIT + look / LOOK_UNIT + size / SIZE_UNIT
    }
}

/// The landmarks about their centre and turned by `-roll_rad`, in radii of the face.
pub(super) fn shape(landmarks: &[Landmark], roll_rad: f32) -> Option<Vec<[f32; 2]>> {
    let count = landmarks.len() as f32;
    let sum = |of: fn(&Point<FrameSpace>) -> f32| landmarks.iter().map(|l| of(&l.point)).sum::<f32>() / count;
    let (x, y) = (sum(|p| p.x), sum(|p| p.y));
    let (sin, cos) = roll_rad.sin_cos();
    let turned = landmarks.iter().map(|l| {
        let (dx, dy) = (l.point.x - x, l.point.y - y);
        [cos * dx + sin * dy, cos * dy - sin * dx]
    });
    let mut shape: Vec<[f32; 2]> = turned.collect();
    let radius = (shape.iter().map(|[x, y]| x * x + y * y).sum::<f32>() / count).sqrt();
    if !(radius.is_finite() && radius > 0.0) {
        return None;
    }
    shape.iter_mut().flatten().for_each(|v| *v /= radius);
    Some(shape)
}

/// The mean distance of corresponding points.
pub(super) fn mean_distance(a: &[[f32; 2]], b: &[[f32; 2]]) -> f32 {
    let distances = a.iter().zip(b).map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]));
    distances.sum::<f32>() / a.len().max(1) as f32
}

fn sharpness(grey: &[f32]) -> f32 {
    let rows: Vec<&[f32]> = grey.chunks_exact(CROP_SIZE).collect();
    let mut laplacian = Vec::with_capacity(grey.len());
    for row in rows.windows(3) {
        let [above, here, below] = [row[0], row[1], row[2]];
        laplacian.extend((1..CROP_SIZE - 1).map(|x| above[x] + below[x] + here[x - 1] + here[x + 1] - 4.0 * here[x]));
    }
    variance(&laplacian) / (variance(grey) + LEAST_VARIANCE)
}

fn variance(values: &[f32]) -> f32 {
    let count = values.len() as f32;
    let mean = values.iter().sum::<f32>() / count;
    values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count
}

/// The turn of a head: 0 straight ahead, 1 in profile. It is the difference of the distances from the tip of
/// the nose to both sides of the outline, over their sum.
pub(super) fn turn(landmarks: &[Landmark]) -> f32 {
    // WFLW: the outline runs from 0 to 32, the tip of the nose is 54.
    const LEFT: usize = 4;
    const RIGHT: usize = 28;
    const NOSE: usize = 54;
    let at = |i: usize| landmarks.get(i).map(|l: &Landmark| l.point);
    let (Some(left), Some(right), Some(nose)) = (at(LEFT), at(RIGHT), at(NOSE)) else { return 0.0 };
    let (to_left, to_right) = (nose.distance(left), nose.distance(right));
    (to_left - to_right).abs() / (to_left + to_right).max(1e-6)
}
