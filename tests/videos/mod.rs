//! Videos that ffmpeg decodes and encodes. Where it is not installed, these tests say so and pass.

use super::*;

fn ffmpeg(folder: &Path, arguments: &str) -> bool {
    let mut command = Command::new("ffmpeg");
    command.current_dir(folder).args(["-v", "error", "-nostdin", "-y"]).args(arguments.split(' '));
    match command.status() {
        Ok(status) => {
            assert!(status.success(), "ffmpeg {arguments}");
            true
        }
        Err(_) => {
            eprintln!("left out: ffmpeg is not installed");
            false
        }
    }
}

/// What ffprobe says of the video's frames or of the video.
fn probe(folder: &Path, entries: &str, file: &str) -> Vec<String> {
    let mut command = Command::new("ffprobe");
    command.current_dir(folder).args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"]);
    let output = command.args(["-show_entries", entries, file]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let values = text.split(['\n', ',']).map(str::trim).filter(|value| !value.is_empty());
    values.filter(|value| *value != "side_data").map(str::to_owned).collect()
}

fn times(folder: &Path, file: &str) -> Vec<f64> {
    probe(folder, "frame=pts_time", file).iter().map(|time| time.parse().unwrap()).collect()
}

/// `face.mp4`: the demo, 30 frames of which 14 are left, at uneven times.
fn uneven_video() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let whole = "-f lavfi -i testsrc2=size=320x240:rate=30:duration=1 -c:v libx264 -qp 10 whole.mkv";
    let some = "-i whole.mkv -vf select='lt(n,10)+not(mod(n,5))' -fps_mode vfr -movflags +faststart face.mp4";
    (ffmpeg(folder.path(), whole) && ffmpeg(folder.path(), some)).then_some(folder)
}

/// The lines of JSON of a run that has to succeed.
fn tracked(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = run(folder, &[&["--headless", "--json", "-"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    lines(&output.stdout)
}

fn seconds(lines: &[Value]) -> Vec<f64> {
    lines.iter().map(|line| line["time_s"].as_f64().unwrap()).collect()
}

fn are_equal(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn every_frame_of_a_video_is_a_line_with_its_own_time_and_recordings_keep_the_times() {
    let Some(folder) = uneven_video() else { return };
    let folder = folder.path();
    let expected = times(folder, "face.mp4");
    assert_eq!(expected.len(), 14);
    let lines = tracked(folder, &["--input", "face.mp4"]);
    assert!(are_equal(&seconds(&lines), &expected, 1e-6), "{:?} instead of {expected:?}", seconds(&lines));
    assert!(lines[1].to_string().contains("0.033333"), "six decimals");
    for (name, tolerance) in [("a.mp4", 2e-5), ("a.mkv", 6e-4), ("a.webm", 6e-4)] {
        tracked(folder, &["--input", "face.mp4", "--save", name]);
        let recorded = times(folder, name);
        assert!(are_equal(&recorded, &expected, tolerance), "{name}: {recorded:?} instead of {expected:?}");
        assert_eq!(seconds(&tracked(folder, &[name])).len(), 14);
    }
}

#[test]
fn a_burst_of_frames_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    // 60 frames within 0.12 s, then a second without any.
    let burst = "-f lavfi -i testsrc2=size=160x120:rate=30:duration=2.5 -vf settb=1/1000,setpts='if(lt(N,60),N*2,1120+N*33)' \
                 -fps_mode passthrough -enc_time_base 1:1000 -c:v libvpx -deadline realtime burst.webm";
    if !ffmpeg(folder.path(), burst) {
        return;
    }
    let expected = times(folder.path(), "burst.webm");
    let lines = tracked(folder.path(), &["burst.webm"]);
    assert_eq!((expected.len(), lines.len()), (75, 75));
    assert!(are_equal(&seconds(&lines), &expected, 1e-6));
    tracked(folder.path(), &["burst.webm", "--save", "again.mp4"]);
    assert!(are_equal(&times(folder.path(), "again.mp4"), &expected, 2e-5));
}

#[test]
fn a_video_that_is_cut_off_is_an_error_after_all_frames_that_came() {
    let Some(folder) = uneven_video() else { return };
    let bytes = fs::read(folder.path().join("face.mp4")).unwrap();
    fs::write(folder.path().join("cut.mp4"), &bytes[..bytes.len() * 6 / 10]).unwrap();
    let output = run(folder.path(), &["--headless", "--json", "-", "cut.mp4"]);
    let came = lines(&output.stdout).len();
    assert!((1..14).contains(&came), "{came}");
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("cut.mp4") && text.contains(&format!("after {came} frames")), "{text}");
    assert!(text.contains("cut off"), "{text}");
}

/// Runs awing with another program in the place of ffmpeg; `$REAL` is ffmpeg itself.
#[cfg(unix)]
fn run_with_ffmpeg(folder: &Path, script: &str, arguments: &[&str]) -> Output {
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let real = std::env::split_paths(&usual).map(|path| path.join("ffmpeg")).find(|path| path.is_file()).unwrap();
    let programs = folder.join("programs");
    fs::create_dir_all(&programs).unwrap();
    let script = format!("#!/bin/sh\nREAL=\"{}\"\n{script}\n", real.display());
    fs::write(programs.join("ffmpeg"), script).unwrap();
    fs::set_permissions(programs.join("ffmpeg"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&usual))).unwrap();
    awing(folder).env("PATH", path).args(arguments).output().unwrap()
}

#[cfg(unix)]
#[test]
fn the_end_of_a_decoder_is_looked_at() {
    let Some(folder) = uneven_video() else { return };
    let arguments = ["--headless", "--json", "-", "face.mp4"];
    let script = "\"$REAL\" \"$@\" | head -c 600000; echo 'it is out of luck' >&2; exit 9";
    let output = run_with_ffmpeg(folder.path(), script, &arguments);
    let text = said(&output);
    assert_eq!((output.status.code(), lines(&output.stdout).len()), (Some(1), 2), "{text}");
    assert!(text.contains("after 2 frames") && text.contains("out of luck"), "{text}");
    // What it wrote is whole, and yet it failed.
    let output = run_with_ffmpeg(folder.path(), "\"$REAL\" \"$@\"; exit 3", &arguments);
    let text = said(&output);
    assert_eq!((output.status.code(), lines(&output.stdout).len()), (Some(1), 14), "{text}");
    assert!(text.contains("after 14 frames") && text.contains('3'), "{text}");
    let script = "\"$REAL\" \"$@\"; echo 'one odd thing' >&2; echo 'another odd thing' >&2";
    let output = run_with_ffmpeg(folder.path(), script, &arguments);
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("odd thing").count(), 1, "{text}");
}

