"""The paper's network in PyTorch, with the official names, and weights and inputs from a formula.

Written from the description of the official evaluation code, not copied from it. The other scripts here import it. Needs
NumPy and PyTorch.
"""
import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Three 3x3 convolutions with 1/2, 1/4 and 1/4 of the channels in sequence; outputs concatenated and added."""

    def __init__(self, inputs, outputs):
        super().__init__()
        widths = [inputs, outputs // 2, outputs // 4, outputs // 4]
        for i in range(3):
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(widths[i]))
            self.add_module(f"conv{i + 1}", nn.Conv2d(widths[i], widths[i + 1], 3, padding=1, bias=False))
        self.downsample = None
        if inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.downsample = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), projection)

    def forward(self, x):
        one = self.conv1(functional.relu(self.bn1(x)))
        two = self.conv2(functional.relu(self.bn2(one)))
        three = self.conv3(functional.relu(self.bn3(two)))
        return torch.cat([one, two, three], 1) + (x if self.downsample is None else self.downsample(x))


class CoordConv(nn.Module):
    def __init__(self, inputs, outputs, gated, **options):
        super().__init__()
        self.conv = nn.Conv2d(inputs + (5 if gated else 3), outputs, **options)

    def forward(self, x, heatmaps=None):
        n, _, height, width = x.shape
        rows = torch.linspace(-1, 1, height, dtype=x.dtype).view(1, 1, -1, 1).expand(n, 1, height, width)
        columns = torch.linspace(-1, 1, width, dtype=x.dtype).view(1, 1, 1, -1).expand(n, 1, height, width)
        radius = torch.sqrt(rows**2 + columns**2)
        channels = [x, rows, columns, radius / radius.max()]
        if heatmaps is not None:
            is_open = heatmaps[:, -1:].detach().clamp(0, 1) > 0.05
            channels += [rows * is_open, columns * is_open]
        return self.conv(torch.cat(channels, 1))


class Hourglass(nn.Module):
    def __init__(self, gated, depth=4, channels=256):
        super().__init__()
        self.depth = depth
        self.coordconv = CoordConv(channels, channels, gated, kernel_size=1)
        for level in range(depth, 0, -1):
            for name in ["b1", "b2", "b3"] + (["b2_plus"] if level == 1 else []):
                self.add_module(f"{name}_{level}", Block(channels, channels))

    def level(self, x, level):
        skip = getattr(self, f"b1_{level}")(x)
        y = getattr(self, f"b2_{level}")(functional.avg_pool2d(x, 2))
        y = self.level(y, level - 1) if level > 1 else self.b2_plus_1(y)
        y = getattr(self, f"b3_{level}")(y)
        return skip + functional.interpolate(y, scale_factor=2, mode="nearest")

    def forward(self, x, heatmaps):
        return self.level(self.coordconv(x, heatmaps), self.depth)


class PaperNetwork(nn.Module):
    """From `[n, 3, h, w]` in 0..1 to one `[n, points + 1, h / 4, w / 4]` per stack."""

    def __init__(self, stacks, points):
        super().__init__()
        self.stacks = stacks
        self.conv1 = CoordConv(3, 64, False, kernel_size=7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2, self.conv3, self.conv4 = Block(64, 128), Block(128, 128), Block(128, 256)
        for i in range(stacks):
            self.add_module(f"m{i}", Hourglass(gated=i > 0))
            self.add_module(f"top_m_{i}", Block(256, 256))
            self.add_module(f"conv_last{i}", nn.Conv2d(256, 256, 1))
            self.add_module(f"bn_end{i}", nn.BatchNorm2d(256))
            self.add_module(f"l{i}", nn.Conv2d(256, points + 1, 1))
            if i + 1 < stacks:
                self.add_module(f"bl{i}", nn.Conv2d(256, 256, 1))
                self.add_module(f"al{i}", nn.Conv2d(points + 1, 256, 1))

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.conv4(self.conv3(functional.avg_pool2d(self.conv2(x), 2)))
        heatmaps, outputs = None, []
        for i in range(self.stacks):
            part = lambda name: getattr(self, f"{name}{i}")
            y = part("top_m_")(part("m")(x, heatmaps))
            y = functional.relu(part("bn_end")(part("conv_last")(y)))
            heatmaps = part("l")(y)
            outputs.append(heatmaps)
            if i + 1 < self.stacks:
                x = x + part("bl")(y) + part("al")(heatmaps)
        return outputs


def uniform(name, shape):
    """A SplitMix64 stream seeded by the name (FNV-1a), as multiples of 2^-24 in 0..1."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        i = np.arange(1, int(np.prod(shape, dtype=np.int64)) + 1, dtype=np.uint64)
        z = np.uint64(seed) + i * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float32) / np.float32(2**24)).reshape(shape)


def formula_weights(network):
    """The network with the formula's weights."""
    state = network.state_dict()
    for name, value in state.items():
        shape = tuple(value.shape)
        layer, _, part = name.rpartition(".")
        if part == "num_batches_tracked":
            continue
        u = uniform(name, shape)
        if value.ndim == 4:
            u = (2 * u - 1) * np.float32(0.75 * np.sqrt(3 / np.prod(shape[1:])))
        elif part == "running_var" or (part == "weight" and f"{layer}.running_var" in state):
            u = np.float32(0.5) + u
        else:
            u = (2 * u - 1) * np.float32(0.1)
        state[name] = torch.from_numpy(u).to(value.dtype)
    network.load_state_dict(state)
    return network
