"""Does pre-training help where labels are few? The same small network, pre-trained and from scratch, on real scans.

A fifth of the people is kept to score on; nothing sees their scans before. Encoders are pre-trained on the images of
the others, without labels, and fine-tuned on 5, 10, 20 or all of these cases; seeds differ in the labelled cases, the
order and the fresh weights, and are the same for all rows. A row from scratch has the same steps and recipe; one of
twice the steps tells whether that was its plateau, and one whose encoder stays as it was drawn tells how much there is
to gain from a better one. A row has one encoder: spreads and intervals are those of fine-tuning, and do not tell how
another pre-training would turn out.

Each run is kept: the same command goes on where it stopped, and the same command a second time, beside the first,
shares the work (OMP_NUM_THREADS=1 gives each one core).

Usage: python pipelines/label_efficiency.py --data Task04_Hippocampus [-o runs/label_efficiency] [--seeds 1 2 3]
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import time
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Any

import lightning as L
import numpy as np
import torch
from filelock import FileLock, Timeout
from label_table import FROZEN, LONGER, SCRATCH, TANG, Runs, ordered, other_budget, publish, published, summary

from medswin.config import Config, PretrainConfig, load, load_as, parts, pretrain
from medswin.config.init import start_from
from medswin.config.run import keep_settings
from medswin.inference import WindowInferer
from medswin.io import people, read_dataset, read_json, write_json
from medswin.metrics import dice
from medswin.resources import find_config
from medswin.tracking.run import NoTracker
from medswin.training.callback import RunFiles
from medswin.training.data import PreparedCase, TrainingData, prepare
from medswin.training.fit import fit
from medswin.training.pretrain_fit import PretrainFiles
from medswin.training.split import keep_split

BASE = find_config("hippocampus/swin_unetr")
RESULTS = Path(__file__).with_suffix(".json")
TASKS = {TANG: "tang"} | {n: n for n in ("inpainting", "rotation", "contrastive", "simmim", "barlow_twins")}
ROWS = (SCRATCH, LONGER, FROZEN, *TASKS)
PRECISION, ALL = "fp32", 0
SMALL = [
    "network.feature_size=12",
    "network.finest_width=8",
    "preprocessing.spacing_mm=[1.5,1.5,1.5]",
    "tracking.uri=off",
    "training.max_minutes=null",
    f"training.precision={PRECISION}",  # bf16 would make machines differ, and small networks slower
]
PATCH, CUBE = "training.patch_size=[24,32,24]", "training.patch_size=[16,16,16]"
CUBES = (TANG, "rotation", "contrastive")  # every scan holds this cube: no border tells a quarter turn
RECIPE = [PATCH, "training.ema_decay=0.98", "training.key_images=0", "window.mirror_axes=[]"]


def main() -> None:
    """Run the study, or what is left of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data set, Decathlon layout")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/label_efficiency"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 5, 20, ALL], help="labelled cases; 0 is all")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--steps", type=int, default=800, help="of fine-tuning")
    parser.add_argument("--pretraining-steps", type=int, default=1000)
    options = parser.parse_args()

    study = Study(options.data, options.out, options.steps, options.pretraining_steps)
    print(other_budget(study.about(), RESULTS) or f"the table is to go into {RESULTS}", flush=True)
    rows = [(row, size) for size in options.sizes for row in options.rows if size == 10 or row in (SCRATCH, TANG)]
    jobs = [(row, size, seed) for row, size in rows for seed in options.seeds]
    while left := [job for job in jobs if study.scores(*job) is None]:
        if not any(study.run(*job) for job in left):
            time.sleep(10)  # other processes are at all that is left
    report(study)


