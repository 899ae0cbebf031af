//! Training items for the detector: photographs in random views, faces pasted into other pictures, and pictures whose
//! face was made unrecognisable, which count as empty.

use super::compose::spoil;
use super::loss::CenterLoss;
use super::photographs::Photograph;
use super::targets;
use crate::runtime::detect::maps;
use crate::runtime::geometry::{CropSpace, FrameSpace, Point, Rect, Similarity, crop_from_frame};
use crate::runtime::image::{Border, Frame};
use crate::train::data::{
    Augmentation, BatchShape, CACHE_BYTES, Compositions, DataError, ItemMut, PictureCache, Task, View, check_weights,
    hide_part, rarely, weight_of,
};
use crate::train::fnv::Fnv1a;
use crate::train::loss::Objective;
use rand::Rng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Faces whose longer side is below this many input pixels can't be told from texture: they are ignored.
const SMALLEST_PIXELS: f32 = 9.0;
/// Faces of a scene larger than this are to be found; sizes in between are ignored.
const SURE_PIXELS: f32 = 11.0;
/// The visible share of a face above which it is to be found; also for a single face that may reach beyond the canvas.
const SHOWN: f32 = 0.6;
const SINGLE_SHOWN: f32 = 0.45;
/// Share of faces in pasted and single-face items that are made unrecognisable.
const SPOILT: f32 = 0.25;
/// Share of single faces that are pasted onto another picture instead of staying in their own.
const BEFORE_ANOTHER: f32 = 0.5;
/// A picture that uses less of the range than this is stretched.
const NARROW_RANGE: f32 = 0.5;
/// Share of items that are cropped like landscape or portrait frames.
const LETTERBOXED: f32 = 0.6;

/// Photographs as training items of `size` x `size` pixels.
pub struct DetectorTask {
    size: usize,
    augmentation: Augmentation,
    compositions: Compositions,
    objective: CenterLoss,
    scenes: Vec<Picture>,
    faces: Vec<Picture>,
    faces_draw: WeightedIndex<f64>,
    backgrounds: Vec<Picture>,
    pictures: PictureCache,
}

struct Picture {
    known: Photograph,
    /// In the cache.
    number: usize,
}

impl DetectorTask {
    /// Items from `photographs`, `size` input pixels a side. Single faces are drawn with the weights that `datasets`
    /// gives to their data sets; all weigh the same if it is empty, otherwise every data set must be named.
    ///
    /// # Errors
    /// [`DataError::Options`] if there is no scene, face or background among them, a weight is missing or no number, or
    /// the augmentation is impossible.
    pub fn new(
        photographs: Vec<Photograph>,
        size: usize,
        augmentation: Augmentation,
        compositions: Compositions,
        datasets: &BTreeMap<String, f64>,
    ) -> Result<Self, DataError> {
        augmentation.check()?;
        compositions.check().map_err(DataError::Options)?;
        let pictures = PictureCache::new(photographs.len(), CACHE_BYTES);
        let (mut scenes, mut faces, mut backgrounds) = (Vec::new(), Vec::new(), Vec::new());
        for (number, known) in photographs.into_iter().enumerate() {
            let list = match &known {
                Photograph::Scene { .. } => &mut scenes,
                Photograph::Face { .. } => &mut faces,
                Photograph::Background { .. } => &mut backgrounds,
            };
            list.push(Picture { known, number });
        }
        for (list, what) in [(&scenes, "scenes with boxes"), (&faces, "single faces"), (&backgrounds, "backgrounds")] {
            if list.is_empty() {
                return Err(DataError::Options(format!(
                    "a detector learns from scenes with boxes, single faces and backgrounds; there are no {what} here"
                )));
            }
        }
        let names = || faces.iter().filter_map(|picture: &Picture| picture.known.dataset());
        check_weights(datasets, names())?;
        let faces_draw = WeightedIndex::new(names().map(|name| weight_of(datasets, name)))
            .map_err(|_| DataError::Options("every data set of single faces has weight 0".into()))?;
        let objective = CenterLoss {
            side: size / maps::STRIDE,
            neighbourhood_focus: compositions.scored_by_neighbourhood.then_some(compositions.focus),
        };
        Ok(Self { size, augmentation, compositions, objective, scenes, faces, faces_draw, backgrounds, pictures })
    }

