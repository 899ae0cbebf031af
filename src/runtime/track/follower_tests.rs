//! What the tracking loop promises, tested with a detector and a network that know the scene.

use super::super::fakes::{FakeDetector, FakeFace, FakeNetwork, FakeScene};
use super::super::thresholds::{DOUBT_EVERY_S, KEEP_SCORE, SMALLEST_FACE_PX};
use super::*;
use crate::runtime::image::Frame;

const STEP_S: f64 = 1.0 / 30.0;

/// A follower in front of a scene, with a clock.
struct Rig {
    scene: FakeScene,
    follower: Follower<FakeDetector, FakeNetwork>,
    frame: Frame,
    time_s: f64,
}

impl Rig {
    fn new(faces: usize) -> Self {
        Self::with_threads(faces, 1)
    }

    fn with_threads(faces: usize, threads: usize) -> Self {
        let scene = FakeScene::default();
        let options = FollowerOptions { faces, smoothing: None, scheme: Some(Scheme::Wflw98) };
        let networks = (0..threads).map(|_| FakeNetwork::new(&scene)).collect();
        let follower = Follower::new(FakeDetector::new(&scene), networks, options);
        Self { scene, follower, frame: Frame::filled(640, 480, [0; 3]), time_s: 0.0 }
    }

    /// Tracks one frame that shows these faces.
    fn show(&mut self, faces: &[FakeFace]) -> Vec<Face> {
        self.scene.show(faces);
        self.time_s += STEP_S;
        self.follower.track(&(&self.frame).into(), self.time_s).unwrap().to_vec()
    }

    /// Shows the same faces for some seconds and returns what was found in the last frame.
    fn show_for(&mut self, seconds: f64, faces: &[FakeFace]) -> Vec<Face> {
        let frames = (seconds / STEP_S).round() as usize;
        (0..frames).map(|_| self.show(faces)).last().unwrap()
    }
}

fn ids(faces: &[Face]) -> Vec<u64> {
    faces.iter().map(|f| f.id).collect()
}

#[test]
fn a_face_is_found_in_the_first_frame_with_its_landmarks_in_place() {
    let mut rig = Rig::new(1);
    let face = FakeFace { roll_rad: 0.5, ..FakeFace::at(300.0, 200.0, 120.0) };
    let faces = rig.show(&[face]);
    assert_eq!(ids(&faces), [1]);
    let expected = super::super::fakes::landmarks_of(&face);
    assert!(faces[0].landmarks.iter().zip(&expected).all(|(p, l)| p.point.distance(l.point) < 1e-3));
    assert!(faces[0].rect.iou(&around(&expected)) > 0.99);
    assert_eq!((faces[0].score, faces[0].landmarks.len()), (1.0, 98));
}

#[test]
fn a_moving_turning_face_keeps_its_id_and_costs_one_network_run_a_frame() {
    let mut rig = Rig::new(1);
    for i in 0..120 {
        let t = i as f32 * STEP_S as f32;
        let face = FakeFace {
            roll_rad: 0.6 * t.sin(),
            side: 100.0 + 40.0 * (1.3 * t).sin(),
            ..FakeFace::at(320.0 + 150.0 * (2.0 * t).sin(), 240.0 + 60.0 * t.cos(), 100.0)
        };
        assert_eq!(ids(&rig.show(&[face])), [1], "frame {i}");
    }
    assert_eq!(rig.scene.landmark_calls(), 120 + 1, "the first frame runs the network twice");
    assert_eq!(rig.scene.detector_calls(), 1);
}

#[test]
fn while_faces_are_followed_the_detector_runs_at_most_once_a_second() {
    let mut rig = Rig::new(4);
    rig.show_for(10.0, &[FakeFace::at(200.0, 200.0, 80.0)]);
    assert!((9..=11).contains(&rig.scene.detector_calls()), "{} calls in 10 s", rig.scene.detector_calls());
}

#[test]
fn with_all_faces_followed_the_detector_rests() {
    let mut rig = Rig::new(2);
    rig.show_for(5.0, &[FakeFace::at(150.0, 200.0, 80.0), FakeFace::at(450.0, 200.0, 80.0)]);
    assert_eq!(rig.scene.detector_calls(), 1);
}

