"""Does a batch lose a case, or get one wrong, when everything goes wrong? 200 small studies with planted faults.

Oblique scans of 20 slices, DICOM and NIfTI, half of them with the faults that a night's batch meets, are segmented with
the shipped model by `medswin predict --workers 2`. The run is killed with its workers (kill -9), then a worker alone,
then it fills its disk; each time the same command goes on. In the end each volume of a study must have the labels of
its array that never was a file, at their place in the patient, or the study a worded report; and no patient's name may
stand in what was written.

Usage: python pipelines/fault_study.py [-o runs/faults] [--studies 200]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from fault_count import count
from fault_scans import CANARY, FAULTS, plant

from medswin.io import write_json

RESULTS = Path(__file__).with_suffix(".json")
MEDSWIN = Path(sys.executable).with_name("medswin")
SMALL, LARGE = "1m", "512m"
SCANS = "scans"


def main() -> None:
    """Plant, run, disturb, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/faults"))
    parser.add_argument("--studies", type=int, default=200)
    options = parser.parse_args()

    shutil.rmtree(options.out, ignore_errors=True)
    scans, disk = options.out / SCANS, options.out / "disk"
    studies = [plant(scans / f"{i:03d}", fault, i) for i, fault in enumerate(shares(options.studies))]
    disk.mkdir()
    mounted = not subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", disk], check=False).returncode
    out = disk / "results"
    try:
        events = {
            "killed with its workers": disturbed(scans, out, kill_all, options.studies // 40),
            "a worker killed": disturbed(scans, out, kill_a_worker, options.studies // 20),
            "the disk full": int(mounted and "No space left" in finished(scans, out).stderr),
        }
        if mounted:
            subprocess.run(["mount", "-o", f"remount,size={LARGE}", disk], check=True)
        events["killed again"] = disturbed(scans, out, kill_all, options.studies // 3)
        status = finished(scans, out).returncode
        rows = count(studies, out)
        names = sum(CANARY.encode() in path.read_bytes() for path in out.rglob("*") if path.is_file())
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=False)
    report(events, status, rows, names)


def shares(studies: int) -> list[str]:
    """Half of the studies are clean, the others have each fault equally often, in a shuffled order."""
    faults = [fault for fault in FAULTS if fault != "none"]
    planted = ["none" if i % 2 else faults[i // 2 % len(faults)] for i in range(studies)]
    random.Random(0).shuffle(planted)
    return planted


def command(scans: Path, out: Path) -> list[str]:
    """What is typed, again and again, but for the workers."""
    return [str(MEDSWIN), "predict", "-i", str(scans), "-o", str(out), "-m", "hippocampus"]


def finished(scans: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """A run to its end, on a screen so wide that no words are parted."""
    words, wide = [*command(scans, out), "--workers", "2"], os.environ | {"COLUMNS": "1000"}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=wide)


def disturbed(scans: Path, out: Path, disturb: Callable[[int], None], after: int) -> int:
    """A run that is disturbed after so many more results; 1 if it came to that."""
    there = len(list(out.glob("series-*.json")))
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*command(scans, out), "--workers", "2"], stdout=quiet, stderr=quiet)
    while process.poll() is None and len(list(out.glob("series-*.json"))) < there + max(after, 1):
        time.sleep(0.02)
    if process.poll() is not None:
        return 0
    disturb(process.pid)
    process.wait()
    return 1


def kill_all(pid: int) -> None:
    """Kill -9 of the run and of its workers."""
    for child in [*children(pid), pid]:
        os.kill(child, signal.SIGKILL)


def kill_a_worker(pid: int) -> None:
    """Kill -9 of one worker; the run goes on."""
    os.kill(children(pid)[-1], signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Processes that it started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def report(events: dict[str, int], status: int, rows: Sequence[dict[str, Any]], names: int) -> None:
    """Print and keep the table."""
    total = {key: sum(row[key] for row in rows) for key in rows[0] if key != "fault"}
    for row in [*rows, {"fault": "all", **total}]:
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    print(events, f"exit status {status}, files with a patient's name: {names}")
    about = {"date": date.today().isoformat(), "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}"}
    told = {"disturbed_by": events, "exit_status": status, "files_with_a_name": names, "total": total}
    write_json(RESULTS, {**about, **told, "rows": list(rows)})


if __name__ == "__main__":
    main()
