#!/usr/bin/env python3
"""Tests convert_cofw_aflw.py on generated files (no originals were available): python3 scripts/test_convert_cofw_aflw.py"""

import json
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

import convert_cofw_aflw as convert


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Cofw(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.mat = self.folder / "COFW_test_color.mat"

    def generate(self, phis):
        """A file as MATLAB 7.3 writes it: everything transposed, pictures stored as references."""
        random = np.random.default_rng(1)
        self.color = random.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        self.grey = random.integers(0, 256, (30, 50), dtype=np.uint8)
        with h5py.File(self.mat, "w") as file:
            cells = [file.create_dataset(f"#refs#/{i}", data=p.T).ref for i, p in enumerate((self.color, self.grey))]
            file.create_dataset("IsT", data=np.array([cells], dtype=object), dtype=h5py.ref_dtype)
            file["phisT"] = phis.T
            file["bboxesT"] = np.array([[5.0, 6, 20, 30], [1, 1, 40, 20]]).T

    def test_pictures_points_and_boxes_survive(self):
        phis = np.arange(2 * 87, dtype=float).reshape(2, 87)
        phis[:, 58:] = 0
        phis[1, 60] = 1
        self.generate(phis)
        convert.main(["cofw", str(self.mat), "--out", str(self.folder)])
        faces = read(self.folder / "cofw_test.jsonl")
        self.assertEqual([len(f["points"]) for f in faces], [29, 29])
        self.assertEqual(faces[0]["points"][3], [3 - 1, 29 + 3 - 1])
        self.assertEqual(faces[0]["box"], [4, 5, 20, 30])
        self.assertEqual((faces[0]["width"], faces[0]["height"]), (60, 40))
        self.assertEqual(faces[1]["occluded"], [0, 0, 1] + 26 * [0])
        np.testing.assert_array_equal(np.asarray(Image.open(self.folder / faces[0]["image"])), self.color)
        np.testing.assert_array_equal(np.asarray(Image.open(self.folder / faces[1]["image"])), self.grey)

    def test_a_wrong_shape_is_refused(self):
        self.generate(np.zeros((2, 86)))
        with self.assertRaisesRegex(SystemExit, "phisT has the shape"):
            convert.main(["cofw", str(self.mat), "--out", str(self.folder)])
        self.assertFalse((self.folder / "cofw_test.jsonl").exists())


class Aflw(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.train = convert.AFLW_TRAIN
        convert.AFLW_TRAIN = 2
        self.addCleanup(setattr, convert, "AFLW_TRAIN", self.train)
        names = np.empty((4, 1), dtype=object)
        for i in range(4):
            names[i, 0] = f"0/image{i}.png"
        (self.folder / "0").mkdir()
        for i in range(4):
            Image.new("RGB", (50, 50)).save(self.folder / f"0/image{i}.png")
        mask = np.ones((4, 19))
        mask[2, 5] = 0
        self.info = {
            "nameList": names,
            "data": np.arange(4 * 38, dtype=float).reshape(4, 38),
            "bbox": np.array([[10.0, 30, 20, 50]] * 4),
            "mask_new": mask,
            "ra": np.array([[4, 2, 3, 1]]),
        }

    def convert(self):
        mat = self.folder / "AFLWinfo_release.mat"
        savemat(mat, self.info)
        convert.main(["aflw", str(mat), "--images", str(self.folder), "--out", str(self.folder)])

    def test_split_points_boxes_and_subset(self):
        self.convert()
        train, test = read(self.folder / "aflw_train.jsonl"), read(self.folder / "aflw_test.jsonl")
        self.assertEqual([Path(f["image"]).name for f in train], ["image3.png", "image1.png"])
        self.assertEqual([Path(f["image"]).name for f in test], ["image2.png", "image0.png"])
        self.assertEqual([f.get("subsets") for f in test], [None, ["frontal"]])
        self.assertEqual(test[1]["points"][4], [4 - 1, 19 + 4 - 1])
        self.assertEqual(test[1]["box"], [9, 19, 20, 30])

    def test_a_missing_picture_is_named(self):
        (self.folder / "0/image1.png").unlink()
        with self.assertRaisesRegex(SystemExit, "image1.png"):
            self.convert()

    def test_a_permutation_that_is_none_is_refused(self):
        self.info["ra"] = np.array([[0, 1, 2, 3]])
        with self.assertRaisesRegex(SystemExit, "not a permutation"):
            self.convert()


if __name__ == "__main__":
    unittest.main()
