//! Every reader of foreign bytes, on inputs made from good ones by damage: cut, flipped, spliced, with numbers replaced
//! by extremes, repeated, nested.
//!
//! None may panic, abort, hang or fill the memory, and an error names the file. 300 inputs of each kind are tried in a
//! normal run, 10,000 with `--ignored`; the damage depends on the seed alone. `docs/engineering/reliability.md` says
//! what was found.

mod checkpoint;

use awing::WeightFormat;
use awing::internals::capture::camera::is_whole_jpeg;
use awing::internals::capture::count_y4m_frames;
use awing::internals::{Isa, ModelConfig, Range, Yuv, untrained};
use awing::train::{Recipe, Split, import_pytorch, read_faces};
use awing::{Frame, Model};
use checkpoint::{Saved, Wrapping, old, zip64};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::error::Error;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

thread_local! {
    /// Bytes that this thread has allocated and not freed, and the most that they were.
    static IN_USE: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, with a count of bytes by thread.
struct Measuring;

fn add(bytes: isize) {
    // A thread that ends has no count any more.
    let _ = IN_USE.try_with(|in_use| {
        let (now, most) = in_use.get();
        in_use.set((now + bytes, most.max(now + bytes)));
    });
}

// SAFETY: every call is forwarded to the system allocator.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size as isize - layout.size() as isize);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static MEASURING: Measuring = Measuring;

/// Nanoseconds that this thread has worked, where the system says so: unlike time, they do not depend on others' work.
fn worked_ns() -> Option<u64> {
    fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// What one input may cost.
#[derive(Clone, Copy)]
struct Bounds {
    mebibytes: isize,
    seconds: u64,
}

/// Of readers whose memory grows with their file.
const SMALL: Bounds = Bounds { mebibytes: 64, seconds: 1 };
/// Of pictures and frames, whose size a few bytes can claim: 2^27 pixels are allowed, with their coefficients and as
/// RGB.
const PIXELS: Bounds = Bounds { mebibytes: 2048, seconds: 5 };

/// Damages `bytes`, in one to three ways.
fn damaged(rng: &mut ChaCha8Rng, good: &[u8], is_text: bool) -> Vec<u8> {
    let mut bytes = good.to_vec();
    // Half of the texts stay what they are but for a number or two: damage elsewhere hardly gets beyond a parser.
    if is_text && rng.random() {
        for _ in 0..rng.random_range(1..=2) {
            let at = rng.random_range(0..bytes.len().max(1));
            in_text(rng, &mut bytes, at);
        }
        return bytes;
    }
    for _ in 0..rng.random_range(1..=3) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = rng.random_range(0..bytes.len());
        let part = |rng: &mut ChaCha8Rng, most: usize| at..(at + rng.random_range(1..=most)).min(bytes.len());
        match rng.random_range(0..if is_text { 7 } else { 6 }) {
            0 => bytes.truncate(at),
            1 => {
                for _ in 0..rng.random_range(1..20) {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] ^= 1 << rng.random_range(0..8);
                }
            }
            // From elsewhere, over it or between.
            2 => {
                let chunk = bytes[part(rng, 200)].to_vec();
                let to = rng.random_range(0..=bytes.len());
                let over = if rng.random() { (to + chunk.len()).min(bytes.len()) } else { to };
                bytes.splice(to..over, chunk);
            }
            3 => {
                let chunk = bytes[part(rng, 60)].to_vec();
                bytes.splice(at..at, chunk.repeat(rng.random_range(2..500)));
            }
            4 => _ = bytes.drain(part(rng, 300)),
            5 => {
                let width = 1 << rng.random_range(0..4);
                let value = [0_u64, u64::MAX, i64::MAX as u64, 1 << 31, 0x8000_0000_0000_0000][rng.random_range(0..5)];
                for (byte, new) in bytes[at..].iter_mut().take(width).zip(value.to_le_bytes()) {
                    *byte = new;
                }
            }
            _ => in_text(rng, &mut bytes, at),
        }
    }
    bytes
}

