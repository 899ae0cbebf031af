//! A data set of a few drawn faces, and a recipe that learns it in seconds.

use awing::Frame;
use awing::internals::Scene;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Number of pictures in the set.
pub const PICTURES: usize = 4;

/// Writes `faces.jsonl` and its pictures.
pub fn write_faces(folder: &Path) -> PathBuf {
    write_so_many_faces(folder, PICTURES)
}

/// Writes `faces.jsonl` and its pictures, of as many people.
pub fn write_so_many_faces(folder: &Path, count: usize) -> PathBuf {
    let mut text = String::new();
    for i in 0..count {
        let mut frame = Frame::filled(160, 160, [0; 3]);
        let faces = Scene::demo(i as u64, 1).draw(i as f64, &mut frame);
        frame.save(&folder.join(format!("{i}.png"))).expect("a temporary folder takes files");
        let points: Vec<[f32; 2]> = faces[0].iter().map(|p| [p.x, p.y]).collect();
        let row = serde_json::json!({ "image": format!("{i}.png"), "points": points });
        let _ = writeln!(text, "{row}");
    }
    let file = folder.join("faces.jsonl");
    std::fs::write(&file, text).expect("a temporary folder takes files");
    file
}

/// Writes a recipe of `steps` steps for a tiny network, with the replacements `changed`.
pub fn write_recipe(folder: &Path, steps: usize, changed: &[(&str, &str)]) -> PathBuf {
    let mut text = format!(
        r#"
sigma_cells = 1.0
batch_size = 4
average_decay = 0.9
validate_every = 10
seed = 5

[model]
kind = "landmarks"
input_size = 64
points = 98
outputs = 99
crop = {{ scale = 1.35 }}
decoding = "centroid"

[model.architecture.edge]
stem_channels = 8
stem_blocks = 0
widths = [16, 24]
kernel = 3
middle_blocks = 1
up_blocks = [1]
stacks = 1
coordinates = true

[optimizer]
kind.adamw = {{ beta1 = 0.9, beta2 = 0.99 }}
learning_rate = 2e-3
weight_decay = 0.02
clip_norm = 20.0

[schedule]
steps = {steps}
warmup_steps = 5
shape.cosine = {{ final_fraction = 0.01 }}
"#
    );
    for (from, to) in changed {
        assert!(text.contains(from), "the recipe has no {from}");
        text = text.replace(from, to);
    }
    let file = folder.join("recipe.toml");
    std::fs::write(&file, text).expect("a temporary folder takes files");
    file
}
