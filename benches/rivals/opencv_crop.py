"""OpenCV's rotated, scaled crop of 640x480 to 128x128 in f32 and its area average to 192x144: rivals of awing's.

    opencv_crop.py RUNS

Prints one JSON object with the medians. OpenCV samples bilinearly at any scale, while `awing` averages blocks first if
the picture is scaled below 0.6.
"""
import json
import sys
import time

import cv2
import numpy as np


def median_ms(runs, work):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)[runs // 2]


def main():
    runs = int(sys.argv[1])
    cv2.setNumThreads(1)
    frame = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    turn = cv2.getRotationMatrix2D((320, 240), 9, 128 / 270)
    turn[:, 2] += 64 - 320, 64 - 240

    def crop():
        small = cv2.warpAffine(frame, turn, (128, 128), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return small.astype(np.float32) * (1 / 255)

    def scale():
        return cv2.resize(frame, (192, 144), interpolation=cv2.INTER_AREA).astype(np.float32) * (1 / 255)

    print(json.dumps({"crop_ms": median_ms(runs, crop), "scale_ms": median_ms(runs, scale)}))


main()