/// Replaces the next number by an extreme one, or puts brackets in brackets.
fn in_text(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, at: usize) {
    const EXTREMES: [&str; 14] = [
        "0",
        "-1",
        "1e30",
        "-1e38",
        "1e39",
        "1e999",
        "nan",
        "inf",
        "18446744073709551616",
        "100000000",
        "0.0000000001",
        "\"\"",
        "null",
        "",
    ];
    let is_number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let Some(begin) = (at..bytes.len()).find(|&i| is_number(bytes[i])) else { return };
    let end = (begin..bytes.len()).find(|&i| !is_number(bytes[i])).unwrap_or(bytes.len());
    let new = match rng.random_range(0..8) {
        0 => ["[", "{\"a\":", "(", "[["][rng.random_range(0..4)].repeat(rng.random_range(1..50_000)),
        _ => EXTREMES[rng.random_range(0..EXTREMES.len())].to_owned(),
    };
    bytes.splice(begin..end, new.into_bytes());
}

fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source()).map(|error| format!("{error}: ")).collect()
}

/// Reads what is in the folder, or says what is wrong.
type Read = fn(&Path) -> Result<(), Box<dyn Error>>;

/// Tries `count` damaged inputs. `name` is the file in the folder that they are written to.
fn try_all(
    count: u64,
    name: &str,
    good: &[u8],
    is_text: bool,
    bounds: Bounds,
    prepare: impl FnOnce(&Path),
    read: Read,
) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    prepare(folder.path());
    fs::write(&file, good).unwrap();
    read(folder.path()).unwrap_or_else(|error| panic!("{name}: the good one is refused: {}", chain(&*error)));
    let (reports, received) = channel();
    let (in_folder, good, file_name) = (folder.path().to_owned(), good.to_vec(), name.to_owned());
    std::thread::spawn(move || {
        let stem = Path::new(&file_name).file_stem().unwrap().to_string_lossy().into_owned();
        for seed in 0..count {
            let bytes = damaged(&mut ChaCha8Rng::seed_from_u64(seed), &good, is_text);
            fs::write(in_folder.join(&file_name), &bytes).unwrap();
            let (before, worked) = (IN_USE.get().0, worked_ns());
            IN_USE.set((before, before));
            let result = catch_unwind(AssertUnwindSafe(|| read(&in_folder).map_err(|error| chain(&*error))));
            let worked = worked_ns().zip(worked).map_or(0, |(after, before)| after - before);
            let cost = (IN_USE.get().1 - before, worked);
            let is_accepted = match result {
                Ok(Ok(())) => Ok(true),
                Ok(Err(said)) if said.contains(&stem) => Ok(false),
                Ok(Err(said)) => Err(format!("the error does not name the file: {said}")),
                Err(_) => Err("a panic".to_owned()),
            };
            if reports.send((seed, is_accepted, cost)).is_err() {
                return;
            }
        }
    });
    let (mut accepted, mut most, mut longest) = (0, 0, 0);
    for expected in 0..count {
        // Generous: others may keep the computer busy.
        let report = received.recv_timeout(Duration::from_secs(120));
        let (seed, result, (bytes, worked)) = report.unwrap_or_else(|_| panic!("{name}: input {expected} hangs"));
        accepted += u64::from(result.unwrap_or_else(|fault| panic!("{name}: input {seed}: {fault}")));
        (most, longest) = (most.max(bytes >> 10), longest.max(worked / 1_000_000));
        assert!(bytes >> 20 <= bounds.mebibytes, "{name}: input {seed} takes {} MiB", bytes >> 20);
        assert!(worked <= bounds.seconds * 1_000_000_000, "{name}: input {seed} takes {} ms", worked / 1_000_000);
    }
    println!("{name}: {count} tried, {accepted} read, {} refused, {most} KiB, {longest} ms at most", count - accepted);
}

fn config(points: usize) -> ModelConfig {
    serde_json::from_value(serde_json::json!({
        "kind": "landmarks",
        "architecture": {"edge": {
            "stem_channels": 8, "stem_blocks": 0, "widths": [8, 16], "kernel": 3, "middle_blocks": 1,
            "up_blocks": [0], "stacks": 1, "coordinates": true
        }},
        "input_size": 32, "points": points, "outputs": points + 1, "crop": {"scale": 1.35}, "decoding": "centroid"
    }))
    .unwrap()
}

fn model_file() -> Vec<u8> {
    untrained(&config(4), 7).unwrap().to_bytes(WeightFormat::F16).unwrap()
}

