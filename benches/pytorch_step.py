"""The training step of an edge recipe in PyTorch, eager, on the CPU: the rival of benches/training_step.rs.

`cargo bench --bench training_step` starts this if AWING_PYTHON names a Python with PyTorch, and alternates between its
steps and its own. By hand: `python benches/pytorch_step.py recipes/edge-98.toml 16 2` (recipe, batch size, threads).

It uses the same network (the number of weights is compared), batch size, threads, loss with weight map, clipping, AdamW
and weight averaging, on random data, so that loading and augmentation are not included. Variants: memory order contiguous
or channels_last, optimizer per tensor (foreach) or fused.
"""
import sys
import time
import tomllib

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """1x1(depthwise(x)), batch normalization after each, plus x if the shape is unchanged, then a ReLU."""

    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.pointwise_norm(self.pointwise(self.depthwise_norm(self.depthwise(x))))
        return F.relu(y + x if self.residual else y, inplace=True)


class Level(nn.Module):
    """One level of the hourglass and those below it."""

    def __init__(self, edge, level):
        super().__init__()
        widths, kernel = edge["widths"], edge["kernel"]
        width, below = widths[level], widths[level + 1]
        self.skip = Block(width, width, kernel, 1)
        self.down = Block(width, below, kernel, 2)
        if level + 2 < len(widths):
            self.inner = Level(edge, level + 1)
        else:
            self.inner = nn.Sequential(*[Block(below, below, 3, 1) for _ in range(edge["middle_blocks"])])
        self.reduce = nn.Conv2d(below, width, 1, bias=False)
        self.reduce_norm = nn.BatchNorm2d(width)
        self.up = nn.Sequential(*[Block(width, width, kernel, 1) for _ in range(edge["up_blocks"][level])])

    def forward(self, x):
        y = self.reduce_norm(self.reduce(self.inner(self.down(x))))
        return self.up(F.relu(F.interpolate(y, scale_factor=2) + self.skip(x), inplace=True))


class Edge(nn.Module):
    """The edge hourglass of src/runtime/model/edge.rs, one stack."""

    def __init__(self, model):
        super().__init__()
        edge = model["architecture"]["edge"]
        assert edge["stacks"] == 1 and edge["coordinates"], "written for one stack with coordinate channels"
        width, size = edge["widths"][0], model["input_size"]
        self.stem = nn.Conv2d(6, edge["stem_channels"], 3, 2, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(edge["stem_channels"])
        blocks = [Block(edge["stem_channels"], width, 3, 2)]
        blocks += [Block(width, width, edge["kernel"], 1) for _ in range(edge["stem_blocks"])]
        self.blocks = nn.Sequential(*blocks)
        self.hourglass = Level(edge, 0)
        self.features = nn.Conv2d(width, width, 1, bias=False)
        self.features_norm = nn.BatchNorm2d(width)
        self.head = nn.Conv2d(width, model["outputs"], 1)
        line = torch.linspace(-1, 1, size)
        row, column = torch.meshgrid(line, line, indexing="ij")
        self.register_buffer("planes", torch.stack([row, column, row.hypot(column) / 2**0.5])[None])

    def forward(self, x):
        x = torch.cat([x, self.planes.expand(len(x), -1, -1, -1)], 1)
        x = self.blocks(F.relu(self.stem_norm(self.stem(x)), inplace=True))
        x = F.relu(self.features_norm(self.features(self.hourglass(x))), inplace=True)
        return self.head(x)


def adaptive_wing(prediction, target, weight, normalizer):
    d = (prediction - target).abs().clamp(min=1e-6)
    p = 2.1 - target
    t = 0.5**p
    slope = 14.0 * p * t / (0.5 * (1 + t))
    offset = 0.5 * slope - 14.0 * torch.log1p(t)
    loss = torch.where(d < 0.5, 14.0 * torch.log1p(d**p), slope * d - offset)
    return (loss * weight).sum() / normalizer


class Training:
    def __init__(self, recipe, batch, memory_format, fused):
        torch.manual_seed(1)
        model = recipe["model"]
        self.network = Edge(model).to(memory_format=memory_format)
        rates, betas = recipe["optimizer"], recipe["optimizer"]["kind"]["adamw"]
        decayed = [p for p in self.network.parameters() if p.dim() == 4]
        others = [p for p in self.network.parameters() if p.dim() != 4]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": rates["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
            lr=rates["learning_rate"], betas=(betas["beta1"], betas["beta2"]), fused=fused, foreach=not fused,
        )
        self.clip_norm, self.decay = rates["clip_norm"], recipe["average_decay"]
        self.values = [v for v in self.network.state_dict().values() if v.is_floating_point()]
        self.averages = [v.clone() for v in self.values]
        size, maps = model["input_size"], model["input_size"] // 4
        self.pictures = torch.rand(batch, 3, size, size).to(memory_format=memory_format)
        self.target = torch.rand(batch, model["outputs"], maps, maps).pow(8).to(memory_format=memory_format)
        self.weight = torch.where(self.target > 0.2, 11.0, 1.0)
        self.normalizer = float(batch * model["outputs"] * maps * maps)

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = adaptive_wing(self.network(self.pictures), self.target, self.weight, self.normalizer)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.values, 1 - self.decay)
        return loss.item()


def main():
    path, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    with open(path, "rb") as file:
        recipe = tomllib.load(file)
    variants = {
        f"{order}, {'fused' if fused else 'foreach'} AdamW": Training(recipe, batch, memory_format, fused)
        for order, memory_format in [("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)]
        for fused in [False, True]
    }
    weights = sum(p.numel() for p in next(iter(variants.values())).network.parameters())
    by_hand = sys.stdin.isatty() or len(sys.argv) > 4
    print(f"PyTorch {torch.__version__}\t{weights}\t" + "\t".join(variants), flush=True)

    def timed(name, steps):
        times = []
        for _ in range(steps):
            start = time.perf_counter()
            variants[name].step()
            times.append(time.perf_counter() - start)
        return times

    if by_hand:
        for name in variants:
            timed(name, 3)
            print(f"{name}: {sorted(timed(name, 15))[7] * 1000:.1f} ms a step")
        return
    for line in sys.stdin:
        name, steps = line.rstrip("\n").split("\t")
        print("\t".join(str(t) for t in timed(name, int(steps))), flush=True)


main()