    /// Draws one item: the picture, the faces to be found and the ignored regions, in input pixels.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng, picture: &mut [f32]) -> Result<Found, DataError> {
        let mut found = (Vec::new(), Vec::new());
        let mut kind = rng.random::<f32>();
        let Compositions { scenes, set_in, single, .. } = self.compositions;
        let choice = [scenes, set_in, single].iter().position(|share| {
            kind -= share;
            kind < 0.0
        });
        match choice {
            Some(0) => {
                self.scene(rng, picture, &mut found)?;
                if rarely(rng, self.compositions.set_in_scenes) {
                    for _ in 0..rng.random_range(1..=3) {
                        self.set_in(rng, picture, &mut found)?;
                    }
                }
            }
            Some(1) => {
                self.background(rng, picture)?;
                for _ in 0..rng.random_range(1..=4) {
                    self.set_in(rng, picture, &mut found)?;
                }
            }
            Some(2) => self.single(rng, picture, &mut found)?,
            _ => self.background(rng, picture)?,
        }
        if rng.random::<f32>() < LETTERBOXED {
            self.letterbox(rng, picture, &mut found);
        }
        self.augmentation.paint(rng, self.size, self.size, picture, |_| Ok(None))?;
        if rarely(rng, self.compositions.stretched) {
            stretch(picture);
        }
        Ok(found)
    }

    fn choose<'a>(&self, rng: &mut ChaCha8Rng, list: &'a [Picture]) -> Result<(&'a Photograph, Arc<Frame>), DataError> {
        match list.choose(rng) {
            Some(picture) => self.open(picture),
            None => Err(DataError::Options("there is no picture to draw from".into())),
        }
    }

    fn choose_face(&self, rng: &mut ChaCha8Rng) -> Result<(&Photograph, Arc<Frame>), DataError> {
        self.open(&self.faces[self.faces_draw.sample(rng)])
    }

    fn open<'a>(&self, Picture { known, number }: &'a Picture) -> Result<(&'a Photograph, Arc<Frame>), DataError> {
        Ok((known, self.pictures.get_with(*number, || Ok(Frame::open(known.image())?))?))
    }

    fn angle_rad(&self, rng: &mut ChaCha8Rng) -> f32 {
        if rarely(rng, self.augmentation.full_turn) {
            return rng.random_range(-std::f32::consts::PI..std::f32::consts::PI);
        }
        let limit = self.augmentation.rotation_limit_deg.to_radians();
        let triangle = rng.random_range(-1.0..1.0_f32) + rng.random_range(-1.0..1.0_f32);
        0.5 * triangle * limit
    }

    /// The whole picture, or a part of it, anywhere on the canvas.
    fn scene(&self, rng: &mut ChaCha8Rng, out: &mut [f32], found: &mut Found) -> Result<(), DataError> {
        let (known, frame) = self.choose(rng, &self.scenes)?;
        let Photograph::Scene { faces, .. } = known else { return Ok(()) };
        // Often around a face, so that faces of all sizes occur although most in the pictures are small.
        let longer = frame.width().max(frame.height()) as f32;
        let (center, side) = match faces.iter().filter(|f| f.side() > 12.0).collect::<Vec<_>>().choose(rng) {
            Some(face) if rng.random::<f32>() < 0.6 => {
                let share = rng.random_range(0.07_f32.ln()..0.8_f32.ln()).exp();
                let fewest = self.size as f32 / self.compositions.most_enlarged;
                let side = (face.side() / share).max(fewest).min(1.3 * longer);
                let shift = |rng: &mut ChaCha8Rng| rng.random_range(-0.35..0.35) * side;
                let c = face.center();
                (Point::new(c.x + shift(rng), c.y + shift(rng)), side)
            }
            _ => {
                let middle = Point::new(0.5 * frame.width() as f32, 0.5 * frame.height() as f32);
                (middle, longer * rng.random_range(0.7..1.2))
            }
        };
        let mut view = self.view(rng, center, side);
        if rarely(rng, self.compositions.upright) {
            view.crop_from_frame = self.filled(&frame, center, side);
        }
        view.render(&frame, out);
        for face in faces {
            // In a scene every face is marked, so small ones are ignored over a wider range of sizes.
            let rect = view.rect(face);
            if rect.side() > SURE_PIXELS {
                self.sometimes_hide_part(rng, &view, face, out);
            }
            sort_in(rect, self.size, SURE_PIXELS, SHOWN, found);
        }
        Ok(())
    }

    /// An upright view of `side` pixels about `center`, moved so that it shows no more black than it must.
    fn filled(&self, frame: &Frame, center: Point<FrameSpace>, side: f32) -> Similarity<CropSpace, FrameSpace> {
        let side = side.min(frame.width().max(frame.height()) as f32);
        let along = |center: f32, length: usize| {
            let (low, high) = (0.5 * side, length as f32 - 0.5 * side);
            if low < high { center.clamp(low, high) } else { low }
        };
        let center = Point::new(along(center.x, frame.width()), along(center.y, frame.height()));
        crop_from_frame(center, side, 0.0, self.size)
    }

    fn sometimes_hide_part(&self, rng: &mut ChaCha8Rng, view: &View, face: &Rect<FrameSpace>, out: &mut [f32]) {
        if rarely(rng, self.augmentation.partly_hidden) {
            hide_part(rng, view, face, out);
        }
    }

    fn view(&self, rng: &mut ChaCha8Rng, center: Point<FrameSpace>, side: f32) -> View {
        View {
            crop_from_frame: crop_from_frame(center, side, self.angle_rad(rng), self.size),
            mirrored: rng.random::<bool>(),
            border: Border::Black,
            size: self.size,
        }
    }

    /// A face that fills much of the canvas, with its own surroundings.
    fn single(&self, rng: &mut ChaCha8Rng, out: &mut [f32], found: &mut Found) -> Result<(), DataError> {
        let (known, frame) = self.choose_face(rng)?;
        let Photograph::Face { face, .. } = known else { return Ok(()) };
        let share: f32 = rng.random_range(Compositions::SMALLEST_SINGLE..self.compositions.largest_single);
        let side = face.side() / share;
        let reach = (0.55 - 0.4 * share).max(0.08);
        let mut shift = || rng.random_range(-reach..reach) * side;
        let c = face.center();
        let center = Point::new(c.x + shift(), c.y + shift());
        let mut view = self.view(rng, center, side);
        if rng.random::<f32>() < BEFORE_ANOTHER {
            self.background(rng, out)?;
            view.mirrored = false;
            view.paste(&frame, face, out);
        } else {
            view.render(&frame, out);
        }
        self.sometimes_hide_part(rng, &view, face, out);
        let rect = view.rect(face);
        if rng.random::<f32>() < SPOILT {
            spoil(rng, self.size, &rect, out);
        } else {
            let shown = if self.compositions.largest_single > 1.0 { SINGLE_SHOWN } else { SHOWN };
            sort_in(rect, self.size, SMALLEST_PIXELS, shown, found);
        }
        Ok(())
    }

    /// A picture without faces, cut at random.
    fn background(&self, rng: &mut ChaCha8Rng, out: &mut [f32]) -> Result<(), DataError> {
        let (_, frame) = self.choose(rng, &self.backgrounds)?;
        let longer = frame.width().max(frame.height()) as f32;
        let side = longer * rng.random_range(0.3..1.2);
        let at = |rng: &mut ChaCha8Rng, n: usize| rng.random_range(0.3..0.7) * n as f32;
        let center = Point::new(at(rng, frame.width()), at(rng, frame.height()));
        self.view(rng, center, side).render(&frame, out);
        Ok(())
    }

    /// Pastes a face with some of its surroundings into the picture, with soft edges.
    fn set_in(&self, rng: &mut ChaCha8Rng, out: &mut [f32], found: &mut Found) -> Result<(), DataError> {
        let (known, frame) = self.choose_face(rng)?;
        let Photograph::Face { face, .. } = known else { return Ok(()) };
        let size = self.size as f32;
        let pixels = rng.random_range(SMALLEST_PIXELS.ln()..(0.5 * size).ln()).exp();
        let scale = pixels / face.side();
        let margin = 0.3 * pixels;
        let place = |rng: &mut ChaCha8Rng| rng.random_range(margin..size - margin);
        let to = Point::<CropSpace>::new(place(rng), place(rng));
        let crop_from_frame = Similarity::about(face.center(), to, scale, self.angle_rad(rng));
        let view = View { crop_from_frame, mirrored: false, border: Border::Black, size: self.size };
        let rect = view.rect(face);
        // A small face on a large one hardly overlaps it.
        let overlaps = |r: &Rect<CropSpace>| {
            let (a, b) = (r.center(), rect.center());
            r.iou(&rect) > 0.02 || (a.x - b.x).abs().max((a.y - b.y).abs()) < 0.6 * r.side().max(rect.side())
        };
        if found.0.iter().chain(&found.1).any(overlaps) {
            return Ok(());
        }
        view.paste(&frame, face, out);
        self.sometimes_hide_part(rng, &view, face, out);
        if rng.random::<f32>() < SPOILT {
            spoil(rng, self.size, &rect, out);
        } else {
            sort_in(rect, self.size, SMALLEST_PIXELS, SHOWN, found);
        }
        Ok(())
    }

    /// Black beyond a landscape or portrait frame, as the scaled frame leaves it.
    fn letterbox(&self, rng: &mut ChaCha8Rng, out: &mut [f32], found: &mut Found) {
        let kept = (self.size as f32 * rng.random_range(0.55..0.8)) as usize;
        let portrait = rng.random::<bool>();
        for y in 0..self.size {
            for x in 0..self.size {
                if (if portrait { x } else { y }) >= kept {
                    out[(y * self.size + x) * 3..][..3].fill(0.0);
                }
            }
        }
        let shown = |rect: &Rect<CropSpace>| {
            let (from, side) = if portrait { (rect.x, rect.width) } else { (rect.y, rect.height) };
            (kept as f32 - from) / side
        };
        found.1.extend(found.0.iter().filter(|r| (0.1..0.7).contains(&shown(r))).copied());
        found.0.retain(|r| shown(r) >= 0.7);
    }
}