/// Tensors of the smallest network of the paper, each of one number.
fn tensors() -> Vec<Saved> {
    let config = serde_json::json!({
        "kind": "landmarks", "architecture": {"paper": {"stacks": 1}}, "input_size": 256,
        "points": 19, "outputs": 20, "crop": {"scale": 1.344, "box_side": "mean"}, "decoding": "quarter"
    });
    let config: ModelConfig = serde_json::from_value(config).unwrap();
    let parameters = config.graph().parameters();
    let half = 0.5_f32.to_le_bytes().to_vec();
    parameters.iter().map(|p| Saved::repeated(&p.name, &p.shape, "FloatStorage", 4, half.clone())).collect()
}

fn picture(folder: &Path, name: &str) {
    let rgb = (0..64 * 48).flat_map(|i| [(i % 64 * 3) as u8, (i / 64 * 5) as u8, 90]);
    Frame::from_rgb(64, 48, rgb.collect()).unwrap().save(&folder.join(name)).unwrap();
}

fn picture_file(name: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    picture(folder.path(), name);
    fs::read(folder.path().join(name)).unwrap()
}

fn points() -> Vec<[f32; 2]> {
    (0..98).map(|i| [5.5 + (i % 10) as f32 * 4.0, 4.0 + (i / 10) as f32 * 4.0]).collect()
}

fn rows() -> String {
    let row =
        |i: usize| serde_json::json!({"image": "a.png", "points": points(), "width": 64, "subject": format!("{i}")});
    (0..3).map(|i| format!("{}\n", row(i))).collect()
}

fn wflw_rows() -> String {
    let coordinates: String = points().iter().map(|[x, y]| format!("{x} {y} ")).collect();
    format!("{coordinates}5 4 45 40 0 1 0 0 1 0 a.png\n").repeat(3)
}

fn pts() -> String {
    let lines: String = (0..68).map(|i| format!("{}.5 {}\n", 10 + i % 9 * 4, 5 + i / 2)).collect();
    format!("version: 1\nn_points:  68\n{{\n{lines}}}\n")
}

fn video() -> Vec<u8> {
    let mut video = b"YUV4MPEG2 W32 H24 F30000:1001 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n".to_vec();
    for i in 0..4 {
        video.extend(b"FRAME\n");
        video.extend(vec![60 + i; 32 * 24 * 3 / 2]);
    }
    video
}

fn faces_in(path: &Path) -> Result<(), Box<dyn Error>> {
    for sample in read_faces(path, Split::Train)? {
        sample.open()?;
    }
    Ok(())
}

fn files(count: u64) {
    let none = |_: &Path| {};
    try_all(count, "damaged.safetensors", &model_file(), false, SMALL, none, |folder| {
        Ok(Model::load(&folder.join("damaged.safetensors")).map(drop)?)
    });
    try_all(
        count,
        "damaged.pth",
        &zip64("damaged", &tensors(), Wrapping::Under("model")),
        false,
        SMALL,
        none,
        |folder| Ok(import_pytorch(&folder.join("damaged.pth")).map(drop)?),
    );
    try_all(count, "damaged.pkl", &old(&tensors(), Wrapping::Bare), false, SMALL, none, |folder| {
        Ok(import_pytorch(&folder.join("damaged.pkl")).map(drop)?)
    });
    let recipe = include_bytes!("../recipes/edge-98.toml");
    try_all(count, "damaged.toml", recipe, true, SMALL, none, |folder| {
        Ok(Recipe::load(&folder.join("damaged.toml")).map(drop)?)
    });
}

/// The description in a model file alone, behind the right length.
fn descriptions(count: u64) {
    let good = model_file();
    let length = u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let weights = good[8 + length..].to_vec();
    let keep = move |folder: &Path| fs::write(folder.join("weights"), weights).unwrap();
    try_all(count, "damaged.json", &good[8..8 + length], true, SMALL, keep, |folder| {
        let description = fs::read(folder.join("damaged.json"))?;
        let length = (description.len() as u64).to_le_bytes();
        let model = [&length[..], &description, &fs::read(folder.join("weights"))?].concat();
        fs::write(folder.join("damaged.safetensors"), model)?;
        Ok(Model::load(&folder.join("damaged.safetensors")).map(drop)?)
    });
}

