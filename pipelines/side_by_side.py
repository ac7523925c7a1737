"""Contenders in turns: the ratio of a pair of runs is what counts, since the speed of a machine drifts.

Memory is the peak of a fresh process (Linux) that does nothing else. All get the memory pages that the medswin command
asks for.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # before torch allocates, here and in what is started

import torch
from torch import Tensor

from medswin.io import read_json, write_json

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Run = Callable[[], Tensor]
Contenders = Mapping[str, Callable[[], Run]]
"""A name, and what builds one run of it; the first is the one that others are compared with."""


def record(results: Path, rows: Sequence[str], row: dict[str, Any]) -> None:
    """Print a row, and put it in its place among those in a file."""
    old = {one["row"]: one for one in read_json(results)["rows"]} if results.exists() else {}
    old[row["row"]] = row
    row["machine"] = machine()
    write_json(results, {"rows": [old[name] for name in dict.fromkeys([*rows, *old]) if name in old]})
    print(row["row"])
    for entry in row["contenders"]:
        ratio = "{:.2f} ({:.2f} to {:.2f}) times as long".format(*entry["ratio"]) if "ratio" in entry else ""
        ratio += f", differs by {entry['differs']}" if "differs" in entry else ""
        print(f"  {entry['who']:<26} {entry['seconds']:8.4g} s  {entry['peak_gb']:5.2f} GB  {ratio}", flush=True)


def machine() -> str:
    """What it ran on."""
    told = torch.cpu.get_capabilities()
    units = "".join(f" {name}" for name in ("avx512_f", "avx512_bf16", "amx_bf16") if told.get(name))
    return f"{os.cpu_count()} CPU cores, {platform.machine()}{units}, {DEVICE}, torch {torch.__version__}"


def in_turns(name: str, contenders: Contenders, pairs: int, *, compare: bool) -> dict[str, Any]:
    """Times after a first run, in turns; how far the outputs of the first runs differ; memory by ``--alone``."""
    runs = {who: build() for who, build in contenders.items()}
    outputs = {who: run() for who, run in runs.items()}
    times: dict[str, list[float]] = {who: [] for who in runs}
    for _ in range(pairs):
        for who, run in runs.items():
            times[who].append(seconds_of(run))
    del runs
    peaks = {who: run_alone([sys.executable, sys.argv[0], "--alone", name, who])[1] for who in contenders}
    return _row(name, times, peaks, outputs if compare else {})


def one_after_the_other(
    name: str, commands: Mapping[str, Sequence[str]], pairs: int, outputs: Callable[[str], Tensor]
) -> dict[str, Any]:
    """A row of whole commands in turns, each in a process of its own."""
    times: dict[str, list[float]] = {who: [] for who in commands}
    peaks = dict.fromkeys(commands, 0.0)
    for _ in range(pairs):
        for who, command in commands.items():
            seconds, peak = run_alone(command)
            times[who].append(seconds)
            peaks[who] = max(peaks[who], peak)
    return _row(name, times, peaks, {who: outputs(who) for who in commands})


def seconds_of(run: Run) -> float:
    """Of one run."""
    started = time.perf_counter()
    run()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


# Between this process and the measured one: what a child is started by counts in the child's peak.
LAUNCHER = """
import os, subprocess, sys, time
started = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(time.perf_counter() - started, usage.ru_maxrss * 1024 / 1e9)
sys.exit(bool(status))
"""


def run_alone(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak memory in GB of a command."""
    launched = [sys.executable, "-c", LAUNCHER, *command]
    said = subprocess.run(launched, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(said[0]), float(said[1])


def _row(
    name: str, times: Mapping[str, Sequence[float]], peaks: Mapping[str, float], outputs: Mapping[str, Tensor]
) -> dict[str, Any]:
    first = next(iter(times))
    found = []
    for who, seconds in times.items():
        entry: dict[str, Any] = {"who": who, "seconds": round(median(seconds), 4), "peak_gb": round(peaks[who], 2)}
        if who != first:
            ratios = sorted(b / a for a, b in zip(times[first], seconds, strict=True))
            entry["ratio"] = [round(value, 4) for value in (median(ratios), ratios[0], ratios[-1])]
            if outputs:
                entry["differs"] = _difference(outputs[first], outputs[who])
        found.append(entry)
    return {"row": name, "date": date.today().isoformat(), "pairs": len(times[first]), "contenders": found}


def _difference(ours: Tensor, theirs: Tensor) -> str:
    """Share of the labels, or largest difference of the logits."""
    if not ours.is_floating_point():
        return f"{float((ours != theirs).float().mean()):.1e} of the labels"
    return f"{float((ours - theirs).abs().max()):.1e}"
