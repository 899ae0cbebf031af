"""Prints paper_targets.json: targets as the paper's official code draws them, made with SciPy for random landmarks.

    python tests/reference/paper_targets.py > tests/reference/paper_targets.json

For 98, 68, 29 and 19 points: landmarks in pixels of a 256-pixel crop, and the value and the foreground (weight 11) of a
few cells of the maps (flat positions in maps x rows x columns), most of them on the boundary map. Needs NumPy and
SciPy.
"""
import json

import numpy as np
from scipy.interpolate import splev, splprep
from scipy.ndimage import distance_transform_edt, grey_dilation

CELLS = 64


def run(first, last):
    return list(range(first, last + 1))


CURVES = {
    98: [run(0, 32), run(33, 37), run(42, 46), run(60, 64), run(68, 72), [60, 67, 66, 65, 64], [68, 75, 74, 73, 72],
         run(51, 54), run(55, 59), run(76, 82), [76, 87, 86, 85, 84, 83, 82], run(88, 92), [88, 95, 94, 93, 92]],
    68: [run(0, 16), run(17, 21), run(22, 26), run(36, 39), run(42, 45), [36, 41, 40, 39], [42, 47, 46, 45],
         run(27, 30), run(31, 35), run(48, 54), [48, 59, 58, 57, 56, 55, 54], run(60, 64), [60, 67, 66, 65, 64]],
    29: [[0, 4, 2], [0, 5, 2], [1, 6, 3], [1, 7, 3], [8, 12, 10], [8, 13, 10], [9, 14, 11], [9, 15, 11], [18, 21, 19],
         [22, 24, 23], [22, 25, 23], [22, 26, 23], [22, 27, 23]],
    19: [run(0, 2), [3, 4], run(6, 8), run(9, 11), run(12, 14)],
}


def point_map(cell):
    rows, columns = np.mgrid[:CELLS, :CELLS]
    dx, dy = columns - cell[0], rows - cell[1]
    kernel = np.exp(-(dx**2 + dy**2) / (2 * (0.25 * 7) ** 2))
    return np.where(np.maximum(abs(dx), abs(dy)) <= 3, kernel, 0.0)


def boundary_levels(cells, curves):
    drawn = np.ones((CELLS, CELLS), bool)
    for curve in curves:
        knots = [cells[curve[0]]]
        for point in cells[curve[1:]]:
            if (point != knots[-1]).any():
                knots.append(point)
        if len(knots) == 1:
            samples = np.repeat(knots, 100, axis=0).T
        else:
            spline, _ = splprep(np.array(knots, float).T, k=min(4, len(knots)) - 1, s=0)
            samples = splev(np.arange(100) / 100, spline)
        x, y = np.rint(samples).astype(int)
        inside = (x >= 0) & (x < CELLS) & (y >= 0) & (y < CELLS)
        drawn[y[inside], x[inside]] = False
    distance = distance_transform_edt(drawn)
    return np.rint(255 * np.where(distance < 3, np.exp(-(distance**2) / 2), 0))


def face(points, rng):
    # As on a face, neighbours in the scheme are neighbours in the picture; some coincide after rounding.
    steps = rng.normal(0, 7, (points, 2)).cumsum(axis=0)
    landmarks = np.clip(steps - steps.mean(axis=0) + 128, 9, 247).round(2)
    cells = np.floor(landmarks / 4).astype(int)
    levels = boundary_levels(cells, CURVES[points])
    maps = np.array([point_map(cell) for cell in cells] + [levels / 255])
    # The official order: the boundary map is weighted while its range is still 0 to 255.
    weighed = np.concatenate([maps[:-1], levels[None]])
    foreground = np.array([grey_dilation(m, size=(3, 3)) > 0.2 for m in weighed])
    flat = maps.reshape(-1)
    of_boundary = points * CELLS**2 + rng.choice(CELLS**2, 160, replace=False)
    seen = rng.choice(np.flatnonzero(flat[: points * CELLS**2]), 60, replace=False)
    positions = np.sort(np.concatenate([of_boundary, seen, rng.choice(points * CELLS**2, 20)]))
    return {"landmarks": landmarks.tolist(), "positions": positions.tolist(),
            "values": flat[positions].round(4).tolist(),
            "foreground": foreground.reshape(-1)[positions].astype(int).tolist()}


if __name__ == "__main__":
    rng = np.random.default_rng(1)
    faces = [json.dumps(face(points, rng)) for points in CURVES]
    print("[" + ",\n ".join(faces) + "]")
