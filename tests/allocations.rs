//! A tracked frame allocates nothing once everything has been seen before.

use awing::image::Frame;
use awing::synth::Scene;
use awing::track::{Tracker, TrackerOptions};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system allocator's doing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const FRAMES_PER_SECOND: f64 = 30.0;

/// One and a half seconds of so many faces.
fn frames(faces: usize) -> Vec<Frame> {
    let scene = Scene::demo(1, faces);
    let frame = |i: usize| {
        let mut frame = Frame::filled(640, 480, [0; 3]);
        scene.draw(i as f64 / FRAMES_PER_SECOND, &mut frame);
        frame
    };
    (0..45).map(frame).collect()
}

/// A thread that the system wakes late finds the memory for its crops on its first face, whenever that is: so often at most.
const FIRST_TIMES: usize = 8;

// One test: another would allocate meanwhile.
#[test]
fn a_tracked_frame_allocates_nothing_after_the_first_ones() {
    for (faces, wanted, threads) in [(1, 1, 1), (1, 2, 1), (2, 2, 1), (2, 2, 2), (2, 4, 3)] {
        let frames = frames(faces);
        let options = TrackerOptions { faces: wanted, threads, ..TrackerOptions::default() };
        let mut tracker = Tracker::new(options).unwrap();
        let mut late = 0;
        // To and fro, so that nobody jumps; the first way there is to get warm, with the detector twice.
        for (i, frame) in frames.iter().chain(frames.iter().rev()).chain(&frames).enumerate() {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let seen = tracker.track_at(frame, i as f64 / FRAMES_PER_SECOND).unwrap().len();
            let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert_eq!(seen, faces);
            if i >= frames.len() {
                late += allocations;
                let first_times = FIRST_TIMES * (threads - 1);
                assert!(late <= first_times, "frame {i}: {late} for {seen} faces of {wanted}, {threads} threads");
            }
        }
    }
}