/// Faces to be found, and ignored regions.
pub(super) type Found = (Vec<Rect<CropSpace>>, Vec<Rect<CropSpace>>);

/// Decides whether a face is to be found, ignored, or out of sight: it is to be found from `sure` pixels on, if at
/// least the share `least_shown` is visible.
fn sort_in(rect: Rect<CropSpace>, size: usize, sure: f32, least_shown: f32, found: &mut Found) {
    let along = |from: f32, side: f32| ((from + side).min(size as f32) - from.max(0.0)).max(0.0) / side;
    let shown = along(rect.x, rect.width) * along(rect.y, rect.height);
    let c = rect.center();
    let inside = c.x >= 0.0 && c.y >= 0.0 && c.x < size as f32 && c.y < size as f32;
    if shown <= 0.05 {
    } else if shown < least_shown || !inside || rect.side() < sure {
        found.1.push(rect);
    } else {
        found.0.push(rect);
    }
}

/// Stretches a picture that uses little of the range to all of it, except for the darkest and brightest hundredth.
fn stretch(picture: &mut [f32]) {
    const BINS: usize = 256;
    let mut counts = [0_usize; BINS];
    // Black beyond the frame is not part of the picture.
    let values = || picture.iter().filter(|v| **v > 0.0);
    values().for_each(|v| counts[((v * BINS as f32) as usize).min(BINS - 1)] += 1);
    let rare = values().count() / 100;
    // The first bin, from either end, at which the cumulative count exceeds a hundredth.
    let beyond = |from_above: bool| {
        let mut sum = 0;
        (0..BINS).map(|i| if from_above { BINS - 1 - i } else { i }).find(|&bin| {
            sum += counts[bin];
            sum > rare
        })
    };
    let (Some(low), Some(high)) = (beyond(false), beyond(true)) else { return };
    let (low, high) = (low as f32 / BINS as f32, (high + 1) as f32 / BINS as f32);
    if high - low < NARROW_RANGE {
        for value in picture.iter_mut().filter(|v| **v > 0.0) {
            *value = ((*value - low) / (high - low)).clamp(0.0, 1.0);
        }
    }
}

