//! The training step of the bundled recipe, with 16 pictures on two threads, compared with PyTorch's in the same run.
//!
//! Run `AWING_PYTHON=python3 cargo bench --bench training_step` with a Python that has PyTorch; the rival is
//! benches/pytorch_step.py. The two alternate, a few steps each, many times, and the medians are compared with those of
//! PyTorch's fastest variant. Data loading is not included. It does not use criterion, which can't alternate with
//! another process.

use awing::internals::ops::Pool;
use awing::internals::{AdaptiveWing, Batch, BatchShape, DataError, ItemMut, Objective, Task};
use awing::train::{Recipe, TrainOptions, Trainer};
use rand_chacha::ChaCha8Rng;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BATCH: usize = 16;
const THREADS: usize = 2;
const ROUNDS: usize = 12;
const STEPS_A_ROUND: usize = 3;
/// Gives the threads of the process that has just worked time to fall asleep.
const PAUSE: Duration = Duration::from_millis(100);

/// Provides the shapes only; the bench supplies its own batch.
struct Shapes(BatchShape);

impl Task for Shapes {
    fn shape(&self) -> BatchShape {
        self.0
    }

    fn fill(&self, _: &mut ChaCha8Rng, _: ItemMut<'_>) -> Result<(), DataError> {
        Err(DataError::Options("the bench supplies its own batch".into()))
    }

    fn objective(&self) -> &dyn Objective {
        &AdaptiveWing
    }
}

/// As in the rival: most targets are near 0, and cells above 0.2 have weight 11.
fn batch(shape: &BatchShape) -> Batch {
    use rand::{Rng, SeedableRng};
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let cells = BATCH * shape.target_len();
    let target: Vec<f32> = (0..cells).map(|_| rng.random::<f32>().powi(8)).collect();
    Batch {
        input: (0..BATCH * shape.input_len()).map(|_| rng.random()).collect(),
        weight: target.iter().map(|&t| if t > 0.2 { 11.0 } else { 1.0 }).collect(),
        target,
        normalizer: cells as f64,
        len: BATCH,
    }
}

/// The Python process.
struct Rival {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    version: String,
    weights: usize,
    variants: Vec<String>,
}

impl Rival {
    fn start(python: &str, recipe: &Path) -> Result<Self, Box<dyn Error>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pytorch_step.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(recipe)
            .args([BATCH.to_string(), THREADS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = child.stdin.take().ok_or("the rival has no standard input")?;
        let from = BufReader::new(child.stdout.take().ok_or("the rival has no standard output")?);
        let mut rival = Self { child, to, from, version: String::new(), weights: 0, variants: Vec::new() };
        let mut fields = rival.line()?.into_iter();
        rival.version = fields.next().ok_or("the rival did not report its version")?;
        rival.weights = fields.next().ok_or("the rival did not report its number of weights")?.parse()?;
        rival.variants = fields.collect();
        Ok(rival)
    }

    fn line(&mut self) -> Result<Vec<String>, Box<dyn Error>> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(line.trim_end().split('\t').map(str::to_owned).collect())
    }

    fn steps(&mut self, variant: usize, steps: usize) -> Result<Vec<f64>, Box<dyn Error>> {
        writeln!(self.to, "{}\t{steps}", self.variants[variant])?;
        self.to.flush()?;
        self.line()?.iter().map(|t| Ok(t.parse()?)).collect()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/edge-98.toml");
    let mut recipe = Recipe::load(&path)?;
    recipe.batch_size = BATCH;
    let (size, maps) = (recipe.model.input_size, recipe.model.heatmap_size());
    let shape = BatchShape { input: (size, size), heatmap: (maps, maps), channels: recipe.model.outputs };
    let parameters = recipe.model.graph().parameters();
    let trained = parameters.iter().filter(|p| p.role.is_trained());
    let weights: usize = trained.map(|p| p.shape.iter().product::<usize>()).sum();
    let folder = tempfile::tempdir()?;
    let options = TrainOptions::new(folder.path());
    let mut trainer = Trainer::new(recipe, Arc::new(Shapes(shape)), options)?;
    let pool = Pool::new(THREADS);
    let batch = batch(&shape);
    let mut step = || -> Result<f64, Box<dyn Error>> {
        let batch = batch.clone();
        let start = Instant::now();
        pool.install(|| trainer.train_on(batch).map_err(Box::new))?;
        Ok(start.elapsed().as_secs_f64())
    };

    let mut rival = match std::env::var("AWING_PYTHON") {
        Ok(python) => Some(Rival::start(&python, &path)?),
        Err(_) => None,
    };
    if let Some(rival) = &rival {
        assert_eq!(rival.weights, weights, "the rival's network has another number of weights");
    }
    let count = rival.as_ref().map_or(0, |r| r.variants.len());
    let (mut ours, mut theirs) = (Vec::new(), vec![Vec::new(); count]);
    for round in 0..=ROUNDS {
        std::thread::sleep(PAUSE);
        let mut times = (0..STEPS_A_ROUND).map(|_| step()).collect::<Result<Vec<_>, _>>()?;
        if round > 0 {
            ours.append(&mut times); // the first round warms up
        }
        for (variant, all) in theirs.iter_mut().enumerate() {
            std::thread::sleep(PAUSE);
            let Some(rival) = &mut rival else { continue };
            let mut times = rival.steps(variant, STEPS_A_ROUND)?;
            if round > 0 {
                all.append(&mut times);
            }
        }
    }
    let ours = median(&mut ours);
    println!("{BATCH} pictures, {THREADS} threads, {weights} weights, median of {} steps", ROUNDS * STEPS_A_ROUND);
    println!("awing: {:.1} ms a step", ours * 1000.0);
    let Some(rival) = &rival else {
        println!("no rival: set AWING_PYTHON to a Python with PyTorch");
        return Ok(());
    };
    let mut fastest = f64::INFINITY;
    for (name, times) in rival.variants.iter().zip(&mut theirs) {
        let time = median(times);
        fastest = fastest.min(time);
        println!("{}, {name}: {:.1} ms a step", rival.version, time * 1000.0);
    }
    println!("awing takes {:.2} times as long as the fastest of these", ours / fastest);
    Ok(())
}
