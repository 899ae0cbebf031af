//! The validation measure of a detector training: missed faces and false positives on fixed items from held-out
//! photographs.

use super::DetectorTask;
use crate::runtime::detect::decode;
use crate::runtime::geometry::{CropSpace, FrameSpace, Rect};
use crate::runtime::model::Model;
use crate::train::data::{DataError, Task};
use crate::train::network::Network;
use crate::train::trainer::Validator;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Number of items.
const ITEMS: u64 = 400;
/// Items that go through the network together.
const BATCH: usize = 20;
/// The smallest intersection over union at which a face counts as found.
const FOUND_OVERLAP: f32 = 0.5;
/// The smallest score of a box that counts.
const COUNTED_SCORE: f32 = 0.4;

struct Item {
    picture: Vec<f32>,
    faces: Vec<Rect<FrameSpace>>,
    ignored: Vec<Rect<FrameSpace>>,
}

/// Fixed items and the faces in them.
pub struct DetectorValidator {
    items: Vec<Item>,
    size: usize,
}

impl DetectorValidator {
    /// Draws the items from a task over held-out photographs.
    ///
    /// # Errors
    /// A picture that can't be read, by name.
    pub fn new(task: &DetectorTask) -> Result<Self, DataError> {
        let size = task.shape().input.0;
        // Here the item is the frame.
        let frame = |r: Rect<CropSpace>| Rect::new(r.x, r.y, r.width, r.height);
        let draw = |seed| {
            let mut picture = vec![0.0; size * size * 3];
            let (faces, ignored) = task.draw(&mut ChaCha8Rng::seed_from_u64(seed), &mut picture)?;
            Ok(Item {
                picture,
                faces: faces.into_iter().map(frame).collect(),
                ignored: ignored.into_iter().map(frame).collect(),
            })
        };
        Ok(Self { items: (0..ITEMS).map(draw).collect::<Result<_, DataError>>()?, size })
    }
}

impl Validator for DetectorValidator {
    fn measure_name(&self) -> &str {
        "missed and invented faces, % (100 - F1)"
    }

    fn measure(
        &mut self,
        _: &Model,
        network: &mut dyn Network,
    ) -> Result<f64, Box<dyn std::error::Error + Send + Sync>> {
        let (mut right, mut missed, mut invented) = (0_usize, 0_usize, 0_usize);
        let mut detections = Vec::new();
        for items in self.items.chunks(BATCH) {
            let pictures: Vec<f32> = items.iter().flat_map(|i| &i.picture).copied().collect();
            let maps = network.maps(pictures, (self.size, self.size))?;
            for (view, item) in maps.views().zip(items) {
                detections.clear();
                decode(&view, 1.0, &mut detections);
                let mut open: Vec<&Rect<FrameSpace>> = item.faces.iter().collect();
                for d in detections.iter().filter(|d| d.score >= COUNTED_SCORE) {
                    let overlap = |r: &&Rect<FrameSpace>| d.rect.iou(r);
                    let best = (0..open.len()).max_by(|a, b| overlap(&open[*a]).total_cmp(&overlap(&open[*b])));
                    match best {
                        Some(i) if overlap(&open[i]) >= FOUND_OVERLAP => {
                            open.swap_remove(i);
                            right += 1;
                        }
                        _ if item.ignored.iter().any(|r| r.iou(&d.rect) > 0.1) => {}
                        _ => invented += 1,
                    }
                }
                missed += open.len();
            }
        }
        Ok(100.0 - 200.0 * right as f64 / (2 * right + missed + invented).max(1) as f64)
    }
}