class Study:
    """The data, the people to score on, and the results so far."""

    def __init__(self, data: Path, out: Path, steps: int, pretraining_steps: int) -> None:
        config, cases = load(BASE, SMALL), read_dataset(data).cases
        self.data, self.out, self.steps, self.pretraining_steps = data, out, steps, pretraining_steps
        labelled = [case for case in cases if case.label]
        owners = people([case.id for case in labelled], config.data.group)
        self.split = keep_split(out / "splits.json", owners, 0.2, 0.0, 0)
        self.published = published(RESULTS) if other_budget(self.about(), RESULTS) is None else {}
        self.cases = {case.id: prepare(case, config.preprocessing, 1, 3, out / "cache") for case in labelled}

    def settings(self, row: str) -> dict[str, list[str]]:
        """Settings of a row, but for seeds: validation is at the end only, and nothing is pre-trained from scratch."""
        steps, patch = self.steps * (2 if row == LONGER else 1), CUBE if row in CUBES else PATCH
        fine_tuning = [*SMALL, *RECIPE, f"training.max_steps={steps}", f"training.validate_every={2 * steps}"]
        fine_tuning += [f"training.freeze_steps={steps}"] if row == FROZEN else []
        pretraining = [*SMALL, patch, f"training.max_steps={self.pretraining_steps}"] if row in TASKS else []
        return {"fine_tuning": fine_tuning, "pretraining": pretraining}

    def scores(self, row: str, size: int, seed: int) -> dict[str, float] | None:
        """Dice of each case in a run; None where it is not done. One that was made otherwise ends the study."""
        path = self.path(row, size, seed)
        if not path.exists():
            return None
        kept = read_json(path)
        if odd := [key for key, value in self.settings(row).items() if kept.get(key) != value]:
            raise SystemExit(f"{path} was made with other settings of {' and '.join(odd)}; use another folder -o")
        return dict(kept["dice"])

    def path(self, row: str, size: int, seed: int) -> Path:
        """Where a run's scores are kept."""
        return self.out / row / f"{size or 'all'} labels, seed {seed}.json"

    def encoder(self, row: str) -> Path:
        """The row's encoder, pre-trained where it is not yet; Timeout where another process is at it."""
        files = PretrainFiles(self.out / "encoders" / row)
        files.folder.mkdir(parents=True, exist_ok=True)
        left_out = f"data.exclude={self.out / 'splits.json'}"
        source = find_config(f"pretrain/hippocampus_{TASKS[row]}")
        config = load_as(PretrainConfig, source, [*self.settings(row)["pretraining"], left_out])
        with FileLock(files.folder / "lock", timeout=0):
            if not files.encoder.exists():
                resume = files.checkpoint.exists()
                if not pretrain(config, data=self.data, out=files.folder, resume=resume, progress=False, report=print):
                    raise SystemExit("interrupted; the same command goes on")
        may_change = ("data.exclude", "tracking")
        keep_settings(config.model_dump(mode="json"), files.config, may_change, resume=True, started=True)
        return files.encoder

    def run(self, row: str, size: int, seed: int) -> bool:
        """Fine-tune on so many labelled cases and score each case kept aside; False where another process does it."""
        path = self.path(row, size, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path.with_suffix(".lock"), timeout=0):
                if not path.exists():
                    scores = self._fine_tune(row, size, seed, path.with_suffix(""))
                    write_json(path, {**self.settings(row), "dice": scores})
                    print(f"{row}, {path.stem}: Dice {mean(scores.values()):.4f}", flush=True)
        except Timeout:
            return False
        return True

    def _fine_tune(self, row: str, size: int, seed: int, folder: Path) -> dict[str, float]:
        config = load(BASE, [*self.settings(row)["fine_tuning"], f"training.seed={seed}"])
        encoder = self.encoder(row) if row in TASKS else None
        L.seed_everything(seed, verbose=False)
        network = parts.network(config, 1, 3)
        if encoder is not None:
            start_from(network, str(encoder), config.label_set({"Anterior": 1, "Posterior": 2}))
        order = np.random.default_rng(seed).permutation(sorted(self.split.training))
        labelled = [self.cases[case] for case in order[: size or len(order)]]
        L.seed_everything(seed, verbose=False)
        data = TrainingData(labelled, parts.augmentation(config), config.training)
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut off
        scores: dict[str, float] = {}

        def score(trained: Any, step: int) -> tuple[dict[str, float], list[Path]]:
            scores.update({case: score_case(trained, self.cases[case], config) for case in self.split.validation})
            return {"dice": mean(scores.values())}, []

        loss, files = parts.loss(config), RunFiles(folder)
        if not fit(network, loss, config.training, data, score, files, NoTracker(), progress=False):  # type: ignore[arg-type]
            raise SystemExit("interrupted; the same command goes on")
        shutil.rmtree(folder)
        return scores

    def about(self) -> dict[str, Any]:
        """What all rows have in common."""
        machine = f"{os.cpu_count()} CPU cores, {platform.machine()}, torch {torch.__version__}"
        scans = {part: len(getattr(self.split, part)) for part in ("training", "validation")}
        budget = {"fine_tuning_steps": self.steps, "pretraining_steps": self.pretraining_steps, "precision": PRECISION}
        return {"date": date.today().isoformat(), "machine": machine, "scans": scans, **budget, "encoders": "one a row"}


def score_case(network: Any, case: PreparedCase, config: Config) -> float:
    """Mean Dice of the two structures."""
    image, label = case.load()
    inferer = WindowInferer(config.training.patch_size, overlap=config.window.overlap)
    with torch.inference_mode():
        found = inferer(image.as_tensor()[None], network)[0].argmax(0)
    return mean(dice(found.numpy() == value, label.numpy()[0] == value) for value in (1, 2))


def runs_of(study: Study, name: str, size: int) -> Runs:
    """All runs of a row that there are, whichever command made them, and those whose scores are published."""
    files = study.path(name, size, 0).parent.glob(f"{size or 'all'} labels, seed *.json")
    old = study.published.get((name, size or len(study.split.training)), {})
    seeds = sorted(int(file.stem.split()[-1]) for file in files)
    new = {seed: scores for seed in seeds if (scores := study.scores(name, size, seed))}
    return dict(sorted({**old, **new}.items()))


def report(study: Study) -> None:
    """Table, in the study's folder and among the pipelines, of all runs that there are."""
    keys = [(name, size) for size in (5, 10, 20, ALL) for name in ROWS]
    runs = {key: found for key in keys if (found := runs_of(study, *key))}
    rows = [
        summary(name, size or len(study.split.training), found, runs.get((SCRATCH, size), {}), study.split.people)
        for (name, size), found in runs.items()
    ]
    table = {**study.about(), "rows": ordered(rows)}
    write_json(study.out / RESULTS.name, table)
    for row in table["rows"]:
        print("  ".join(str(value) for key, value in row.items() if key != "scores"))
    print(publish(table, RESULTS))


if __name__ == "__main__":
    main()
