"""MediaPipe Face Mesh on raw frames: the rival of `awing bench`.

    mediapipe_face_mesh.py track FRAMES WIDTH HEIGHT   tracks raw RGB frames of a file, one after the other
    mediapipe_face_mesh.py start PICTURE WIDTH HEIGHT  finds the landmarks of one raw RGB picture and exits
    mediapipe_face_mesh.py detect FRAMES WIDTH HEIGHT  the short-range detector alone

Prints one JSON object. Reading frames is not timed. 468 landmarks, MediaPipe's own smoothing, one face.
"""
import json
import os
import sys
import time

os.environ.setdefault("GLOG_minloglevel", "3")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def frames(path, width, height):
    import numpy as np

    size = width * height * 3
    with open(path, "rb") as file:
        while len(data := file.read(size)) == size:
            yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def peak_memory_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))


def main():
    what, path, width, height = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    import mediapipe

    if what == "detect":
        detector = mediapipe.solutions.face_detection.FaceDetection(model_selection=0)
        found = lambda frame: detector.process(frame).detections
    else:
        still = what == "start"
        mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=still, max_num_faces=1)
        found = lambda frame: mesh.process(frame).multi_face_landmarks
    times_ms, faces = [], 0
    for frame in frames(path, width, height):
        start = time.perf_counter()
        faces += bool(found(frame))
        times_ms.append((time.perf_counter() - start) * 1000)
    times_ms.sort()
    print(json.dumps({
        "frames": len(times_ms), "frames_with_faces": faces, "median_ms": times_ms[len(times_ms) // 2],
        "p95_ms": times_ms[int(0.95 * (len(times_ms) - 1))], "peak_memory_mb": peak_memory_mb(),
    }))


main()
