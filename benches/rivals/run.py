"""Runs awing and its rivals side by side and prints the table of docs/engineering/performance.md.

    python3 benches/rivals/run.py                                  on the built-in demo
    python3 benches/rivals/run.py --video FACE.mp4 --validation VAL.jsonl

Installs MediaPipe and ONNX Runtime into target/rivals (Python 3.9 to 3.12) and builds awing. Every run is a whole process
pinned to one core, and awing and its rival alternate; a ratio is taken within each round, and the median over rounds is
printed. Needs Linux, and ffmpeg for videos. Close other programs: ratios are robust against a slow machine, but not
against a busy one.
"""
import argparse
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "rivals"
PACKAGES = ["mediapipe==0.10.21", "onnxruntime"]
WIDTH, HEIGHT = 640, 480


def main():
    options = arguments()
    WORK.mkdir(parents=True, exist_ok=True)
    python = options.python or install()
    if not options.no_build:
        build()
    awing = str(ROOT / "target" / "release" / "awing")
    bench = Bench(options, python, awing)
    rows = []
    for video in options.video or [None]:
        rows += tracking(bench, video)
    rows += networks(bench)
    rows += instruction_sets(bench)
    rows.append(start_up(bench))
    rows += parts(bench)
    size = os.path.getsize(awing) / 1e6
    rows.append(Row("binary with models, MB", size, None, "", "17 MB", size <= 17))
    print_table(bench, rows)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", action="append", help="a video of one face; may be given several times")
    parser.add_argument("--validation", action="append", help="annotated faces for `awing eval`, to report the model's error")
    parser.add_argument("--model", default=str(ROOT / "models" / "edge-98.safetensors"), help="the landmark model")
    parser.add_argument("--frames", type=int, default=300, help="frames of each video")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--core", type=int, default=0, help="the core to run everything on")
    parser.add_argument("--no-build", action="store_true", help="measure the existing build")
    parser.add_argument("--python", help="a Python with the rivals already installed")
    return parser.parse_args()


def install():
    folder = WORK / "python"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return str(python)


def build():
    for what in (["--bin", "awing"], ["--example", "demo_frames", "--example", "untrained"]):
        subprocess.run(["cargo", "build", "--release", *what], cwd=ROOT, check=True)


class Row:
    """A row of the table; `ours` and `rival` are medians, `ratio` is the median of the per-round ratios."""

    def __init__(self, what, ours, rival, rival_name, target, is_met, ratio=None, error=None):
        self.what, self.ours, self.rival, self.rival_name = what, ours, rival, rival_name
        self.target, self.is_met, self.ratio, self.error = target, is_met, ratio, error


class Bench:
    """Runs processes pinned to the core."""

    def __init__(self, options, python, awing):
        self.options, self.python, self.awing = options, python, awing
        self.errors = {}

    def run(self, command, stdin=None, isa=None):
        environment = {**os.environ, **({"AWING_ISA": isa} if isa else {})}
        pin = lambda: os.sched_setaffinity(0, {self.options.core})
        file = open(stdin, "rb") if stdin else subprocess.DEVNULL
        process = subprocess.run(
            [str(part) for part in command], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            preexec_fn=pin)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{process.stderr.decode()[-2000:]}")
        return process.stdout

    def json(self, command, stdin=None, isa=None):
        return json.loads(self.run(command, stdin, isa).splitlines()[-1])

    def rival(self, script, *command):
        return self.json([self.python, HERE / script, *command])

    def in_turn(self, ours, rival):
        """Pairs of results, one per round, after a warm-up round."""
        return [(ours(), rival()) for _ in range(self.options.rounds + 1)][1:]

    def error(self, model, precision):
        """The error on the validation faces, in % of the distance between the outer eye corners."""
        if not self.options.validation:
            return None
        key = (model, precision)
        if key not in self.errors:
            command = [self.awing, "eval", "--json", "--model", model, "--precision", precision, "--data"]
            report = json.loads(subprocess.check_output(command + self.options.validation))
            self.errors[key] = report["summaries"][-1]["nme_percent"]
        return self.errors[key]


