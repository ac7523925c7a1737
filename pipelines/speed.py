"""How fast is medswin beside MONAI, and how much memory does each take? Both run here, in turns, on the same weights.

Outputs are compared first; then the contenders run in turns, and the ratio of a pair of runs is what counts, since the
speed of a machine drifts. Memory is the peak of a fresh process (Linux) that does nothing else. MONAI runs as it comes
and, where it can, with its best flag (``use_flash_attention``, which has no gradient on CPUs). Where bf16 is native,
and on GPUs, forward rows also run under autocast, with batches of 1 and 4, and compiled.

Usage: python pipelines/speed.py [--rows WORD ...] [--pairs 3]
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import SwinUNETR as MonaiSwinUNETR
from torch import nn

from medswin.inference import WindowInferer
from medswin.inference.paint import Painter
from medswin.inference.plan import make_plan, resident_bytes
from medswin.inference.volume import paint_volume
from medswin.inference.windows import Tiling
from medswin.io import read_json, write_json
from medswin.networks import CSwinUNet, SwinUNETR
from medswin.networks.precision import has_bf16
from medswin.networks.weights import load_monai_swin_unetr

RESULTS = Path(__file__).with_suffix(".json")
OURS, THEIRS, BEST = "medswin", "MONAI", "MONAI, best flags"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
INCOMPARABLE = ("beside", "blending")  # other networks, and logits that MONAI weighs in place, again and again
Run = Callable[[], Any]


def main() -> None:
    """Measure the rows, and write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows", nargs="+", default=[""], metavar="WORD", help="only rows that have one of these in them"
    )
    parser.add_argument("--pairs", type=int, default=3, help="after a first run, which counts only for 0")
    parser.add_argument("--alone", nargs=2, metavar=("ROW", "WHO"), help="one run, and the peak memory of this process")
    options = parser.parse_args()
    if options.alone:
        row, who = options.alone
        rows()[row][who]()()
        print(int(re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[0]) * 1024 / 1e9)
        return
    old = {row["row"]: row for row in read_json(RESULTS)["rows"]} if RESULTS.exists() else {}
    for name, contenders in rows().items():
        if any(word in name for word in options.rows):
            old[name] = measure(name, contenders, options.pairs)
            print(text(old[name]), flush=True)
            machine = f"{os.cpu_count()} CPU cores, {platform.machine()}, {DEVICE}, torch {torch.__version__}"
            kept = [old[row] for row in rows() if row in old]
            write_json(RESULTS, {"date": date.today().isoformat(), "machine": machine, "rows": kept})


def rows() -> dict[str, dict[str, Callable[[], Run]]]:
    """Each row's contenders: a name, and what builds one run of it."""
    table: dict[str, dict[str, Callable[[], Run]]] = {}
    for size in (12, 24, 48):
        table[f"forward, feature size {size}, 96x96x96"] = {
            OURS: lambda size=size: forward(ours(size)),
            THEIRS: lambda size=size: forward(theirs(size)),
            BEST: lambda size=size: forward(theirs(size, use_flash_attention=True)),
        }
    table["forward, CSwinUNet beside SwinUNETR, feature size 24, 96x96x96"] = {
        OURS: lambda: forward(CSwinUNet(1, 3, feature_size=24)),
        BEST: lambda: forward(theirs(24, use_flash_attention=True)),
    }
    for size, batch, edge in ((24, 2, 64), (48, 1, 96)):
        table[f"training step, feature size {size}, {batch} x {edge}x{edge}x{edge}"] = {
            OURS: lambda a=(batch, edge), size=size: step(ours(size), *a),
            "medswin, use_checkpoint": lambda a=(batch, edge), size=size: step(ours(size, use_checkpoint=True), *a),
            THEIRS: lambda a=(batch, edge), size=size: step(theirs(size), *a),
        }
    table["blending alone, 240x240x240, 105 classes, overlap 0.25"] = {
        OURS: lambda: paint(torch.rand(1, 240, 240, 240), Null(105), 105, 0.25),
        THEIRS: lambda: stitch(torch.rand(1, 240, 240, 240), Null(105), 0.25),
    }
    table["whole CT, 192x192x168, feature size 12, overlap 0.5"] = {
        OURS: lambda: paint(phantom(192), ours(12), 3, 0.5),
        BEST: lambda: stitch(phantom(192), theirs(12, use_flash_attention=True), 0.5),
    }
    table["whole CT without features for the verdict"] = {
        OURS: lambda: paint(phantom(128), ours(12), 3, 0.25),
        "medswin, no features": lambda: paint(phantom(128), ours(12), 3, 0.25, stages=()),
    }
    if has_bf16(DEVICE) or DEVICE == "cuda":
        for size, batch in ((12, 1), (48, 1), (48, 4)):
            table[f"forward, autocast, feature size {size}, {batch} x 96x96x96"] = {
                OURS: lambda size=size, batch=batch: forward(ours(size), batch, autocast=True),
                "medswin, compiled": lambda size=size, batch=batch: forward(
                    torch.compile(ours(size)), batch, autocast=True
                ),
                BEST: lambda size=size, batch=batch: forward(
                    theirs(size, use_flash_attention=True), batch, autocast=True
                ),
            }
    return table


def theirs(size: int, **flags: Any) -> nn.Module:
    """MONAI's network."""
    torch.manual_seed(0)
    network: nn.Module = MonaiSwinUNETR(1, 3, feature_size=size, **flags)
    return network


def ours(size: int, **options: Any) -> nn.Module:
    """Medswin's, with the weights of MONAI's."""
    network = SwinUNETR(1, 3, feature_size=size, compat="monai-1.5", **options)
    load_monai_swin_unetr(network, theirs(size).state_dict())
    return network


