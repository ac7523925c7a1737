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
from medswin.config.run import keep_settings, progress_bar, told
from medswin.config.schema import PretrainConfig
from medswin.errors import ConfigError, MedswinError
from medswin.io import read_json, read_unlabelled, write_json
from medswin.io.dicom import Series
from medswin.io.layouts import Case
from medswin.io.private import SOURCES
from medswin.networks import Encoder, Segmenter
from medswin.networks import build as build_network
from medswin.pretraining import MultiTask, PretrainTask, Views
from medswin.tracking import open_run
from medswin.training.pretrain_fit import PretrainFiles
from medswin.training.pretrain_fit import pretrain as fit
from medswin.training.unlabelled import (
    UnlabelledData,
    UnlabelledPatches,
    channels_of,
    fitting_turns,
    prepare_unlabelled,
)
from medswin.transforms import Turns, build_views

MAY_CHANGE = (
    "data.folder",
    "data.exclude",
    "tracking",
    "training.stop_at_step",
    "training.save_every",
    "training.workers",
)
"""What a resumed run may set anew: where the scans lie, too, since their content is compared."""


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
    cases = _cases(config, data, files.folder, report)
    report(f"preparing {len(cases)} scans")
    scans, channels = _prepare(config, cases, files, progress)
    _keep_scans(files.scans, scans, started=started)
    turns, in_the_way = fitting_turns(scans, config.training.patch_size, config.preprocessing.spacing_mm)
    L.seed_everything(config.training.seed, verbose=False)
    encoder = _network(config, channels).encoder
    tasks = _tasks(config, encoder)
    if "turn1" in tasks.needs:
        halves = f", by half turns only; in the way: {in_the_way}" if turns.halves else ""
        report(f"turning in the plane of axes {turns.plane}{halves}")
    for words in _too_few(config, len(scans), tasks):
        report(words)
    patches = UnlabelledPatches(scans, _views(config, turns), tasks.needs, config.training.seed)
    tracker = open_run(config.tracking.uri, config.tracking.experiment, config.name, files.folder)
    status = "FAILED"
    try:
        tracker.params(config.model_dump(mode="json"))
        loader, about = UnlabelledData(patches, config.training), _about(config, channels, len(scans))
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


def _too_few(config: PretrainConfig, scans: int, tasks: MultiTask) -> list[str]:
    """What so few scans do to what is learned, for the user."""
    samples, said = config.training.batch_size * config.training.accumulate, []
    if tasks.joint and scans < samples:
        said.append(
            f"{scans} scan(s): {', '.join(tasks.joint)} compares the {samples} samples of a step, some of which are of "
            "one scan then; give more scans, or make the batch smaller"
        )
    if scans == 1 and {"view1", "view2"} & tasks.needs and config.views.get("filler") != 0:
        said.append("1 scan: what fills parts of its views is of itself, not of another; give more, or views.filler=0")
    return said


def _about(config: PretrainConfig, channels: int, scans: int) -> dict[str, Any]:
    """What the encoder's file says of itself."""
    return {
        "medswin_version": medswin.__version__,
        "network": {**config.network, "in_channels": channels},
        "preprocessing": config.preprocessing.to_json(),
        "tasks": config.tasks,
        "scans": scans,
    }


def _keep_scans(path: Path, scans: Sequence[Path], *, started: bool) -> None:
    """A run is resumed on the scans that it was started on: their names in the cache change with their content."""
    names = [scan.stem for scan in scans]
    if started and path.exists():
        before = read_json(path)["scans"]
        changed = sorted({*names} ^ {*before})
        if changed:
            example = changed[0].rsplit("-", 1)[0]
            raise ConfigError(
                f"the run was started on other scans: {len(changed)} differ, for example {example}",
                where=path,
                repair="resume with the scans of the run, or start another with -o",
            )
    else:
        write_json(path, {"scans": names})


def check_pretraining(config: PretrainConfig) -> None:
    """Raise ConfigError, naming the section, unless all parts can be built and fit each other."""
    size, count = config.training.patch_size, config.training.batch_size
    with naming("network"), torch.device("meta"):
        encoder = _network(config, 1).encoder
    if min(size) < 1 or any(s % d for s, d in zip(size, encoder.divisor, strict=True)):
        raise ConfigError(f"{size} must be divisible by the network's {encoder.divisor}", where="training.patch_size")
    with naming("tasks"), torch.device("meta"):
        tasks = _tasks(config, encoder)
        tasks.attach(encoder)
    if tasks.joint and count * config.training.accumulate < 2:
        raise ConfigError(
            f"{', '.join(tasks.joint)} compares samples, and a batch of one has nothing to compare",
            where="training.batch_size",
            repair="make batch_size or accumulate at least 2",
        )
    with naming("views"):
        chain = _views(config, Turns.fitting(size, (), ()))  # a quarter turn of a long patch would not fit the filler
        sample: Any = chain({name: torch.rand(1, *size) for name in ("image", "other")})
    unknown = sorted(tasks.needs - set(sample))
    if unknown:
        raise ConfigError(f"they make nothing called {', '.join(unknown)}", where="views", repair="use other tasks")
    with naming("training.patch_size"):  # a dry run, without numbers: it meets what a first step would meet
        batch = {name: torch.as_tensor(sample[name])[None].repeat_interleave(count, 0) for name in tasks.needs}
        tasks(Views(encoder, {name: value.to("meta") for name, value in batch.items()}))


def _cases(config: PretrainConfig, data: Path | None, run: Path, report: Callable[[str], None]) -> list[Case | Series]:
    folder = data or config.data.folder
    if folder is None:
        raise ConfigError("no scans are given", where="data.folder", repair="add --data FOLDER")
    cases = read_unlabelled(folder, run, report)
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
    config: PretrainConfig, cases: Sequence[Case | Series], files: PretrainFiles, progress: bool
) -> tuple[list[Path], int]:
    """Every scan, and how many channels all have; all bad ones are named before anything is trained."""
    done, failed, channels = [], [], None
    for case in progress_bar(progress, "preparing")(list(cases)):
        try:
            path = prepare_unlabelled(case, config.preprocessing, channels, config.data.margin, files.cache)
        except MedswinError as error:
            failed.append(str(error))
        else:
            channels = channels or channels_of(path)
            done.append(path)
    if failed or channels is None:
        raise ConfigError(
            f"{len(failed)} scan(s) cannot be used: {told(failed, files.folder)}",
            repair="repair these scans or take them out of the folder"
            + (f"; {files.folder / SOURCES} says which files a series is" if isinstance(cases[0], Series) else ""),
        )
    return done, channels


def _network(config: PretrainConfig, channels: int) -> Segmenter:
    built: Segmenter = build(build_network, config.network, in_channels=channels, out_channels=2)
    return built


def _views(config: PretrainConfig, turns: Turns) -> Any:
    return build(build_views, config.views, patch_size=config.training.patch_size, turns=turns)


def _tasks(config: PretrainConfig, encoder: Encoder) -> MultiTask:
    """The tasks by name; a second one of the same kind gets a number."""
    tasks: dict[str, PretrainTask] = {}
    given: dict[str, float] = {}
    for row in config.tasks:
        params = {key: value for key, value in row.items() if key != "weight"}
        name = str(row["name"])
        name = name if name not in tasks else f"{name}_{len(tasks) + 1}"
        tasks[name] = build(medswin.pretraining.build, params, channels=encoder.channels, strides=encoder.strides)
        given[name] = float(row.get("weight", 1.0))
    return MultiTask(tasks, given, learned=config.weighting == "learned")
