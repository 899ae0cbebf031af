//! The editor driven as a person does, without a window.

use super::super::command::Command;
use super::super::deck::Deck;
use super::super::handles::Handle;
use super::super::layout::Layout;
use super::super::list::List;
use super::super::mirror::Side;
use super::super::parts::FacePart;
use super::super::sample::collect;
use super::{Editor, Layers, Selection};
use crate::program::view::Pointer;
use crate::runtime::geometry::{CanvasSpace, Point};
use crate::train::collection::{CollectedFace, CollectionError, Recording, Review};
use std::path::{Path, PathBuf};

struct Desk {
    folder: tempfile::TempDir,
    editor: Editor,
}

impl Desk {
    /// An editor of `count` faces in one recording, in a window of 900 x 600 pixels with a list of 200.
    fn with(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        collect(folder.path(), "a", count);
        let editor = open(folder.path());
        Self { folder, editor }
    }

    fn recording(&self) -> PathBuf {
        self.folder.path().join("a")
    }

    /// What is on disk.
    fn stored(&self) -> Vec<CollectedFace> {
        Recording::read(&self.recording()).unwrap()
    }

    /// The face in hand, on disk.
    fn current(&self) -> CollectedFace {
        let image = &self.editor.face().image;
        self.stored().into_iter().find(|face| face.image == *image).unwrap()
    }

    fn mouse(&mut self, at: Point<CanvasSpace>, left: bool) {
        self.editor.point(Pointer { at, left, other: false, wheel: 0.0 });
    }

    fn drag(&mut self, from: Point<CanvasSpace>, to: Point<CanvasSpace>) {
        self.mouse(from, false);
        self.mouse(from, true);
        self.mouse(from.midpoint(to), true);
        self.mouse(to, true);
        self.mouse(to, false);
    }

    fn click(&mut self, at: Point<CanvasSpace>) {
        self.mouse(at, false);
        self.mouse(at, true);
        self.mouse(at, false);
    }
}

fn open(folder: &Path) -> Editor {
    let mut editor = Editor::new(Deck::open(folder).unwrap(), 1.0);
    let layout = Layout { view: 700, help: 0, list: 200, height: 600, is_help_over: false };
    editor.set_layout(layout, List { top: 100.0, row: 20.0, rows: 25, first: 0 });
    editor
}

fn moved(at: Point<CanvasSpace>, by: (f32, f32)) -> Point<CanvasSpace> {
    Point::new(at.x + by.0, at.y + by.1)
}

#[test]
fn a_dragged_point_goes_where_the_mouse_goes_and_is_saved_as_pending() {
    let mut desk = Desk::with(3);
    desk.editor.go_to(1);
    let before = desk.editor.labels().points.clone();
    let at = desk.editor.points_in_view()[85];
    desk.drag(moved(at, (2.0, 1.0)), moved(at, (42.0, 31.0)));
    let now = desk.editor.points_in_view()[85];
    assert!(now.distance(moved(at, (40.0, 30.0))) < 0.1, "{now:?}: it does not jump to the mouse");
    assert!(desk.editor.save());
    let stored = desk.current();
    assert_eq!(stored.review, Review::Pending);
    assert_eq!(stored.points[85], {
        let p = desk.editor.labels().points[85];
        [p.x, p.y]
    });
    assert!((0..98).all(|i| (desk.editor.labels().points[i] == before[i]) != (i == 85)));
    desk.editor.obey(Command::Undo);
    assert_eq!(desk.editor.labels().points, before);
    desk.editor.obey(Command::Redo);
    assert!(desk.editor.points_in_view()[85].distance(now) < 1e-3);
}

#[test]
fn a_drag_that_is_still_going_on_is_on_disk_too() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    let before = desk.current().points[60];
    let at = desk.editor.points_in_view()[60];
    desk.mouse(at, false);
    desk.mouse(at, true);
    desk.mouse(moved(at, (30.0, 0.0)), true);
    std::thread::sleep(std::time::Duration::from_millis(1));
    desk.editor.save_if_due();
    assert!(desk.current().points[60][0] > before[0] + 1.0);
}

