//! The live window as a person uses it: keys, mouse, videos, full screen. The tests start their own X server (`Xvfb`).

#![cfg(all(feature = "window", target_os = "linux"))]

mod display;
mod program;

mod in_a_window {
    use super::display::Display;
    use super::program::{awing, lines, run, said};
    use serde_json::Value;
    use std::fs;
    use std::path::Path;
    use std::process::{Child, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};
    use x11_dl::keysym::{XK_F11, XK_Left, XK_Right, XK_space};

    /// How long a person waits for what a key does, on a busy machine.
    const DEADLINE: Duration = Duration::from_secs(60);

    /// The program in a window.
    struct Session {
        display: Display,
        folder: tempfile::TempDir,
        child: Child,
        pictures: usize,
    }

    impl Session {
        fn start(folder: tempfile::TempDir, arguments: &str) -> Self {
            let display = Display::start();
            let mut command = awing(folder.path());
            command.env("DISPLAY", &display.name).args(arguments.split(' ')).stderr(Stdio::piped());
            let session = Self { child: command.spawn().unwrap(), display, folder, pictures: 0 };
            session.wait_until("the window", |session| !session.display.title().is_empty());
            session
        }

        fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
            let start = Instant::now();
            while !is_so(self) {
                assert!(start.elapsed() < DEADLINE, "no {what}");
                sleep(Duration::from_millis(30));
            }
        }

