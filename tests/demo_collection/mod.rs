//! A collection of procedural faces: exact landmarks, and predictions that lie a little off.

use awing::Frame;
use awing::internals::Scene;
use serde_json::json;
use std::fs;
use std::path::Path;

/// Width and height of the pictures, in pixels.
pub const SIZE: (usize, usize) = (640, 480);
/// Faces of one clip.
const CLIP: usize = 3;

/// Writes a recording of `count` faces into the new folder `recording` and returns their exact landmarks. The detector
/// has missed the last one, and the model is the less sure of a face the later it comes.
pub fn write(recording: &Path, count: usize) -> Vec<Vec<[f64; 2]>> {
    fs::create_dir_all(recording).unwrap();
    let scene = Scene::demo(1, 1);
    let mut rows = String::new();
    let truth: Vec<Vec<[f64; 2]>> = (0..count)
        .map(|i| {
            let mut frame = Frame::filled(SIZE.0, SIZE.1, [0; 3]);
            let face = scene.draw(1.7 * i as f64, &mut frame)[0];
            let image = format!("{i:06}.png");
            frame.save(&recording.join(&image)).unwrap();
            let exact: Vec<[f64; 2]> = face.iter().map(|p| [f64::from(p.x), f64::from(p.y)]).collect();
            let off: Vec<[f64; 2]> = exact.iter().enumerate().map(|(k, &p)| perturbed(p, i, k)).collect();
            let is_missed = i + 1 == count;
            let score = 0.9 - 0.5 * i as f64 / count as f64;
            let confidence: Vec<f64> = (0..98).map(|k| if k % 32 == 31 { 0.3 } else { score }).collect();
            let mut row = json!({
                "image": image, "width": SIZE.0, "height": SIZE.1, "points": off, "review": "pending",
                "clip": format!("clip-{}", i / CLIP), "source": "demo", "time_s": 1.7 * i as f64,
            });
            if !is_missed {
                row["predicted"] = json!(off);
                row["confidence"] = json!(confidence);
                row["score"] = json!(score);
            }
            rows += &format!("{row}\n");
            exact
        })
        .collect();
    fs::write(recording.join("faces.jsonl"), rows).unwrap();
    truth
}

/// A prediction of point `k` of face `face`: up to some pixels off, differently for each part.
fn perturbed([x, y]: [f64; 2], face: usize, k: usize) -> [f64; 2] {
    let part = match k {
        0..=32 => 0,
        33..=50 => 1,
        51..=59 => 2,
        60..=67 | 96 => 3,
        68..=75 | 97 => 4,
        _ => 5,
    };
    let phase = (face * 7 + part * 3) as f64;
    let rough = |v: f64| (v * 10.0).round() / 10.0;
    [rough(x + 4.0 * phase.sin() + 0.8 * (k as f64).sin()), rough(y + 3.0 * phase.cos() + 0.8 * (1.7 * k as f64).cos())]
}