#[test]
fn without_a_face_the_detector_searches_every_frame() {
    let mut rig = Rig::new(2);
    assert!(rig.show_for(1.0, &[]).is_empty());
    assert_eq!(rig.scene.detector_calls(), 30);
    assert_eq!(rig.scene.landmark_calls(), 0);
}

#[test]
fn a_newcomer_is_seen_within_a_second() {
    let mut rig = Rig::new(2);
    let first = FakeFace::at(150.0, 200.0, 80.0);
    rig.show_for(3.0, &[first]);
    assert_eq!(ids(&rig.show_for(1.0 + STEP_S, &[first, FakeFace::at(450.0, 200.0, 80.0)])), [1, 2]);
}

#[test]
fn the_maximum_number_of_faces_holds_and_the_largest_come_first() {
    let mut rig = Rig::new(2);
    let faces = [
        FakeFace::at(100.0, 100.0, 50.0),
        FakeFace::at(300.0, 100.0, 120.0),
        FakeFace::at(500.0, 100.0, 60.0),
        FakeFace::at(300.0, 350.0, 90.0),
    ];
    let found = rig.show(&faces);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|f| f.rect.side() > 80.0));
    assert_eq!(rig.show_for(2.0, &faces).len(), 2);
}

#[test]
fn a_wall_is_not_tracked() {
    let mut rig = Rig::new(1);
    let face = FakeFace::at(300.0, 200.0, 120.0);
    rig.show_for(1.0, &[face]);
    // The wall fools the detector, but not the landmark network.
    let wall = FakeFace { confidence: 0.2, ..face };
    assert!(rig.show(&[wall]).is_empty(), "in the very first frame");
    assert!(rig.show_for(2.0, &[wall]).is_empty());
}

#[test]
fn a_score_between_the_thresholds_keeps_a_face_but_starts_none() {
    let between = 0.5 * (KEEP_SCORE + START_SCORE);
    let sure = FakeFace::at(300.0, 200.0, 120.0);
    let unsure = FakeFace { confidence: between, ..sure };
    let mut rig = Rig::new(1);
    assert!(rig.show_for(1.0, &[unsure]).is_empty());
    rig.show(&[sure]);
    assert_eq!(rig.show_for(1.0, &[unsure]).len(), 1);
    assert!(rig.show(&[]).is_empty());
    assert!(rig.show_for(0.5, &[unsure]).is_empty());
}

#[test]
fn a_face_of_too_few_pixels_starts_no_track_and_one_that_was_followed_may_shrink() {
    let mut rig = Rig::new(1);
    let of_side = |side| FakeFace::at(300.0, 200.0, side);
    assert!(rig.show_for(1.0, &[of_side(0.8 * SMALLEST_FACE_PX)]).is_empty());
    assert_eq!(rig.scene.landmark_calls(), 0, "nothing is spent on it");
    assert_eq!(ids(&rig.show(&[of_side(1.3 * SMALLEST_FACE_PX)])), [1]);
    for i in 1..=20 {
        let side = (1.3 - 0.025 * i as f32) * SMALLEST_FACE_PX;
        assert_eq!(ids(&rig.show(&[of_side(side)])), [1], "{side} pixels");
    }
}

#[test]
fn an_unsure_detection_needs_a_high_score() {
    let doubted = FakeFace { detection_score: CLEAR_DETECTION - 0.1, ..FakeFace::at(300.0, 200.0, 120.0) };
    let confidence = 0.5 * (START_SCORE + SURE_SCORE);
    let mut rig = Rig::new(1);
    assert!(rig.show_for(1.0, &[FakeFace { confidence, ..doubted }]).is_empty());
    assert_eq!(rig.show(&[FakeFace { confidence: SURE_SCORE + 0.05, ..doubted }]).len(), 1);
    let mut rig = Rig::new(1);
    assert_eq!(rig.show(&[FakeFace { confidence, detection_score: CLEAR_DETECTION, ..doubted }]).len(), 1);
}

