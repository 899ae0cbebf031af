//! The training task of a landmark network: augmented crops of faces, with one target map per landmark and the boundary
//! map.
//!
//! In: [`Sample`]s, drawn by the weight of their data set, and pictures without faces ([`Faceless`]). Out: items of
//! `input_size` pixels and `heatmap_size` cells a side with the maps of [`LandmarkTargets`]: one per landmark and,
//! last, the boundary map. Fails if a picture can't be read.

use super::chance::{chance, rarely};
use super::cover::hide_part;
use super::dataset_weights::{check_weights, weight_of};
use super::expression::move_brows;
use super::eyelids::close_eyes;
use super::gaze::look_aside;
use super::{
    Augmentation, BatchShape, CACHE_BYTES, DataError, Donor, Emphasis, Faceless, FacelessItems, ItemMut, PictureCache,
    Sample, Task,
};
use crate::runtime::geometry::{HeatmapSpace, Point, heatmap_from_crop};
use crate::runtime::landmarks::{Scheme, Style, StyleFits};
use crate::runtime::model::CropConvention;
use crate::train::fnv::Fnv1a;
use crate::train::loss::{AdaptiveWing, Objective};
use crate::train::targets::{LandmarkTargets, TargetStyle};
use rand::Rng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Sizes of crop and maps.
#[derive(Clone, Debug, PartialEq)]
pub struct LandmarkTaskOptions {
    /// The points of the model; faces with other points are converted if possible ([`Sample::in_scheme`]).
    pub scheme: Scheme,
    /// The annotation style that all faces are mapped to; none leaves each in its own.
    pub style: Option<Style>,
    /// The starting model's fits to the styles of data sets: their faces are mapped to what this model would predict.
    pub style_fits: StyleFits,
    /// Faces and points that count more.
    pub emphasis: Emphasis,
    /// Pixels a side of the network's input.
    pub input_size: usize,
    /// Cells a side of the maps.
    pub heatmap_size: usize,
    /// The crop around the landmark box, before augmentation.
    pub crop: CropConvention,
    /// Standard deviation of the target Gaussians, in cells.
    pub sigma_cells: f32,
    /// How targets are drawn.
    pub targets: TargetStyle,
}

/// Landmarks as a training task.
pub struct LandmarkTask {
    samples: Vec<Sample>,
    /// Whether a map from the style of each face to that of the targets is known.
    mapped: Vec<bool>,
    targets: LandmarkTargets,
    draw: WeightedIndex<f64>,
    pictures: PictureCache,
    faceless: Option<(Faceless, FacelessItems)>,
    augmentation: Augmentation,
    options: LandmarkTaskOptions,
}

impl fmt::Debug for LandmarkTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LandmarkTask")
            .field("samples", &self.samples.len())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Side of an occluding patch of another face, in sides of that face's landmark box.
const PATCH_SIDE: std::ops::Range<f32> = 0.2..0.9;

