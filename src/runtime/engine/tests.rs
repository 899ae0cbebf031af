//! The compiled plan computes what the candle graph does, on every instruction set.

use super::*;
use crate::runtime::geometry::Rect;
use crate::runtime::image::Frame;
use crate::runtime::model::graph::{Operation, Parameter, Role};
use crate::runtime::model::{Group, ModelConfig, Quantization, default_detector, default_landmarks};
use crate::train::gpu::candle::{CandleNetwork, Mode};
use crate::train::quantize::quantize;
use crate::train::synth::Scene;
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Largest difference from the candle graph, as a share of the heatmaps' peak.
const TOLERANCE: f32 = 1e-3;

/// A model whose layers keep the size of their input's numbers about the same, with norms that are no identities.
fn random_model(config: serde_json::Value) -> Model {
    let config: ModelConfig = serde_json::from_value(config).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut values = |p: &Parameter| -> Vec<f32> {
        let (low, high) = match p.role {
            Role::ConvolutionWeight => {
                let bound = (3.0 / p.shape[1..].iter().product::<usize>() as f32).sqrt();
                (-bound, bound)
            }
            Role::NormGain | Role::RunningVariance => (0.5, 1.5),
            Role::ConvolutionBias | Role::NormBias | Role::RunningMean => (-0.2, 0.2),
        };
        (0..p.shape.iter().product()).map(|_| rng.random_range(low..high)).collect()
    };
    let tensors = config.graph().parameters().iter().map(|p| (p.name.clone(), values(p))).collect();
    Model::new(config, tensors).unwrap()
}

fn edge(stem: usize, widths: &[usize], kernel: usize, stacks: usize, coordinates: bool) -> Model {
    let up_blocks: Vec<usize> = widths[1..].iter().map(|_| 1).collect();
    random_model(serde_json::json!({
        "kind": "landmarks",
        "architecture": {"edge": {
            "stem_channels": stem, "stem_blocks": 1, "widths": widths, "kernel": kernel, "middle_blocks": 1,
            "up_blocks": up_blocks, "stacks": stacks, "coordinates": coordinates
        }},
        "input_size": 64, "points": 21, "outputs": 22, "crop": {"scale": 1.35}, "decoding": "centroid"
    }))
}

fn detector(stem: usize, widths: &[usize]) -> Model {
    random_model(serde_json::json!({
        "kind": "detector",
        "architecture": {"edge": {
            "stem_channels": stem, "stem_blocks": 0, "widths": widths, "kernel": 5, "middle_blocks": 1,
            "up_blocks": vec![1; widths.len() - 1], "stacks": 1, "coordinates": false
        }},
        "input_size": 64, "points": 0, "outputs": 5, "crop": {"scale": 1.0}, "decoding": "centroid"
    }))
}

fn paper(stacks: usize) -> Model {
    random_model(serde_json::json!({
        "kind": "landmarks", "architecture": {"paper": {"stacks": stacks}}, "input_size": 128,
        "points": 29, "outputs": 30, "crop": {"scale": 1.344}, "decoding": "quarter"
    }))
}

/// A drawn face with noise. In noise alone the landmark model finds no face, and its maps are empty.
fn picture(height: usize, width: usize) -> Vec<f32> {
    let mut frame = Frame::filled(width, height, [0; 3]);
    Scene::demo(3, 1).draw(0.0, &mut frame);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    frame.rgb().iter().map(|value| 0.8 * f32::from(*value) / 255.0 + rng.random_range(0.0..0.2)).collect()
}

/// The maps of every stack, then those that decoding reads.
fn run(model: &Model, options: &EngineOptions, isa: Isa, precision: StepPrecision) -> Vec<Vec<f32>> {
    maps_of(Engine::compile_for(model, options, isa, precision).unwrap(), options)
}

fn maps_of(engine: Engine, options: &EngineOptions) -> Vec<Vec<f32>> {
    maps_on(engine, &picture(options.height, options.width))
}

/// As [`maps_of`], of any picture.
fn maps_on(mut engine: Engine, picture: &[f32]) -> Vec<Vec<f32>> {
    engine.input_mut().copy_from_slice(picture);
    // The second run finds what the first has left behind.
    engine.run();
    engine.run();
    engine.stacks().chain([engine.output()]).map(|maps| maps.values.to_vec()).collect()
}

fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let peak = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let worst = actual.iter().zip(expected).map(|(a, e)| (a - e).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance * peak, "{what}: {worst} of {peak}");
}

fn assert_is_the_candle_graph(model: &Model, height: usize, width: usize) {
    let network = CandleNetwork::from_model(model, &Device::Cpu).unwrap();
    let input = Tensor::from_vec(picture(height, width), (1, height, width, 3), &Device::Cpu).unwrap();
    let expected: Vec<Vec<f32>> = network
        .forward(&input, Mode::Evaluate)
        .unwrap()
        .iter()
        .map(|maps| maps.flatten_all().unwrap().to_vec1().unwrap())
        .collect();
    let outputs = model.config().outputs;
    for (wanted, threads) in [(Outputs::All, 1), (Outputs::Decoded, 3)] {
        let options =
            EngineOptions { outputs: wanted, precision: Precision::F32, threads, ..EngineOptions::new(height, width) };
        let mut actual = run(model, &options, Isa::active(), StepPrecision::F32);
        let decoded = actual.pop().unwrap();
        let channels = if model.config().points > 0 { model.config().points } else { outputs };
        let kept: Vec<f32> =
            expected.last().unwrap().chunks_exact(outputs).flat_map(|cell| &cell[..channels]).copied().collect();
        assert_close(&decoded, &kept, TOLERANCE, "decoded maps");
        assert_eq!(actual.len(), if wanted == Outputs::All { expected.len() } else { 0 });
        for (stack, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
            assert_close(actual, expected, TOLERANCE, &format!("stack {stack}"));
        }
    }
}

/// The shipped models, with the height and width of a picture; the detector's coarsest maps have an odd number of
/// cells.
fn shipped() -> [(Model, usize, usize); 2] {
    [(default_landmarks().unwrap(), 128, 128), (default_detector().unwrap(), 192, 320)]
}

#[test]
fn the_shipped_models_compute_what_the_candle_graph_does() {
    for (model, height, width) in shipped() {
        assert_is_the_candle_graph(&model, height, width);
    }
}

#[test]
fn edge_networks_of_any_shape_compute_what_the_candle_graph_does() {
    assert_is_the_candle_graph(&edge(16, &[48, 80, 128], 5, 2, true), 64, 96);
    assert_is_the_candle_graph(&edge(6, &[10, 20, 37], 3, 1, false), 48, 32);
    assert_is_the_candle_graph(&edge(8, &[16, 24], 5, 3, true), 32, 32);
}

#[test]
fn the_paper_network_computes_what_the_candle_graph_does() {
    assert_is_the_candle_graph(&paper(1), 64, 128);
    assert_is_the_candle_graph(&paper(2), 64, 64);
}

/// Every shape of the networks that ship, and of the paper's on a small picture.
fn networks() -> [(Model, usize, usize); 4] {
    let [landmarks, detector] = shipped();
    [landmarks, detector, (paper(2), 64, 64), (edge(6, &[10, 20, 37], 3, 2, true), 32, 32)]
}

#[test]
fn every_instruction_set_gives_the_portable_maps() {
    for (model, height, width) in networks() {
        let options = EngineOptions { outputs: Outputs::All, ..EngineOptions::new(height, width) };
        let expected = run(&model, &options, Isa::Portable, StepPrecision::F32);
        for isa in Isa::available() {
            let actual = run(&model, &options, isa, StepPrecision::F32);
            for (actual, expected) in actual.iter().zip(&expected) {
                assert_close(actual, expected, TOLERANCE, isa.name());
            }
        }
    }
}

#[test]
fn bf16_products_give_the_portable_maps() {
    for (model, height, width) in networks() {
        let options = EngineOptions { outputs: Outputs::All, ..EngineOptions::new(height, width) };
        let expected = run(&model, &options, Isa::Portable, StepPrecision::Bf16);
        let single = run(&model, &options, Isa::Portable, StepPrecision::F32);
        for (maps, single) in expected.iter().zip(&single) {
            // With eight significant bits per factor, some hundredths of the peak at the worst cell.
            assert_close(maps, single, 0.06, "portable bf16 against f32");
        }
        for isa in Isa::available().into_iter().filter(|isa| isa.has_bf16()) {
            let actual = run(&model, &options, isa, StepPrecision::Bf16);
            for (actual, expected) in actual.iter().zip(&expected) {
                // A sum that is rounded differently changes the last bit of a factor now and then.
                assert_close(actual, expected, 0.03, isa.name());
            }
        }
    }
}

