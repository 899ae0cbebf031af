//! A tracked frame allocates nothing once all buffers are warm.

mod counting;

use awing::Frame;
use awing::internals::Scene;
use awing::{Tracker, TrackerOptions};
use counting::allocations;

const FRAMES_PER_SECOND: f64 = 30.0;

/// One and a half seconds of frames with `faces` faces.
fn frames(faces: usize) -> Vec<Frame> {
    let scene = Scene::demo(1, faces);
    let frame = |i: usize| {
        let mut frame = Frame::filled(640, 480, [0; 3]);
        scene.draw(i as f64 / FRAMES_PER_SECOND, &mut frame);
        frame
    };
    (0..45).map(frame).collect()
}

// A single test: another one would allocate at the same time.
#[test]
fn a_tracked_frame_allocates_nothing_after_the_first_ones() {
    for (faces, wanted, threads) in [(1, 1, 1), (1, 2, 1), (2, 2, 1), (2, 2, 2), (2, 4, 3)] {
        let frames = frames(faces);
        let mut options = TrackerOptions::default();
        (options.faces, options.threads) = (wanted, threads);
        let mut tracker = Tracker::new(options).unwrap();
        // Forwards and backwards, so that no face jumps; the first pass warms up, with two runs of the detector.
        for (i, frame) in frames.iter().chain(frames.iter().rev()).chain(&frames).enumerate() {
            let before = allocations();
            let seen = tracker.track_at(frame, i as f64 / FRAMES_PER_SECOND).unwrap().len();
            let more = allocations() - before;
            assert_eq!(seen, faces);
            if i >= frames.len() {
                assert_eq!(more, 0, "frame {i}: {seen} faces of {wanted}, {threads} threads");
            }
        }
    }
}