impl LandmarkTask {
    /// Items from `samples`; a data set's faces are drawn with the weight that `datasets` gives it, relative to the
    /// others' (0: never). All weigh the same if `datasets` is empty; otherwise every data set must be named.
    ///
    /// # Errors
    /// [`DataError::Options`] if nothing is left to draw from, a data set's weight is missing or no number, a size is
    /// 0, or a strength of the augmentation is out of range; [`DataError::Row`] for a face without the scheme's points.
    pub fn new(
        samples: Vec<Sample>,
        datasets: &BTreeMap<String, f64>,
        augmentation: Augmentation,
        options: LandmarkTaskOptions,
    ) -> Result<Self, DataError> {
        let LandmarkTaskOptions { scheme, style, input_size, heatmap_size, crop, sigma_cells, targets, .. } = options;
        if input_size == 0 || heatmap_size == 0 || !(crop.scale > 0.0 && sigma_cells > 0.0) {
            return Err(DataError::Options("sizes, crop scale and sigma must be above 0".into()));
        }
        augmentation.check()?;
        options.emphasis.check(scheme)?;
        check_weights(datasets, samples.iter().map(|s| s.dataset.as_str()))?;
        let samples: Vec<_> = samples.into_iter().filter(|s| weight_of(datasets, &s.dataset) > 0.0).collect();
        let nothing = || DataError::Options("no face is left to train on: every data set has weight 0".into());
        // Conditions and weights are computed on the annotated points, before the style moves them.
        let chances: Vec<f64> =
            samples.iter().map(|s| weight_of(datasets, &s.dataset) * options.emphasis.factor(s)).collect();
        let draw = WeightedIndex::new(chances).map_err(|_| nothing())?;
        let mapped = samples.iter().map(|s| options.style_fits.can_map(s.style)).collect();
        let prepare = |sample: Sample| match style {
            Some(style) => sample.in_style(style, &options.style_fits).in_scheme(scheme),
            None => sample.in_scheme(scheme),
        };
        let samples = samples.into_iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
        let pictures = PictureCache::new(samples.len(), CACHE_BYTES);
        let targets = LandmarkTargets { scheme, style: targets, sigma_cells, map_side: heatmap_size };
        Ok(Self { samples, mapped, targets, draw, pictures, faceless: None, augmentation, options })
    }

    /// Makes a share of the items pictures without a face, whose maps are empty: half of them parts of `images` that
    /// the bundled detector takes for a face, half any part.
    ///
    /// # Errors
    /// [`DataError::Photograph`] for a picture that can't be read, [`DataError::Options`] without a picture.
    pub fn with_faceless(self, images: Vec<PathBuf>, items: FacelessItems) -> Result<Self, DataError> {
        Ok(Self { faceless: Some((Faceless::new(images)?, items)), ..self })
    }

    /// The faces that are drawn from: those of data sets with a weight above 0.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// A patch of another face, about one of its points.
    fn donor(&self, rng: &mut ChaCha8Rng) -> Result<Option<Donor>, DataError> {
        let index = self.draw.sample(rng);
        let sample = &self.samples[index];
        let frame = self.pictures.get(index, sample)?;
        let point = rng.random_range(0..sample.points.len());
        let side = rng.random_range(PATCH_SIDE);
        Ok(sample.landmark_box().filter(|_| sample.weight[point] > 0.0).map(|around| Donor {
            frame,
            center: sample.points[point],
            side: side * around.side(),
        }))
    }
}

impl Task for LandmarkTask {
    fn fingerprint(&self) -> String {
        let mut hash = Fnv1a::new();
        for sample in &self.samples {
            hash.add(sample.name.as_bytes());
            sample.points.iter().flat_map(|p| [p.x, p.y]).for_each(|value| hash.add(&value.to_le_bytes()));
            sample.weight.iter().for_each(|value| hash.add(&value.to_le_bytes()));
        }
        let faceless = self.faceless.iter().flat_map(|(pictures, _)| pictures.images());
        faceless.filter_map(|image| image.file_name()).for_each(|name| hash.add(name.as_encoded_bytes()));
        hash.text()
    }

    fn shape(&self) -> BatchShape {
        let (input, size) = (self.options.input_size, self.targets.size());
        BatchShape { input: (input, input), heatmap: (size.height, size.width), channels: size.channels }
    }