/// The model with guessed numbers for every layer that can be done in int8.
fn with_ranges(model: Model) -> Model {
    let mut quantization = Quantization::default();
    let graph = model.config().graph();
    let guessed = |channels: usize| (0..channels).map(|channel| 0.5 + (channel % 7) as f32 / 8.0).collect();
    quantization.factors = Group::all(&graph).into_iter().map(|group| (group.name, guessed(group.channels))).collect();
    for node in &graph.nodes {
        if let Operation::Convolution { name, kernel, depthwise, .. } = node.operation.clone() {
            if name.ends_with(".pointwise") {
                quantization.centres.insert(name.clone(), guessed(graph.nodes[node.inputs[0]].channels));
            }
            if name.contains(".reduce.") {
                quantization.output_ranges.insert(name.clone(), 3.0);
            }
            if depthwise || kernel == 1 {
                quantization.input_ranges.insert(name, 6.0);
            }
        }
    }
    model.with_quantization(Some(quantization)).unwrap()
}

/// The model as one that is quantized, but none of whose layers has a range.
fn without_ranges(model: Model) -> Model {
    model.with_quantization(Some(Quantization::default())).unwrap()
}

fn integer_steps(engine: &Engine) -> usize {
    engine.plan.actions().filter(|action| matches!(action, Action::Integer(_))).count()
}

#[test]
fn int8_gives_the_same_integers_on_every_set() {
    let [landmarks, detector] = shipped();
    let shapes = [
        landmarks,
        detector,
        (edge(6, &[10, 20, 37], 3, 1, true), 32, 48),
        (edge(20, &[48, 80, 100], 5, 1, false), 64, 96),
    ];
    for (model, height, width) in shapes {
        let model = with_ranges(model);
        let options = EngineOptions { outputs: Outputs::All, ..EngineOptions::new(height, width) };
        let compile = |isa: Isa| {
            let mut engine = Engine::compile_for(&model, &options, isa, StepPrecision::Int8).unwrap();
            engine.input_mut().copy_from_slice(&picture(height, width));
            engine
        };
        let mut portable = compile(Isa::Portable);
        let mut others: Vec<Engine> = Isa::available().into_iter().map(compile).collect();
        let mut integers_began = false;
        for step in 0..portable.plan.steps.len() {
            portable.run_step(step);
            others.iter_mut().for_each(|other| other.run_step(step));
            let is_integer = matches!(portable.plan.steps[step].step.action, Action::Integer(_));
            assert!(is_integer || !integers_began, "{} is not done in int8", portable.plan.steps[step].step.name);
            integers_began = is_integer;
            if is_integer {
                continue;
            }
            let bytes = |engine: &Engine| -> Vec<u8> {
                let values = engine.plan.memory.floats(0, engine.plan.memory.bytes() / 4);
                values.iter().flat_map(|v| v.to_ne_bytes()).collect()
            };
            let expected = bytes(&portable);
            for other in &mut others {
                if portable.plan.steps[step].step.precision == StepPrecision::Int8 {
                    assert!(bytes(other) == expected, "{}, step {step}", other.isa.name());
                } else {
                    // Every set rounds sums of f32 in its own way.
                    other.plan.memory.write(0, &expected);
                }
            }
        }
        assert!(integers_began);
        let bits = |engine: &Engine| -> Vec<u32> {
            let maps = engine.stacks().chain([engine.output()]);
            maps.flat_map(|maps| maps.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>()).collect()
        };
        for other in &others {
            assert_eq!(bits(other), bits(&portable), "{}", other.isa.name());
        }
    }
}

