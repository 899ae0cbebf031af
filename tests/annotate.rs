//! `awing annotate` as a person uses it: the real program, its window on a virtual display, a mouse and keys; and
//! imports from the command line.

mod demo_collection;
#[cfg(all(feature = "window", target_os = "linux"))]
mod display;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn awing(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command.current_dir(folder).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("AWING_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn rows(recording: &Path) -> Vec<Value> {
    let text = fs::read_to_string(recording.join("faces.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn pts(points: &[[f64; 2]]) -> String {
    let lines: String = points.iter().map(|[x, y]| format!("{} {}\n", x + 1.0, y + 1.0)).collect();
    format!("version: 1\nn_points: {}\n{{\n{lines}}}\n", points.len())
}

#[test]
fn an_import_says_what_it_made_and_fails_if_something_was_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels");
    let truth = demo_collection::write(&labels, 2);
    for (i, points) in truth.iter().enumerate() {
        fs::write(labels.join(format!("{i:06}.pts")), pts(points)).unwrap();
    }
    let run = || awing(folder.path()).args(["annotate", "faces", "--import", "labels"]).output().unwrap();
    let output = run();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("imported 2 faces in 2 pictures"), "{output:?}");
    let made = folder.path().join("faces/import-labels");
    let rows = rows(&made);
    assert!(rows.iter().all(|row| row["review"] == "accepted" && made.join(row["image"].as_str().unwrap()).is_file()));
    let again = run();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already"), "{again:?}");
    fs::remove_dir_all(&made).unwrap();
    fs::write(labels.join("000001.pts"), pts(&truth[1][..97])).unwrap();
    let partly = run();
    let said = String::from_utf8_lossy(&partly.stderr).into_owned();
    assert_eq!(partly.status.code(), Some(1), "{said}");
    assert!(said.contains("000001.pts: it has 97 points") && said.contains("1 of 2"), "{said}");
}

#[test]
fn a_folder_without_faces_and_a_computer_without_a_display_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let output = awing(folder.path()).args(["annotate", "."]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("holds no faces") && said.contains("--import"), "{said}");
    demo_collection::write(&folder.path().join("demo"), 1);
    let output = awing(folder.path()).args(["annotate", "."]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    if cfg!(all(target_os = "linux", feature = "window")) {
        assert!(said.contains("display"), "{said}");
    }
}

#[cfg(all(feature = "window", target_os = "linux"))]
mod in_a_window {
    use super::display::Display;
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::path::PathBuf;
    use std::process::{Child, Output};
    use std::thread;
    use std::time::{Duration, Instant};

    const DEADLINE: Duration = Duration::from_secs(60);
    /// The program looks at the mouse more often than this.
    const STEP: Duration = Duration::from_millis(120);
    const FACES: usize = 4;
    /// The face that the detector missed is shown first, in the whole picture.
    const MISSED: usize = FACES - 1;
    /// The picture in the window of 1280 x 760 pixels beside the list of faces: pixels of the window per pixel of the
    /// picture, and the middle of both.
    const SCALE: f64 = 760.0 / 480.0;
    const WINDOW_MIDDLE: [f64; 2] = [511.5, 379.5];
    const PICTURE_MIDDLE: [f64; 2] = [319.5, 239.5];
    const TAB: u64 = 0xff09;
    const ENTER: u64 = 0xff0d;
    const ESCAPE: u64 = 0xff1b;
    const LEFT: u64 = 0xff51;

    /// The running editor.
    struct Editor {
        folder: tempfile::TempDir,
        display: Display,
        child: Child,
    }

    impl Editor {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            demo_collection::write(&folder.path().join("faces/demo"), FACES);
            let display = Display::of_size(1440, 900);
            let child = Self::run(&folder, &display);
            Self { folder, display, child }
        }

        fn run(folder: &tempfile::TempDir, display: &Display) -> Child {
            let child = awing(folder.path()).env("DISPLAY", &display.name).args(["annotate", "faces"]).spawn().unwrap();
            // Moving the mouse waits for the window.
            display.move_mouse((5, 5));
            thread::sleep(5 * STEP);
            child
        }

        fn recording(&self) -> PathBuf {
            self.folder.path().join("faces/demo")
        }

        fn face(&self, index: usize) -> Value {
            rows(&self.recording())[index].clone()
        }

        fn point(&self, face: usize, point: usize) -> [f64; 2] {
            serde_json::from_value(self.face(face)["points"][point].clone()).unwrap()
        }

        fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
            let start = Instant::now();
            while !is_so(self) {
                assert!(start.elapsed() < DEADLINE, "timed out waiting for {what}");
                thread::sleep(Duration::from_millis(10));
            }
        }

        fn wait_for_review(&self, face: usize, review: &str) {
            self.wait_until(review, |editor| editor.face(face)["review"] == review);
        }

        /// Where a place of the picture is in the window, while the whole picture is shown.
        fn in_window(at: [f64; 2]) -> (i32, i32) {
            let along = |i: usize| ((at[i] - PICTURE_MIDDLE[i]) * SCALE + WINDOW_MIDDLE[i]).round() as i32;
            (along(0), along(1))
        }

        /// Presses the left button at a place and moves the mouse; the button stays pressed.
        fn hold(&self, from: (i32, i32), by: (i32, i32)) {
            let to = (from.0 + by.0, from.1 + by.1);
            self.display.move_mouse(from);
            thread::sleep(STEP);
            self.display.button(1, true);
            thread::sleep(STEP);
            for at in [((from.0 + to.0) / 2, (from.1 + to.1) / 2), to] {
                self.display.move_mouse(at);
                thread::sleep(STEP);
            }
        }

        fn drag(&self, from: (i32, i32), by: (i32, i32)) {
            self.hold(from, by);
            self.display.button(1, false);
            thread::sleep(STEP);
        }

        fn quit(mut self) -> Output {
            self.display.press('q');
            let start = Instant::now();
            while self.child.try_wait().unwrap().is_none() {
                assert!(start.elapsed() < DEADLINE, "it does not end");
                thread::sleep(Duration::from_millis(10));
            }
            let child = std::mem::replace(&mut self.child, Command::new("true").spawn().unwrap());
            child.wait_with_output().unwrap()
        }
    }

    impl Drop for Editor {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// Whether a point has moved by this many pixels of the window, within one.
    fn has_moved(from: [f64; 2], to: [f64; 2], by: (i32, i32)) -> bool {
        let off = |i: usize, by: i32| (to[i] - from[i]) * SCALE - f64::from(by);
        off(0, by.0).abs() < 1.0 && off(1, by.1).abs() < 1.0
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn a_point_is_dragged_with_the_mouse_saved_at_once_accepted_and_the_next_face_comes() {
        let editor = Editor::start();
        editor.display.press_symbol(ESCAPE);
        let before = editor.face(MISSED);
        let nose = editor.point(MISSED, 54);
        editor.drag(Editor::in_window(nose), (60, -35));
        editor.wait_until("the moved point", |e| has_moved(nose, e.point(MISSED, 54), (60, -35)));
        let after = editor.face(MISSED);
        assert_eq!(after["review"], "pending");
        let others = |row: &Value| {
            row["points"]
                .as_array()
                .unwrap()
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != 54)
                .map(|(_, p)| p.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(others(&before), others(&after));
        editor.display.press_symbol(ENTER);
        editor.wait_for_review(MISSED, "accepted");
        // The next face: rejected, then undone.
        editor.display.press('x');
        let rejected = |e: &Editor| rows(&e.recording()).iter().position(|row| row["review"] == "rejected");
        editor.wait_until("a rejected face", |e| rejected(e).is_some());
        assert_ne!(rejected(&editor), Some(MISSED));
        editor.display.press('z');
        editor.wait_until("the rejection to be undone", |e| rejected(e).is_none());
        let output = editor.quit();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("1 of 4 faces done"), "{said}");
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn a_killed_editor_loses_nothing_and_what_was_not_accepted_is_pending() {
        let mut editor = Editor::start();
        editor.display.press_symbol(ESCAPE);
        let (nose, chin) = (editor.point(MISSED, 54), editor.point(MISSED, 16));
        editor.drag(Editor::in_window(nose), (25, 15));
        editor.wait_until("the moved point", |e| has_moved(nose, e.point(MISSED, 54), (25, 15)));
        // Killed while the button is held: the drag so far is there too.
        editor.hold(Editor::in_window(chin), (0, 40));
        editor.wait_until("the point that is being dragged", |e| has_moved(chin, e.point(MISSED, 16), (0, 40)));
        editor.child.kill().unwrap();
        assert_eq!(editor.child.wait().unwrap().signal(), Some(9));
        assert!(has_moved(nose, editor.point(MISSED, 54), (25, 15)));
        assert_eq!(editor.face(MISSED)["review"], "pending");
        assert_eq!(rows(&editor.recording()).len(), FACES);
        // It opens again, and work goes on.
        editor.child = Editor::run(&editor.folder, &editor.display);
        editor.display.press_symbol(ENTER);
        editor.wait_for_review(MISSED, "accepted");
        assert!(has_moved(nose, editor.point(MISSED, 54), (25, 15)));
        assert!(editor.quit().status.success());
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn a_part_is_moved_with_its_box_and_with_keys() {
        let editor = Editor::start();
        // The whole face is selected; between the cheek's points only its box is at the mouse.
        let cheek = {
            let (eye, mouth, jaw) = (editor.point(MISSED, 66), editor.point(MISSED, 76), editor.point(MISSED, 6));
            [(eye[0] + mouth[0] + jaw[0]) / 3.0, (eye[1] + mouth[1] + jaw[1]) / 3.0]
        };
        let (eye, jaw) = (editor.point(MISSED, 60), editor.point(MISSED, 10));
        editor.drag(Editor::in_window(cheek), (-30, 20));
        editor.wait_until("the moved face", |e| has_moved(eye, e.point(MISSED, 60), (-30, 20)));
        assert!(has_moved(jaw, editor.point(MISSED, 10), (-30, 20)));
        // The next part after the whole face is the left eye.
        editor.display.press_symbol(TAB);
        let (eye, jaw) = (editor.point(MISSED, 60), editor.point(MISSED, 10));
        (0..3).for_each(|_| editor.display.press_symbol(LEFT));
        editor.wait_until("the nudged eye", |e| has_moved(eye, e.point(MISSED, 60), (-3, 0)));
        assert_eq!(editor.point(MISSED, 10), jaw);
        (0..4).for_each(|_| editor.display.press('z'));
        editor.wait_until("everything to be undone", |e| has_moved(jaw, e.point(MISSED, 10), (30, -20)));
        assert!(editor.quit().status.success());
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn zooming_and_every_other_key_change_no_label() {
        let editor = Editor::start();
        let before = rows(&editor.recording());
        for at in [(500, 300), (1100, 300), (1250, 700)] {
            editor.display.move_mouse(at);
            thread::sleep(STEP);
            for button in [4, 4, 5] {
                editor.display.button(button, true);
                editor.display.button(button, false);
            }
            thread::sleep(STEP);
        }
        "hcglsfnb+-hcglscf".chars().for_each(|key| editor.display.press(key));
        editor.display.move_mouse((400, 350));
        thread::sleep(STEP);
        // An empty place of the picture moves it.
        editor.display.press_symbol(ESCAPE);
        editor.drag((30, 700), (40, -40));
        assert_eq!(rows(&editor.recording()), before);
        let output = editor.quit();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
