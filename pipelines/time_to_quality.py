"""How good is each network after seven minutes of training on this machine? medswin's beside MONAI's, three seeds.

All train on the same people with the same augmentation, loss, optimiser, schedule and number format, and are scored on
the same unseen people. A rehearsal, best run on an idle machine, times the training steps of all networks in turn (data
and augmentation included); each then gets the number of steps that fills the minutes, so that what else the machine
does later changes no result. Caching and validation are not counted. The same command goes on where it stopped.

Usage: python pipelines/time_to_quality.py --data Task04_Hippocampus [-o runs/time_to_quality] [--minutes 7]
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import lightning as L
from matplotlib.figure import Figure
from monai.networks.nets import DynUNet
from monai.networks.nets import SwinUNETR as MonaiSwinUNETR

from medswin.config import Config, load, parts
from medswin.inference import WindowInferer
from medswin.io import people, read_dataset, read_json, write_json
from medswin.networks.outputs import Largest
from medswin.networks.precision import has_bf16
from medswin.resources import find_config
from medswin.tracking.run import NoTracker
from medswin.training.callback import RunFiles
from medswin.training.data import TrainingData, prepare
from medswin.training.fit import fit
from medswin.training.split import make_split
from medswin.training.validation import Validation

RESULTS = Path(__file__).with_suffix(".json")
CONFIG = find_config("hippocampus/swin_unetr")
# A schedule of a few hundred steps wants a shorter running mean than one of thousands.
COMMON = ["training.ema_decay=0.98", "training.key_images=0", "training.max_minutes=null", "window.mirror_axes=[]"]
NETWORKS: dict[str, Callable[[], Any]] = {
    "medswin SwinUNETR": lambda: parts.network(load(CONFIG), 1, 3),
    "medswin CSwinUNet": lambda: parts.network(load(find_config("hippocampus/cswin_unet")), 1, 3),
    # As it comes (feature size 12, window 7) it learns far slower.
    "MONAI SwinUNETR": lambda: MonaiSwinUNETR(in_channels=1, out_channels=3, feature_size=24, window_size=4),
    # nnU-Net's network: four levels, 5.6 million parameters.
    "MONAI DynUNet": lambda: DynUNet(3, 1, 3, [3] * 4, [1, 2, 2, 2], [2, 2, 2], filters=(32, 64, 128, 256)),
}
# All see the patches of medswin's config, but for a network that takes multiples of 32 only.
PATCHES = {"MONAI SwinUNETR": "training.patch_size=[32,64,32]"}


def main() -> None:
    """Run the study, or what is left of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data set, Decathlon layout")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/time_to_quality"))
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="none: rehearse only")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    options = parser.parse_args()

    study = Study(options.data, options.out)
    for turn in (1, 2):
        for name in options.networks:
            study.rehearse(name, turn)
    for seed in options.seeds:
        for name in options.networks:
            study.train(name, seed, max(1, round(60 * options.minutes / study.seconds_per_step(name))))
    if options.seeds:
        report(study, options.minutes)