#[cfg(unix)]
#[test]
fn the_end_of_an_encoder_is_looked_at() {
    let Some(folder) = uneven_video() else { return };
    let arguments = ["--headless", "--input", "demo", "--frames", "8", "--save", "film.mkv"];
    let is_encoder = |then: &str| format!("case \"$*\" in *pipe:0*) {then};; *) exec \"$REAL\" \"$@\";; esac");
    let script = is_encoder("cat > /dev/null; echo 'no space left' >&2; exit 1");
    let output = run_with_ffmpeg(folder.path(), &script, &arguments);
    let text = said(&output);
    assert!(output.status.code() == Some(1) && text.contains("film.mkv") && text.contains("no space left"), "{text}");
    let script = is_encoder("\"$REAL\" \"$@\"; echo 'an odd thing' >&2");
    let output = run_with_ffmpeg(folder.path(), &script, &arguments);
    let text = said(&output);
    assert!(output.status.success() && text.contains("film.mkv") && text.contains("an odd thing"), "{text}");
}

#[cfg(unix)]
#[test]
fn an_ffmpeg_of_before_2022_is_asked_in_its_own_words() {
    let Some(folder) = uneven_video() else { return };
    let script = "case \"$*\" in *fps_mode*) echo \"Unrecognized option 'fps_mode'.\" >&2; exit 1;; *) exec \"$REAL\" \"$@\";; esac";
    let output = run_with_ffmpeg(folder.path(), script, &["--headless", "--save", "a.mp4", "--json", "-", "face.mp4"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!((lines(&output.stdout).len(), times(folder.path(), "a.mp4").len()), (14, 14));
    // So small that all frames wait in the pipe.
    assert!(ffmpeg(folder.path(), "-i face.mp4 -vf scale=32:24 small.mkv"));
    let output = run_with_ffmpeg(folder.path(), script, &["--headless", "--save", "b.mp4", "small.mkv"]);
    assert!(output.status.success(), "{}", said(&output));
    let count = times(folder.path(), "small.mkv").len();
    assert_eq!(times(folder.path(), "b.mp4").len(), count);
}

#[test]
fn what_has_no_picture_is_refused_in_plain_words() {
    const LINE: &[u8] = b"{\"version\": 2, \"frame\": 0, \"input\": \"a.mp4\"}\n";
    let folder = tempfile::tempdir().unwrap();
    if !ffmpeg(folder.path(), "-f lavfi -i sine=1 -t 1 sound.wav") {
        return;
    }
    fs::write(folder.path().join("letter.mp4"), "Dear reader").unwrap();
    fs::write(folder.path().join("letter"), "Dear reader").unwrap();
    fs::write(folder.path().join("lines.jsonl"), LINE).unwrap();
    for (name, reason) in [
        ("sound.wav", "it has no picture stream"),
        ("letter.mp4", "it is no video, or its end is missing"),
        ("letter", "it is not a video"),
    ] {
        let output = run(folder.path(), &["--headless", "--json", "lines.jsonl", name]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(&format!("cannot read {name}: {reason}")), "{text}");
    }
    assert_eq!(fs::read(folder.path().join("lines.jsonl")).unwrap(), LINE, "a bad input empties no output");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_is_a_file_whatever_its_name() {
    use std::os::unix::ffi::OsStrExt;
    let Some(folder) = uneven_video() else { return };
    let face = folder.path().join("face.mp4");
    fs::create_dir_all(folder.path().join("http:/localhost")).unwrap();
    for name in
        ["2025-01-02T12:30:05.mp4", "-v.mp4", "%03d.mp4", "http://localhost/v.mp4", "concat:a|b.mp4", "camera:1x"]
    {
        fs::copy(&face, folder.path().join(name)).unwrap();
        assert_eq!(tracked(folder.path(), &[&format!("--input={name}")]).len(), 14, "{name}");
    }
    assert!(ffmpeg(folder.path(), "-f lavfi -i color=c=red:size=64x48 -frames:v 1 -update 1 x.tga"));
    fs::rename(folder.path().join("x.tga"), folder.path().join("x%d.tga")).unwrap();
    assert_eq!(tracked(folder.path(), &["x%d.tga"]).len(), 1);
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe.mp4");
    fs::copy(&face, folder.path().join(odd)).unwrap();
    let mut command = awing(folder.path());
    let output = command.args(["--headless", "--save", "seen-%d:1.mp4", "--json", "-"]).arg(odd).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!((lines(&output.stdout).len(), times(folder.path(), "file:seen-%d:1.mp4").len()), (14, 14));
}

/// Answers each request with the bytes.
fn serve(bytes: Vec<u8>, answer: fn(&[u8]) -> Vec<u8>) -> (u16, std::sync::mpsc::Receiver<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, questions) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = asked.send(());
            let _ = connection.write_all(&answer(&bytes));
        }
    });
    (port, questions)
}