#[test]
fn layers_in_int8_and_in_f32_fit_together() {
    // Stacks add maps and heatmaps to each other, which is done in f32.
    let model = quantize(&edge(6, &[16, 24, 37], 3, 2, true), &picture(64, 64)).unwrap();
    let options = EngineOptions { outputs: Outputs::All, ..EngineOptions::new(64, 64) };
    let single = run(&model, &options, Isa::Portable, StepPrecision::F32);
    let all = model.config().quantization.clone().unwrap();
    for gone in ["", "stack.0.head", "stack.0.reduce.1.conv", "stack.0.skip.0.pointwise", "stack.1.down.0.pointwise"] {
        let mut quantization = all.clone();
        quantization.input_ranges.remove(gone);
        let model = model.clone().with_quantization(Some(quantization)).unwrap();
        let engine = Engine::compile_for(&model, &options, Isa::active(), StepPrecision::Int8).unwrap();
        let name_of = |step: &plan::PlacedStep| step.step.name.clone();
        let in_f32 = engine.plan.steps.iter().filter(|step| step.step.precision == StepPrecision::F32).map(name_of);
        let in_f32: Vec<String> = in_f32.collect();
        assert!(integer_steps(&engine) > 10, "{in_f32:?}");
        assert!(
            gone.is_empty() || in_f32.iter().any(|name| name.split(" + ").any(|layer| layer == gone)),
            "{in_f32:?}"
        );
        for (maps, single) in maps_of(engine, &options).iter().zip(&single) {
            assert_close(maps, single, 0.2, gone);
            assert_ne!(maps, single, "nothing was done in int8");
        }
    }
}

#[test]
fn a_detectors_picture_is_multiplied_in_bytes_and_a_landmark_networks_is_not() {
    // Rows of the picture are no whole number of vectors.
    let (height, width) = (24, 40);
    let options = EngineOptions { outputs: Outputs::All, ..EngineOptions::new(height, width) };
    for (model, expected) in [
        (without_ranges(detector(20, &[16, 24])), &["picture", "stem.0.conv"][..]),
        (without_ranges(edge(20, &[16, 24], 3, 1, false)), &[]),
    ] {
        let single = run(&model, &options, Isa::Portable, StepPrecision::F32);
        for isa in Isa::available() {
            let engine = Engine::compile_for(&model, &options, isa, StepPrecision::Int8).unwrap();
            let in_int8 = engine.plan.steps.iter().filter(|step| step.step.precision == StepPrecision::Int8);
            let in_int8: Vec<&str> = in_int8.map(|step| step.step.name.as_str()).collect();
            assert_eq!(in_int8, expected);
            for (maps, single) in maps_of(engine, &options).iter().zip(&single) {
                assert_close(maps, single, if expected.is_empty() { TOLERANCE } else { 0.03 }, isa.name());
            }
        }
    }
}

#[test]
fn what_a_byte_cannot_hold_is_clamped() {
    let model = without_ranges(detector(20, &[16, 24]));
    let wide: Vec<f32> = picture(24, 40).into_iter().map(|value| 4.0 * value - 1.5).collect();
    let clamped: Vec<f32> = wide.iter().map(|value| value.clamp(0.0, 1.0)).collect();
    assert_ne!(wide, clamped);
    for isa in Isa::available() {
        let compile = || Engine::compile_for(&model, &EngineOptions::new(24, 40), isa, StepPrecision::Int8).unwrap();
        let maps = |picture: &[f32]| maps_on(compile(), picture);
        assert_eq!(maps(&wide), maps(&clamped), "{}", isa.name());
    }
}

#[test]
fn int8_without_ranges_is_f32() {
    let model = edge(6, &[10, 20, 37], 3, 1, true);
    let maps = |precision| {
        let options = EngineOptions { precision, outputs: Outputs::All, ..EngineOptions::new(32, 32) };
        maps_of(Engine::compile(&model, &options).unwrap(), &options)
    };
    assert_eq!(maps(Precision::Int8), maps(Precision::F32));
}

