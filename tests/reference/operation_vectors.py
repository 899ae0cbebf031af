"""Prints operation_vectors.json: PyTorch's convolutions and batch normalizations, forward and backward, sampled.

    python tests/reference/operation_vectors.py > tests/reference/operation_vectors.json

Inputs come from a formula (tests/formula/uniform.rs), so only results are stored: for each tensor its length and the
values at 12 flat positions in images x rows x columns x channels. Needs NumPy and PyTorch.
"""
import json

import numpy as np
import torch
from torch.nn import functional as F

# images, rows, columns, channels in, channels out, filter, stride, padding; depthwise if "channels out" is 0
CONVOLUTIONS = [
    (1, 1, 1, 3, 5, 1, 1, 0), (2, 7, 9, 3, 17, 3, 1, 1), (3, 8, 6, 16, 99, 3, 2, 1), (2, 13, 5, 6, 16, 7, 2, 3),
    (2, 5, 11, 4, 33, 3, 1, 0), (1, 6, 4, 7, 9, 3, 1, 2), (2, 11, 8, 5, 12, 3, 3, 1), (1, 9, 14, 35, 20, 5, 2, 1),
    (5, 4, 3, 64, 70, 1, 1, 0), (2, 9, 8, 5, 64, 1, 2, 0), (1, 10, 7, 3, 4, 2, 1, 1), (1, 6, 7, 130, 1, 3, 2, 0),
    (1, 1, 1, 3, 0, 3, 1, 1), (2, 7, 9, 17, 0, 3, 1, 1), (3, 12, 14, 16, 0, 5, 1, 2), (2, 11, 8, 48, 0, 5, 2, 2),
    (1, 16, 20, 99, 0, 3, 2, 1), (1, 2, 3, 20, 0, 5, 1, 2), (2, 10, 5, 33, 0, 5, 2, 0), (1, 9, 9, 8, 0, 7, 1, 3),
    (2, 8, 13, 21, 0, 3, 1, 0), (1, 7, 10, 40, 0, 3, 3, 2), (1, 5, 6, 18, 0, 4, 2, 1), (3, 6, 5, 1, 0, 3, 1, 2),
]
# images, rows, columns, channels, whether a ReLU follows
NORMS = [(3, 5, 4, 7, False), (2, 9, 3, 33, True), (1, 1, 2, 64, True), (4, 8, 8, 99, False)]
PLACES = 12


def uniform(name, shape):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = (z ^ (z >> np.uint64(31))) >> np.uint64(40)
    values = z.astype(np.float32) / np.float32(2**24)
    return torch.tensor(values.reshape(shape) * 2 - 1)


def channels_first(x):
    return x.permute(0, 3, 1, 2)


def places(x):
    x = (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).detach().reshape(-1)
    at = sorted({(7919 * i + 13 * i * i) % len(x) for i in range(PLACES)})
    return {"length": len(x), "at": at, "values": [float(f"{x[i].item():.7g}") for i in at]}


def weights_first(w):
    """Weights keep PyTorch's order."""
    return w.detach().reshape(-1)


def results(name, y, inputs):
    shape = y.permute(0, 2, 3, 1).shape
    y.backward(channels_first(uniform(f"{name} dy", shape)))
    found = {"y": places(y), "dx": places(inputs["x"].grad)}
    found |= {f"d{key}": places(weights_first(t.grad)) for key, t in inputs.items() if key != "x"}
    return found


def leaf(t):
    return t.clone().requires_grad_()


cases = []
for number, (n, h, w, cin, cout, k, s, p) in enumerate(CONVOLUTIONS):
    name, groups, out = f"convolution {number}", 1 if cout else cin, cout or cin
    inputs = {
        "x": leaf(channels_first(uniform(f"{name} x", (n, h, w, cin)))),
        "weight": leaf(uniform(f"{name} weight", (out, cin // groups, k, k))),
        "bias": leaf(uniform(f"{name} bias", (out,))),
    }
    y = F.conv2d(inputs["x"], inputs["weight"], inputs["bias"], s, p, groups=groups)
    shape = dict(images=n, height=h, width=w, inputs=cin, outputs=cout, kernel=k, stride=s, padding=p)
    cases.append({"name": name, "shape": shape, "results": results(name, y, inputs)})

norms = []
for number, (n, h, w, c, relu) in enumerate(NORMS):
    name = f"norm {number}"
    inputs = {
        "x": leaf(channels_first(uniform(f"{name} x", (n, h, w, c)))),
        "gamma": leaf(uniform(f"{name} gamma", (c,))),
        "beta": leaf(uniform(f"{name} beta", (c,))),
    }
    mean, variance = uniform(f"{name} mean", (c,)), uniform(f"{name} variance", (c,)).abs() + 0.5
    y = F.batch_norm(inputs["x"], mean, variance, inputs["gamma"], inputs["beta"], True, 0.1, 1e-5)
    found = results(name, F.relu(y) if relu else y, inputs)
    found |= {"mean": places(mean), "variance": places(variance)}
    norms.append({"name": name, "shape": dict(images=n, height=h, width=w, channels=c, relu=relu), "results": found})

print("{")
for key, rows in [("convolutions", cases), ("norms", norms)]:
    print(f'"{key}": [')
    print(",\n".join(json.dumps(row, separators=(",", ":")) for row in rows))
    print("]," if key == "convolutions" else "]")
print("}")