#[test]
fn a_video_comes_over_http_and_a_refusal_is_said_in_words() {
    let Some(folder) = uneven_video() else { return };
    let (port, _questions) = serve(fs::read(folder.path().join("whole.mkv")).unwrap(), |bytes| {
        let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
        [head.as_bytes(), bytes].concat()
    });
    let address = format!("http://me:secret@127.0.0.1:{port}/v.mkv");
    assert_eq!(tracked(folder.path(), &["--input", &address]).len(), 30);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["http", "rtsp"] {
        let address = format!("{scheme}://me:secret@127.0.0.1:{closed}/v");
        let output = run(folder.path(), &["--headless", "--input", &address]);
        let text = said(&output);
        assert!(output.status.code() == Some(1) && text.contains("nothing answers at this address"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_stream_that_breaks_off_is_opened_again_and_its_times_go_on() {
    let Some(folder) = uneven_video() else { return };
    let (port, questions) = serve(fs::read(folder.path().join("whole.mkv")).unwrap(), <[u8]>::to_vec);
    let mut command = awing(folder.path());
    command.args(["--headless", "--json", "lines.jsonl", "--input", &format!("tcp://127.0.0.1:{port}")]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    (0..3).for_each(|_| questions.recv_timeout(Duration::from_secs(60)).unwrap());
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && said(&output).contains("connecting again"), "{}", said(&output));
    let times = seconds(&lines(&fs::read(folder.path().join("lines.jsonl")).unwrap()));
    assert!(times.len() > 1 && times.is_sorted() && times.last() > Some(&1.0), "{times:?}");
}

#[test]
#[ignore = "takes ten seconds"]
fn an_address_that_says_nothing_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("rtsp://{}/live", silent.local_addr().unwrap());
    let output = run(folder.path(), &["--headless", "--input", &address]);
    let text = said(&output);
    assert!(output.status.code() == Some(1) && text.contains("nothing came for 10 s"), "{text}");
    // A half of a video, then silence: a file that comes over HTTP is not opened again.
    let Some(folder) = uneven_video() else { return };
    let (port, _questions) = serve(fs::read(folder.path().join("whole.mkv")).unwrap(), |bytes| {
        [b"HTTP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n", &bytes[..bytes.len() / 2]].concat()
    });
    let address = format!("http://127.0.0.1:{port}/half.mkv");
    let output = run(folder.path(), &["--headless", "--json", "-", "--input", &address]);
    let text = said(&output);
    assert!(output.status.code() == Some(1) && !lines(&output.stdout).is_empty(), "{text}");
    assert!(text.contains("ended early"), "{text}");
}

/// Whether a process has this text on its command line.
#[cfg(target_os = "linux")]
fn is_running(text: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default())
        .any(|line| line.starts_with(b"ffmpeg") && String::from_utf8_lossy(&line).contains(text))
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_it_before_the_first_frame_of_a_silent_pipe_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.to_str().unwrap();
    let commands: [&[&str]; 4] = [
        &["--input", "-"],
        &["--input", pipe],
        &["bench", "--input", pipe],
        &["capture", "--out", "faces", "--input", pipe],
    ];
    for arguments in commands {
        if arguments.contains(&pipe) && Command::new("ffmpeg").arg("-version").output().is_err() {
            continue;
        }
        let mut command = awing(folder.path());
        command.args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let start = std::time::Instant::now();
        while arguments.contains(&pipe) && !is_running(pipe) && start.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(300));
        signal("INT", child.id());
        let asked = std::time::Instant::now();
        while child.try_wait().unwrap().is_none() {
            // Half a second is meant; a busy machine may need longer.
            assert!(asked.elapsed() < Duration::from_secs(10), "{arguments:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!("{arguments:?}: {} ms", asked.elapsed().as_millis());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        assert!(!is_running(pipe), "{arguments:?}: ffmpeg is left behind");
    }
    assert_eq!(names(folder.path()), ["pipe"], "nothing was written");
}

#[test]
fn colours_are_read_as_the_video_says_and_recordings_say_how_theirs_are_meant() {
    let folder = tempfile::tempdir().unwrap();
    let colour = [200_u8, 100, 50];
    for (name, matrix, range, tag) in
        [("a", "bt709", "tv", "bt709"), ("b", "bt601", "tv", "smpte170m"), ("c", "bt709", "pc", "bt709")]
    {
        let made = format!(
            "-f lavfi -i color=c=0xC86432:size=320x240:duration=0.2 -vf \
             scale=out_color_matrix={matrix}:out_range={range},format=yuv420p -colorspace {tag} -color_range {range} \
             -c:v libx264 -qp 0 {name}.mp4"
        );
        if !ffmpeg(folder.path(), &made) {
            return;
        }
        let picture = format!("{name}.png");
        tracked(folder.path(), &["--save", &picture, &format!("{name}.mp4")]);
        let seen = image::open(folder.path().join(&picture)).unwrap().to_rgb8().get_pixel(160, 120).0;
        assert!(seen.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 5), "{name}: {seen:?} instead of {colour:?}");
    }
    for name in ["r.mp4", "r.mkv", "r.webm"] {
        tracked(folder.path(), &["a.mp4", "--save", name]);
        let tags = probe(folder.path(), "stream=color_range,color_space", name);
        assert!(tags.contains(&"bt709".into()) && tags.contains(&"tv".into()), "{name}: {tags:?}");
        tracked(folder.path(), &[name, "--save", "again.png"]);
        let seen = image::open(folder.path().join("again.png")).unwrap().to_rgb8().get_pixel(160, 120).0;
        assert!(seen.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 8), "{name}: {seen:?} instead of {colour:?}");
    }
}
