"""Does pre-training help where labels are few? The same small network, pre-trained and from scratch, on real scans.

A fifth of the people is kept to score on; nothing sees their scans before. Encoders are pre-trained on the images of
the others, without labels, and fine-tuned on 5, 10, 20 or all of these cases; seeds differ in the labelled cases, the
order and the fresh weights, and are the same for all rows. A row from scratch has the same steps and recipe. Each run
is kept: the same command goes on where it stopped.

Usage: python pipelines/label_efficiency.py --data Task04_Hippocampus [-o runs/label_efficiency] [--seeds 1 2 3]
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import lightning as L
import numpy as np
import torch
from matplotlib.figure import Figure

from medswin.config import Config, PretrainConfig, load, load_as, parts, pretrain
from medswin.config.init import start_from
from medswin.inference import WindowInferer
from medswin.io import people, read_dataset, read_json, write_json
from medswin.metrics import dice, mean_interval
from medswin.resources import find_config
from medswin.tracking.run import NoTracker
from medswin.training.callback import RunFiles
from medswin.training.data import PreparedCase, TrainingData, prepare
from medswin.training.fit import fit
from medswin.training.split import keep_split

RESULTS = Path(__file__).with_suffix(".json")
SCRATCH, TANG = "from scratch", "three tasks"
CONFIGS = {TANG: "tang"} | {n: n for n in ("inpainting", "rotation", "contrastive", "simmim", "barlow_twins")}
SMALL = [
    "network.feature_size=12",
    "network.finest_width=8",
    "preprocessing.spacing_mm=[1.5,1.5,1.5]",
    "tracking.uri=off",
]
CUBES = ["training.patch_size=[16,16,16]"]  # what every scan has: quarter turns do not show at its borders
RECIPE = [
    "training.patch_size=[24,32,24]",
    "training.max_minutes=null",
    "training.ema_decay=0.98",
    "training.key_images=0",
    "window.mirror_axes=[]",
]
ALL = 0


def main() -> None:
    """Run the study, or what is left of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data set, Decathlon layout")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/label_efficiency"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 5, 20, ALL], help="labelled cases; 0 is all")
    parser.add_argument("--rows", nargs="+", default=[SCRATCH, *CONFIGS], metavar="NAME")
    parser.add_argument("--steps", type=int, default=800, help="of fine-tuning")
    parser.add_argument("--pretraining-steps", type=int, default=1000)
    options = parser.parse_args()

    study = Study(options.data, options.out, options.steps, options.pretraining_steps)
    for size in options.sizes:
        for row in options.rows:
            if size == 10 or row in (SCRATCH, TANG):  # single tasks at ten labels alone
                for seed in options.seeds:
                    study.run(row, size, seed)
    report(study)


class Study:
    """The data, the people to score on, and the results so far."""

    def __init__(self, data: Path, out: Path, steps: int, pretraining_steps: int) -> None:
        config, cases = settings(0, 1), [case for case in read_dataset(data).cases if case.label]
        self.data, self.out, self.steps, self.pretraining_steps = data, out, steps, pretraining_steps
        owners = people([case.id for case in cases], config.data.group)
        self.split = keep_split(out / "splits.json", owners, 0.2, 0.0, 0)
        self.cases = {case.id: prepare(case, config.preprocessing, 1, 3, out / "cache") for case in cases}

    def encoder(self, row: str) -> Path:
        """The row's encoder, pre-trained where it is not yet."""
        folder = self.out / "encoders" / row
        length = [f"training.max_steps={self.pretraining_steps}", "training.max_minutes=null"]
        left_out = [f"data.exclude={self.out / 'splits.json'}"]
        path = find_config(f"pretrain/hippocampus_{CONFIGS[row]}")
        config = load_as(PretrainConfig, path, [*SMALL, *CUBES, *length, *left_out])
        resume = (folder / "last.ckpt").exists()
        found = pretrain(config, data=self.data, out=folder, resume=resume, progress=False, report=print)
        if found is None:
            raise SystemExit("interrupted; the same command goes on")
        return found

    def run(self, row: str, size: int, seed: int) -> None:
        """Fine-tune on so many labelled cases, and score each case of the people kept aside."""
        path = self.out / row / f"{size or 'all'} labels, seed {seed}.json"
        if path.exists():
            return
        config, folder = settings(seed, self.steps), path.with_suffix("")
        L.seed_everything(seed, verbose=False)
        network = parts.network(config, 1, 3)
        if row != SCRATCH:
            start_from(network, str(self.encoder(row)), config.label_set({"Anterior": 1, "Posterior": 2}))
        order = np.random.default_rng(seed).permutation(sorted(self.split.training))
        labelled = [self.cases[case] for case in order[: size or len(order)]]
        L.seed_everything(seed, verbose=False)
        data = TrainingData(labelled, parts.augmentation(config), config.training)
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut off
        scores: dict[str, float] = {}

        def score(trained: Any, step: int) -> tuple[dict[str, float], list[Path]]:
            scores.update({case: score_case(trained, self.cases[case], config) for case in self.split.validation})
            return {"dice": mean(scores.values())}, []

        fit(network, parts.loss(config), config.training, data, score, RunFiles(folder), NoTracker(), progress=False)  # type: ignore[arg-type]
        write_json(path, {"steps": self.steps, "dice": scores})
        shutil.rmtree(folder)
        print(f"{row}, {size or 'all'} labels, seed {seed}: Dice {mean(scores.values()):.4f}", flush=True)