#[test]
fn accepting_goes_on_to_the_next_face_until_all_are_done() {
    let mut desk = Desk::with(3);
    assert!(!desk.editor.face().is_detected(), "the one that the detector missed comes first");
    assert_eq!(desk.editor.selection().part, Some(FacePart::WholeFace));
    desk.editor.obey(Command::Accept);
    assert_eq!(desk.editor.current(), 1);
    desk.editor.obey(Command::Reject);
    desk.editor.obey(Command::Accept);
    assert!(desk.editor.message().is_some_and(|text| text.contains("all 3 faces are done")));
    let counts = desk.editor.deck().counts();
    assert_eq!((counts.accepted, counts.rejected, counts.all), (2, 1, 3));
    let mut reviews: Vec<_> = desk.stored().iter().map(|face| face.review).collect();
    reviews.sort_by_key(|review| *review == Review::Rejected);
    assert_eq!(reviews, [Review::Accepted, Review::Accepted, Review::Rejected]);
    // Undo goes back to the face that was accepted last.
    desk.editor.obey(Command::Undo);
    desk.editor.save();
    assert_eq!((desk.editor.current(), desk.current().review), (2, Review::Pending));
    desk.editor.obey(Command::Undo);
    desk.editor.save();
    assert_eq!((desk.editor.current(), desk.current().review), (1, Review::Pending));
}

#[test]
fn a_changed_face_has_to_be_accepted_again() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    desk.editor.obey(Command::Accept);
    desk.editor.go_to(1);
    desk.editor.obey(Command::NextPart);
    desk.editor.obey(Command::Nudge { by: (1.0, 0.0), is_repeat: false });
    desk.editor.save();
    assert_eq!(desk.current().review, Review::Pending);
    desk.editor.obey(Command::Undo);
    desk.editor.save();
    assert_eq!(desk.current().review, Review::Accepted);
}

#[test]
fn tab_goes_through_the_parts_and_arrows_move_them() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    let before = desk.editor.labels().points.clone();
    for part in FacePart::ALL {
        desk.editor.obey(Command::NextPart);
        assert_eq!(desk.editor.selection().part, Some(part));
    }
    desk.editor.obey(Command::NextPart);
    desk.editor.obey(Command::Nudge { by: (0.0, 4.0), is_repeat: false });
    desk.editor.obey(Command::Nudge { by: (0.0, 4.0), is_repeat: true });
    let by = 8.0 / desk.editor.viewport().scale();
    let after = &desk.editor.labels().points;
    assert!((after[62].y - before[62].y - by).abs() < 1e-3 && after[68] == before[68]);
    desk.editor.obey(Command::Undo);
    assert_eq!(desk.editor.labels().points, before, "a held key is one change");
}

#[test]
fn a_part_is_moved_turned_and_scaled_with_its_handles() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    let before = desk.editor.labels().points.clone();
    // Between two points of the mouth's outline.
    let places = desk.editor.points_in_view();
    desk.click(places[77].midpoint(places[78]));
    assert_eq!(desk.editor.selection(), Selection { part: Some(FacePart::Mouth), point: None });
    let (_, handles) = desk.editor.handles().unwrap();
    let (handle, corner) = handles.scales().next().unwrap();
    assert_eq!(handle, Handle::Scale(-1, -1));
    desk.drag(corner, moved(corner, (-40.0, -25.0)));
    let width = |editor: &Editor| editor.labels().points[76].distance(editor.labels().points[82]);
    let wider = width(&desk.editor);
    assert!(wider > 1.1 * before[76].distance(before[82]));
    let (_, handles) = desk.editor.handles().unwrap();
    let knob = handles.knob()[1];
    desk.drag(knob, moved(knob, (60.0, 0.0)));
    assert!((width(&desk.editor) - wider).abs() < 1e-2);
    let places = desk.editor.points_in_view();
    assert!(places[82].y > places[76].y + 20.0, "turned clockwise");
    assert!((0..76).all(|i| desk.editor.labels().points[i] == before[i]));
    desk.editor.obey(Command::Undo);
    desk.editor.obey(Command::Undo);
    assert_eq!(desk.editor.labels().points, before);
}

