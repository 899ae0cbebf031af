//! Gauges of a face: head pose, gaze, and openness of eyes and mouth.
//!
//! In: a face, its signals, and the placement of the frame on the canvas. Out: strokes on the canvas: three axes at the
//! nose, a ray from each pupil, a meter beside each eye and one below the chin. Unknown values are not drawn. Nothing
//! fails.

use super::canvas::Placement;
use super::ink::{Ink, StrokeEnd};
use super::overlay::{Pen, ShownFace};
use super::palette;
use crate::runtime::geometry::{FrameSpace, Point};
use crate::runtime::image::Frame;
use crate::runtime::landmarks::{Part, Scheme, WFLW_POINTS};
use crate::runtime::signals::{Rotation, Signals};

/// The tip of the nose among the 98 points.
const NOSE: usize = 54;
/// Lengths over the face's longer side: the axes to the side and up, that towards the viewer, and a ray of the gaze.
const AXIS: f32 = 0.2;
const FORWARD: f32 = 0.36;
const RAY: f32 = 0.9;
/// A meter's length, and its distance from the face.
const METER: f32 = 0.22;
const METER_GAP: f32 = 0.13;
/// Widths over that of lines.
const THIN: f32 = 1.2;
const THICK: f32 = 1.6;
const METER_LINE: f32 = 2.4;
/// The opacity of an empty meter, and of axes but the one towards the viewer.
const EMPTY: f32 = 0.28;
const SIDE_AXES: f32 = 0.8;
/// An eye that is open by less has no ray; from the second on it is whole.
const SHUT: [f32; 2] = [0.2, 0.5];

/// Draws the gauges of a face whose longer side has `side` pixels on the canvas.
pub(super) fn draw(
    ink: &mut Ink,
    canvas: &mut Frame,
    placement: &Placement,
    shown: &ShownFace<'_>,
    side: f32,
    pen: Pen,
) {
    let (Some(signals), WFLW_POINTS) = (shown.signals, shown.face.landmarks.len()) else { return };
    let mut gauges = Gauges { ink, canvas, placement, shown, signals, side, pen };
    gauges.axes();
    gauges.rays();
    gauges.meters();
}

struct Gauges<'a> {
    ink: &'a mut Ink,
    canvas: &'a mut Frame,
    placement: &'a Placement,
    shown: &'a ShownFace<'a>,
    signals: &'a Signals,
    side: f32,
    pen: Pen,
}

