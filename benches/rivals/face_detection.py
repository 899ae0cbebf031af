"""Compares the faces that awing's detector finds in crowded scenes with those of MediaPipe's two detectors.

    python3 benches/rivals/face_detection.py target/release/awing SCENES.jsonl BACKGROUNDS.txt

SCENES.jsonl has a line {"image": ..., "width": w, "height": h, "boxes": [[x, y, w, h], ...]} per photograph, boxes from the
forehead to the chin as in WIDER FACE; BACKGROUNDS.txt lists pictures without people, of which those count that awing's training
leaves out. Images are named relative to the folder above the list's. Every detector gets the same pixels, scaled so that the longer
side is 640. Each draws its boxes in its own way, so each box is first moved and scaled by the constants that bring the detector's
boxes closest to the annotated ones: medians over the scenes, which favours all three alike. A face is found if a box then
overlaps it by half (intersection over union). Needs mediapipe 0.10.21, opencv and numpy.
"""
import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

os.environ["GLOG_minloglevel"] = "3"
import cv2
import mediapipe

SIDES = [40, 60, 90, 150, 641]
LONGER_SIDE = 640
FOUND, SCORE = 0.5, 0.5
# Overlap at which a box and a face are taken for a pair when the constants are measured.
PAIR = 0.3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("awing")
    parser.add_argument("scenes", type=Path)
    parser.add_argument("backgrounds", type=Path)
    parser.add_argument("--detector", help="another model than the bundled one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        scenes = [json.loads(line) for line in options.scenes.read_text().splitlines() if line.strip()]
        for number, scene in enumerate(scenes):
            picture, scale = enlarged(options.scenes.parent.parent / scene["image"])
            scene["picture"] = folder / f"{number}.png"
            cv2.imwrite(str(scene["picture"]), picture)
            scene["boxes"] = np.array([box for box in scene["boxes"] if box[2] > 0 and box[3] > 0]).reshape(-1, 4) * scale
        awing = awing_boxes(options, scenes, folder)
        empty = [name for name in awing if not Path(name).is_relative_to(folder)]
        print("| detector | score | " + " | ".join(f"{a}-{b - b % 10} px" for a, b in zip(SIDES, SIDES[1:]))
              + " | false faces in 100 pictures without one |\n|---|---|---|---|---|---|---|")
        for score in (SCORE, 0.25):
            row("awing", score, scenes, [awing[str(scene["picture"])] for scene in scenes], [awing[name] for name in empty])
        for name, selection in (("MediaPipe full range", 1), ("MediaPipe short range", 0)):
            detect = mediapipe_detector(selection)
            row(name, SCORE, scenes, [detect(cv2.imread(str(scene["picture"]))) for scene in scenes],
                [detect(enlarged(name)[0]) for name in empty])


def enlarged(path):
    picture = cv2.imread(str(path))
    scale = LONGER_SIDE / max(picture.shape[:2])
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR), scale


def awing_boxes(options, scenes, folder):
    """The boxes and scores in every scene and every picture without faces, by the picture's path."""
    data, found = folder / "scenes.jsonl", folder / "found.jsonl"
    data.write_text("".join(json.dumps({"image": str(s["picture"]), "boxes": s["boxes"].tolist()}) + "\n" for s in scenes))
    command = [options.awing, "eval", "--detection", "--data", data, options.backgrounds.resolve(), "--predictions", found]
    subprocess.run(command + (["--detector", options.detector] if options.detector else []), check=True, capture_output=True)
    lines = [json.loads(line) for line in found.read_text().splitlines()]
    return {line["image"]: np.array([[*face["box"], face["score"]] for face in line["faces"]]).reshape(-1, 5) for line in lines}


def mediapipe_detector(selection):
    network = mediapipe.solutions.face_detection.FaceDetection(model_selection=selection, min_detection_confidence=SCORE)

    def detect(picture):
        height, width = picture.shape[:2]
        found = network.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).detections or []
        boxes = [(d.location_data.relative_bounding_box, d.score[0]) for d in found]
        return np.array([[b.xmin * width, b.ymin * height, b.width * width, b.height * height, score]
                         for b, score in boxes]).reshape(-1, 5)
    return detect


def row(name, score, scenes, found, empty):
    found = [boxes[boxes[:, 4] >= score] for boxes in found]
    constants = closest(scenes, found)
    counts = np.zeros((2, len(SIDES) - 1), int)
    for scene, boxes in zip(scenes, found):
        boxes = moved(boxes, constants)
        for face in scene["boxes"]:
            size = np.searchsorted(SIDES, max(face[2:]), side="right") - 1
            if 0 <= size < counts.shape[1]:
                counts[:, size] += 1, bool(len(boxes)) and overlaps(face, boxes).max() >= FOUND
    false = 100 * sum((boxes[:, 4] >= score).sum() for boxes in empty) / max(1, len(empty))
    shares = [f"{100 * hits / of:.0f} % of {of}" for of, hits in counts.T]
    print(f"| {name} | {score} | " + " | ".join(shares) + f" | {false:.1f} |", flush=True)


def closest(scenes, found):
    """The shift of the middle, in sides of the box, and the factors of width and height, that bring boxes to faces."""
    changes = []
    for scene, boxes in zip(scenes, found):
        for face in scene["boxes"]:
            if max(face[2:]) < SIDES[0] or not len(boxes):
                continue
            overlap = overlaps(face, boxes)
            box = boxes[overlap.argmax()]
            if overlap.max() >= PAIR:
                middle = (face[:2] + face[2:] / 2 - box[:2] - box[2:4] / 2) / box[2:4]
                changes.append([*middle, *(face[2:] / box[2:4])])
    return np.median(changes, axis=0)


def moved(boxes, constants):
    middle = boxes[:, :2] + boxes[:, 2:4] * (0.5 + constants[:2])
    size = boxes[:, 2:4] * constants[2:]
    return np.c_[middle - size / 2, size]


def overlaps(face, boxes):
    sides = np.minimum(face[:2] + face[2:], boxes[:, :2] + boxes[:, 2:4]) - np.maximum(face[:2], boxes[:, :2])
    shared = np.prod(np.clip(sides, 0, None), axis=1)
    return shared / (np.prod(face[2:]) + np.prod(boxes[:, 2:4], axis=1) - shared)


if __name__ == "__main__":
    main()