#[test]
fn zoom_and_pan_move_the_picture_and_no_point() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    let before = desk.editor.labels().clone();
    let corner = Point::new(5.0, 590.0);
    let scale = desk.editor.viewport().scale();
    desk.editor.point(Pointer { at: corner, left: false, other: false, wheel: 2.0 });
    assert!((desk.editor.viewport().scale() / scale - 1.44).abs() < 0.01);
    desk.editor.obey(Command::Overview);
    let at = desk.editor.points_in_view()[0];
    desk.drag(corner, moved(corner, (50.0, -30.0)));
    assert!(desk.editor.points_in_view()[0].distance(moved(at, (50.0, -30.0))) < 0.1);
    for x in [100.0, 130.0] {
        desk.editor.point(Pointer { at: Point::new(x, 300.0), left: false, other: true, wheel: 0.0 });
    }
    assert!(desk.editor.points_in_view()[0].distance(moved(at, (80.0, -30.0))) < 0.1);
    assert_eq!(*desk.editor.labels(), before);
}

#[test]
fn a_click_in_the_list_opens_that_face() {
    let mut desk = Desk::with(6);
    desk.click(Point::new(750.0, 100.0 + 3.5 * 20.0));
    assert_eq!(desk.editor.current(), 3);
    desk.click(Point::new(750.0, 100.0 + 20.5 * 20.0));
    assert_eq!(desk.editor.current(), 3, "below the last row there is none");
}

#[test]
fn the_wheel_over_the_list_scrolls_it_until_another_face_is_opened() {
    let mut desk = Desk::with(8);
    let (layout, list) = (desk.editor.layout, List { rows: 3, ..*desk.editor.list() });
    desk.editor.set_layout(layout, list);
    desk.editor.point(Pointer { at: Point::new(750.0, 120.0), left: false, other: false, wheel: -1.0 });
    desk.editor.set_layout(layout, list);
    assert_eq!((desk.editor.list().first, desk.editor.current()), (3, 0));
    desk.editor.obey(Command::Next);
    assert_eq!(desk.editor.list().first, 1);
}

#[test]
fn a_click_selects_another_part_within_the_box_of_the_selected_one() {
    let mut desk = Desk::with(2);
    assert_eq!(desk.editor.selection().part, Some(FacePart::WholeFace));
    // Points lie close together while the whole picture is shown.
    let chin = desk.editor.points_in_view()[16];
    desk.editor.point(Pointer { at: chin, left: false, other: false, wheel: 6.0 });
    let places = desk.editor.points_in_view();
    desk.click(places[16].midpoint(places[17]));
    assert_eq!(desk.editor.selection(), Selection { part: Some(FacePart::Jaw), point: None });
}

#[test]
fn a_drag_back_to_where_it_began_changes_nothing() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    let stored = desk.stored();
    let at = desk.editor.points_in_view()[54];
    desk.mouse(at, false);
    desk.mouse(at, true);
    desk.mouse(moved(at, (30.0, 0.0)), true);
    desk.editor.save();
    assert_ne!(desk.stored(), stored, "the drag so far is on disk");
    desk.mouse(at, true);
    desk.mouse(at, false);
    desk.editor.save();
    assert_eq!(desk.stored(), stored);
    desk.editor.obey(Command::Undo);
    assert!(desk.editor.message().is_some_and(|text| text.contains("nothing to undo")));
}

#[test]
fn reset_brings_back_the_prediction_of_what_is_selected() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    let before = desk.editor.labels().points.clone();
    desk.editor.obey(Command::PreviousPart);
    desk.editor.obey(Command::Nudge { by: (9.0, 9.0), is_repeat: false });
    desk.editor.obey(Command::NextPart);
    desk.editor.obey(Command::Reset);
    let points = &desk.editor.labels().points;
    assert!(points[60] == before[60] && points[68] != before[68], "only the left eye is back");
    desk.editor.obey(Command::Deselect);
    desk.editor.obey(Command::Reset);
    assert_eq!(desk.editor.labels().points, before);
    desk.editor.go_to(0);
    desk.editor.obey(Command::Reset);
    assert!(desk.editor.message().is_some_and(|text| text.contains("no prediction")));
}

#[test]
fn the_mirror_copies_a_corrected_eye_to_the_other_side() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    desk.editor.obey(Command::NextPart);
    let before = desk.editor.labels().points.clone();
    desk.editor.obey(Command::Mirror(Side::Left));
    let after = &desk.editor.labels().points;
    assert!(after[68] != before[68] && after[60] == before[60] && after[76] == before[76]);
    let width = |points: &[Point<_>], a: usize, b: usize| points[a].distance(points[b]);
    assert!((width(after, 68, 72) - width(after, 60, 64)).abs() < 1e-2);
}

