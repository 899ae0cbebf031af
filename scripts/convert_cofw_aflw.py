#!/usr/bin/env python3
"""Converts COFW and AFLW-19 to the JSON lines that awing reads (`awing eval --data OUT/cofw_test.jsonl`).

Both are distributed as MATLAB files, which awing does not read. Needs numpy, h5py and Pillow (COFW) or scipy
(AFLW):

    python3 -m pip install numpy h5py scipy pillow
    python3 scripts/convert_cofw_aflw.py cofw COFW_test_color.mat --out DIR
    python3 scripts/convert_cofw_aflw.py aflw AFLWinfo_release.mat --images .../aflw/data/flickr --out DIR

THE ORIGINAL FILES WERE NOT AVAILABLE when this was written: it is tested only on generated files of the same structure
(scripts/test_convert_cofw_aflw.py). It checks every shape that it relies on and stops with a message if one differs.

COFW (Burgos-Artizzu, Perona, Dollar, ICCV 2013), HDF5. `IsT` (test) or `IsTr` (training): references to the pictures,
grey or colour; `phisT`: 29 x, 29 y, 29 occlusion flags per face; `bboxesT`: x, y, width, height. Pictures are written as
PNG beside the list. All 29 points count, occluded ones too, as in the published tables; the flags are kept under
"occluded".

AFLW-19 (Zhu, Li, Change Loy, Tang, CVPR 2016), MATLAB 5. `nameList`: paths below the picture folder; `data`: 19 x, then
19 y per face; `bbox`: left, right, top, bottom; `mask_new`: 1 where a point is visible; `ra`: a 1-based permutation, of
which the first 20,000 are the training part and the rest the test part. A test face whose 19 points are all visible
belongs to the subset "frontal".

MATLAB is 1-based, so 1 is subtracted from all coordinates. The sources do not confirm this; `--first-pixel 0` keeps them.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

COFW_POINTS = 29
AFLW_POINTS = 19
AFLW_TRAIN = 20000


class Unexpected(Exception):
    """The file differs from the data set's documentation."""