    fn fill(&self, rng: &mut ChaCha8Rng, item: ItemMut<'_>) -> Result<(), DataError> {
        let LandmarkTaskOptions { input_size, crop, .. } = self.options;
        if let Some((pictures, items)) = &self.faceless
            && chance(rng, items.share)
        {
            let (frame, center, side) = pictures.draw(rng, &crop)?;
            self.augmentation.view(rng, center, side, input_size).render(&frame, item.input);
            self.augmentation.paint(rng, input_size, input_size, item.input, |_| Ok(None))?;
            *item.normalizer = self.targets.draw_empty(items.weight, item.weight);
            return Ok(());
        }
        let index = self.draw.sample(rng);
        let sample = &self.samples[index];
        let frame = self.pictures.get(index, sample)?;
        let around = sample.landmark_box().ok_or_else(|| sample.origin.error("no point has a weight above 0"))?;

        let view = self.augmentation.view(rng, around.center(), crop.side(&around), input_size);
        view.render(&frame, item.input);
        let (mut points, mut weight) = view.landmarks(self.targets.scheme, &sample.points, &sample.weight);
        if self.targets.scheme == Scheme::Wflw98 && chance(rng, self.augmentation.brows) {
            move_brows(rng, input_size, item.input, &mut points, &weight);
        }
        if self.targets.scheme == Scheme::Wflw98 && rarely(rng, self.augmentation.gaze) {
            look_aside(rng, input_size, item.input, &mut points, &weight);
        }
        if self.targets.scheme == Scheme::Wflw98 && rarely(rng, self.augmentation.eyelids) {
            close_eyes(rng, input_size, item.input, &mut points, &weight);
        }
        if rarely(rng, self.augmentation.partly_hidden) {
            hide_part(rng, &view, &around, item.input);
        }
        self.augmentation.paint(rng, input_size, input_size, item.input, |rng| self.donor(rng))?;

        self.options.emphasis.weigh(self.mapped[index], &mut weight);
        let heatmap_from_crop = heatmap_from_crop(self.targets.map_side, input_size);
        let cells: Vec<Point<HeatmapSpace>> = points.iter().map(|&p| heatmap_from_crop.apply(p)).collect();
        *item.normalizer = self.targets.draw(&cells, &weight, item.target, item.weight);
        Ok(())
    }

    fn objective(&self) -> &dyn Objective {
        &AdaptiveWing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::image::Frame;
    use crate::runtime::model::BoxSide;
    use crate::train::data::tests::chain;
    use crate::train::data::{Batch, Loader, read_jsonl};
    use rand::SeedableRng;
    use std::path::Path;
    use std::sync::Arc;

    /// A picture with 98 points on a grid and the rows of three data sets that show it: all points known in "full", no
    /// pupils in "part", no picture in "lost".
    fn faces(folder: &Path) -> Vec<Sample> {
        let rgb = (0..200 * 200).flat_map(|i| [(i % 200) as u8, (i / 200) as u8, 90]).collect();
        Frame::from_rgb(200, 200, rgb).unwrap().save(&folder.join("face.png")).unwrap();
        let points: Vec<_> = (0..98).map(|i| format!("[{}, {}]", 50 + i % 10 * 11, 51 + i / 10 * 11)).collect();
        let row = |dataset: &str, image: &str, pupils: &str| {
            let (points, ones) = (points.join(","), "1,".repeat(96));
            format!(
                "{{\"image\": \"{image}\", \"dataset\": \"{dataset}\", \"points\": [{points}], \
                 \"weight\": [{ones}{pupils}]}}\n"
            )
        };
        let file = folder.join("faces.jsonl");
        let text =
            row("full", "face.png", "1, 0.5") + &row("part", "face.png", "0, 0") + &row("lost", "no.png", "1, 1");
        std::fs::write(&file, text).unwrap();
        read_jsonl(&file).unwrap()
    }

    fn options() -> LandmarkTaskOptions {
        LandmarkTaskOptions {
            scheme: Scheme::Wflw98,
            style: None,
            style_fits: Default::default(),
            emphasis: Emphasis::default(),
            input_size: 64,
            heatmap_size: 32,
            crop: CropConvention { scale: 1.35, box_side: BoxSide::Longer },
            sigma_cells: 1.0,
            targets: TargetStyle::Continuous,
        }
    }

    fn weights(datasets: &[(&str, f64)]) -> BTreeMap<String, f64> {
        datasets.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect()
    }

    fn task(samples: Vec<Sample>, datasets: &[(&str, f64)]) -> Arc<LandmarkTask> {
        Arc::new(LandmarkTask::new(samples, &weights(datasets), Augmentation::default(), options()).unwrap())
    }

    fn batch(task: &Arc<LandmarkTask>, len: usize, step: u64, workers: usize) -> Batch {
        Loader::new(task.clone(), len, 3, step, workers).unwrap().next().unwrap()
    }

    const CHANNELS: usize = 99;

    #[test]
    fn each_map_peaks_at_its_point_and_unknown_points_weigh_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let part = weights(&[("full", 0.0), ("part", 1.0), ("lost", 0.0)]);
        let task = LandmarkTask::new(faces(folder.path()), &part, Augmentation::none(), options());
        let task = Arc::new(task.unwrap());
        let batch = batch(&task, 1, 0, 1);
        let sample = &task.samples()[0];
        let frame = sample.open().unwrap();
        let (picture, crop_from_frame) =
            crate::train::data::crop_for_eval(sample, &frame, &options().crop, 64).unwrap();
        assert!(
            batch.input.iter().zip(&picture).all(|(a, b)| (a - b).abs() < 1e-6),
            "training and measuring crop differ"
        );
        let to_map = crop_from_frame.then(&heatmap_from_crop(32, 64));
        for channel in 0..CHANNELS {
            let of = |values: &[f32]| -> Vec<f32> { values.iter().skip(channel).step_by(CHANNELS).copied().collect() };
            let (map, weight) = (of(&batch.target), of(&batch.weight));
            if (96..98).contains(&channel) {
                assert!(weight.iter().all(|&w| w == 0.0), "point {channel} is unknown");
                continue;
            }
            assert!(weight.iter().all(|&w| w >= 1.0));
            if channel < 96 {
                let peak = (0..map.len()).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap();
                let expected = to_map.apply(sample.points[channel]);
                let distance = Point::new((peak % 32) as f32, (peak / 32) as f32).distance(expected);
                assert!(distance < 0.71, "point {channel} peaks {distance} cells away");
            }
        }
        // 96 points and the boundary (the pupils take no part in it).
        assert_eq!(batch.normalizer, 97.0 * 32.0 * 32.0);
    }

