"""Where the time of a training step, of a bf16 forward pass and of blending goes: what a bar can be.

What a step takes beside its convolutions and the products of matrices in attention is what software can save; what
blending takes beside reading each logit once is. All run thrice; the last run is profiled.

Usage: python pipelines/speed_profile.py [--rows WORD ...]
"""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import torch
from side_by_side import machine
from speed import BEST, FLAGS, OURS, THEIRS, Null, forward, ours, paint, step, theirs
from torch.profiler import ProfilerActivity, profile

from medswin.inference.windows import Tiling
from medswin.io import read_json, write_json

RESULTS = Path(__file__).with_suffix(".json")
ROWS = {
    "training step, feature size 24, 2 x 64x64x64": {
        OURS: lambda: step(ours(24), 2, 64),
        THEIRS: lambda: step(theirs(24), 2, 64),
    },
    "training step, feature size 48, 1 x 96x96x96": {
        OURS: lambda: step(ours(48), 1, 96),
        THEIRS: lambda: step(theirs(48), 1, 96),
    },
    "forward, feature size 12, 1 x 96x96x96": {
        f"{OURS}, autocast": lambda: forward(ours(12), autocast=True),
        f"{BEST}, fp32": lambda: forward(theirs(12, **FLAGS[BEST])),
    },
    "blending alone, 240x240x240, 105 classes, overlap 0.25": {
        OURS: lambda: paint(torch.rand(1, 240, 240, 240), Null(105), 105, 0.25),
        "each logit read once": lambda: read_once(240, 105, 0.25),
        "each logit read and weighed": lambda: read_once(240, 105, 0.25, weigh=True),
    },
}
KINDS = {
    "convolutions": ("conv",),
    "products of matrices": ("bmm", "::mm", "addmm", "attention", "linear", "baddbmm", "einsum"),
    "softmax, biases and masks": ("softmax", "_biased", "masked_fill", "index"),
    "norms and activations": ("norm", "leaky_relu", "gelu", "addcmul", "addmv"),
    "copies": ("copy_", "cat", "contiguous", "clone"),
    "weighing": ("::mul",),
    "adding": ("::add",),
    "comparing": ("::gt", "maximum"),
    "summing": ("::sum",),
}


def main() -> None:
    """Profile, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=[""], metavar="WORD", help="only rows with one of these in them")
    wanted = parser.parse_args().rows
    kept = {(row["row"], row["who"]): row for row in (read_json(RESULTS)["rows"] if RESULTS.exists() else [])}
    about = {"date": date.today().isoformat(), "machine": machine()}
    for row, contenders in ROWS.items():
        if not any(word in row for word in wanted):
            continue
        print(row)
        for who, make in contenders.items():
            found = seconds(make())
            told = "  ".join(f"{kind} {value:.2f}" for kind, value in found.items())
            print(f"  {who:<26}{sum(found.values()):6.2f} s  {told}", flush=True)
            kept[row, who] = {"row": row, "who": who, **about, "seconds": found}
    write_json(RESULTS, {"rows": [kept[row, who] for row in ROWS for who in ROWS[row] if (row, who) in kept]})


def read_once(edge: int, classes: int, overlap: float, *, weigh: bool = False) -> Any:
    """No blending at all: the logits of every window are read, and weighed into a place that stays in the cache."""
    windows, answer = Tiling.plan((edge,) * 3, 96, overlap).starts, Null(classes)(torch.empty(1, 1, 96, 96, 96))[0]
    weights, weighed = torch.rand(96, 96, 96), torch.empty(96, 96, 96)

    def run() -> None:
        for _ in windows:
            for logits in answer:
                if weigh:
                    torch.mul(logits, weights, out=weighed)
                else:
                    logits.sum()

    return run


def seconds(run: Any) -> dict[str, float]:
    """Time of a run by the kind of what was computed, in s; kinds that do not occur are left out."""
    run()
    run()
    with profile(activities=[ProfilerActivity.CPU]) as taken:
        run()
    found: Counter[str] = Counter()
    for event in taken.key_averages():
        found[kind(event.key)] += event.self_cpu_time_total / 1e6
    return {name: round(found[name], 3) for name in (*KINDS, "rest") if found[name] >= 0.0005}


def kind(name: str) -> str:
    """Which of `KINDS` an operation is."""
    small = name.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in small for part in parts)), "rest")


if __name__ == "__main__":
    main()
