"""ONNX Runtime on an exported network, one thread: the rival of `awing bench --profile`.

    onnx_runtime.py NETWORK.onnx HEIGHT WIDTH RUNS

Prints one JSON object: the median and 95th percentile of full runs on a noise picture.
"""
import json
import sys
import time

import numpy as np
import onnxruntime


def main():
    path, height, width, runs = sys.argv[1], *map(int, sys.argv[2:5])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    node = session.get_inputs()[0]
    channels_first = node.shape[1] == 3
    shape = (1, 3, height, width) if channels_first else (1, height, width, 3)
    feed = {node.name: np.random.default_rng(1).random(shape, np.float32)}
    times_ms = []
    for _ in range(runs + runs // 4 + 1):
        start = time.perf_counter()
        session.run(None, feed)
        times_ms.append((time.perf_counter() - start) * 1000)
    times_ms = sorted(times_ms[-runs:])
    print(json.dumps({"median_ms": times_ms[runs // 2], "p95_ms": times_ms[int(0.95 * (runs - 1))]}))


main()
