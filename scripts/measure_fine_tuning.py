#!/usr/bin/env python3
"""Measures fine-tuning on shifted domains and prints the tables of docs/engineering/fine-tuning.md.

    cargo build --release --example shifted_domains && cargo build --release
    target/release/examples/shifted_domains faces/val.jsonl helen domains
    python3 scripts/measure_fine_tuning.py domains out [--seeds 1 2] [--rows main few shuffled own ablation] [--threads 2]

Each row is one run of `awing finetune` as a person would type it: the model is chosen with the held-out faces and the procedural
guard alone. The domain's test faces and the untouched validation faces (guard.jsonl) are measured afterwards, by `awing eval`.
"""

import argparse
import json
import re
import resource
import shutil
import subprocess
from pathlib import Path

AWING = Path("target/release/awing")
DEFAULTS = Path("src/train/finetune/defaults.toml")
DOMAINS = ["dim", "warm", "masked"]
# Name of the ablation, and what it changes in the recipe.
ABLATIONS = [
    ("as it ships", {}),
    ("statistics of the batch", {"frozen_statistics": "false"}),
    ("without the pull to the base", {"anchor": "0.0"}),
    ("without stretched levels", {"stretch": "0.0"}),
    ("without procedural faces", {"procedural": "0.0"}),
    ("without interpolation", {"shares": "[1.0]"}),
    ("half the rate", {"learning_rate": "1e-3"}),
    ("200 steps", {"steps": "200"}),
    ("decoder only", {"frozen": '["stem", ".down.", ".skip.", ".middle."]'}),
    ("norms only", {"frozen": '["conv.weight", "depthwise.weight", "pointwise.weight"]'}),
]


def recipe(seed, changes):
    text = DEFAULTS.read_text()
    for key, value in {"seed": str(seed), **changes}.items():
        if re.search(rf"^{key} = ", text, re.M):
            text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.M)
        else:
            text = text.replace("[adaptation]\n", f"[adaptation]\n{key} = {value}\n")
    return text


def nme(model, data):
    command = [AWING, "eval", "--data", data, "--json"] + (["--model", model] if model else [])
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["summaries"][-1]["nme_percent"]


def tune(data, test, guard, out, seed, changes, threads):
    """Runs one tuning; returns its verdict, with the errors of the written model on test and guard."""
    for old in out.parent.glob(out.name + ".*"):
        # A run that was killed leaves the folder of its training.
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    out.with_suffix(".toml").write_text(recipe(seed, changes))
    model = out.with_suffix(".safetensors")
    command = [AWING, "finetune", "--data", data, "--out", model, "--recipe", out.with_suffix(".toml")]
    command += ["--threads", str(threads), "--accept-anyway"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    verdict = json.loads(out.with_suffix(".json").read_text())
    verdict["test"] = (nme(None, test), nme(model, test))
    verdict["real"] = (nme(None, guard), nme(model, guard))
    return verdict


def change(pair):
    return f"{100 * (pair[1] / pair[0] - 1):+.1f} %"


def row(name, verdict):
    if "error" in verdict:
        print(f"| {name} | refused: {verdict['error']} | | | | | | |", flush=True)
        return
    held_out, procedural = verdict["held_out"], verdict["guards"][0]
    cells = [
        name,
        "accepted" if verdict["accepted"] else "refused",
        f"{verdict['test'][0]:.2f} to {verdict['test'][1]:.2f}, **{change(verdict['test'])}**",
        f"**{change(verdict['real'])}**",
        change((procedural["before"], procedural["after"])),
        f"{change((held_out['before'], held_out['after']))} ({held_out['interval'][0]:+.2f} to {held_out['interval'][1]:+.2f})",
        f"{verdict['share']:.2f}",
        f"{verdict['seconds']:.0f} s",
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domains", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", nargs="+", default=["main", "few", "shuffled", "own"])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    domains, out = arguments.domains, arguments.out
    out.mkdir(parents=True, exist_ok=True)
    guard = domains / "guard.jsonl"
    print("| run | verdict | test faces | untouched faces | procedural | held out | share | training |")
    print("|---|---|---|---|---|---|---|---|")

    def run(name, data, test, seed, changes=None):
        verdict = tune(data, test, guard, out / re.sub(r"\W+", "-", name), seed, changes or {}, arguments.threads)
        row(name, verdict)

    for seed in arguments.seeds:
        for domain in DOMAINS:
            folder = domains / domain
            if "main" in arguments.rows:
                run(f"{domain}, 60 faces, seed {seed}", folder / "tune75.jsonl", folder / "test.jsonl", seed)
            if "few" in arguments.rows:
                run(f"{domain}, 15 faces, seed {seed}", folder / "tune15.jsonl", folder / "test.jsonl", seed)
            if "shuffled" in arguments.rows:
                name = f"{domain}, a third of the labels exchanged, seed {seed}"
                run(name, folder / "shuffled.jsonl", folder / "test.jsonl", seed)
            if "ablation" in arguments.rows:
                for name, changes in ABLATIONS:
                    run(f"{domain}, {name}, seed {seed}", folder / "tune75.jsonl", folder / "test.jsonl", seed, changes)
        if "own" in arguments.rows:
            run(f"own domain, seed {seed}", domains / "own.jsonl", guard, seed)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"\nPeak memory of a run: {peak:.0f} MB")


if __name__ == "__main__":
    main()