def score_case(network: Any, case: PreparedCase, config: Config) -> float:
    """Mean Dice of the two structures."""
    image, label = case.load()
    inferer = WindowInferer(config.training.patch_size, overlap=config.window.overlap)
    with torch.inference_mode():
        found = inferer(image.as_tensor()[None], network)[0].argmax(0)
    return mean(dice(found.numpy() == value, label.numpy()[0] == value) for value in (1, 2))


def settings(seed: int, steps: int) -> Config:
    """The same for all rows; validation is at the end only."""
    length = [f"training.max_steps={steps}", f"training.validate_every={2 * steps}", f"training.seed={seed}"]
    return load(find_config("hippocampus/swin_unetr"), [*SMALL, *RECIPE, *length])


def report(study: Study) -> None:
    """Table, JSON and figure of all runs that there are."""
    rows = [row for size in (5, 10, 20, ALL) for name in (SCRATCH, *CONFIGS) if (row := summary(study, name, size))]
    for row in rows:
        print("  ".join(str(value) for value in row.values()))
    machine = f"{os.cpu_count()} CPU cores, {platform.machine()}, torch {torch.__version__}"
    scans = {part: len(getattr(study.split, part)) for part in ("training", "validation")}
    about = {"date": date.today().isoformat(), "machine": machine, "scans": scans}
    budget = {"fine_tuning_steps": study.steps, "pretraining_steps": study.pretraining_steps}
    write_json(RESULTS, {**about, **budget, "rows": rows})
    draw(rows)


def summary(study: Study, name: str, size: int) -> dict[str, Any] | None:
    """Mean and spread over seeds, and the difference to scratch on the same cases, with its interval by person."""
    runs, plain = (runs_of(study, row, size) for row in (name, SCRATCH))
    if not runs:
        return None
    means = [mean(run.values()) for run in runs.values()]
    row: dict[str, Any] = {"row": name, "labels": size or len(study.split.training), "seeds": len(runs)}
    row |= {"dice": round(mean(means), 4), "standard_deviation": round(stdev(means), 4) if len(means) > 1 else None}
    both = sorted(set(runs) & set(plain))
    if name != SCRATCH and both:
        cases = list(study.split.validation)
        gain = [mean(runs[seed][case] - plain[seed][case] for seed in both) for case in cases]
        low, high = mean_interval(gain, [study.split.people[case] for case in cases])
        row |= {"gain": round(mean(gain), 4), "gain_ci95": [round(low, 4), round(high, 4)]}
    return row


def runs_of(study: Study, name: str, size: int) -> Mapping[str, Mapping[str, float]]:
    """Dice of each case, by seed."""
    files = sorted((study.out / name).glob(f"{size or 'all'} labels, seed *.json"))
    return {file.stem.split()[-1]: read_json(file)["dice"] for file in files}


def draw(rows: Sequence[Mapping[str, Any]]) -> None:
    """Dice over labelled cases."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(row["row"] for row in rows):
        own = [row for row in rows if row["row"] == name]
        color = {SCRATCH: "#999999", TANG: "#0072b2"}.get(name)
        spread = [row["standard_deviation"] or 0 for row in own]
        style = "-o" if len(own) > 1 else "o"
        axes.errorbar(
            [row["labels"] for row in own], [row["dice"] for row in own], spread, fmt=style, color=color, label=name,
            capsize=3,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(sorted({row["labels"] for row in rows}), sorted({row["labels"] for row in rows}))
    axes.minorticks_off()
    axes.set_xlabel("labelled cases")
    axes.set_ylabel("mean Dice on unseen people\n(bars: standard deviation of seeds)")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(RESULTS.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