impl Task for DetectorTask {
    fn fingerprint(&self) -> String {
        let mut hash = Fnv1a::new();
        for Picture { known, .. } in self.scenes.iter().chain(&self.faces).chain(&self.backgrounds) {
            // The position of the folder does not matter.
            hash.add(known.image().file_name().unwrap_or_default().as_encoded_bytes());
            let rects = match known {
                Photograph::Scene { faces, .. } => faces.as_slice(),
                Photograph::Face { face, .. } => std::slice::from_ref(face),
                Photograph::Background { .. } => &[],
            };
            let values = rects.iter().flat_map(|r| [r.x, r.y, r.width, r.height]);
            values.for_each(|value| hash.add(&value.to_le_bytes()));
        }
        hash.text()
    }

    fn shape(&self) -> BatchShape {
        let cells = self.size / maps::STRIDE;
        BatchShape { input: (self.size, self.size), heatmap: (cells, cells), channels: maps::CHANNELS }
    }

    fn fill(&self, rng: &mut ChaCha8Rng, item: ItemMut<'_>) -> Result<(), DataError> {
        let (faces, ignored) = self.draw(rng, item.input)?;
        let cells = self.size / maps::STRIDE;
        targets::render(
            &faces,
            &ignored,
            (cells, cells),
            |side_cells| self.compositions.center_sigma_cells(side_cells),
            item.target,
            item.weight,
        );
        *item.normalizer = (cells * cells) as f64;
        Ok(())
    }