def median(values):
    values = sorted(values)
    return values[len(values) // 2]


def ratio(pairs, key, other=None):
    return median(ours[key] / rival[other or key] for ours, rival in pairs)


def material(bench, video):
    """The input that awing is given, its standard input, and the same frames as raw RGB."""
    frames = bench.options.frames
    if video is None:
        raw = WORK / "demo.rgb"
        with open(raw, "wb") as file:
            demo = ROOT / "target" / "release" / "examples" / "demo_frames"
            subprocess.run([demo, str(frames)], stdout=file, check=True)
        return "demo", None, raw
    name = Path(video).stem
    y4m, raw = WORK / f"{name}.y4m", WORK / f"{name}.rgb"
    fit = f"scale={WIDTH}:{HEIGHT}:force_original_aspect_ratio=decrease,pad={WIDTH}:{HEIGHT}:-1:-1"
    ffmpeg = ["ffmpeg", "-v", "error", "-y"]
    subprocess.run([*ffmpeg, "-i", video, "-vf", fit, "-frames:v", str(frames), "-pix_fmt", "yuv420p", y4m], check=True)
    subprocess.run([*ffmpeg, "-i", y4m, "-f", "rawvideo", "-pix_fmt", "rgb24", raw], check=True)
    return "-", y4m, raw


def tracking(bench, video):
    source, stdin, raw = material(bench, video)
    options = bench.options
    command = [bench.awing, "bench", "--json", "--faces", 1, "--frames", options.frames, "--input", source]
    command += ["--model", options.model]
    pairs = bench.in_turn(
        lambda: bench.json(command, stdin), lambda: bench.rival("mediapipe_face_mesh.py", "track", raw, WIDTH, HEIGHT))
    ours = median(a["ms"]["tracked_frame"]["median"] for a, _ in pairs)
    rival = median(b["median_ms"] for _, b in pairs)
    frame_ratio = median(a["ms"]["tracked_frame"]["median"] / b["median_ms"] for a, b in pairs)
    memory = median(a["peak_memory_mb"] for a, _ in pairs)
    seen = median(a["frames_with_faces"] / a["frames"] for a, _ in pairs)
    rival_seen = median(b["frames_with_faces"] / b["frames"] for _, b in pairs)
    name = Path(video).stem if video else "the demo"
    found = f"face in {100 * seen:.0f} % of the frames, rival {100 * rival_seen:.0f} %"
    rows = [Row(f"tracked frame, 640x480, {name} ({found}), ms", ours, rival, "MediaPipe Face Mesh", "0.6, aim 0.35", frame_ratio <= 0.6,
                frame_ratio, bench.error(options.model, "auto"))]
    detect = bench.in_turn(
        lambda: bench.json(command, stdin), lambda: bench.rival("mediapipe_face_mesh.py", "detect", raw, WIDTH, HEIGHT))
    ours = median(a["ms"]["detector"]["median"] for a, _ in detect)
    rival = median(b["median_ms"] for _, b in detect)
    detector_ratio = median(a["ms"]["detector"]["median"] / b["median_ms"] for a, b in detect)
    rows.append(Row(f"detector, 640x480, {name}, ms", ours, rival, "MediaPipe short range", "1.0", detector_ratio <= 1,
                    detector_ratio))
    rows.append(Row(f"peak memory while tracking {name}, MB", memory, median(b["peak_memory_mb"] for _, b in pairs),
                    "MediaPipe Face Mesh", "60 MB", memory <= 60, ratio(pairs, "peak_memory_mb")))
    return rows


def networks(bench):
    paper = WORK / "paper-4.safetensors"
    untrained = ROOT / "target" / "release" / "examples" / "untrained"
    subprocess.run([untrained, ROOT / "recipes" / "paper-wflw.toml", paper], check=True)
    detector = ROOT / "models" / "detector.safetensors"
    model = bench.options.model
    plans = [
        ("edge network", model, "auto", "0.7x", 0.7, (128, 128), 500),
        ("edge network", model, "f32", "1.0x", 1.0, (128, 128), 500),
        ("detector network", detector, "auto", "", None, (256, 320), 500),
        ("4-stack paper network (untrained)", paper, "auto", "1.0x", 1.0, (256, 256), 5),
        ("4-stack paper network (untrained)", paper, "f32", "1.0x", 1.0, (256, 256), 5),
    ]
    rows = []
    for what, file, precision, target, most, (height, width), runs in plans:
        # The rival runs the network in single precision in every row.
        onnx = WORK / f"{Path(file).stem}.onnx"
        bench.run([bench.awing, "export", file, "--out", onnx])
        profile = profiled(bench, file, precision, runs)
        pairs = bench.in_turn(
            lambda: bench.json(profile), lambda: bench.rival("onnx_runtime.py", onnx, height, width, runs))
        value = median(ours["ms"]["median"] / rival["median_ms"] for ours, rival in pairs)
        error = bench.error(file, precision) if "edge" in what else None
        chosen = pairs[0][0]["precision"]
        named = f"default ({chosen})" if precision == "auto" else precision
        rows.append(Row(f"{what}, {named}, ms", median(a["ms"]["median"] for a, _ in pairs),
                        median(b["median_ms"] for _, b in pairs), "ONNX Runtime f32", target,
                        None if most is None else value <= most, value, error))
    return rows


def profiled(bench, model, precision, runs):
    return [bench.awing, "bench", "--profile", "--json", "--frames", runs, "--model", model, "--precision", precision]


def instruction_sets(bench):
    """The default of the edge network in each instruction set of this core against the other precisions in it."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model, rows = bench.options.model, []
    for isa, name, flag, most in [("avx512", "AVX-512", "avx512f", None), ("avxvnni", "AVX-VNNI", "avx_vnni", 0.5),
                                  ("avx2", "AVX2", "avx2", 0.7)]:
        if f" {flag} " not in flags:
            continue
        run = lambda precision: bench.json(profiled(bench, model, precision, 500), isa=isa)
        for other in ["f32", "f16"] if isa == "avx512" else ["f32"]:
            pairs = bench.in_turn(lambda: run("auto"), lambda: run(other))
            value = median(ours["ms"]["median"] / single["ms"]["median"] for ours, single in pairs)
            most_here = most or 1.05
            rows.append(Row(f"edge network, {name}, default ({pairs[0][0]['precision']}), ms",
                            median(a["ms"]["median"] for a, _ in pairs), median(b["ms"]["median"] for _, b in pairs),
                            f"awing {other}", f"{most_here}x", value <= most_here, value))
    return rows


def start_up(bench):
    """The time from start to exit of a process that writes the landmarks of one picture."""
    source, _, raw = material(bench, (bench.options.video or [None])[0])
    with open(raw, "rb") as file:
        rgb = file.read(WIDTH * HEIGHT * 3)
    (WORK / "first.rgb").write_bytes(rgb)
    picture = WORK / "first.png"
    write_png(picture, rgb)
    def timed(run):
        start = time.perf_counter()
        run()
        return {"s": time.perf_counter() - start}
    command = [bench.awing, "track", "--headless", "--json", "-", "--input", picture]
    if b'"points"' not in bench.run(command) and b'"landmarks"' not in bench.run(command):
        sys.exit(f"awing finds no face in {picture}")
    pairs = bench.in_turn(
        lambda: timed(lambda: bench.run(command)),
        lambda: timed(lambda: bench.rival("mediapipe_face_mesh.py", "start", WORK / "first.rgb", WIDTH, HEIGHT)))
    ours = median(a["s"] for a, _ in pairs)
    return Row("start to the landmarks of a picture, s", ours, median(b["s"] for _, b in pairs), "MediaPipe Face Mesh",
               "0.10 s", ours <= 0.1, ratio(pairs, "s"))


def parts(bench):
    """Crop and downscaling against OpenCV."""
    command = [bench.awing, "bench", "--json", "--faces", 1, "--frames", 200]
    pairs = bench.in_turn(lambda: bench.json(command), lambda: bench.rival("opencv_crop.py", 2000))
    crop = median(a["ms"]["crop"]["median"] / b["crop_ms"] for a, b in pairs)
    return [Row("crop to 128x128 f32 (demo), ms", median(a["ms"]["crop"]["median"] for a, _ in pairs),
                median(b["crop_ms"] for _, b in pairs), "OpenCV warpAffine", "0.1 ms", None, crop)]


def write_png(path, rgb):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    lines = b"".join(b"\0" + rgb[at:at + WIDTH * 3] for at in range(0, len(rgb), WIDTH * 3))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def print_table(bench, rows):
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    packages = subprocess.check_output([bench.python, "-m", "pip", "list", "--format=freeze"]).decode()
    versions = ", ".join(line for line in packages.splitlines() if line.split("==")[0] in ("mediapipe", "onnxruntime"))
    version = subprocess.check_output([bench.awing, "--version"]).decode().strip()
    print(f"\n{version}; {versions}; {cpu}, {platform.machine()}, {os.cpu_count()} cores, core {bench.options.core}; "
          f"medians of {bench.options.rounds} rounds of whole runs in turn\n")
    print("| what | awing | rival | ratio | target | NME % |")
    print("|---|---|---|---|---|---|")
    number = lambda value: "" if value is None else f"{value:.3g}"
    for row in rows:
        rival = f"{number(row.rival)} {row.rival_name}".strip()
        verdict = {True: "met", False: "missed", None: ""}[row.is_met]
        print(f"| {row.what} | {number(row.ours)} | {rival} | {number(row.ratio)} | {row.target} {verdict} | {number(row.error)} |")


if __name__ == "__main__":
    main()