def faces_by_rows(values, columns, name):
    """A matrix with one face per row; MATLAB's matrices are transposed in HDF5."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 2 and values.shape[0] == columns and values.shape[1] != columns:
        values = values.T
    if values.ndim != 2 or values.shape[1] != columns:
        raise Unexpected(f"{name} has the shape {values.shape}, expected {columns} numbers per face")
    if not np.isfinite(values).all():
        raise Unexpected(f"{name} holds numbers that are not finite")
    return values


def row(image, dataset, points, box, **more):
    """One line. `box` is x, y, width, height; points and box are 0-based."""
    numbers = {"points": [[round(float(x), 3), round(float(y), 3)] for x, y in points]}
    numbers["box"] = [round(float(v), 3) for v in box]
    return json.dumps({"image": image, "dataset": dataset, **numbers, **more}) + "\n"


def write_whole(path, lines):
    """Writes beside the target and renames, so that no partial list is left behind."""
    beside = path.with_name(path.name + ".tmp")
    beside.write_text("".join(lines))
    os.replace(beside, path)
    print(f"{path}: {len(lines)} faces")


def convert_cofw(mat, out, first_pixel):
    import h5py
    from PIL import Image

    with h5py.File(mat, "r") as file:
        for part, end in (("test", "T"), ("train", "Tr")):
            if f"Is{end}" in file and f"phis{end}" in file:
                break
        else:
            raise Unexpected("it has neither IsT and phisT nor IsTr and phisTr")
        references = np.asarray(file[f"Is{end}"]).reshape(-1)
        phis = faces_by_rows(file[f"phis{end}"], 3 * COFW_POINTS, f"phis{end}")
        boxes = faces_by_rows(file[f"bboxes{end}"], 4, f"bboxes{end}")
        if not len(references) == len(phis) == len(boxes):
            raise Unexpected(f"{len(references)} pictures, {len(phis)} faces, {len(boxes)} boxes")
        folder = f"cofw_{part}"
        (out / folder).mkdir(parents=True, exist_ok=True)
        lines = []
        for i, reference in enumerate(references):
            # MATLAB's (height, width, colour) is (colour, width, height) here.
            picture = np.asarray(file[reference]).T
            if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.ndim == 3 and picture.shape[2] != 3:
                raise Unexpected(f"picture {i + 1} has the shape {picture.shape} and the type {picture.dtype}")
            name = f"{folder}/{i + 1:04}.png"
            Image.fromarray(np.ascontiguousarray(picture)).save(out / name)
            x, y, occluded = phis[i].reshape(3, COFW_POINTS)
            points = np.stack([x, y], 1) - first_pixel
            box = boxes[i] - [first_pixel, first_pixel, 0, 0]
            size = {"width": picture.shape[1], "height": picture.shape[0]}
            lines.append(row(name, "cofw", points, box, occluded=[int(o != 0) for o in occluded], **size))
    write_whole(out / f"{folder}.jsonl", lines)


def convert_aflw(mat, images, out, first_pixel):
    from scipy.io import loadmat

    info = loadmat(mat)
    missing = [key for key in ("nameList", "data", "bbox", "mask_new", "ra") if key not in info]
    if missing:
        raise Unexpected(f"it lacks {', '.join(missing)}")
    names = [str(np.asarray(cell).reshape(-1)[0]) for cell in info["nameList"].reshape(-1)]
    data = faces_by_rows(info["data"], 2 * AFLW_POINTS, "data")
    boxes = faces_by_rows(info["bbox"], 4, "bbox")
    visible = faces_by_rows(info["mask_new"], AFLW_POINTS, "mask_new") != 0
    order = np.asarray(info["ra"]).reshape(-1).astype(np.int64) - 1
    if not len(names) == len(data) == len(boxes) == len(visible) == len(order):
        raise Unexpected(f"{len(names)} names, {len(data)} faces, {len(boxes)} boxes, {len(order)} entries in ra")
    if sorted(order) != list(range(len(order))):
        raise Unexpected("ra is not a permutation of 1 to the number of faces")
    if not images.is_dir():
        raise Unexpected(f"there is no picture folder {images}")
    out.mkdir(parents=True, exist_ok=True)
    for part, indices in (("train", order[:AFLW_TRAIN]), ("test", order[AFLW_TRAIN:])):
        lines = []
        for i in indices:
            image = images / names[i]
            if not image.is_file():
                raise Unexpected(f"there is no picture {image} (face {i + 1})")
            points = data[i].reshape(2, AFLW_POINTS).T - first_pixel
            left, right, top, bottom = boxes[i]
            box = (left - first_pixel, top - first_pixel, right - left, bottom - top)
            more = {"subsets": ["frontal"]} if part == "test" and visible[i].all() else {}
            lines.append(row(str(image.resolve()), "aflw", points, box, visible=visible[i].astype(int).tolist(), **more))
        if lines:
            write_whole(out / f"aflw_{part}.jsonl", lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=["cofw", "aflw"])
    parser.add_argument("mat", type=Path, help="COFW_{test,train}_color.mat or AFLWinfo_release.mat")
    parser.add_argument("--images", type=Path, help="AFLW: the root of its picture paths")
    parser.add_argument("--out", type=Path, required=True, help="folder for the lists (and COFW's pictures)")
    parser.add_argument("--first-pixel", type=int, choices=[0, 1], default=1, help="coordinate of the first pixel")
    options = parser.parse_args(arguments)
    try:
        if options.dataset == "cofw":
            convert_cofw(options.mat, options.out, options.first_pixel)
        elif options.images is None:
            parser.error("aflw needs --images")
        else:
            convert_aflw(options.mat, options.images, options.out, options.first_pixel)
    except (Unexpected, OSError) as problem:
        sys.exit(f"{options.mat}: {problem}")


if __name__ == "__main__":
    main()