#[test]
fn a_face_in_doubt_is_followed_only_while_the_detector_sees_it() {
    let sure = FakeFace::at(300.0, 200.0, 120.0);
    let doubtful = FakeFace { confidence: 0.5 * (START_SCORE + SURE_SCORE), ..sure };
    let mut rig = Rig::new(1);
    rig.show(&[sure]);
    assert_eq!(ids(&rig.show_for(10.0, &[doubtful])), [1]);
    assert!((9..=12).contains(&rig.scene.detector_calls()), "{} calls in 10 s", rig.scene.detector_calls());
    // A wall on which the network imagines a face.
    let wall = FakeFace { is_detectable: false, ..doubtful };
    assert!(rig.show_for(1.1, &[wall]).is_empty());
    // What the network is sure of needs no detector.
    rig.show(&[sure]);
    assert_eq!(rig.show_for(5.0, &[FakeFace { is_detectable: false, ..sure }]).len(), 1);
}

#[test]
fn a_wall_that_the_detector_rejects_is_dropped_and_a_later_face_there_is_new() {
    let sure = FakeFace::at(300.0, 200.0, 120.0);
    let wall = FakeFace { confidence: 0.5 * (START_SCORE + SURE_SCORE), is_detectable: false, ..sure };
    let mut rig = Rig::new(1);
    rig.show(&[sure]);
    rig.show_for(DOUBT_EVERY_S + 0.1, &[wall]);
    let calls = rig.scene.landmark_calls();
    assert!(rig.show_for(3.0, &[wall]).is_empty());
    assert_eq!(rig.scene.landmark_calls(), calls);
    assert_eq!(ids(&rig.show(&[sure])), [2]);
}

#[test]
fn when_the_maximum_is_lowered_the_largest_faces_stay() {
    let faces = [100.0, 140.0, 80.0].map(|side| FakeFace::at(3.0 * side, 200.0, side));
    let mut rig = Rig::new(3);
    assert_eq!(rig.show(&faces).len(), 3);
    rig.follower.options_mut().faces = 1;
    let left = rig.show(&faces);
    assert!(left.len() == 1 && left[0].rect.side() > 100.0, "{left:?}");
    let calls = rig.scene.landmark_calls();
    rig.show(&faces);
    assert_eq!(rig.scene.landmark_calls(), calls + 1, "the network runs on one face only");
}

#[test]
fn frames_a_little_out_of_order_change_nothing() {
    let face = FakeFace::at(300.0, 200.0, 120.0);
    let mut rig = Rig::new(1);
    rig.show_for(1.0, &[face]);
    let calls = rig.scene.detector_calls();
    for step_s in [0.05, -0.03, 0.0, 0.05] {
        rig.time_s += step_s - STEP_S;
        assert_eq!(ids(&rig.show(&[face])), [1]);
    }
    assert_eq!(rig.scene.detector_calls(), calls);
    let error = rig.follower.track(&(&rig.frame).into(), f64::NAN).unwrap_err();
    assert!(matches!(error, TrackError::Time { .. }), "{error}");
    assert_eq!(ids(&rig.show(&[face])), [1]);
}

#[test]
fn a_short_clip_in_a_loop_is_searched_for_newcomers() {
    let face = FakeFace::at(150.0, 200.0, 80.0);
    let mut rig = Rig::new(2);
    let mut loop_for = |loops: usize, faces: &[FakeFace]| {
        (0..loops)
            .map(|_| {
                rig.time_s = 0.0;
                rig.show_for(0.4, faces)
            })
            .last()
            .unwrap()
    };
    loop_for(3, &[face]);
    assert_eq!(loop_for(6, &[face, FakeFace::at(450.0, 200.0, 80.0)]).len(), 2);
}

#[test]
fn unrelated_pictures_with_one_time_stamp_do_not_accumulate_tracks() {
    let mut rig = Rig::new(2);
    for i in 0..50 {
        rig.time_s = 1.0 - STEP_S;
        rig.show(&[FakeFace::at(60.0 + 500.0 * (i % 2) as f32, 60.0 + 7.0 * i as f32, 20.0 + i as f32)]);
    }
    assert!(rig.follower.tracks.len() <= 4, "{} tracks", rig.follower.tracks.len());
}

