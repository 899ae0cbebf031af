#!/usr/bin/env python3
"""Measures how far an eye closes while the other is open, on winks that are made of two frames of a video.

    python3 scripts/measure_winks.py target/release/awing out clips/*.mp4 [-- --model FILE]

Of each blink, the frame with shut eyes and the nearest frame with open ones are put together along the middle of the nose, once
each way round. Then `awing track` measures the pictures as photographs. Look at them, in `out`, before you believe the figures.
Needs ffmpeg, numpy and Pillow. The blinks are found with the built-in model; options after `--` are for the measurement.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

# Lid distance over eye width of an eye that is shut, and of one that is open.
SHUT, OPEN = 0.08, 0.22
# Frames on either side of a blink in which the eyes are open again.
NEAR = range(2, 9)
# Pixels over which one frame turns into the other.
SEAM = 6
# The first lid point of each eye, left and right in the picture.
EYES = [60, 68]
# Points that lids don't move: the corners of the eyes and the bridge of the nose.
STILL = [60, 64, 68, 72, 51, 52]


def faces_of(awing, source, options=()):
    """The name of each picture, and the landmarks of its first face or None."""
    run = subprocess.run([awing, "track", source, "--json", "-", *options], capture_output=True, text=True, check=True)
    for line in map(json.loads, run.stdout.splitlines()):
        faces = line["faces"]
        yield line.get("image", ""), np.array(faces[0]["landmarks"]) if faces else None


def opening(landmarks, side):
    first = EYES[side]
    distance = lambda a, b: np.hypot(*(landmarks[first + a] - landmarks[first + b]))
    return np.mean([distance(1, 7), distance(2, 6), distance(3, 5)]) / distance(0, 4)


def blinks(landmarks):
    """Pairs of frames: eyes shut, eyes open."""
    openings = [None if l is None else [opening(l, side) for side in (0, 1)] for l in landmarks]
    is_open = lambda i: 0 <= i < len(openings) and openings[i] is not None and min(openings[i]) > OPEN
    last = -len(NEAR)
    for i, now in enumerate(openings):
        if now is None or max(now) > SHUT or i - last < len(NEAR):
            continue
        near = [j for d in NEAR for j in (i + d, i - d) if is_open(j)]
        if near:
            last = i
            yield i, near[0]


def wink(shut, opened, shut_points, open_points, side):
    """The frame with shut eyes, but with the other eye of the open one."""
    dx, dy = (shut_points[STILL] - open_points[STILL]).mean(0).round().astype(int)
    opened = np.roll(opened, (dy, dx), (0, 1))
    middle = (shut_points[64] + shut_points[68]) / 2
    along = shut_points[68] - shut_points[64]
    along /= np.hypot(*along)
    y, x = np.mgrid[: shut.shape[0], : shut.shape[1]]
    right = np.clip(((x - middle[0]) * along[0] + (y - middle[1]) * along[1]) / SEAM + 0.5, 0, 1)[..., None]
    share = right if side == 1 else 1 - right
    return Image.fromarray((shut * share + opened * (1 - share)).astype(np.uint8))


def main():
    arguments = sys.argv[1:]
    options = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    awing, out, *clips = arguments[: len(arguments) - len(options) - ("--" in arguments)]
    out = Path(out)
    out.mkdir()
    for clip in clips:
        frames = out / "frames"
        frames.mkdir()
        subprocess.run(["ffmpeg", "-v", "error", "-i", clip, frames / "%05d.png"], check=True)
        landmarks = [points for _, points in faces_of(awing, clip)]
        for i, j in blinks(landmarks):
            shut, opened = (np.array(Image.open(frames / f"{n + 1:05}.png").convert("RGB")) for n in (i, j))
            for side in (0, 1):
                wink(shut, opened, landmarks[i], landmarks[j], side).save(out / f"{Path(clip).stem}-{i:05}-{side}.png")
        for frame in frames.iterdir():
            frame.unlink()
        frames.rmdir()
    found = [(points, int(name[-5])) for name, points in faces_of(awing, str(out), options) if points is not None]
    shut = np.mean([opening(points, side) for points, side in found])
    opened = np.mean([opening(points, 1 - side) for points, side in found])
    print(f"{len(found)} winks: shut {shut:.3f}, open {opened:.3f}, ratio {shut / opened:.2f}")


if __name__ == "__main__":
    main()
