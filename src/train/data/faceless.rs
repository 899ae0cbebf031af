//! Pictures without faces in a landmark training: where there is no face, every map has to stay empty, or the tracker
//! takes a dog's head for one.
//!
//! In: pictures. Out: squares to crop, half of them around what the bundled detector takes for a face, as the
//! tracker would crop it, and half anywhere. Fails if a picture can't be read.

use super::{CACHE_BYTES, DataError, PictureCache};
use crate::runtime::detect::Detector;
use crate::runtime::engine::Precision;
use crate::runtime::geometry::{FrameSpace, Point, Rect};
use crate::runtime::image::Frame;
use crate::runtime::model::{CropConvention, default_detector};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// The items of a landmark training that show no face.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FacelessItems {
    /// Their share of all items, below 1.
    pub share: f32,
    /// The weight of each of their cells, above 0; in an item with a face, cells near its landmarks weigh 11, others 1.
    /// With 1, false peaks cost so little that a training hardly changes them; with 11, faces in the dark and behind
    /// masks are lost, too (docs/engineering/training.md).
    pub weight: f32,
}

/// Pictures without faces, and what a detector takes for faces in them.
pub struct Faceless {
    images: Vec<PathBuf>,
    /// The number of the picture and the box.
    mistaken: Vec<(usize, Rect<FrameSpace>)>,
    pictures: PictureCache,
}

/// Share of the squares that are drawn around a mistaken face, if there is any.
const MISTAKEN: f32 = 0.5;
/// Sides of squares anywhere, in shorter sides of the picture, and where their centres lie, in its width and height.
const SIDE: std::ops::Range<f32> = 0.3..1.0;
const CENTER: std::ops::Range<f32> = 0.2..0.8;

/// The centre and side of a square anywhere in a picture.
pub(in crate::train) fn square_anywhere(rng: &mut ChaCha8Rng, frame: &Frame) -> (Point<FrameSpace>, f32) {
    let side = frame.width().min(frame.height()) as f32 * rng.random_range(SIDE);
    let mut along = |length: usize| rng.random_range(CENTER) * length as f32;
    (Point::new(along(frame.width()), along(frame.height())), side)
}

impl Faceless {
    /// Asks the bundled detector about every picture.
    ///
    /// # Errors
    /// [`DataError::Photograph`] for a picture that can't be read, [`DataError::Options`] for a list without pictures
    /// and a detector that can't be run.
    pub fn new(images: Vec<PathBuf>) -> Result<Self, DataError> {
        if images.is_empty() {
            return Err(DataError::Options("there is no picture without a face to draw from".into()));
        }
        let failed = |e: &dyn std::error::Error| DataError::Options(format!("the detector can't be run: {e}"));
        let model = default_detector().map_err(|e| failed(&e))?;
        let mut detector = Detector::new(&model, Precision::F32).map_err(|e| failed(&e))?;
        let mut mistaken = Vec::new();
        for (number, image) in images.iter().enumerate() {
            let found = detector.detect(&Frame::open(image)?).map_err(|e| failed(&e))?;
            mistaken.extend(found.iter().map(|detection| (number, detection.rect)));
        }
        let pictures = PictureCache::new(images.len(), CACHE_BYTES);
        Ok(Self { images, mistaken, pictures })
    }

    /// The pictures.
    pub(super) fn images(&self) -> &[PathBuf] {
        &self.images
    }

    /// A picture, and the centre and side of a square in it.
    pub(super) fn draw(
        &self,
        rng: &mut ChaCha8Rng,
        crop: &CropConvention,
    ) -> Result<(Arc<Frame>, Point<FrameSpace>, f32), DataError> {
        let open = |number: usize| self.pictures.get_with(number, || Ok(Frame::open(&self.images[number])?));
        if rng.random::<f32>() < MISTAKEN
            && let Some((number, around)) = self.mistaken.choose(rng)
        {
            return Ok((open(*number)?, around.center(), crop.side(around)));
        }
        let frame = open(rng.random_range(0..self.images.len()))?;
        let (center, side) = square_anywhere(rng, &frame);
        Ok((frame, center, side))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::BoxSide;
    use crate::train::synth::portraits;
    use rand::SeedableRng;

    #[test]
    fn half_of_the_squares_surround_what_the_detector_takes_for_a_face() {
        let folder = tempfile::tempdir().unwrap();
        let face = portraits(1, 3).unwrap().remove(0);
        let (mistaken, empty) = (folder.path().join("mistaken.png"), folder.path().join("empty.png"));
        face.frame.as_ref().unwrap().save(&mistaken).unwrap();
        Frame::filled(90, 60, [80; 3]).save(&empty).unwrap();
        let faceless = Faceless::new(vec![mistaken, empty.clone()]).unwrap();
        let crop = CropConvention { scale: 1.35, box_side: BoxSide::Longer };
        let (expected, mut around) = (face.landmark_box().unwrap(), 0);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..1000 {
            let (frame, center, side) = faceless.draw(&mut rng, &crop).unwrap();
            assert!(side > 0.0 && center.x > 0.0 && center.x < frame.width() as f32);
            let is_near = center.distance(expected.center()) < 0.2 * expected.side();
            around += usize::from(is_near && (side / crop.side(&expected) - 1.0).abs() < 0.25);
        }
        assert!((450..600).contains(&around), "{around} of 1000: {:?}", faceless.mistaken);
        assert!(Faceless::new(Vec::new()).is_err());
        let none = Faceless::new(vec![empty]).unwrap();
        assert!(none.mistaken.is_empty());
        none.draw(&mut rng, &crop).unwrap();
    }
}
