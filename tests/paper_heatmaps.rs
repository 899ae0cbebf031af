//! The paper's network computes the official network's heatmaps.
//!
//! Reference: outputs of the official network in PyTorch (CPU, single precision, evaluation mode) with weights and
//! input from a formula, sampled at 128 positions per stack, a quarter of them on the boundary map
//! (`tests/reference/paper_heatmaps.json`: flat positions in channels x rows x columns).

mod formula;

use awing::Precision;
use awing::internals::{CandleNetwork, CpuNetwork, Mode, Network};
use awing::internals::{Engine, EngineOptions, Outputs};
use candle_core::{Device, Tensor};
use formula::{paper, uniform};

/// Maximum difference, in standard deviations of the stack's output.
const TOLERANCE: f32 = 5e-5;
const SIZE: usize = 256;
const CELLS: usize = 64 * 64;
const MAPS: usize = 99;

#[derive(serde::Deserialize)]
struct Expected {
    deviation: f32,
    positions: Vec<usize>,
    values: Vec<f32>,
}

fn expected(stacks: usize) -> Vec<Expected> {
    let text = include_str!("reference/paper_heatmaps.json");
    let mut all: std::collections::HashMap<String, Vec<Expected>> = serde_json::from_str(text).unwrap();
    all.remove(&stacks.to_string()).unwrap()
}

/// The input as (row, column, RGB), from the formula's three planes.
fn input() -> Vec<f32> {
    let planes: Vec<f32> = uniform("input").take(3 * SIZE * SIZE).collect();
    (0..SIZE * SIZE).flat_map(|pixel| [0, 1, 2].map(|channel| planes[channel * SIZE * SIZE + pixel])).collect()
}

fn check(actual: &[Vec<f32>], stacks: usize) {
    let expected = expected(stacks);
    assert_eq!((actual.len(), expected.len()), (stacks, stacks));
    for (stack, (maps, expected)) in actual.iter().zip(&expected).enumerate() {
        for (&position, value) in expected.positions.iter().zip(&expected.values) {
            let actual = maps[position % CELLS * MAPS + position / CELLS];
            let difference = (actual - value).abs() / expected.deviation;
            assert!(difference <= TOLERANCE, "stack {stack} at {position}: {actual} instead of {value}");
        }
    }
}

fn candle(stacks: usize) -> Vec<Vec<f32>> {
    let network = CandleNetwork::from_model(&paper(stacks), &Device::Cpu).unwrap();
    let picture = Tensor::from_vec(input(), (1, SIZE, SIZE, 3), &Device::Cpu).unwrap();
    let maps = network.forward(&picture, Mode::Evaluate).unwrap();
    maps.iter().map(|maps| maps.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

fn trained(stacks: usize) -> Vec<Vec<f32>> {
    let maps = CpuNetwork::new(&paper(stacks)).stacks(input(), (SIZE, SIZE)).unwrap();
    maps.into_iter().map(|maps| maps.values).collect()
}

fn compiled(stacks: usize) -> Vec<Vec<f32>> {
    let options = EngineOptions { outputs: Outputs::All, precision: Precision::F32, ..EngineOptions::new(SIZE, SIZE) };
    let mut engine = Engine::compile(&paper(stacks), &options).unwrap();
    engine.input_mut().copy_from_slice(&input());
    engine.run();
    engine.stacks().map(|maps| maps.values.to_vec()).collect()
}

#[test]
fn the_formula_is_the_one_that_the_reference_used() {
    let input = uniform("input").zip([0.097_818_32_f32, 0.652_360_4, 0.203_624_25, 0.274_444_64]);
    let model = paper(1);
    let weights = model.tensor("conv1.conv.weight").unwrap().iter().copied();
    for (actual, expected) in input.chain(weights.zip([-0.01936358, -0.06342525, 0.0669902])) {
        assert!((actual - expected).abs() < 1e-8, "{actual} instead of {expected}");
    }
}

#[test]
fn heatmaps_of_one_stack_are_the_official_ones_in_training() {
    check(&trained(1), 1);
}

#[test]
fn heatmaps_of_two_stacks_are_the_official_ones_in_training() {
    check(&trained(2), 2);
}

#[test]
fn heatmaps_of_one_stack_are_the_official_ones_in_candle() {
    check(&candle(1), 1);
}

#[test]
fn heatmaps_of_two_stacks_are_the_official_ones_in_candle() {
    check(&candle(2), 2);
}

#[test]
fn heatmaps_of_one_stack_are_the_official_ones_in_the_engine() {
    check(&compiled(1), 1);
}

#[test]
fn heatmaps_of_two_stacks_are_the_official_ones_in_the_engine() {
    check(&compiled(2), 2);
}
