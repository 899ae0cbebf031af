#!/usr/bin/env python3
"""Prints for which faces the landmark model is less exact: by turn of the head, eyes, mouth, light, sharpness, skin and age.

    awing eval --held-out-of recipes/edge-98.toml --data faces/train.jsonl faces/pseudo.jsonl --predictions held-out.jsonl
    awing eval --data faces/val.jsonl --predictions val.jsonl
    python3 scripts/measure_weaknesses.py held-out.jsonl val.jsonl -- faces/train.jsonl faces/pseudo.jsonl faces/val.jsonl

Before `--`: predictions; after it: the annotated faces that they belong to, each beside its folder of pictures. The error of a face
is the mean distance of its known points, in percent of the distance between the outer eye corners, or of half the side of the
landmarks' box where that is larger: the eyes of a profile are close together. Sets differ in their labels, so groups are compared by
the error over the mean of the face's own set. Light and sharpness are taken from the pixels, so is
the shade of the skin, which camera and light change: it is measured on coloured pictures in even, medium light only. Ages are those in
FG-NET's file names. Needs numpy and Pillow.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SETS = {
    "wflw98": "WFLW, hard", "mtfl98": "MTFL", "wider98": "WIDER FACE", "video98": "clips", "helen": "Helen",
    "webmorph": "WebMorph", "scut5500": "SCUT-FBP5500", "fgnet": "FG-NET",
}
# Pixels a side of the crop that light and sharpness are measured on.
SIDE = 96


def faces_of(predictions, data):
    rows = {}
    for file in map(Path, data):
        for row in map(json.loads, file.open()):
            rows[row["image"]] = (row, file.resolve().parent.parent / row["image"])
    for line in (json.loads(line) for file in predictions for line in open(file)):
        if line["image"] in rows:
            yield (*rows[line["image"]], line)


def error_percent(row, line):
    if "landmarks68" in line:
        true, predicted, corners = np.array(row["native"]), np.array(line["landmarks68"]), (36, 45)
        known = np.ones(68, bool)
    else:
        true, predicted, corners = np.array(row["points"]), np.array(line["landmarks"]), (60, 72)
        known = np.array(row["weight"]) > 0
    if not known[list(corners)].all():
        return None
    size = max(np.ptp(true[known], axis=0).max() / 2, np.hypot(*(true[corners[0]] - true[corners[1]])))
    return 100 * np.hypot(*(predicted - true)[known].T).mean() / size


def crop_of(picture, points, known):
    """The face alone: brows to chin."""
    low, high = points[known].min(0), points[known].max(0)
    return picture.crop((*low.astype(int), *(high.astype(int) + 1))).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def typology_angle_deg(rgb):
    """The individual typology angle of a colour in sRGB: from light (over 41) to dark (under 10)."""
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    x, y, z = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = lambda t: np.cbrt(t) if t > 0.008856 else 7.787 * t + 16 / 116
    lightness, b = 116 * f(y) - 16, 200 * (f(y) - f(z / 1.089))
    return np.degrees(np.arctan2(lightness - 50, b))


def bin_of(value, edges, names):
    return names[np.searchsorted(edges, value, "right")]


def groups_of(row, path):
    """The names of the groups that a face belongs to."""
    points, known = np.array(row["points"]), np.array(row["weight"]) > 0
    at = lambda *numbers: known[list(numbers)].all()
    distance = lambda a, b: np.hypot(*(points[a] - points[b]))
    if "yaw" in row:
        names = ["frontal", "slight", "strong", "near profile"]
        yield "turn", bin_of(abs(row["yaw"]), [0.25, 0.6, 0.85], names)
    if at(*range(60, 76)):
        gap = lambda a: np.mean([distance(a + 1, a + 7), distance(a + 2, a + 6), distance(a + 3, a + 5)]) / distance(a, a + 4)
        shut = sum(gap(a) < 0.1 for a in (60, 68))
        yield "eyes", ["both open", "one shut", "both shut"][shut]
    if at(76, 82, 90, 94):
        yield "mouth", bin_of(distance(90, 94) / distance(76, 82), [0.05, 0.4], ["closed", "open", "wide open"])
    rgb = np.asarray(crop_of(Image.open(path).convert("RGB"), points, known), float) / 255
    luma = rgb @ [0.299, 0.587, 0.114]
    mean = luma.mean()
    yield "brightness", bin_of(mean, [0.2, 0.35, 0.65], ["under 0.2", "0.2 to 0.35", "0.35 to 0.65", "from 0.65"])
    sides = luma[:, : SIDE // 2].mean(), luma[:, SIDE // 2 :].mean()
    ratio = max(sides) / max(min(sides), 0.01)
    yield "brighter half over darker", bin_of(ratio, [1.2, 2], ["under 1.2", "1.2 to 2", "from 2"])
    edges = 4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    yield "sharpness", np.log(edges.std() / max(luma.std(), 0.01))
    # A patch of either cheek, between eye, nose and outline.
    cheeks = [rgb[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3).mean(0) for x, y in ((24, 52), (72, 52))]
    cheek = np.mean(cheeks, axis=0)
    if 0.35 <= mean < 0.65 and ratio < 1.3 and np.ptp(rgb.reshape(-1, 3), axis=1).mean() > 0.05:
        names = ["dark (angle under 10)", "tan (10 to 28)", "intermediate (28 to 41)", "light (from 41)"]
        yield "skin in the picture", bin_of(typology_angle_deg(cheek), [10, 28, 41], names)
    if match := re.search(r"fgnet/\d+[Aa](\d+)", row["image"]):
        yield "age (FG-NET)", bin_of(int(match[1]), [4, 13, 20, 40], ["0 to 3", "4 to 12", "13 to 19", "20 to 39", "from 40"])


def main():
    arguments = sys.argv[1:]
    split = arguments.index("--")
    measured = [(row, path, error) for row, path, line in faces_of(arguments[:split], arguments[split + 1 :])
                if (error := error_percent(row, line)) is not None]
    of_set = {}
    for row, _, error in measured:
        of_set.setdefault(row["dataset"], []).append(error)
    table, sharpness = {}, []
    for row, path, error in measured:
        relative = error / np.mean(of_set[row["dataset"]])
        for kind, name in groups_of(row, path):
            if kind == "sharpness":
                sharpness.append((name, relative))
            else:
                table.setdefault(kind, {}).setdefault(name, []).append(relative)
    sharpness.sort()
    thirds = np.array_split([relative for _, relative in sharpness], 3)
    table["sharpness"] = dict(zip(["most blurred third", "middle", "sharpest third"], map(list, thirds)))
    print("| data set | faces | mean error, % | median |\n|---|---|---|---|")
    for name, errors in sorted(of_set.items()):
        print(f"| {SETS.get(name, name)} | {len(errors)} | {np.mean(errors):.2f} | {np.median(errors):.2f} |")
    print("\n| | faces | error over the mean of its data set | standard error |\n|---|---|---|---|")
    for kind, groups in table.items():
        for name, relative in groups.items():
            error = np.std(relative) / np.sqrt(len(relative))
            print(f"| {kind}: {name} | {len(relative)} | {np.mean(relative):.2f} | {error:.2f} |")


if __name__ == "__main__":
    main()
