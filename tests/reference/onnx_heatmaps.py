"""Checks that exported ONNX files give awing's heatmaps in ONNX Runtime, for one picture and for a batch of three, and in OpenCV.

    python tests/reference/onnx_heatmaps.py target/release/awing models/edge-98.safetensors models/detector.safetensors

Needs numpy, onnx, onnxruntime, opencv-python-headless and safetensors from PyPI. Exits with 1 if a heatmap differs by more than 1e-4.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import cv2
import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file, save_file

TOLERANCE = 1e-4


def check(awing, model, folder):
    exported, tensor, maps = folder / "model.onnx", folder / "input.safetensors", folder / "maps.safetensors"
    subprocess.run([awing, "export", model, "--out", exported], check=True)
    onnx.checker.check_model(onnx.load(exported), full_check=True)
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    size = json.loads(session.get_modelmeta().custom_metadata_map["awing"])["input_size"]
    pictures = np.random.default_rng(1).random((3, 3, size, size), dtype=np.float32)
    worst = 0.0
    together = session.run(None, {"input": pictures})
    for i, picture in enumerate(pictures):
        save_file({"input": picture[None]}, tensor)
        subprocess.run([awing, "heatmaps", "--model", model, "--tensor", tensor, "--out", maps], check=True)
        expected = load_file(maps)
        assert sorted(expected) == sorted(output.name for output in session.get_outputs())
        alone = session.run(None, {"input": picture[None]})
        for output, one, batch in zip(session.get_outputs(), alone, together):
            for actual in (one, batch[i : i + 1]):
                assert actual.shape == expected[output.name].shape, (actual.shape, expected[output.name].shape)
                worst = max(worst, float(np.abs(actual - expected[output.name]).max()))
    for batch in (None, 1):
        fixed = [] if batch is None else ["--batch", str(batch)]
        subprocess.run([awing, "export", model, "--out", exported, *fixed], check=True)
        network = cv2.dnn.readNetFromONNX(str(exported))
        network.setInput(pictures[:1])
        names = [output.name for output in session.get_outputs()]
        for actual, expected in zip(network.forward(names), together):
            worst = max(worst, float(np.abs(actual - expected[:1]).max()))
    print(f"{model}: {len(together)} stacks of {together[0].shape[1:]}, largest difference {worst:.2e}")
    return worst <= TOLERANCE


if __name__ == "__main__":
    awing, *models = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        passed = [check(awing, model, pathlib.Path(folder)) for model in models]
    sys.exit(0 if passed and all(passed) else 1)
