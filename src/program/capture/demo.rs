//! The built-in demo: procedural faces.
//!
//! Out: frames of the wanted size (640x480 by default) with times at an even rate, drawn as fast as they are asked for.

use super::{CaptureError, CaptureOptions, Source};
use crate::runtime::image::Frame;
use crate::train::synth::Scene;

const SEED: u64 = 1;
const SIZE: (u32, u32) = (640, 480);
const FRAMES_PER_SECOND: f64 = 30.0;

pub(super) struct Demo {
    scene: Scene,
    size: (u32, u32),
    frames_per_second: f64,
    count: u64,
}

impl Demo {
    pub fn new(options: &CaptureOptions) -> Self {
        Self {
            scene: Scene::demo(SEED, options.faces.unwrap_or(1)),
            size: options.size.unwrap_or(SIZE),
            frames_per_second: options.frames_per_second.unwrap_or(FRAMES_PER_SECOND).max(1.0),
            count: 0,
        }
    }
}

impl Source for Demo {
    fn next(&mut self, frame: &mut Frame) -> Result<Option<f64>, CaptureError> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        if (frame.width(), frame.height()) != (width, height) {
            *frame = Frame::filled(width, height, [0; 3]);
        }
        let time_s = self.count as f64 / self.frames_per_second;
        self.scene.draw(time_s, frame);
        self.count += 1;
        Ok(Some(time_s))
    }

    fn frames_per_second(&self) -> Option<f64> {
        Some(self.frames_per_second)
    }

    fn is_endless(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "the built-in demo".into()
    }
}