#[test]
fn a_face_that_leaves_the_frame_ends() {
    let mut rig = Rig::new(1);
    rig.show_for(0.5, &[FakeFace::at(500.0, 200.0, 120.0)]);
    let mut x = 500.0;
    while x < 690.0 {
        x += 10.0;
        let found = rig.show(&[FakeFace { is_detectable: x < 600.0, ..FakeFace::at(x, 200.0, 120.0) }]);
        assert!(x > 640.0 || !found.is_empty(), "half of the face is still visible at {x}");
        assert!(x < 680.0 || found.is_empty(), "only a sixth of the face is visible at {x}");
    }
}

#[test]
fn a_briefly_covered_face_keeps_its_id() {
    let mut rig = Rig::new(1);
    let face = FakeFace::at(300.0, 200.0, 120.0);
    rig.show_for(1.0, &[face]);
    assert!(rig.show_for(0.8, &[]).is_empty());
    assert_eq!(ids(&rig.show(&[FakeFace::at(320.0, 210.0, 130.0)])), [1]);
}

#[test]
fn a_camera_glitch_needs_no_detector() {
    let mut rig = Rig::new(1);
    let face = FakeFace { is_detectable: false, ..FakeFace::at(300.0, 200.0, 120.0) };
    rig.show(&[FakeFace { is_detectable: true, ..face }]);
    rig.show_for(0.5, &[face]);
    rig.show_for(2.0 * STEP_S, &[]);
    assert_eq!(ids(&rig.show(&[face])), [1]);
}

#[test]
fn a_face_after_a_second_or_elsewhere_gets_a_new_id() {
    let mut rig = Rig::new(1);
    let face = FakeFace::at(100.0, 200.0, 80.0);
    rig.show_for(0.5, &[face]);
    rig.show_for(1.5, &[]);
    assert_eq!(ids(&rig.show(&[face])), [2]);
    rig.show_for(0.5, &[]);
    assert_eq!(ids(&rig.show(&[FakeFace::at(500.0, 200.0, 80.0)])), [3]);
}

#[test]
fn a_face_that_jumps_is_found_again_in_the_same_frame() {
    let mut rig = Rig::new(1);
    rig.show_for(0.5, &[FakeFace::at(200.0, 200.0, 120.0)]);
    assert_eq!(ids(&rig.show(&[FakeFace::at(290.0, 230.0, 120.0)])), [1]);
}

#[test]
fn crossing_faces_keep_their_ids() {
    // The face behind is not seen while the other covers it.
    for older_is_in_front in [true, false] {
        let mut rig = Rig::new(2);
        let size = 80.0;
        for i in 0..90 {
            let front = FakeFace::at(100.0 + 5.0 * i as f32, 200.0, size);
            let behind = FakeFace::at(545.0 - 5.0 * i as f32, 205.0, size + if older_is_in_front { -1.0 } else { 1.0 });
            let is_covered = (front.center.x - behind.center.x).abs() < 0.7 * size;
            let found = if is_covered { rig.show(&[front]) } else { rig.show(&[front, behind]) };
            if !is_covered && !(30..60).contains(&i) {
                let (front_id, behind_id) = if older_is_in_front { (1, 2) } else { (2, 1) };
                let mut by_x: Vec<_> = found.iter().map(|f| (f.rect.x, f.id)).collect();
                by_x.sort_by(|a, b| a.0.total_cmp(&b.0));
                let order: Vec<u64> = by_x.iter().map(|&(_, id)| id).collect();
                let expected = if i < 45 { [front_id, behind_id] } else { [behind_id, front_id] };
                assert_eq!(order, expected, "frame {i}, older in front: {older_is_in_front}");
            }
            let mut unique = ids(&found);
            unique.dedup();
            assert_eq!(unique.len(), found.len(), "ids are unique");
            assert!(!is_covered || found.len() <= 1 || i < 45, "two tracks on one face in frame {i}");
        }
    }
}

