"""Where the time of a training step and of a bf16 forward pass goes, in medswin and in MONAI: what a bar can be.

What a step takes beside its convolutions and the products of matrices in attention is what software can save. Each
network runs thrice; the last run is profiled.

Usage: python pipelines/speed_profile.py
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from side_by_side import machine
from speed import BEST, FLAGS, OURS, THEIRS, forward, ours, step, theirs
from torch.profiler import ProfilerActivity, profile

from medswin.io import write_json

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
}
KINDS = {
    "convolutions": ("conv",),
    "products of matrices": ("bmm", "::mm", "addmm", "attention", "linear", "baddbmm", "einsum"),
    "softmax, biases and masks": ("softmax", "_biased", "masked_fill", "index"),
    "norms and activations": ("norm", "leaky_relu", "gelu", "addcmul", "addmv"),
    "copies": ("copy_", "cat", "contiguous", "clone"),
}


def main() -> None:
    """Profile, print and write."""
    rows = []
    for row, contenders in ROWS.items():
        print(row)
        for who, make in contenders.items():
            found = seconds(make())
            told = "  ".join(f"{kind} {value:.2f}" for kind, value in found.items())
            print(f"  {who:<26}{sum(found.values()):6.2f} s  {told}", flush=True)
            rows.append({"row": row, "who": who, "seconds": found})
    write_json(RESULTS, {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine(), "rows": rows})


def seconds(run: Any) -> dict[str, float]:
    """Time of a run by the kind of what was computed, in s."""
    run()
    run()
    with profile(activities=[ProfilerActivity.CPU]) as taken:
        run()
    found: Counter[str] = Counter()
    for event in taken.key_averages():
        found[kind(event.key)] += event.self_cpu_time_total / 1e6
    return {name: round(found[name], 3) for name in (*KINDS, "rest")}


def kind(name: str) -> str:
    """Which of `KINDS` an operation is."""
    small = name.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in small for part in parts)), "rest")


if __name__ == "__main__":
    main()