class Stopwatch(NoTracker):
    """Notes when the trainer logs, which is every ten steps."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self.times.append(time.perf_counter())


class Study:
    """The data, a quarter of the people to score on and the others to train on, and the results so far."""

    def __init__(self, data: Path, out: Path) -> None:
        config, cases = load(CONFIG), [case for case in read_dataset(data).cases if case.label]
        self.split = make_split(people([case.id for case in cases], config.data.group), 0.25, 0.0, 0)
        self.cases = {case.id: prepare(case, config.preprocessing, 1, 3, out / "cache") for case in cases}
        self.out = out

    def rehearse(self, name: str, turn: int) -> None:
        """Time ten training steps after ten others."""
        path, watch = self.out / "rehearsal" / f"{name}, turn {turn}.json", Stopwatch()
        if not path.exists():
            self._fit(name, 0, 20, path, lambda network, step: ({"dice": 0.0}, []), watch)
            write_json(path, {"seconds_per_step": (watch.times[1] - watch.times[0]) / 10})
            print(name, read_json(path), flush=True)

    def seconds_per_step(self, name: str) -> float:
        """Mean of the rehearsals."""
        files = (self.out / "rehearsal").glob(f"{name}, turn *.json")
        return mean(read_json(file)["seconds_per_step"] for file in files)

    def train(self, name: str, seed: int, steps: int) -> None:
        """One run, scored at its end."""
        path, scores, config = self.out / name / f"seed {seed}.json", {}, settings(name, seed, steps)
        if path.exists() and read_json(path)["steps"] == steps:
            return
        inferer = WindowInferer(config.training.patch_size, overlap=config.window.overlap, mode=config.window.mode)
        labels = config.label_set({"background": 0, "Anterior": 1, "Posterior": 2})
        unseen = [self.cases[case] for case in self.split.validation]
        validation = Validation(unseen, inferer, labels, Largest(len(labels) + 1), self.out)

        def score(network: Any, step: int) -> tuple[dict[str, float], list[Path]]:
            scores.update(validation(network, step)[0])
            return scores, []

        self._fit(name, seed, steps, path, score, NoTracker())
        write_json(path, {"steps": steps, **scores})
        print(f"{name}, seed {seed}: {steps} steps, Dice {scores['dice']:.4f}", flush=True)

    def _fit(self, name: str, seed: int, steps: int, path: Path, validation: Any, tracker: NoTracker) -> None:
        config, folder = settings(name, seed, steps), path.with_suffix("")
        L.seed_everything(seed, verbose=False)
        network = NETWORKS[name]()
        patches = [self.cases[case] for case in self.split.training]
        data = TrainingData(patches, parts.augmentation(config), config.training)
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut off
        loss, files = parts.loss(config), RunFiles(folder)
        fit(network, loss, config.training, data, validation, files, tracker, progress=False)


def settings(name: str, seed: int, steps: int) -> Config:
    """The shared settings; validation is at the end only."""
    own = [PATCHES[name]] if name in PATCHES else []
    length = [f"training.max_steps={steps}", f"training.validate_every={2 * steps}", f"training.seed={seed}"]
    return load(CONFIG, [*COMMON, *own, *length])


def report(study: Study, minutes: float) -> None:
    """Table, JSON and figure of all runs that there are."""
    rows = []
    for name, build in NETWORKS.items():
        runs = [read_json(file) for file in sorted((study.out / name).glob("seed *.json"))]
        if runs:
            scores = [run["dice"] for run in runs]
            row = {
                "network": name,
                "million_parameters": round(sum(p.numel() for p in build().parameters()) / 1e6, 2),
                "patch_size": list(settings(name, 0, 1).training.patch_size),
                "seconds_per_step": round(study.seconds_per_step(name), 3),
                "steps": runs[0]["steps"],
                "dice": [round(score, 4) for score in scores],
                "mean": round(mean(scores), 4),
                "standard_deviation": round(stdev(scores), 4) if len(scores) > 1 else None,
            }
            rows.append(row)
            print("  ".join(str(value) for value in row.values()))
    machine = f"{os.cpu_count()} CPU cores, {platform.machine()}, {'bf16' if has_bf16('cpu') else 'fp32'}"
    scans = {part: len(getattr(study.split, part)) for part in ("training", "validation")}
    about = {"date": date.today().isoformat(), "machine": machine, "minutes": minutes, "scans": scans}
    write_json(RESULTS, {**about, "networks": rows})
    draw(rows, minutes)


def draw(rows: list[dict[str, Any]], minutes: float) -> None:
    """One line per network, one dot per seed, a bar at the mean."""
    figure = Figure(figsize=(7, 0.9 + 0.5 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        color = "#0072b2" if row["network"].startswith("medswin") else "#999999"
        axes.plot(row["dice"], [place] * len(row["dice"]), "o", color=color, alpha=0.6)
        axes.plot(row["mean"], place, "|", color=color, markersize=22, markeredgewidth=2)
        axes.annotate(f"{row['mean']:.3f}", (row["mean"], place + 0.28), ha="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [row["network"] for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.3)
    axes.set_xlabel(f"mean Dice on unseen people after {minutes:g} minutes of training; one dot per seed")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(RESULTS.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
