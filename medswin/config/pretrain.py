"""A pre-training run put together, and the check that it can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch

import medswin
import medswin.pretraining
from medswin.config.parts import build, naming
from medswin.config.run import keep_settings, progress_bar
from medswin.config.schema import PretrainConfig
from medswin.errors import ConfigError, MedswinError
from medswin.io import read_json, read_unlabelled
from medswin.io.layouts import Case
from medswin.networks import Encoder, Segmenter
from medswin.networks import build as build_network
from medswin.pretraining import MultiTask, PretrainTask, Views
from medswin.tracking import open_run
from medswin.training.data import read_case
from medswin.training.pretrain_fit import PretrainFiles
from medswin.training.pretrain_fit import pretrain as fit
from medswin.training.unlabelled import UnlabelledData, UnlabelledPatches, prepare_unlabelled, spacing_mm
from medswin.transforms import Turns, build_views
from medswin.transforms.views import KEYS

MAY_CHANGE = ("tracking", "training.stop_at_step", "training.save_every", "training.workers")
"""What a resumed run may set anew."""


def pretrain(
    config: PretrainConfig,
    *,
    data: Path | None = None,
    out: Path | None = None,
    resume: bool = False,
    progress: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> Path | None:
    """Pre-train an encoder as a config says, on scans without labels.

    Args:
        config: the settings.
        data: folder of the scans, instead of ``config.data.folder``.
        out: folder of the run, ``runs/<name>`` where None.
        resume: go on with the run in ``out``.
        progress: show progress bars.
        report: gets lines for the user.

    Returns:
        The encoder's file (safetensors), for ``medswin train --init``; None if ``training.stop_at_step`` ended the run.

    Raises:
        MedswinError: for data, settings or folders that cannot be used.
    """
    check_pretraining(config)
    files = PretrainFiles(out or Path("runs") / config.name)
    started = files.checkpoint.exists() or files.encoder.exists()
    keep_settings(config.model_dump(mode="json"), files.config, MAY_CHANGE, resume=resume, started=started)
    cases = _cases(config, data)
    report(f"preparing {len(cases)} scans")
    channels = len(read_case(cases[0]).image)
    scans = _prepare(config, cases, channels, files, progress)
    turns = Turns.fitting(config.training.patch_size, [spacing_mm(scan) for scan in scans])
    L.seed_everything(config.training.seed, verbose=False)
    encoder = _network(config, channels).encoder
    tasks = _tasks(config, encoder)
    if "turn1" in tasks.needs:
        report(f"turning in the plane of axes {turns.plane}{', by half turns only' if turns.halves else ''}")
    patches = UnlabelledPatches(scans, _views(config, turns), tasks.needs, config.training.seed)
    about = {
        "medswin_version": medswin.__version__,
        "network": {**config.network, "in_channels": channels},
        "preprocessing": config.preprocessing.to_json(),
        "tasks": config.tasks,
        "scans": len(scans),
    }
    tracker = open_run(config.tracking.uri, config.tracking.experiment, config.name, files.folder)
    status = "FAILED"
    try:
        tracker.params(config.model_dump(mode="json"))
        loader = UnlabelledData(patches, config.training)
        over = fit(
            encoder, tasks, config.training, loader, files, tracker, about,
            warn=report, resume=resume, progress=progress,
        )  # fmt: skip
        status = "FINISHED" if over else "KILLED"
        if not over:
            report(f"stopped before the end of the schedule; --resume goes on with {files.folder}")
            return None
        for path in (files.config, files.encoder):
            tracker.artifact(path)
    finally:
        tracker.close(status)
    return files.encoder


def check_pretraining(config: PretrainConfig) -> None:
    """Raise ConfigError, naming the section, unless all parts can be built and fit each other."""
    size, count = config.training.patch_size, config.training.batch_size
    with naming("network"), torch.device("meta"):
        encoder = _network(config, 1).encoder
    if min(size) < 1 or any(s % d for s, d in zip(size, encoder.divisor, strict=True)):
        raise ConfigError(f"{size} must be divisible by the network's {encoder.divisor}", where="training.patch_size")
    with naming("tasks"), torch.device("meta"):
        tasks = _tasks(config, encoder)
    unknown = sorted(tasks.needs - set(KEYS))
    if unknown:
        raise ConfigError(f"no views are made called {', '.join(unknown)}", where="views", repair="use other tasks")
    with naming("views"):
        chain = _views(config, Turns())
        sample: Any = chain({name: torch.rand(1, *size) for name in ("image", "other")})
    with naming("training.patch_size"):  # a dry run, without numbers: it meets what a first step would meet
        batch = {name: torch.as_tensor(sample[name])[None].repeat_interleave(count, 0) for name in tasks.needs}
        tasks(Views(encoder, {name: value.to("meta") for name, value in batch.items()}))


def _cases(config: PretrainConfig, data: Path | None) -> list[Case]:
    folder = data or config.data.folder
    if folder is None:
        raise ConfigError("no scans are given", where="data.folder", repair="add --data FOLDER")
    cases = read_unlabelled(folder)
    if config.data.exclude is not None:
        stored = read_json(config.data.exclude)
        held = {*stored.get("validation", ()), *stored.get("calibration", ())}
        missing = held - {case.id for case in cases}
        if not held or missing == held:
            raise ConfigError(
                "it names no case of these scans to leave out",
                where=config.data.exclude,
                repair="name the splits.json of a training run on the same scans",
            )
        cases = [case for case in cases if case.id not in held]
    if not cases:
        raise ConfigError("no scan is left", where=folder, repair="give more scans")
    return cases


def _prepare(
    config: PretrainConfig, cases: Sequence[Case], channels: int, files: PretrainFiles, progress: bool
) -> list[Path]:
    """Every scan; all bad ones are named before anything is trained."""
    done, failed = [], []
    for case in progress_bar(progress, "preparing")(list(cases)):
        try:
            done.append(prepare_unlabelled(case, config.preprocessing, channels, config.data.margin, files.cache))
        except MedswinError as error:
            failed.append(str(error))
    if failed:
        raise ConfigError(
            f"{len(failed)} scan(s) cannot be used: " + " | ".join(failed[:5]),
            repair="repair these scans or take them out of the folder",
        )
    return done


def _network(config: PretrainConfig, channels: int) -> Segmenter:
    built: Segmenter = build(build_network, config.network, in_channels=channels, out_channels=2)
    return built


def _views(config: PretrainConfig, turns: Turns) -> Any:
    return build(build_views, config.views, patch_size=config.training.patch_size, turns=turns)


def _tasks(config: PretrainConfig, encoder: Encoder) -> MultiTask:
    """The tasks by name; a second one of the same kind gets a number."""
    tasks: dict[str, PretrainTask] = {}
    weights: dict[str, float] = {}
    for row in config.tasks:
        params = {key: value for key, value in row.items() if key != "weight"}
        name = str(row["name"])
        name = name if name not in tasks else f"{name}_{len(tasks) + 1}"
        tasks[name] = build(medswin.pretraining.build, params, channels=encoder.channels, strides=encoder.strides)
        weights[name] = float(row.get("weight", 1.0))
    return MultiTask(tasks, weights, learned=config.weighting == "learned")
