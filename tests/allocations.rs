//! A tracked frame and its signals allocate nothing once all buffers are warm.

mod counting;

use awing::Frame;
use awing::internals::Scene;
use awing::{SignalMeter, Tracker, TrackerOptions};
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
fn a_tracked_frame_and_its_signals_allocate_nothing_after_the_first_ones() {
    for (faces, wanted, threads) in [(1, 1, 1), (1, 2, 1), (2, 2, 1), (2, 2, 2), (2, 4, 3)] {
        let frames = frames(faces);
        let mut options = TrackerOptions::default();
        (options.faces, options.threads) = (wanted, threads);
        let mut tracker = Tracker::new(options).unwrap();
        let mut meter = SignalMeter::new();
        // Forwards and backwards, so that no face jumps; the first pass warms up, with two runs of the detector.
        for (i, frame) in frames.iter().chain(frames.iter().rev()).chain(&frames).enumerate() {
            let before = allocations();
            let time_s = i as f64 / FRAMES_PER_SECOND;
            let seen = tracker.track_at(frame, time_s).unwrap().len();
            assert_eq!(meter.measure(&tracker, frame.width(), frame.height(), time_s).len(), seen);
            let more = allocations() - before;
            assert_eq!(seen, faces);
            if i >= frames.len() {
                assert_eq!(more, 0, "frame {i}: {seen} faces of {wanted}, {threads} threads");
            }
        }
    }
}