fn labels(count: u64) {
    let with_picture = |folder: &Path| picture(folder, "a.png");
    try_all(count, "damaged.jsonl", rows().as_bytes(), true, SMALL, with_picture, |folder| {
        faces_in(&folder.join("damaged.jsonl"))
    });
    let list = "list_98pt_rect_attr_train.txt";
    try_all(count, list, wflw_rows().as_bytes(), true, SMALL, with_picture, |folder| {
        faces_in(&folder.join("list_98pt_rect_attr_train.txt"))
    });
    let beside = |folder: &Path| picture(folder, "damaged.png");
    try_all(count, "damaged.pts", pts().as_bytes(), true, SMALL, beside, faces_in);
    let parts = |folder: &Path| {
        for part in ["afw", "ibug"] {
            fs::create_dir(folder.join(part)).unwrap();
            picture(&folder.join(part), "damaged.png");
            fs::write(folder.join(part).join("damaged.pts"), pts()).unwrap();
        }
    };
    try_all(count, "afw/damaged.pts", pts().as_bytes(), true, SMALL, parts, faces_in);
}

fn pictures(count: u64) {
    fn open(folder: &Path) -> Result<(), Box<dyn Error>> {
        let files =
            fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
        files.iter().try_for_each(|file| Ok(Frame::open(file).map(drop)?))
    }
    for name in ["damaged.jpg", "damaged.png", "damaged.gif", "damaged.webp", "damaged.bmp", "damaged.tiff"] {
        try_all(count, name, &picture_file(name), false, PIXELS, |_| {}, open);
    }
}

fn streams(count: u64) {
    try_all(
        count,
        "damaged.y4m",
        &video(),
        true,
        PIXELS,
        |_| {},
        |folder| Ok(count_y4m_frames(&*fs::read(folder.join("damaged.y4m"))?, "damaged.y4m").map(drop)?),
    );
    // A camera's frames have no name: those that are not whole are dropped and counted.
    try_all(
        count,
        "frame.jpg",
        &picture_file("frame.jpg"),
        false,
        PIXELS,
        |_| {},
        |folder| {
            let _ = is_whole_jpeg(64, 48, &fs::read(folder.join("frame.jpg"))?);
            Ok(())
        },
    );
    // The stride and the size are what the driver says.
    let yuyv: Vec<u8> = [64, 0, 160, 0, 48, 0].into_iter().chain((0..160 * 48).map(|i| i as u8)).collect();
    try_all(
        count,
        "frame.yuyv",
        &yuyv,
        false,
        PIXELS,
        |_| {},
        |folder| {
            let bytes = fs::read(folder.join("frame.yuyv"))?;
            let number = |i: usize| bytes.get(i..i + 2).map_or(0, |b| usize::from(u16::from_le_bytes([b[0], b[1]])));
            let (width, stride, height) = (number(0), number(2), number(4));
            if width * height <= 1 << 24 {
                let mut rgb = vec![0; width * height * 3];
                let bytes = bytes.get(6..).unwrap_or_default();
                for isa in Isa::available() {
                    let _ = Yuv::Yuyv { bytes, stride }.to_rgb(isa, width, height, Range::Limited, &mut rgb);
                }
            }
            Ok(())
        },
    );
}

const MANY: u64 = 10_000;
const FEW: u64 = 300;

#[test]
fn damaged_models_checkpoints_and_recipes_are_refused() {
    files(FEW);
}

#[test]
fn damaged_descriptions_of_models_are_refused() {
    descriptions(FEW);
}

#[test]
fn damaged_labels_are_refused() {
    labels(FEW);
}

#[test]
fn damaged_pictures_are_refused() {
    pictures(FEW);
}

#[test]
fn damaged_streams_are_refused() {
    streams(FEW);
}

#[test]
#[ignore = "takes minutes"]
fn many_damaged_models_checkpoints_and_recipes_are_refused() {
    files(MANY);
}

#[test]
#[ignore = "takes minutes"]
fn many_damaged_descriptions_of_models_are_refused() {
    descriptions(MANY);
}

#[test]
#[ignore = "takes minutes"]
fn many_damaged_labels_are_refused() {
    labels(MANY);
}

#[test]
#[ignore = "takes minutes"]
fn many_damaged_pictures_are_refused() {
    pictures(MANY);
}

#[test]
#[ignore = "takes minutes"]
fn many_damaged_streams_are_refused() {
    streams(MANY);
}