        /// The line of JSON of the picture that is shown, which the key P saves.
        fn shown(&mut self) -> Value {
            self.pictures += 1;
            self.display.press('p');
            let file = self.folder.path().join(format!("awing-{:04}.json", self.pictures));
            let read = || fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok());
            self.wait_until("picture", |_| read().is_some());
            read().unwrap()
        }

        fn time_s(&mut self) -> f64 {
            self.shown()["time_s"].as_f64().unwrap()
        }

        /// The numbers of the faces that are shown.
        fn faces(&mut self) -> Vec<u64> {
            let faces = self.shown()["faces"].as_array().unwrap().clone();
            faces.iter().map(|face| face["id"].as_u64().unwrap()).collect()
        }

        fn quit(self) {
            self.display.press('q');
            let output = self.child.wait_with_output().unwrap();
            assert!(output.status.success() && !said(&output).contains("panicked"), "{}", said(&output));
        }
    }

    /// A folder with `face.mp4`, eight seconds of the demo; `None` without ffmpeg.
    fn video() -> Option<tempfile::TempDir> {
        let folder = tempfile::tempdir().unwrap();
        let output =
            run(folder.path(), &"--input demo --headless --frames 240 --save face.mp4".split(' ').collect::<Vec<_>>());
        if said(&output).contains("ffmpeg") {
            eprintln!("left out: ffmpeg is not installed");
            return None;
        }
        assert!(output.status.success(), "{}", said(&output));
        Some(folder)
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn a_video_pauses_goes_back_and_on_and_stays_open_at_its_end() {
        let Some(folder) = video() else { return };
        let mut session = Session::start(folder, "face.mp4");
        session.wait_until("title", |session| session.display.title() == "face.mp4 - awing");
        session.display.press_symbol(XK_space.into());
        sleep(Duration::from_millis(200));
        let paused_s = session.time_s();
        sleep(Duration::from_millis(300));
        assert_eq!(session.time_s(), paused_s, "it stands still");
        session.display.press_symbol(XK_Right.into());
        session.wait_until("later picture", |_| true);
        sleep(Duration::from_millis(1500));
        let later_s = session.time_s();
        assert!((later_s - paused_s - 5.0).abs() < 0.2, "{paused_s} s, then {later_s} s");
        session.display.press_symbol(XK_Left.into());
        sleep(Duration::from_millis(1500));
        let back_s = session.time_s();
        assert!((back_s - paused_s).abs() < 0.2, "{paused_s} s, then {back_s} s");
        session.display.press_symbol(XK_Right.into());
        session.display.press_symbol(XK_space.into());
        sleep(Duration::from_secs(6));
        let end_s = session.time_s();
        assert!(end_s > 7.9, "{end_s} s of 8");
        assert!(session.child.try_wait().unwrap().is_none(), "it stays open");
        session.display.press_symbol(XK_space.into());
        sleep(Duration::from_millis(1500));
        assert!(session.time_s() < 4.0, "it plays again");
        session.quit();
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn a_video_whose_copy_is_written_ends_with_its_window() {
        let Some(folder) = video() else { return };
        let session = Session::start(folder, "face.mp4 --json lines.jsonl");
        let Session { child, folder, display, .. } = session;
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(lines(&fs::read(folder.path().join("lines.jsonl")).unwrap()).len(), 240);
        drop(display);
    }

    /// The middle of a face in the window: the demo's frame has 640 x 480 pixels, and so has its picture.
    fn middle_of(face: &Value) -> (i32, i32) {
        let rect: [f64; 4] = serde_json::from_value(face["box"].clone()).unwrap();
        ((rect[0] + 0.5 * rect[2]) as i32, (rect[1] + 0.5 * rect[3]) as i32)
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn a_click_follows_a_face_alone_and_another_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let mut session = Session::start(folder, "--input demo --faces 2 --scale 1");
        let start = Instant::now();
        while session.faces().len() < 2 {
            assert!(start.elapsed() < DEADLINE, "no two faces");
        }
        let shown = session.shown();
        let face = &shown["faces"][1];
        session.display.click(middle_of(face));
        sleep(Duration::from_secs(1));
        assert_eq!(session.faces(), [face["id"].as_u64().unwrap()]);
        session.display.click((3, 3));
        sleep(Duration::from_secs(1));
        assert_eq!(session.faces().len(), 2);
        session.quit();
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn buttons_of_the_bar_are_clicked_and_help_leaves_the_face_free() {
        let folder = tempfile::tempdir().unwrap();
        let mut session = Session::start(folder, "--input demo --scale 1");
        let [_, _, width, height] = session.display.place_of_window();
        assert_eq!((width, height > 480 && height < 520), (640, true), "the picture and a slim bar");
        // Beside the help, at the right, the picture is smaller: its bar at the top is black.
        session.wait_until("picture", |session| session.display.brightness([0, 0, 20, 20]) > 20.0);
        session.display.click((width - 20, height - 10));
        session.wait_until("help", |session| session.display.brightness([0, 0, 20, 20]) < 5.0);
        session.display.press('h');
        session.wait_until("end of the help", |session| session.display.brightness([0, 0, 20, 20]) > 20.0);
        assert_eq!(session.faces().len(), 1);
        session.quit();
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn the_window_fills_the_screen_and_goes_back_by_key_and_by_double_click() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::start(folder, "--input demo --scale 1");
        let before = session.display.place_of_window();
        let is_full = |session: &Session| session.display.place_of_window() == [0, 0, 1280, 800];
        let is_as_before = |session: &Session| session.display.place_of_window() == before;
        session.display.press_symbol(XK_F11.into());
        session.wait_until("full screen", is_full);
        session.display.press_symbol(XK_F11.into());
        session.wait_until("way back", is_as_before);
        session.display.click((5, 5));
        session.display.click((5, 5));
        session.wait_until("full screen", is_full);
        // Escape leaves the full screen first.
        session.display.press_symbol(x11_dl::keysym::XK_Escape.into());
        session.wait_until("way back", is_as_before);
        session.quit();
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn a_window_that_another_program_destroys_counts_as_closed() {
        let session = Session::start(tempfile::tempdir().unwrap(), "--input demo --json faces.jsonl");
        session.display.destroy_window();
        let output = session.child.wait_with_output().unwrap();
        assert!(output.status.success() && !said(&output).contains("panicked"), "{}", said(&output));
        let lines = fs::read_to_string(session.folder.path().join("faces.jsonl")).unwrap();
        assert!(lines.ends_with("}\n"), "{lines}");
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn a_window_is_no_larger_than_the_screen() {
        for arguments in ["--input demo --size 3840x2160", "--input demo --scale 4", "--input demo --size 200x4000"] {
            let session = Session::start(tempfile::tempdir().unwrap(), arguments);
            let [left, top, width, height] = session.display.place_of_window();
            assert!(
                left >= 0 && top >= 0 && left + width <= 1280 && top + height <= 800,
                "{arguments}: {width}x{height}"
            );
            session.quit();
        }
    }

    #[test]
    #[ignore = "needs Xvfb"]
    fn every_key_works_at_every_size_without_a_face() {
        let folder = tempfile::tempdir().unwrap();
        blank(folder.path());
        let session = Session::start(folder, "blank.png --scale 2");
        for key in "hhhhhhhllllllbmitexsfza123kgudcn".chars() {
            session.display.press(key);
            sleep(Duration::from_millis(20));
        }
        session.quit();
    }

    fn blank(folder: &Path) {
        image::RgbImage::from_pixel(320, 240, image::Rgb([90, 90, 90])).save(folder.join("blank.png")).unwrap();
    }
}