#[test]
fn smoothed_landmarks_lag_little_and_jump_to_a_redetected_face() {
    let mut rig = Rig::new(1);
    rig.follower.set_smoothing(Some(Smoothing::default()));
    rig.show_for(0.5, &[FakeFace::at(200.0, 200.0, 120.0)]);
    let jumped = rig.show(&[FakeFace::at(300.0, 200.0, 120.0)]);
    assert!((jumped[0].rect.center().x - 300.0).abs() < 0.1, "{:?}", jumped[0].rect);
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_tracking() {
    let mut rig = Rig::new(2);
    let face = FakeFace::at(300.0, 200.0, 120.0);
    rig.show_for(2.0, &[face]);
    rig.time_s = -100.0;
    assert_eq!(ids(&rig.show_for(1.0, &[face])), [1]);
    assert_eq!(ids(&rig.show_for(1.5, &[face, FakeFace::at(500.0, 200.0, 120.0)])), [1, 2]);
}

#[test]
fn after_a_reset_ids_are_new() {
    let mut rig = Rig::new(1);
    let face = FakeFace::at(300.0, 200.0, 120.0);
    rig.show(&[face]);
    rig.follower.reset();
    assert_eq!(ids(&rig.show(&[face])), [2]);
}

#[test]
fn several_threads_give_the_same_result_as_one() {
    let faces = |i: usize| {
        let at = |k: usize| FakeFace::at(100.0 + 140.0 * k as f32, 150.0 + 2.0 * ((i + k) % 40) as f32, 80.0);
        [0, 1, 2, 3].map(at)
    };
    let mut one = Rig::new(4);
    let mut three = Rig::with_threads(4, 3);
    for i in 0..100 {
        assert_eq!(three.show(&faces(i)), one.show(&faces(i)), "frame {i}");
    }
}

#[test]
fn an_empty_frame_is_refused() {
    let mut rig = Rig::new(1);
    rig.frame = Frame::filled(0, 480, [0; 3]);
    let error = rig.follower.track(&(&rig.frame).into(), 0.0).unwrap_err();
    assert!(matches!(error, TrackError::EmptyFrame { width: 0, height: 480 }), "{error}");
}

#[test]
fn beside_the_smoothed_faces_there_are_those_that_the_network_placed() {
    let mut rig = Rig::new(2);
    for smoothing in [Some(Smoothing::default()), None] {
        rig.follower.set_smoothing(smoothing);
        rig.show_for(0.5, &[FakeFace::at(200.0, 200.0, 120.0), FakeFace::at(450.0, 200.0, 90.0)]);
        let moved = [FakeFace::at(203.0, 200.0, 120.0), FakeFace::at(452.0, 200.0, 90.0)];
        let smoothed = rig.show(&moved);
        let placed = rig.follower.unsmoothed();
        assert_eq!(ids(placed), ids(&smoothed));
        for (face, truth) in placed.iter().zip(&moved) {
            let expected = super::super::fakes::landmarks_of(truth);
            assert!(face.landmarks.iter().zip(&expected).all(|(p, l)| p.point.distance(l.point) < 1e-3));
            assert!(face.rect.iou(&around(&expected)) > 0.99);
        }
        let lag = placed[0].rect.center().x - smoothed[0].rect.center().x;
        assert_eq!(lag > 0.1, smoothing.is_some(), "{lag}");
        rig.follower.set_smoothing(smoothing.xor(Some(Smoothing::default())));
        assert_eq!(ids(rig.follower.unsmoothed()), ids(&smoothed), "they are those of the last frame");
        rig.follower.set_smoothing(smoothing);
        assert_eq!(rig.show(&[]), rig.follower.unsmoothed());
    }
}

#[test]
fn a_follower_with_another_network_goes_on_with_the_faces_of_the_one_before() {
    let mut rig = Rig::new(2);
    let faces = [FakeFace::at(200.0, 200.0, 120.0), FakeFace::at(450.0, 200.0, 90.0)];
    rig.show_for(0.5, &faces);
    let found = ids(&rig.show(&faces));
    let calls = rig.scene.detector_calls();
    let again = |rig: &Rig, scheme| {
        let options = FollowerOptions { faces: 2, smoothing: None, scheme };
        Follower::new(FakeDetector::new(&rig.scene), vec![FakeNetwork::new(&rig.scene)], options)
    };
    let next = again(&rig, Some(Scheme::Wflw98));
    let before = std::mem::replace(&mut rig.follower, next);
    rig.follower.take_over(before);
    assert_eq!(ids(&rig.show(&faces)), found);
    assert_eq!(rig.scene.detector_calls(), calls, "the faces are looked for where they were");
    let mut other = again(&rig, Some(Scheme::Ibug68));
    other.take_over(rig.follower);
    assert_eq!(other.tracks.len(), 0, "points of another scheme are no start");
    rig.follower = other;
    let new = ids(&rig.show(&faces));
    assert!(new.len() == 2 && new.iter().all(|id| !found.contains(id)), "{new:?}: an id names one person");
}

#[test]
fn a_follower_that_takes_over_names_nobody_like_a_face_of_its_own() {
    let faces = [FakeFace::at(200.0, 200.0, 120.0), FakeFace::at(450.0, 200.0, 90.0)];
    let mut rig = Rig::new(2);
    rig.show_for(0.5, &faces);
    let own = ids(&rig.show(&faces));
    let mut before = Rig::new(2);
    before.show(&[]);
    rig.follower.take_over(before.follower);
    let new = ids(&rig.show(&faces));
    assert!(new.len() == 2 && new.iter().all(|id| !own.contains(id)), "{own:?}, then {new:?}");
}

#[test]
fn heads_on_their_side_and_upside_down_are_found_in_a_first_frame() {
    for roll_deg in [90.0_f32, -90.0, 180.0] {
        let mut rig = Rig::new(1);
        let face = FakeFace { roll_rad: roll_deg.to_radians(), ..FakeFace::at(300.0, 200.0, 120.0) };
        let faces = rig.show(&[face]);
        assert_eq!(ids(&faces), [1], "{roll_deg} degrees");
        let expected = super::super::fakes::landmarks_of(&face);
        assert!(faces[0].landmarks.iter().zip(&expected).all(|(p, l)| p.point.distance(l.point) < 1e-3));
    }
}

#[test]
fn a_face_that_is_found_at_half_size_only_is_found_in_a_first_frame_and_within_a_second() {
    let blurred = FakeFace { only_at_half_size: true, ..FakeFace::at(300.0, 200.0, 250.0) };
    assert_eq!(ids(&Rig::new(1).show(&[blurred])), [1]);
    let mut rig = Rig::new(1);
    // It comes right after the search at half size.
    rig.show_for(0.3, &[]);
    assert_eq!(rig.scene.further_searches(), 5);
    assert!(rig.show_for(0.5, &[blurred]).is_empty());
    assert_eq!(ids(&rig.show_for(0.7, &[blurred])), [1]);
}

#[test]
fn a_face_in_doubt_is_searched_for_as_it_was_found_and_as_it_lies() {
    let doubtful = |face: FakeFace| FakeFace { confidence: 0.62, ..face };
    let blurred = FakeFace { only_at_half_size: true, ..FakeFace::at(300.0, 200.0, 250.0) };
    let lying = FakeFace { roll_rad: 1.6, ..FakeFace::at(300.0, 200.0, 120.0) };
    for face in [blurred, lying] {
        let mut rig = Rig::new(1);
        assert_eq!(ids(&rig.show(&[face])), [1]);
        for second in 0..5 {
            for _ in 0..10 {
                assert_eq!(ids(&rig.show_for(0.1, &[doubtful(face)])), [1], "{face:?}, second {second}");
            }
        }
        let gone = FakeFace { is_detectable: false, ..doubtful(face) };
        assert!(rig.show_for(1.5, &[gone]).is_empty(), "{face:?}");
    }
}

#[test]
fn while_nobody_is_followed_every_further_search_is_made_once_a_second_and_never_beside_a_face() {
    let mut rig = Rig::new(2);
    rig.show_for(4.0, &[]);
    let tried = rig.scene.further_searches();
    assert!((16..=20).contains(&tried), "{tried} times in 4 s, four of them in the first frame");
    // Somebody who lies down where nobody was is found within a second.
    let lying = FakeFace { roll_rad: -1.6, ..FakeFace::at(300.0, 200.0, 120.0) };
    assert_eq!(rig.show_for(1.1, &[lying]).len(), 1);
    let tried = rig.scene.further_searches();
    rig.show_for(3.0, &[lying]);
    assert_eq!(rig.scene.further_searches(), tried);
}