    #[test]
    fn a_boundary_with_an_unknown_point_weighs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut samples = faces(folder.path());
        samples.truncate(1);
        samples[0].weight[54] = 0.0;
        let task = task(samples, &[]);
        let batch = batch(&task, 4, 0, 1);
        assert!(batch.weight.iter().skip(CHANNELS - 1).step_by(CHANNELS).all(|&w| w == 0.0));
        assert!(batch.target.iter().skip(CHANNELS - 1).step_by(CHANNELS).all(|&t| t == 0.0));
    }

    #[test]
    fn batches_depend_on_seed_and_step_only() {
        let folder = tempfile::tempdir().unwrap();
        let task = || task(faces(folder.path()), &[("full", 1.0), ("part", 2.0), ("lost", 0.0)]);
        let mut through = Loader::new(task(), 2, 3, 0, 1).unwrap();
        let mut three = Loader::new(task(), 2, 3, 0, 3).unwrap();
        for step in 0..5 {
            let expected = through.next().unwrap();
            assert_eq!(expected, three.next().unwrap());
            assert_eq!(expected, batch(&task(), 2, step, 2), "resumed at step {step}");
        }
    }

    #[test]
    fn faces_are_drawn_by_the_weight_of_their_data_set() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(faces(folder.path()), &[("full", 3.0), ("part", 1.0), ("lost", 0.0)]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let drawn = (0..4000).filter(|_| task.samples()[task.draw.sample(&mut rng)].dataset == "full").count();
        assert!((2850..3150).contains(&drawn), "{drawn} of 4000");
    }

    #[test]
    fn a_missing_picture_stops_the_batch_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(faces(folder.path()), &[("full", 0.0), ("part", 0.0), ("lost", 1.0)]);
        let message = chain(&Loader::new(task, 2, 3, 0, 1).unwrap().next().unwrap_err());
        assert!(message.contains("no.png") && message.contains("faces.jsonl:3"), "{message}");
    }

    #[test]
    fn data_sets_without_a_weight_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |datasets: &[(&str, f64)]| {
            LandmarkTask::new(faces(folder.path()), &weights(datasets), Augmentation::default(), options())
                .map(|_| ())
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&[("full", 1.0)]).contains("lost, part"));
        assert!(refused(&[("full", -1.0), ("part", 1.0), ("lost", 1.0)]).contains("full is -1"));
        assert!(refused(&[("full", 0.0), ("part", 0.0), ("lost", 0.0)]).contains("no face is left"));
    }

    #[test]
    fn a_model_of_68_points_learns_from_faces_of_98() {
        let folder = tempfile::tempdir().unwrap();
        let mut samples = faces(folder.path());
        samples.truncate(1);
        let all = samples[0].clone();
        let options = LandmarkTaskOptions { scheme: Scheme::Ibug68, ..options() };
        let task = LandmarkTask::new(samples, &BTreeMap::new(), Augmentation::none(), options).unwrap();
        assert_eq!(task.shape().channels, 69);
        assert_eq!(task.samples()[0].points[36], all.points[60]);
        assert_eq!(batch(&Arc::new(task), 1, 0, 1).normalizer, 69.0 * 32.0 * 32.0);
    }

    #[test]
    fn faces_of_two_schemes_are_not_trained_together() {
        let folder = tempfile::tempdir().unwrap();
        let mut samples = faces(folder.path());
        samples[1].scheme = Scheme::Cofw29;
        let refused = LandmarkTask::new(samples, &BTreeMap::new(), Augmentation::default(), options()).map(|_| ());
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("faces.jsonl:2: the face has 29 points where 98 are needed"), "{message}");
    }

    #[test]
    fn where_there_is_no_face_every_map_is_empty_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut samples = faces(folder.path());
        samples.truncate(1);
        let image = folder.path().join("room.png");
        Frame::filled(64, 48, [10, 200, 10]).save(&image).unwrap();
        let task = LandmarkTask::new(samples, &BTreeMap::new(), Augmentation::none(), options()).unwrap();
        let of_faces = task.fingerprint();
        let task = Arc::new(task.with_faceless(vec![image], FacelessItems { share: 0.25, weight: 5.0 }).unwrap());
        assert_ne!(task.fingerprint(), of_faces);
        let mut empty = 0;
        for step in 0..200 {
            let batch = batch(&task, 1, step, 1);
            if batch.input.chunks(3).all(|pixel| pixel[1] > 0.7 && pixel[0] < 0.1) {
                empty += 1;
                assert!(batch.target.iter().all(|t| *t == 0.0) && batch.weight.iter().all(|w| *w == 5.0));
                assert_eq!(batch.normalizer, 99.0 * 32.0 * 32.0);
            } else {
                assert!(batch.target.contains(&0.0) && batch.target.iter().any(|t| *t > 0.9));
            }
        }
        assert!((30..70).contains(&empty), "{empty} of 200");
    }

    #[test]
    fn ten_thousand_draws_never_panic() {
        let folder = tempfile::tempdir().unwrap();
        let mut samples = faces(folder.path());
        samples.truncate(2);
        let small = LandmarkTaskOptions { input_size: 16, heatmap_size: 4, ..options() };
        let task = LandmarkTask::new(samples, &BTreeMap::new(), Augmentation::default(), small).unwrap();
        let mut loader = Loader::new(Arc::new(task), 100, 9, 0, 2).unwrap();
        for _ in 0..100 {
            let batch = loader.next().unwrap();
            assert!(batch.input.iter().chain(&batch.target).all(|v| (0.0..=1.0).contains(v)));
            assert!(batch.normalizer > 0.0);
        }
    }
}