impl Gauges<'_> {
    fn landmark(&self, i: usize) -> Point<FrameSpace> {
        self.shown.face.landmarks[i].point
    }

    /// The rotation of the head, as a matrix.
    fn rotation(&self) -> Option<[[f64; 3]; 3]> {
        let head = self.signals.head.as_ref()?;
        Some(Rotation::from_quaternion(head.rotation.map(f64::from)).rows())
    }

    /// A stroke from a point of the frame along a direction of camera space (x right, y up), `length` over the face's
    /// side.
    fn stroke(&mut self, from: Point<FrameSpace>, along: [f64; 2], length: f32, opacity: [f32; 2], width: f32) {
        let reach = length * self.shown.face.rect.side();
        let to = Point::new(from.x + reach * along[0] as f32, from.y - reach * along[1] as f32);
        let end =
            |at, opacity| StrokeEnd { at: self.placement.canvas_from_frame(at), opacity: opacity * self.shown.opacity };
        self.ink.stroke(end(from, opacity[0]), end(to, opacity[1]), width * self.pen.line, self.pen.rim);
    }

    fn axes(&mut self) {
        let Some(rows) = self.rotation() else { return };
        let nose = self.landmark(NOSE);
        // The one that points most at the viewer is drawn last.
        for (axis, length, width) in [(0, AXIS, THIN), (1, AXIS, THIN), (2, FORWARD, THICK)] {
            let along = [rows[0][axis], rows[1][axis]];
            let opacity = if axis == 2 { 1.0 } else { SIDE_AXES };
            self.stroke(nose, along, length, [opacity, opacity], width);
            if axis == 2 {
                // A head on the end of the arrow, so that it can be seen when it points at the viewer.
                let reach = length * self.shown.face.rect.side();
                let tip = Point::new(nose.x + reach * along[0] as f32, nose.y - reach * along[1] as f32);
                self.stroke(tip, [0.0; 2], 0.0, [1.0; 2], 2.6 * width);
            }
            self.ink.draw(self.canvas, palette::AXES[axis]);
        }
    }

    fn rays(&mut self) {
        let (Some(yaw), Some(pitch)) = (self.signals.gaze_yaw_deg, self.signals.gaze_pitch_deg) else { return };
        let Some(rows) = self.rotation() else { return };
        let (yaw, pitch) = (f64::from(yaw).to_radians(), f64::from(pitch).to_radians());
        // In head space; the person's right is left in the picture.
        let gaze = [-yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()];
        let along = [0, 1].map(|row: usize| (0..3).map(|i| rows[row][i] * gaze[i]).sum::<f64>());
        let (left, right) = Scheme::Wflw98.pupils();
        for (pupil, open) in [(left[0], self.signals.eye_open_right), (right[0], self.signals.eye_open_left)] {
            let open = ((open.unwrap_or(0.0) - SHUT[0]) / (SHUT[1] - SHUT[0])).clamp(0.0, 1.0);
            let at = self.landmark(pupil);
            self.stroke(at, along, RAY, [0.95 * open, 0.0], THICK);
            self.stroke(at, [0.0; 2], 0.0, [open; 2], 2.0 * THICK);
        }
        self.ink.draw(self.canvas, palette::GAZE);
    }

    fn meters(&mut self) {
        let rect = self.shown.face.rect;
        let eyes = [
            (Part::LeftEye, -1.0, self.signals.eye_open_right, self.signals.blink_right),
            (Part::RightEye, 1.0, self.signals.eye_open_left, self.signals.blink_left),
        ];
        let middle = rect.center();
        for (part, side, open, blink) in eyes {
            let Some(open) = open else { continue };
            let points = Scheme::Wflw98.part(part);
            let height = points.iter().map(|&i| self.landmark(i).y).sum::<f32>() / points.len() as f32;
            let x = middle.x + side * (0.5 * rect.width + METER_GAP * rect.side());
            let foot = Point::new(x, height + 0.5 * METER * rect.side());
            let color = if blink == Some(true) { palette::ALARM } else { palette::of_face(self.shown.face.id) };
            self.meter(foot, [0.0, 1.0], open / 1.2, color);
        }
        if let Some(open) = self.signals.mouth_open {
            let y = rect.y + rect.height + METER_GAP * rect.side();
            // From the middle to both sides.
            let color = palette::of_face(self.shown.face.id);
            for side in [-1.0, 1.0] {
                self.meter(Point::new(middle.x, y), [side, 0.0], open, color);
            }
        }
    }

    /// A meter that is full by `share`.
    fn meter(&mut self, from: Point<FrameSpace>, along: [f64; 2], share: f32, color: [u8; 3]) {
        self.stroke(from, along, METER, [EMPTY; 2], METER_LINE);
        self.ink.draw(self.canvas, palette::PLAIN);
        let share = share.clamp(0.0, 1.0);
        if share * METER * self.side > 0.5 {
            self.stroke(from, along, METER * share, [1.0; 2], METER_LINE);
            self.ink.draw(self.canvas, color);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::overlay::{Look, Overlay};
    use super::*;
    use crate::runtime::geometry::Rect;
    use crate::runtime::landmarks::Landmark;
    use crate::runtime::signals::HeadPose;
    use crate::runtime::track::Face;

    const SIZE: (usize, usize) = (400, 320);

    fn face() -> Face {
        let mut frame = Frame::filled(SIZE.0, SIZE.1, [0; 3]);
        let points = crate::train::synth::Scene::demo(1, 1).draw(0.5, &mut frame)[0].to_vec();
        let rect = Rect::around(points.iter().copied()).unwrap();
        let landmarks = points.into_iter().map(|point| Landmark { point, confidence: 0.0 }).collect();
        Face { id: 4, score: 1.0, rect, landmarks }
    }

    /// A head that is turned about the axis that points up: for positive angles the nose goes to the right in the
    /// picture.
    fn turned(angle_deg: f32) -> HeadPose {
        let half = 0.5 * angle_deg.to_radians();
        HeadPose {
            yaw_deg: -angle_deg,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            rotation: [0.0, half.sin(), 0.0, half.cos()],
            translation_cm: [0.0, 0.0, 50.0],
            deviation_deg: 1.0,
        }
    }

    /// The canvas with the gauges of such a face, and nothing but faint outlines else.
    fn drawn(signals: Option<&Signals>, is_mirrored: bool) -> Frame {
        let mut overlay = Overlay::default();
        overlay.look = Look { gauges: true, ..Look::default() };
        let mut canvas = Frame::filled(SIZE.0, SIZE.1, [0; 3]);
        let shown = [ShownFace { face: &face(), signals, opacity: 1.0 }];
        overlay.draw(&mut canvas, &Placement::fit(SIZE, SIZE, is_mirrored), &shown);
        canvas
    }

    /// Where the pixels of a colour lie on the average, and how many there are.
    fn middle_of(canvas: &Frame, color: [u8; 3]) -> ((f32, f32), usize) {
        let pixels = canvas.rgb().chunks_exact(3).enumerate().filter(|(_, pixel)| *pixel == color);
        let places: Vec<(f32, f32)> = pixels.map(|(i, _)| ((i % SIZE.0) as f32, (i / SIZE.0) as f32)).collect();
        let mean = |part: fn(&(f32, f32)) -> f32| places.iter().map(part).sum::<f32>() / places.len().max(1) as f32;
        ((mean(|p| p.0), mean(|p| p.1)), places.len())
    }

    #[test]
    fn the_axis_of_a_head_points_to_where_the_nose_goes_mirrored_or_not() {
        let nose = face().landmarks[NOSE].point;
        for (angle_deg, is_mirrored) in [(40.0, false), (-40.0, false), (40.0, true)] {
            let mut signals = Signals::unknown(4);
            signals.head = Some(turned(angle_deg));
            let ((x, y), count) = middle_of(&drawn(Some(&signals), is_mirrored), palette::AXES[2]);
            let from = if is_mirrored { SIZE.0 as f32 - 1.0 - nose.x } else { nose.x };
            let is_right = (x > from) == ((angle_deg > 0.0) != is_mirrored);
            assert!(count > 20 && is_right && (y - nose.y).abs() < 3.0, "{angle_deg}: {x} from {from}, {y}");
        }
    }

    #[test]
    fn eyes_that_look_aside_have_rays_and_shut_ones_have_none() {
        // What is drawn because of the gaze: how much, and where on the average.
        let rays = |yaw_deg: f32, open: f32| {
            let mut signals = Signals::unknown(4);
            signals.head = Some(turned(0.0));
            (signals.eye_open_left, signals.eye_open_right) = (Some(open), Some(open));
            let without = drawn(Some(&signals), false);
            (signals.gaze_yaw_deg, signals.gaze_pitch_deg) = (Some(yaw_deg), Some(0.0));
            let with = drawn(Some(&signals), false);
            let pixels = with.rgb().chunks_exact(3).zip(without.rgb().chunks_exact(3)).enumerate();
            pixels.fold((0.0, 0.0), |(light, x), (i, (a, b))| {
                let change: f32 = a.iter().zip(b).map(|(a, b)| f32::from(a.abs_diff(*b))).sum();
                (light + change, x + change * (i % SIZE.0) as f32)
            })
        };
        let ((right, right_x), (left, left_x)) = (rays(30.0, 1.0), rays(-30.0, 1.0));
        let is_aside = right_x / right + 5.0 < left_x / left;
        assert!(
            right > 0.0 && is_aside,
            "the person's right is left in the picture: {right_x} / {right}, {left_x} / {left}"
        );
        assert_eq!(rays(30.0, 0.1), (0.0, 0.0));
    }

    #[test]
    fn meters_fill_with_eyes_and_mouth_and_nothing_unknown_is_drawn() {
        let light = |signals: Option<&Signals>| drawn(signals, false).rgb().iter().map(|v| u64::from(*v)).sum::<u64>();
        let open = |share: f32| {
            let mut signals = Signals::unknown(4);
            (signals.eye_open_left, signals.eye_open_right) = (Some(share), Some(share));
            signals.mouth_open = Some(share);
            signals
        };
        let nothing = light(None);
        assert_eq!(light(Some(&Signals::unknown(4))), nothing);
        assert!(nothing < light(Some(&open(0.0))) && light(Some(&open(0.0))) < light(Some(&open(0.5))));
        assert!(light(Some(&open(0.5))) < light(Some(&open(1.0))));
    }
}
