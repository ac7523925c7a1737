"""Does bf16 change what a clinician sees? The shipped model in fp32 and in bf16 on each scan of a data set.

Usage: python pipelines/precision_study.py --data Task04_Hippocampus
"""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from side_by_side import machine

from medswin.inference import Predictor
from medswin.io import read_dataset, read_json, write_json
from medswin.metrics import dice

RESULTS = Path(__file__).with_suffix(".json")


def main() -> None:
    """Predict, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data set, Decathlon layout")
    predictors = {name: Predictor.load("hippocampus", precision=name) for name in ("fp32", "bf16")}
    agreed: dict[str, list[float]] = {}
    verdicts, moved = Counter[str](), dict[str, Any]()
    cases = read_dataset(parser.parse_args().data).cases
    for case in cases:
        full, half = (predictor(case.images[0]) for predictor in predictors.values())
        for part in full.label_set:
            agreed.setdefault(part.name, []).append(dice(full.labels == part.value, half.labels == part.value))
        verdicts[full.ood.verdict] += 1
        if full.ood.verdict != half.ood.verdict:
            said = {name: one.ood for name, one in zip(predictors, (full, half), strict=True)}
            moved[case.id] = {
                name: f"{one.verdict}, score {one.score:.4g}, limit {one.limit:.4g}" for name, one in said.items()
            }
    told = {name: {"least": round(min(found), 4), "median": round(median(found), 4)} for name, found in agreed.items()}
    about = {"date": date.today().isoformat(), "machine": machine(), "model": "hippocampus", "scans": len(cases)}
    write_json(RESULTS, {**about, "dice": told, "verdicts": dict(verdicts), "verdicts_that_differ": moved})
    print(read_json(RESULTS))


if __name__ == "__main__":
    main()
