//! Uses your own model instead of the bundled one, for example after a training.
//!
//! cargo run --release --example custom_model -- model.safetensors face.jpg

use awing::{Frame, Model, Models, Tracker, TrackerOptions};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(picture)) = (arguments.next(), arguments.next()) else {
        return Err("name a model file and a picture".into());
    };
    let mut models = Models::bundled()?;
    models.landmarks = Model::load(Path::new(&model))?;
    let frame = Frame::open(Path::new(&picture))?;
    for (name, models) in [("bundled", Models::bundled()?), (model.as_str(), models)] {
        let mut tracker = Tracker::with_models(TrackerOptions::default(), &models)?;
        for face in tracker.track(&frame)? {
            println!("{name}: face {} with {} landmarks, score {:.3}", face.id, face.landmarks.len(), face.score);
        }
    }
    Ok(())
}