def forward(network: nn.Module, batch: int = 1, *, autocast: bool = False) -> Run:
    """One batch of patches -> logits."""
    network.eval().to(DEVICE)
    torch.manual_seed(0)
    x = torch.randn(batch, 1, 96, 96, 96, device=DEVICE)

    def run() -> Any:
        with torch.inference_mode(), torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
            return network(x)

    return run


def step(network: nn.Module, batch: int, edge: int) -> Run:
    """Forward, backward and AdamW; gives the loss."""
    network.train().to(DEVICE)
    torch.manual_seed(0)
    x = torch.randn(batch, 1, edge, edge, edge, device=DEVICE)
    target = torch.randint(0, 3, (batch, edge, edge, edge), device=DEVICE)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-6)

    def run() -> Any:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(x), target)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return run


class Null(nn.Module):
    """Answers every window with the same logits, at no cost: what remains is the inferer's own."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes, self.answers = classes, dict[int, torch.Tensor]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) not in self.answers:
            torch.manual_seed(0)
            self.answers[len(x)] = torch.rand(1, self.classes, *x.shape[2:]).repeat(len(x), 1, 1, 1, 1)
        return self.answers[len(x)]

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x]

    def decode(self, features: list[torch.Tensor]) -> torch.Tensor:
        return self(features[0])


def phantom(edge: int) -> torch.Tensor:
    """A patient in air: an ellipse of tissue that fills a third of the slices, and none in the upper half."""
    x, y = (torch.linspace(-1, 1, edge)[axis] for axis in ((slice(None), None, None), (None, slice(None), None)))
    z = torch.linspace(-1, 1, edge * 7 // 8)
    torch.manual_seed(0)
    tissue = ((x / 0.6) ** 2 + (y / 0.5) ** 2 + 0 * z < 1) & (z < 0)
    return torch.where(tissue, 0.5 + 0.1 * torch.randn(tissue.shape), torch.zeros(()))[None]


def paint(image: torch.Tensor, network: Any, classes: int, overlap: float, stages: tuple[int, ...] = (-1,)) -> Run:
    """Medswin's way to labels; one window at a time."""
    shape = tuple(image.shape[1:])
    network.eval()

    def run() -> Any:
        painter = Painter(shape, np.eye(4), shape, np.eye(4), classes)
        tiling = Tiling.plan(shape, 96, overlap)
        plan = make_plan(tiling, classes, 12, 1, resident_bytes(), 6e9, exact=True)
        with torch.inference_mode():
            paint_volume(image, network, WindowInferer(96, overlap), painter, plan, stages=stages)
        return torch.from_numpy(painter.labels) * (image[0] > 0)

    return run


def stitch(image: torch.Tensor, network: nn.Module, overlap: float) -> Run:
    """MONAI's: all logits, then the largest."""
    inferer = SlidingWindowInferer(96, 1, overlap, mode="gaussian")
    network.eval()

    def run() -> Any:
        with torch.inference_mode():
            return inferer(image[None], network)[0].argmax(0).to(torch.uint8) * (image[0] > 0)

    return run


def measure(name: str, contenders: dict[str, Callable[[], Run]], pairs: int) -> dict[str, Any]:
    """Times in turns, differences of the outputs, and memory in processes of their own."""
    runs = {who: build() for who, build in contenders.items()}
    outputs: dict[str, torch.Tensor] = {}
    first = {who: timed(run, lambda output, who=who: outputs.update({who: output})) for who, run in runs.items()}
    times: dict[str, list[float]] = {who: [] if pairs else [seconds] for who, seconds in first.items()}
    for _ in range(pairs):
        for who, run in runs.items():
            times[who].append(timed(run))
    del runs
    found = []
    for who, seconds in times.items():
        ratios = sorted(b / a for a, b in zip(times[OURS], seconds, strict=True))
        alone = [sys.executable, __file__, "--alone", name, who]
        peak = subprocess.run(alone, capture_output=True, text=True, check=True).stdout.split()[-1]
        entry = {"who": who, "seconds": round(median(seconds), 3), "peak_gb": round(float(peak), 2)}
        if who != OURS:
            entry["ratio"] = [round(value, 2) for value in (median(ratios), ratios[0], ratios[-1])]
            if not any(word in name for word in INCOMPARABLE):
                entry["differs"] = difference(outputs[OURS], outputs[who])
        found.append(entry)
    return {"row": name, "date": date.today().isoformat(), "contenders": found}


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> str:
    """Share of the labels, or largest difference of the logits."""
    if not ours.is_floating_point():
        return f"{float((ours != theirs).float().mean()):.1e} of the labels"
    return f"{float((ours - theirs).abs().max()):.1e}"


def timed(run: Run, keep: Callable[[torch.Tensor], None] = lambda output: None) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    output = run()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    keep(output)
    return seconds


def text(row: dict[str, Any]) -> str:
    """A row for the screen."""
    return "\n".join(lines(row))


def lines(row: dict[str, Any]) -> Iterator[str]:
    """Its lines."""
    yield row["row"]
    for entry in row["contenders"]:
        ratio = "{:.2f} ({:.2f} to {:.2f}) times as long".format(*entry["ratio"]) if "ratio" in entry else ""
        ratio += f", differs by {entry['differs']}" if "differs" in entry else ""
        yield f"  {entry['who']:<24} {entry['seconds']:8.2f} s  {entry['peak_gb']:5.2f} GB  {ratio}"


if __name__ == "__main__":
    main()
