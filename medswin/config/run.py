"""A training run put together: each room gets from here what it needs of its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import track

from medswin.config import parts
from medswin.config.init import check_start, start_from
from medswin.config.reviewed import add_reviewed, hashes, read_reviewed
from medswin.config.schema import Config
from medswin.errors import ConfigError, MedswinError, TrainingError
from medswin.inference.observe import observe
from medswin.io import Dataset, people, read_dataset, read_json, write_json
from medswin.io.private import private_folder
from medswin.labels import LabelSet
from medswin.networks import Segmenter
from medswin.networks.outputs import Reading, reading
from medswin.regions import Regions
from medswin.tracking import Tracker, flatten, open_run
from medswin.training.callback import RunFiles
from medswin.training.data import PreparedCase, TrainingData, prepare
from medswin.training.fingerprint import fingerprint
from medswin.training.finish import finish
from medswin.training.fit import fit, refuse_second
from medswin.training.split import PARTS, Split, keep_split
from medswin.training.validation import Validation

MAY_CHANGE = (
    "about",
    "licence",
    "version",
    "tracking",
    "training.stop_at_step",
    "training.key_images",
    "training.workers",
    "ood",
)
"""What a resumed run may set anew: nothing that the weights depend on; the judge is fitted at the end."""

TOLD = 5
"""What failed that an error tells itself; of more it names a file."""

FOR_A_VERDICT = 3
"""Training people whom the detectors need, see `medswin.ood.scale.fit_scaled`."""


def train(
    config: Config,
    *,
    data: Path | None = None,
    out: Path | None = None,
    resume: bool = False,
    init: str | None = None,
    init_channels: str | None = None,
    reviewed: Path | None = None,
    progress: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> Path | None:
    """Train a model as a config says, and write its package.

    Args:
        config: the settings.
        data: folder of the data set, instead of ``config.data.folder``.
        out: folder of the run, ``runs/<name>`` where None.
        resume: go on with the run in ``out``.
        init: what to start from, see `medswin.config.init.start_from`.
        init_channels: for an ``init`` whose scans had another number of channels: ``"repeat"``, ``"mean"`` or
            ``"fresh"``.
        reviewed: a quarantine of reviewed cases, which teach beside the data set's own.
        progress: show progress bars.
        report: gets lines for the user.

    Returns:
        Folder of the model package; None if ``training.stop_at_step`` ended the run, whose checkpoint then waits to be
        resumed.

    Raises:
        MedswinError: for data, settings or folders that cannot be used.
    """
    parts.check(config)
    check_start(init, init_channels, config.training.freeze_steps)
    files = RunFiles(out or Path("runs") / config.name)
    started = files.checkpoint.exists() or files.chosen.exists()
    dataset = read_dataset(_folder(config, data))
    label_set = config.label_set(dataset.label_names)
    regions = config.regions_of(label_set)
    more = {} if reviewed is None else read_reviewed(reviewed, dataset, label_set)
    settings = {**_settings(config), "init": init, "init_channels": init_channels}
    settings |= {"reviewed": hashes(more)} if more else {}
    keep_settings(settings, files.config, MAY_CHANGE, resume=resume, started=started)
    _check_sides(config, label_set)
    split = _split(config, dataset, files)
    if more:
        dataset, split, left = add_reviewed(more, dataset, split, config.data.group)
        held = f"; {len(left)} left out, whose people validate, calibrate or test" if left else ""
        report(f"reviewed cases that teach too: {len(more) - len(left)}{held}")
    _check_verdict(split)
    report(f"preparing {len(split.people)} cases of {dataset.name}")
    cases = _prepare(config, dataset, split, files, progress)
    prints = fingerprint([cases[c] for c in split.training], label_set.names)
    write_json(files.fingerprint, prints)
    report(_describe(split, prints))
    tracker = open_run(config.tracking.uri, config.tracking.experiment, config.name, files.folder)
    status = "FAILED"
    try:
        tracker.params(settings)
        network = _network(config, cases, split, reading(len(label_set), regions))
        if init is not None and not (resume and files.checkpoint.exists()):
            report(start_from(network, init, label_set, init_channels, regions))
        over = _fit(config, network, cases, split, label_set, regions, files, tracker, resume=resume, progress=progress)
        if not over:
            status = "KILLED"
            report(f"stopped before the end of the schedule; --resume goes on with {files.folder}")
            return None
        report("measuring the chosen weights and fitting the OOD judge")
        model, shown = _model(config, network, dataset, prints, regions), progress_bar(progress, "cases")
        view = parts.view(config)
        look = partial(observe, inferer=parts.inferer(config), reading=reading(len(label_set), regions), view=view)
        ood = config.ood.model_dump()
        judge = finish(network, cases, split, look, label_set, model, ood, view, files.package, shown)
        if judge is not None:
            tracker.metrics(
                {f"ood/{name}": value for name, value in judge.figures().items()}, config.training.max_steps
            )
        for path in (files.config, files.splits, files.fingerprint, files.package):
            tracker.artifact(path, "package" if path.is_dir() else "")
        status = "FINISHED"
    finally:
        tracker.close(status)
    return files.package


def _network(config: Config, cases: Mapping[str, PreparedCase], split: Split, outputs: Reading) -> Segmenter:
    """Fresh, for as many channels as the cases have."""
    L.seed_everything(config.training.seed, verbose=False)
    example, _ = cases[split.training[0]].load()
    return parts.network(config, len(example), outputs.channels)


def _fit(
    config: Config,
    network: Segmenter,
    cases: Mapping[str, PreparedCase],
    split: Split,
    label_set: LabelSet,
    regions: Regions | None,
    files: RunFiles,
    tracker: Tracker,
    *,
    resume: bool,
    progress: bool,
) -> bool:
    """Train the network; whether the run got to its end."""
    data = TrainingData([cases[c] for c in split.training], parts.augmentation(config), config.training)
    held_out = [cases[c] for c in split.validation]
    read = reading(len(label_set), regions)
    pictures = config.training.key_images
    validation = Validation(held_out, parts.inferer(config), label_set, read, files.pictures, pictures)
    loss = parts.loss(config, regions)
    return fit(network, loss, config.training, data, validation, files, tracker, resume=resume, progress=progress)


def _settings(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")


def keep_settings(
    settings: Mapping[str, Any], path: Path, may_change: tuple[str, ...], *, resume: bool, started: bool
) -> None:
    """Write the settings into the run's folder; a run is resumed with the settings that it was started with.

    Raises:
        ConfigError: for other settings, or a run that was started and is not to be resumed: nothing is written then.
    """
    if started and not resume:
        refuse_second(path.parent)
    if resume and path.exists():
        old, new = flatten(read_json(path)), flatten(settings)
        changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        changed = [key for key in changed if not key.startswith(may_change)]
        if changed:
            lacking = [key for key in changed if key in ("init", "init_channels") and new.get(key) is None]
            options = " ".join(f"--{key.replace('_', '-')} {old[key]}" for key in lacking)
            again = f"add {options}" if lacking == changed else "resume with the settings of the run"
            raise ConfigError(
                f"the run was started with other settings: {', '.join(changed[:5])}",
                where=path,
                repair=f"{again}, or start another with -o",
            )
    else:
        write_json(path, settings)


def _folder(config: Config, data: Path | None) -> Path:
    folder = data or config.data.folder
    if folder is None:
        raise ConfigError("no data set is given", where="data.folder", repair="add --data FOLDER")
    return folder


def _check_sides(config: Config, label_set: LabelSet) -> None:
    """A mirrored left is a right: refuse to teach or to average that where names tell sides."""
    mirrored = {"augmentation.flip_axes": config.augmentation.get("flip_axes", ())}
    mirrored["window.mirror_axes"] = config.window.mirror_axes
    for where, axes in mirrored.items():
        if label_set.sided and 0 in axes:
            raise ConfigError(
                f"axis 0 turns left into right, but the structures tell sides: {', '.join(label_set.names)}",
                where=where,
                repair="take 0 out",
            )


def _split(config: Config, dataset: Dataset, files: RunFiles) -> Split:
    labelled = [case.id for case in dataset.cases if case.label is not None]
    data = config.data
    return keep_split(files.splits, people(labelled, data.group), data.validation, data.calibration, data.seed)


def _check_verdict(split: Split) -> None:
    """The OOD judge is fitted after the last step: what it will need is asked for before the first."""
    taught = len({split.people[case] for case in split.training})
    if split.calibration and taught < FOR_A_VERDICT:
        raise ConfigError(
            f"a verdict needs at least {FOR_A_VERDICT} people to train on, and {taught} are left",
            where="data.calibration",
            repair="set data.calibration=0 (no verdict) or give cases of more people, and delete splits.json",
        )


def _prepare(
    config: Config, dataset: Dataset, split: Split, files: RunFiles, progress: bool
) -> dict[str, PreparedCase]:
    """Every case of the split; all bad ones are named before anything is trained."""
    done, failed = {}, []
    channels, classes = len(dataset.channel_names), len(dataset.label_names)
    for case in progress_bar(progress, "preparing")([case for case in dataset.cases if case.id in split.people]):
        try:
            done[case.id] = prepare(case, config.preprocessing, channels, classes, files.cache)
        except TrainingError:  # of the cache, not of the case
            raise
        except MedswinError as error:
            failed.append(str(error))
    if failed:
        raise ConfigError(
            f"{len(failed)} case(s) cannot be used: {told(failed, files.folder)}",
            where=dataset.name,
            repair="repair these cases or take them out of the data set, and delete splits.json",
        )
    return done


def told(failed: Sequence[str], folder: Path) -> str:
    """What failed, for an error: all where they are few, else the first, and the file of the run that has all."""
    if len(failed) <= TOLD:
        return " | ".join(failed)
    path = private_folder(folder) / "unusable.json"  # places of files may name a patient
    write_json(path, {"unusable": failed})
    return f"{' | '.join(failed[:TOLD])} | and {len(failed) - TOLD} more, all in {path}"


def progress_bar(shown: bool, words: str) -> Callable[[list[Any]], Any]:
    """Wraps a list in a progress bar on a terminal."""
    console = Console(stderr=True)
    hidden = not (shown and console.is_terminal)
    return lambda items: track(items, words, console=console, disable=hidden, transient=True)


def _describe(split: Split, prints: dict[str, Any]) -> str:
    lines = ["data set     smallest / middle / largest"]
    for part in PARTS:
        cases = getattr(split, part)
        lines.append(f"{part:12} {len(cases)} scans of {len({split.people[c] for c in cases})} people")
    rows = [
        ("size, voxels", prints["size_voxels"]),
        ("field, mm", prints["fov_mm"]),
        ("spacing, mm", prints["spacing_mm"]),
    ]
    rows += [(f"intensity {i}", channel) for i, channel in enumerate(prints["intensities"])]
    for name, spread in rows:
        lines.append(
            f"{name:12} " + " / ".join(" x ".join(f"{v:g}" for v in spread[k]) for k in ("min", "median", "max"))
        )
    return "\n".join([*lines, "(intensities: percentiles 0.5 x 50 x 99.5 of each channel)"])


def _model(
    config: Config, network: Segmenter, dataset: Dataset, prints: dict[str, Any], regions: Regions | None
) -> dict[str, Any]:
    window = config.window.model_dump(mode="json")
    params = {key: value for key, value in config.network.items() if key != "name"}
    sizes = {"in_channels": network.in_channels, "out_channels": network.out_channels}
    return {
        "name": config.name,
        "version": config.version,
        "licence": config.licence,
        "about": config.about.model_dump(),
        "network": {"name": config.network["name"], "params": {**sizes, **params}},
        "preprocessing": config.preprocessing.to_json(),
        "channels": list(dataset.channel_names),
        "window": {**window, "roi_size": list(config.window.roi_size or config.training.patch_size)},
        "fingerprint": prints,
        **({} if config.series is None else {"series": config.series}),
        **({} if regions is None else {"regions": regions.to_json()}),
    }
