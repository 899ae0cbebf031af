//! A fine-tuning from end to end, on procedural faces.

use super::TuningRecipe;
use super::measure::Faces;
use super::run::{FineTune, FineTuneEnding, FineTuneOptions, Tuned};
use crate::runtime::image::Frame;
use crate::runtime::model::{Model, default_landmarks};
use crate::train::data::Sample;
use crate::train::synth::portraits;
use crate::train::trainer::TrainError;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Faces that the base has never seen the like of: procedural faces in photographic negatives.
fn faces() -> Vec<Sample> {
    let mut faces = portraits(24, 77).unwrap();
    for face in &mut faces {
        let frame = face.frame.as_ref().unwrap();
        let rgb = frame.rgb().iter().map(|value| 255 - value).collect();
        face.frame = Some(Arc::new(Frame::from_rgb(frame.width(), frame.height(), rgb).unwrap()));
    }
    faces
}

fn options(folder: &Path) -> FineTuneOptions {
    let mut options = FineTuneOptions::new(folder.join("tuning"));
    options.threads = 2;
    options.recipe = TuningRecipe { steps: 16, batch_size: 8, warmup_steps: 4, ..TuningRecipe::default() };
    options
}

/// As [`options`], for tests that don't ask whether anything was learned.
fn short(folder: &Path) -> FineTuneOptions {
    let mut options = options(folder);
    options.recipe.steps = 6;
    options.recipe.batch_size = 3;
    options.recipe.shares = vec![0.5];
    options
}

fn finish(base: &Model, samples: Vec<Sample>, options: FineTuneOptions) -> Tuned {
    let mut tuning = FineTune::new(base.clone(), samples, options).unwrap();
    let ending = tuning.run(|_| {}).unwrap();
    tuning.discard().unwrap();
    match ending {
        FineTuneEnding::Finished(tuned) => *tuned,
        FineTuneEnding::Paused => panic!("nothing stopped it"),
    }
}

#[test]
fn other_files_in_the_folder_of_a_tuning_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("tuning");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("thesis.txt"), "mine").unwrap();
    std::fs::write(work.join("checkpoint.safetensors.4711.tmp"), "what a killed process left").unwrap();
    finish(&default_landmarks().unwrap(), faces(), short(folder.path()));
    let left: Vec<_> = std::fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["thesis.txt"]);
}

#[test]
fn what_the_base_gets_wrong_is_learned_and_the_folder_of_the_training_goes() {
    let folder = tempfile::tempdir().unwrap();
    let base = default_landmarks().unwrap();
    let tuned = finish(&base, faces(), options(folder.path()));
    let verdict = &tuned.verdict;
    assert!(verdict.accepted, "{verdict:?}");
    // What docs/fine-tuning.md promises of procedural faces.
    let guard = &verdict.guards[0];
    assert!(verdict.held_out.percent() < -10.0 && guard.after - guard.before <= 0.15, "{verdict:?}");
    assert_eq!(verdict.trained_faces + verdict.held_out.faces, 24);
    assert_eq!(verdict.parts.len(), 11);
    assert_eq!(tuned.model.config().training["fine_tuned"]["accepted"], true);
    assert!(!folder.path().join("tuning").exists());
    assert!(tuned.picture.width() > 0);
    // The ranges of int8 are measured anew.
    let (own, of_base) = (tuned.model.config().quantization.as_ref().unwrap(), base.config().quantization.as_ref());
    assert_ne!(own.input_ranges, of_base.unwrap().input_ranges);
    assert_eq!(own.input_ranges.len(), of_base.unwrap().input_ranges.len());
    assert!(own.loss.is_some_and(|loss| loss.abs() < 0.2), "{:?}", own.loss);
}

#[test]
fn what_is_tuned_from_a_base_without_int8_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let base = default_landmarks().unwrap().with_quantization(None).unwrap();
    let tuned = finish(&base, faces(), short(folder.path()));
    assert_eq!(tuned.model.config().quantization, None);
}

#[test]
fn nothing_is_accepted_where_there_is_nothing_to_learn() {
    let folder = tempfile::tempdir().unwrap();
    let base = default_landmarks().unwrap();
    let own = Faces::new(faces(), base.config()).unwrap().labelled_by(&base, 1).unwrap();
    let verdict = finish(&base, own, short(folder.path())).verdict;
    assert!(!verdict.accepted, "{verdict:?}");
}

#[test]
fn a_tuning_that_was_stopped_comes_to_the_same_verdict() {
    let base = default_landmarks().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let whole = finish(&base, faces(), short(folder.path()));
    for stopped_after in [1, 4] {
        let options = || short(folder.path());
        let stoppable = options();
        let flag = stoppable.stop.clone();
        let mut first = FineTune::new(base.clone(), faces(), stoppable).unwrap();
        let ending = first.run(|p| flag.store(p.step >= stopped_after, Ordering::Relaxed)).unwrap();
        assert!(matches!(ending, FineTuneEnding::Paused));
        drop(first);
        let refused = FineTune::new(base.clone(), faces(), options()).map(|_| ()).unwrap_err();
        assert!(matches!(refused, super::FineTuneError::Train(TrainError::Occupied(_))), "{refused}");
        let mut others = faces();
        others.pop();
        let resumed = || FineTuneOptions { resume: true, ..options() };
        assert!(FineTune::new(base.clone(), others, resumed()).map(|_| ()).unwrap_err().is_other_tuning());
        let tuned = finish(&base, faces(), resumed());
        assert_eq!(tuned.verdict.held_out, whole.verdict.held_out);
        for parameter in base.config().graph().parameters() {
            assert_eq!(tuned.model.tensor(&parameter.name), whole.model.tensor(&parameter.name), "{}", parameter.name);
        }
    }
}

#[test]
fn a_time_limit_leads_to_a_verdict_too() {
    let folder = tempfile::tempdir().unwrap();
    let limited = FineTuneOptions { limit: Some(std::time::Duration::ZERO), ..short(folder.path()) };
    let verdict = finish(&default_landmarks().unwrap(), faces(), limited).verdict;
    assert_eq!(verdict.steps, 1);
}