#[test]
fn points_can_be_left_out_and_count_again_once_they_are_moved() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    desk.editor.obey(Command::Trust);
    assert!(desk.editor.labels().weight.is_none(), "nothing is selected");
    desk.editor.obey(Command::NextPart);
    desk.editor.obey(Command::Trust);
    desk.editor.save();
    let weight = desk.current().weight.unwrap();
    assert!(weight[60] == 0.0 && weight[96] == 0.0 && weight[68] == 1.0);
    desk.editor.obey(Command::Nudge { by: (1.0, 0.0), is_repeat: false });
    assert_eq!(desk.editor.labels().weight_of(60), 1.0);
}

#[test]
fn keys_change_what_is_seen() {
    let mut desk = Desk::with(2);
    for layers in [Layers::Points, Layers::Nothing, Layers::CurvesAndPoints] {
        desk.editor.obey(Command::Layers);
        assert_eq!(desk.editor.settings().layers, layers);
    }
    for command in [Command::Magnifier, Command::List, Command::Help, Command::Soft] {
        desk.editor.obey(command);
    }
    let settings = desk.editor.settings();
    assert!(settings.magnifier && !settings.list && settings.help && settings.is_soft);
}

#[test]
fn a_picture_that_can_not_be_read_is_told_and_can_only_be_rejected() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    std::fs::write(desk.recording().join(&desk.editor.face().image), b"no picture").unwrap();
    desk.editor.go_to(0);
    desk.editor.go_to(1);
    assert!(desk.editor.trouble().is_some_and(|text| text.contains("000001.png")));
    desk.editor.obey(Command::Accept);
    assert_eq!(desk.current().review, Review::Pending);
    desk.editor.obey(Command::Reject);
    assert_eq!(desk.stored()[1].review, Review::Rejected);
}

#[cfg(unix)]
#[test]
fn a_change_that_can_not_be_saved_is_kept_and_told_before_the_end() {
    let mut desk = Desk::with(2);
    desk.editor.go_to(1);
    let stored = desk.stored();
    // A folder in the place of the file that is written first: not even root can write it.
    let mut beside = desk.recording().join("faces.jsonl").into_os_string();
    beside.push(format!(".{}.tmp", std::process::id()));
    std::fs::create_dir(&beside).unwrap();
    desk.editor.obey(Command::NextPart);
    desk.editor.obey(Command::Nudge { by: (5.0, 0.0), is_repeat: false });
    desk.editor.obey(Command::Next);
    assert_eq!(desk.editor.current(), 1, "it stays with the change");
    assert!(desk.editor.message().is_some_and(|text| text.contains("not saved") && text.contains("faces.jsonl")));
    desk.editor.obey(Command::Quit);
    assert!(!desk.editor.is_over());
    assert_eq!(desk.stored(), stored);
    std::fs::remove_dir(&beside).unwrap();
    desk.editor.obey(Command::Quit);
    assert!(desk.editor.is_over() && !desk.editor.is_unsaved());
    assert_ne!(desk.stored(), stored);
}

#[test]
fn a_collection_opens_all_its_recordings_but_those_in_use() {
    let folder = tempfile::tempdir().unwrap();
    collect(folder.path(), "a", 2);
    collect(folder.path(), "b", 3);
    let deck = Deck::open(folder.path()).unwrap();
    assert_eq!((deck.len(), deck.left_out.len()), (5, 0));
    assert!(!deck.face(0).is_detected() && !deck.face(1).is_detected());
    assert!(matches!(Deck::open(folder.path()), Err(CollectionError::InUse { .. })));
    drop(deck);
    let writer = Recording::open(&folder.path().join("b")).unwrap();
    let deck = Deck::open(folder.path()).unwrap();
    assert_eq!((deck.len(), deck.left_out.len()), (2, 1));
    drop(writer);
    drop(deck);
    assert_eq!(Deck::open(&folder.path().join("b")).unwrap().len(), 3);
    assert_eq!(Deck::open(&folder.path().join("nowhere")).unwrap().len(), 0);
}
