"""Checks `awing import` on checkpoints that PyTorch itself writes.

    python tests/reference/paper_checkpoints.py target/release/awing [PARITY_FOLDER]

For 1 to 4 stacks and 98, 68, 29 and 19 points: the network of paper_network.py with weights from the formula, saved in
the zip format or the legacy one, bare, wrapped or as a full training state; imported in single precision. Its heatmaps
on both executors are compared with PyTorch's and with the files `expected_1hg_98pt.safetensors` and so on in the folder.
Exits with 1 if a heatmap differs by more than 1e-3 of its stack's standard deviation. Needs NumPy, PyTorch and safetensors.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from paper_network import PaperNetwork, formula_weights, uniform
from safetensors.numpy import load_file, save_file

TOLERANCE = 1e-3


def save_bare(network, path):
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)


def save_parallel(network, path):
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, path)


def save_training(network, path):
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-4)
    sum(p.sum() for p in network.parameters()).backward()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    optimizer.step()
    network.load_state_dict(before)
    whole = {"epoch": 3, "best": 4.36, "optimizer": optimizer.state_dict(), "state_dict": network.state_dict()}
    torch.save(whole, path, _use_new_zipfile_serialization=False)


def differences(actual, expected):
    """The largest difference of each stack, in standard deviations."""
    return [float(np.abs(actual[stack] - expected[stack]).max() / expected[stack].std()) for stack in sorted(expected)]


def check(awing, stacks, points, save, folder, parity):
    network = formula_weights(PaperNetwork(stacks, points)).eval()
    picture = uniform("input", (1, 3, 256, 256))
    with torch.no_grad():
        expected = {f"stack{i}": y.numpy() for i, y in enumerate(network(torch.from_numpy(picture)))}
    checkpoint, model = folder / "network.pth", folder / "model.safetensors"
    tensor, maps = folder / "input.safetensors", folder / "maps.safetensors"
    save(network, checkpoint)
    save_file({"input": picture}, tensor)
    command = [awing, "import", checkpoint, "--out", model, "--precision", "f32"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    passed = True
    for engine in ["training", "compiled"]:
        command = [awing, "heatmaps", "--model", model, "--tensor", tensor, "--out", maps, "--engine", engine]
        subprocess.run(command, check=True)
        actual = load_file(maps)
        assert sorted(actual) == sorted(expected)
        of = {"PyTorch": differences(actual, expected)}
        file = parity / f"expected_{stacks}hg_{points}pt.safetensors" if parity else None
        if file and file.exists():
            of[file.name] = differences(actual, load_file(file))
        passed &= all(max(stacks) <= TOLERANCE for stacks in of.values())
        text = "; ".join(f"{' '.join(f'{d:.1e}' for d in stacks)} from {name}" for name, stacks in of.items())
        print(f"{stacks} stacks, {points} points, {save.__name__}, {engine}: {text}", flush=True)
    return passed


if __name__ == "__main__":
    awing = sys.argv[1]
    parity = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    cases = [(1, 98, save_bare), (2, 98, save_parallel), (3, 98, save_bare), (4, 98, save_bare), (4, 68, save_parallel),
             (1, 29, save_training), (2, 19, save_parallel)]
    with tempfile.TemporaryDirectory() as folder:
        passed = [check(awing, *case, pathlib.Path(folder), parity) for case in cases]
    sys.exit(0 if all(passed) else 1)
