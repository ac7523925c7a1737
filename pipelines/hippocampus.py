"""From the Decathlon's hippocampus data to the shipped model: train, check, and put the package into the zoo.

Usage: python pipelines/hippocampus.py --data Task04_Hippocampus [-o runs/hippocampus] [--resume] [--ship]
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from medswin.config import load, train
from medswin.inference import Predictor
from medswin.io import read_package
from medswin.resources import ZOO, find_config


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data set, Decathlon layout")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/hippocampus"))
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--ship", action="store_true", help="put the package into medswin/zoo")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()

    config = load(find_config("hippocampus/swin_unetr"), options.overrides)
    folder = train(config, data=options.data, out=options.out, resume=options.resume, report=print)
    if folder is None:
        return

    package = read_package(folder)
    for part, summary in package.metrics.items():
        mean = summary["mean"]
        print(f"{part:12} Dice {mean['dice']:.4f}  NSD {mean['nsd']:.4f}  HD95 {mean['hd95_mm']:.2f} mm")
    Predictor.load(folder)  # it must be usable as it lies there
    if options.ship:
        target = ZOO / config.name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
        print(f"shipped as {target.name}, package {package.id[:12]}")


if __name__ == "__main__":
    main()
