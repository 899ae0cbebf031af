"""Compares the head's yaw and pitch in videos with MediaPipe's mesh and prints the rows of docs/engineering/signals.md.

    python3 benches/rivals/head_pose.py target/release/awing VIDEO...

Needs mediapipe 0.10.21, opencv and numpy (`python3 benches/rivals/run.py` installs the first two into target/rivals).
MediaPipe's pose in a frame is the rigid fit of its mesh to the video's mean mesh. It is fitted twice: over all 468 points, and
over those that no expression moves (nose, eye corners, temples, edge of the forehead): lips and chin are in the former, so
that it nods when the mouth opens. Its mesh turns with the line of sight to the face; with `--fov` (64 degrees unless told
otherwise) that turn is taken out.
"""
import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

RIGID = [6, 168, 197, 195, 5, 4, 1, 2, 98, 327, 33, 133, 362, 263, 130, 359, 243, 463,
         127, 356, 234, 454, 162, 389, 21, 251]
ALL = list(range(468))
# Outer eye corners, nose tip, top of the nose ridge, mouth corners, chin: enough to tell front from side.
CANONICAL = {33: (-4.45, 2.66, 3.17), 263: (4.45, 2.66, 3.17), 1: (0, -1.13, 7.48), 168: (0, 3.27, 5.24),
             61: (-2.46, -4.34, 4.28), 291: (2.46, -4.34, 4.28), 152: (0, -9.40, 4.26)}
FLIP = np.diag([1.0, -1.0, -1.0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("awing")
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--fov", type=float, default=64.0)
    options = parser.parse_args()
    print("| video | yaw, pitch: range | all points | rigid points | rigid, line of sight | per full opening of the mouth: "
          "all, awing | stillest tenth: awing | MediaPipe |\n|---|---|---|---|---|---|---|---|")
    together = []
    for video in options.videos:
        meshes, (width, height) = mediapipe_meshes(video)
        ours, mouth = awing_angles(options.awing, video, options.fov)
        keep = [i for i in range(min(len(meshes), len(ours))) if meshes[i] is not None and ours[i] is not None]
        meshes, ours = np.array([meshes[i] for i in keep]), np.array([ours[i] for i in keep])
        mouth = np.array([mouth[i] for i in keep])
        focal = 0.5 * max(width, height) / np.tan(np.radians(options.fov) / 2)
        sight = sight_turns(meshes, focal, width, height)
        every, rigid = (rotations(meshes, points) for points in (ALL, RIGID))
        seen = angles(sight @ rigid)
        every, rigid = angles(every), angles(rigid)
        nods = [np.linalg.lstsq(np.c_[seen[:, 1], mouth, np.ones(len(mouth))], a[:, 1], rcond=None)[0][1]
                for a in (angles(sight @ rotations(meshes, ALL)), ours)]
        still = stillest(np.c_[rigid, ours])
        row = [Path(video).name, "{:.0f}, {:.0f}".format(*np.ptp(seen, axis=0))]
        row += ["{:.2f} / {:.2f}".format(*(np.corrcoef(a[:, k], ours[:, k])[0, 1] for k in (0, 1)))
                for a in (every, rigid)]
        row += ["{:.3f} / {:.3f}".format(*(np.corrcoef(seen[:, k], ours[:, k])[0, 1] for k in (0, 1)))]
        row += ["{:+.1f}, {:+.1f}".format(*nods), "{:.3f} / {:.3f}".format(*still[2:]), "{:.3f} / {:.3f}".format(*still[:2])]
        print("| " + " | ".join(row) + " |", flush=True)
        together.append((seen - seen.mean(0), ours - ours.mean(0)))
    a, b = (np.vstack([pair[k] for pair in together]) for k in (0, 1))
    print("all, each about its mean: yaw {:.3f}, pitch {:.3f}".format(*(np.corrcoef(a[:, k], b[:, k])[0, 1] for k in (0, 1))))


def mediapipe_meshes(video):
    os.environ["GLOG_minloglevel"] = "3"
    import cv2
    import mediapipe
    capture, meshes, size = cv2.VideoCapture(video), [], (0, 0)
    with mediapipe.solutions.face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True) as network:
        while (read := capture.read())[0]:
            height, width = read[1].shape[:2]
            size = (width, height)
            faces = network.process(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)).multi_face_landmarks
            meshes.append([[p.x * width, p.y * height, p.z * width] for p in faces[0].landmark[:468]] if faces else None)
    return meshes, size


def awing_angles(awing, video, fov):
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines.jsonl"
        subprocess.run([awing, "track", "--headless", "--fov", str(fov), "--json", lines, video], check=True,
                       capture_output=True)
        faces = [json.loads(line)["faces"] for line in lines.read_text().splitlines()]
    signals = [face[0]["signals"] if face else {} for face in faces]
    known = [None if s.get("yaw_deg") is None else (s["yaw_deg"], s["pitch_deg"]) for s in signals]
    return known, [s.get("mouth_open") or 0.0 for s in signals]


def turns(template, meshes):
    """The rotations that bring the template onto each mesh."""
    a, b = template - template.mean(0), meshes - meshes.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("ki,nkj->nij", a, b))
    mirror = np.ones((len(meshes), 1, 3))
    mirror[:, 0, 2] = np.linalg.det(u @ vt)
    return np.swapaxes((u * mirror) @ vt, 1, 2)


def rotations(meshes, points):
    """Of each frame, x right, y up, z towards the viewer."""
    meshes = meshes - meshes.mean(1, keepdims=True)
    meshes /= np.sqrt((meshes ** 2).sum((1, 2), keepdims=True))
    middle = np.median(meshes, axis=0)
    front = turns(np.array(list(CANONICAL.values())) @ FLIP, middle[None, list(CANONICAL)])[0]
    template = (middle @ front)[points]
    for _ in range(3):
        found = turns(template, meshes[:, points])
        template = np.einsum("nki,nij->kj", meshes[:, points], found) / len(meshes)
    return FLIP @ found @ FLIP


def sight_turns(meshes, focal, width, height):
    """The turn from the camera's axis to the line of sight to each face."""
    at = meshes[:, [33, 263, 1, 168], :2].mean(1)
    x, y = (at[:, 0] - (width - 1) / 2) / focal, -(at[:, 1] - (height - 1) / 2) / focal
    found = []
    for ray in np.stack([x, y, -np.ones_like(x)], 1):
        ray /= np.linalg.norm(ray)
        axis = np.cross([0, 0, -1], ray)
        k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        found.append(np.eye(3) + k + k @ k / (1 - ray[2]))
    return np.array(found)


def angles(rotation):
    """Yaw and pitch as awing gives them."""
    yaw = np.arcsin(np.clip(-rotation[:, 0, 2], -1, 1))
    return np.degrees(np.stack([yaw, np.arctan2(rotation[:, 1, 2], rotation[:, 2, 2])], 1))


def stillest(values):
    """The mean movement from frame to frame where all of them move least."""
    steps = np.abs(np.diff(values, axis=0))
    calm = np.argsort(np.convolve(steps.sum(1), np.ones(5) / 5, "same"))[:max(1, len(steps) // 10)]
    return steps[calm].mean(0)


if __name__ == "__main__":
    main()
