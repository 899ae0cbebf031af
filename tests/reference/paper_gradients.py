"""Prints paper_gradients.json: gradients of the paper's one-stack network in PyTorch, on one batch.

    python tests/reference/paper_gradients.py > tests/reference/paper_gradients.json

The network of paper_network.py with weights from the formula, in training mode and double precision; two pictures of
128 pixels; targets, weights (1 or 11) and pictures from the formula; the Adaptive Wing loss summed over all cells and
divided by their number. For every parameter: the root mean square of its gradient and its values at three positions. Needs NumPy
and PyTorch.
"""
import json

import numpy as np
import torch
from paper_network import PaperNetwork, formula_weights, uniform

SIDE, PICTURES, MAPS = 128, 2, 99


def adaptive_wing(prediction, target, alpha=2.1, omega=14.0, epsilon=1.0, theta=0.5):
    d, p = (prediction - target).abs(), alpha - target
    end = (theta / epsilon) ** p
    slope = omega * p * end / (theta * (1 + end))
    straight = slope * (d - theta) + omega * torch.log1p(end)
    return torch.where(d < theta, omega * torch.log1p((d / epsilon) ** p), straight)


def double(name, shape):
    return torch.from_numpy(uniform(name, shape)).double()


if __name__ == "__main__":
    torch.manual_seed(1)
    network = formula_weights(PaperNetwork(1, MAPS - 1).double()).train()
    maps = (PICTURES, MAPS, SIDE // 4, SIDE // 4)
    weight = torch.where(double("weight", maps) > 0.75, 11.0, 1.0)
    (heatmaps,) = network(double("input", (PICTURES, 3, SIDE, SIDE)))
    loss = (weight * adaptive_wing(heatmaps, double("target", maps))).sum() / heatmaps.numel()
    loss.backward()
    rng = np.random.default_rng(1)
    gradients = {}
    for name, parameter in network.named_parameters():
        flat = parameter.grad.flatten().numpy()
        places = np.sort(rng.choice(flat.size, min(3, flat.size), replace=False))
        short = lambda v: float(f"{v:.6g}")
        size = np.sqrt((flat**2).mean())
        gradients[name] = [short(size), places.tolist(), [short(v) for v in flat[places]]]
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in gradients.items())
    print(f'{{"loss": {loss.item():.8g}, "gradients": {{\n{lines}\n}}}}')