    fn objective(&self) -> &dyn Objective {
        &self.objective
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::path::Path;

    fn photographs(folder: &Path) -> Vec<Photograph> {
        let image = folder.join("a.png");
        Frame::filled(120, 90, [90, 120, 150]).save(&image).unwrap();
        let face = Rect::new(30.0, 20.0, 40.0, 45.0);
        vec![
            Photograph::Scene { image: image.clone(), faces: vec![face] },
            Photograph::Face { image: image.clone(), face, dataset: "plain".into() },
            Photograph::Background { image },
        ]
    }

    fn task(photographs: Vec<Photograph>, datasets: &[(&str, f64)]) -> Result<DetectorTask, DataError> {
        let datasets = datasets.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect();
        DetectorTask::new(photographs, 64, Augmentation::default(), Compositions::default(), &datasets)
    }

    #[test]
    fn items_of_every_kind_are_drawn_and_depend_on_the_seed_alone() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(photographs(folder.path()), &[]).unwrap();
        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut picture = vec![0.0; 64 * 64 * 3];
            let found = task.draw(&mut rng, &mut picture).unwrap();
            assert!(picture.iter().all(|v| v.is_finite()));
            (picture, found)
        };
        let mut faces = 0;
        for seed in 0..300 {
            let (picture, found) = draw(seed);
            faces += found.0.len();
            if seed < 20 {
                assert_eq!((picture, found), draw(seed));
            }
        }
        assert!(faces > 100);
    }

    #[test]
    fn a_dark_and_flat_picture_is_stretched_and_a_bright_one_stays() {
        let ramp = |low: f32, high: f32| -> Vec<f32> {
            (0..3000).map(|i| if i % 10 == 0 { 0.0 } else { low + (high - low) * (i as f32 / 2999.0) }).collect()
        };
        let mut dark = ramp(0.02, 0.1);
        stretch(&mut dark);
        assert!(dark.iter().step_by(10).all(|v| *v == 0.0), "what lies beyond the frame stays black");
        assert!(dark[301] < 0.2 && dark[1499] > 0.4 && dark[1499] < 0.6 && dark[2999] > 0.95, "{}", dark[1499]);
        let mut bright = ramp(0.1, 0.9);
        stretch(&mut bright);
        assert_eq!(bright, ramp(0.1, 0.9));
    }

    #[test]
    fn single_faces_are_drawn_by_the_weight_of_their_data_set() {
        let folder = tempfile::tempdir().unwrap();
        let mut photographs = photographs(folder.path());
        photographs.extend((0..3).map(|_| {
            let (image, face) = (folder.path().join("a.png"), Rect::new(1.0, 2.0, 30.0, 30.0));
            Photograph::Face { image, face, dataset: "hard".into() }
        }));
        let task = |datasets: &[(&str, f64)]| task(photographs.clone(), datasets);
        let drawn = |datasets: &[(&str, f64)]| {
            let task = task(datasets).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            (0..4000).filter(|_| task.choose_face(&mut rng).unwrap().0.dataset() == Some("hard")).count()
        };
        assert!((2900..3100).contains(&drawn(&[])), "three of four faces are hard");
        assert!((1900..2100).contains(&drawn(&[("plain", 3.0), ("hard", 1.0)])));
        assert_eq!(drawn(&[("plain", 1.0), ("hard", 0.0)]), 0);
        let refused = |datasets| task(datasets).map(|_| ()).unwrap_err().to_string();
        assert!(refused(&[("plain", 1.0)]).contains("hard"));
        assert!(refused(&[("plain", 0.0), ("hard", 0.0)]).contains("weight 0"));
    }

    #[test]
    fn without_backgrounds_the_missing_kind_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut photographs = photographs(folder.path());
        photographs.truncate(2);
        assert!(task(photographs, &[]).map(|_| ()).unwrap_err().to_string().contains("backgrounds"));
    }
}