#[test]
fn every_precision_can_be_forced_and_the_automatic_one_is_one_of_them() {
    let model = edge(6, &[10, 20, 37], 3, 1, true);
    for isa in Isa::available() {
        let compile = |precision| {
            let options = EngineOptions { isa, precision, outputs: Outputs::All, ..EngineOptions::new(32, 32) };
            (Engine::compile(&model, &options).unwrap(), options)
        };
        for precision in [Precision::F32, Precision::F16, Precision::Int8] {
            let (engine, _) = compile(precision);
            assert_eq!(*engine.choice(), Choice { precision, reason: None }, "{}", isa.name());
        }
        let (automatic, options) = compile(Precision::Auto);
        let Choice { precision, reason } = automatic.choice().clone();
        assert_ne!(precision, Precision::Auto, "{}", isa.name());
        assert_ne!(precision, Precision::Int8, "{}: the model has no int8 layers", isa.name());
        assert!(reason.is_some_and(|reason| reason.contains("f32")), "{}", isa.name());
        let maps = maps_of(automatic, &options);
        assert_eq!(maps_of(compile(precision).0, &options), maps, "{}", isa.name());
    }
}

#[test]
fn threads_change_nothing() {
    let isa = Isa::active();
    let bf16 = isa.has_bf16().then_some(StepPrecision::Bf16);
    for (model, side) in [
        (paper(1), 128),
        (with_ranges(edge(16, &[48, 80], 5, 1, true)), 64),
        (with_ranges(detector(16, &[32, 48])), 64),
    ] {
        let options = EngineOptions { outputs: Outputs::All, ..EngineOptions::new(side, side) };
        for precision in [StepPrecision::F32, StepPrecision::Int8].into_iter().chain(bf16) {
            let one = run(&model, &options, isa, precision);
            for threads in [2, 5] {
                let options = EngineOptions { threads, ..options };
                let mut engine = Engine::compile_for(&model, &options, isa, precision).unwrap();
                // However short the steps are.
                engine.shared_from = 0;
                assert_eq!(maps_of(engine, &options), one, "{precision:?}");
            }
        }
    }
}

#[test]
fn the_profile_names_every_step_once_and_counts_the_networks_multiplications() {
    let model = edge(8, &[16, 32], 3, 1, false);
    let options = EngineOptions { outputs: Outputs::All, ..EngineOptions::new(64, 64) };
    let mut engine = Engine::compile(&model, &options).unwrap();
    let counted: u64 = engine.plan.steps.iter().map(|s| s.step.multiply_adds).sum();
    assert_eq!(counted, model.config().graph().multiply_adds(64, 64));
    let profile = engine.profile(2, Rates::of_this_core());
    for layer in ["stem.0.conv", "stem.1.depthwise", "stack.0.reduce.0.conv", "stack.0.head"] {
        assert_eq!(profile.iter().filter(|p| p.layers.split(" + ").any(|l| l == layer)).count(), 1, "{layer}");
    }
}

#[test]
fn a_size_that_does_not_fit_is_refused_with_the_multiple() {
    let error = Engine::compile(&edge(8, &[16, 32], 3, 1, false), &EngineOptions::new(64, 60)).err().unwrap();
    assert!(matches!(error, EngineError::Size { width: 60, height: 64, multiple: 8 }));
}

#[test]
fn a_device_of_candle_finds_the_landmarks_that_the_compiled_engine_finds() {
    let model = default_landmarks().unwrap();
    let mut frame = Frame::filled(320, 240, [0; 3]);
    let truth = Scene::demo(1, 1).draw(0.0, &mut frame);
    let rect = Rect::around(truth[0].iter().copied()).unwrap();
    let mut compiled = Landmarker::new(&model, Outputs::All, Precision::F32).unwrap();
    let mut on_device = Landmarker::on_backend(&model, &crate::train::gpu::Gpu::on_cpu()).unwrap();
    let crop_from_frame = compiled.crop_about(&rect, 0.1);
    let expected = compiled.predict(&frame, &crop_from_frame).unwrap();
    let actual = on_device.predict(&frame, &crop_from_frame).unwrap();
    assert_eq!((actual.len(), expected.len()), (98, 98));
    for (actual, expected) in actual.iter().zip(expected) {
        assert!(actual.point.distance(expected.point) < 0.02, "{actual:?} is not {expected:?}");
        assert!((actual.confidence - expected.confidence).abs() < 1e-3);
    }
    assert_eq!(compiled.all_maps().unwrap().channels, on_device.all_maps().unwrap().channels);
}
