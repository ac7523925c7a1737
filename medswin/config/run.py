"""A training run put together: each room gets from here what it needs of its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L

import medswin.losses
import medswin.networks
from medswin.config.schema import Config
from medswin.errors import ConfigError, MedswinError
from medswin.inference import WindowInferer
from medswin.io import Dataset, people, read_dataset, read_package, write_json
from medswin.labels import LabelSet
from medswin.networks import Segmenter
from medswin.tracking import Tracker, open_run
from medswin.training.callback import RunFiles
from medswin.training.data import PreparedCase, TrainingData, prepare
from medswin.training.fingerprint import fingerprint
from medswin.training.finish import finish
from medswin.training.fit import fit
from medswin.training.split import PARTS, Split, keep_split
from medswin.training.validation import Validation
from medswin.transforms import build_augmentation


def train(
    config: Config,
    *,
    data: Path | None = None,
    out: Path | None = None,
    resume: bool = False,
    init: str | None = None,
    progress: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> Path | None:
    """Train a model as a config says, and write its package.

    Args:
        config: the settings.
        data: folder of the data set, instead of ``config.data.folder``.
        out: folder of the run, ``runs/<name>`` where None.
        resume: go on with the run in ``out``.
        init: name or path of a model package whose weights to start from.
        progress: show progress bars.
        report: gets lines for the user.

    Returns:
        Folder of the model package; None if ``training.stop_at_step`` ended the run, whose checkpoint then waits to be
        resumed.

    Raises:
        MedswinError: for data, settings or folders that cannot be used.
    """
    files = RunFiles(out or Path("runs") / config.name)
    dataset = read_dataset(_folder(config, data))
    label_set = config.label_set(dataset.label_names)
    split = _split(config, dataset, files)
    cases = _prepare(config, dataset, split, label_set, files, report)
    prints = fingerprint([cases[c] for c in split.training], label_set.names)
    write_json(files.fingerprint, prints)
    report(_describe(split, prints))
    L.seed_everything(config.training.seed, verbose=False)
    network = build_network(config, dataset, label_set)
    if init is not None:
        start_from(network, init)
    infer = partial(inferer(config).with_features, stages=config.ood.stages)
    tracker = open_run(config.tracking.uri, config.tracking.experiment, config.name, files.folder)
    over = False
    try:
        tracker.params({**config.model_dump(mode="json", exclude={"about"}), "init": init})
        over = fit(
            network,
            _build(medswin.losses.build, config.loss),
            config.training,
            TrainingData(
                [cases[c] for c in split.training],
                _build(build_augmentation, config.augmentation, patch_size=config.training.patch_size),
                config.training,
            ),
            Validation(
                [cases[c] for c in split.validation], infer, label_set, files.pictures, config.training.key_images
            ),
            files,
            tracker,
            resume=resume,
            progress=progress,
        )
        if not over:
            report(f"stopped before the end of the schedule; --resume goes on with {files.folder}")
            return None
        report("measuring the chosen weights and fitting the OOD judge")
        model = _model(config, dataset, prints)
        finish(network, cases, split, infer, label_set, model, config.ood.model_dump(), files.package)
        _track_package(tracker, files)
    finally:
        tracker.close(over)
    return files.package


def build_network(config: Config, dataset: Dataset, label_set: LabelSet) -> Segmenter:
    """The config's network for the data set's channels and structures, with fresh weights."""
    sizes = {"in_channels": len(dataset.channel_names), "out_channels": len(label_set) + 1}
    network: Segmenter = _build(medswin.networks.build, config.network, **sizes)
    return network


def inferer(config: Config) -> WindowInferer:
    """The window inferer of a config: its windows are the training patches unless it says otherwise."""
    window = config.window
    return WindowInferer(
        window.roi_size or config.training.patch_size,
        overlap=window.overlap,
        mode=window.mode,
        mirror_axes=window.mirror_axes,
    )


def start_from(network: Segmenter, init: str) -> None:
    """Fill a network with a package's weights; a head for other structures stays fresh.

    Raises:
        ConfigError: if anything but the head differs in name or shape.
    """
    own, state = network.state_dict(), read_package(init).state
    fitting = {name: t.to(own[name].dtype) for name, t in state.items() if name in own and t.shape == own[name].shape}
    lacking = sorted(name for name in own if name not in fitting and not name.startswith("head."))
    if lacking:
        raise ConfigError(
            f"its network is another one: {len(lacking)} tensors do not fit, for example {lacking[0]}",
            where=f"--init {init}",
            repair="use the network section of that package's model.json",
        )
    network.load_state_dict({**own, **fitting})


def _folder(config: Config, data: Path | None) -> Path:
    folder = data or config.data.folder
    if folder is None:
        raise ConfigError("no data set is given", where="data.folder", repair="add --data FOLDER")
    return folder


def _split(config: Config, dataset: Dataset, files: RunFiles) -> Split:
    labelled = [case.id for case in dataset.cases if case.label is not None]
    data = config.data
    return keep_split(files.splits, people(labelled, data.group), data.validation, data.calibration, data.seed)


def _prepare(
    config: Config, dataset: Dataset, split: Split, label_set: LabelSet, files: RunFiles, report: Callable[[str], None]
) -> dict[str, PreparedCase]:
    """Every case of the split; all bad ones are named before anything is trained."""
    report(f"preparing {len(split.people)} cases of {dataset.name}")
    done, failed = {}, []
    for case in dataset.cases:
        if case.id in split.people:
            try:
                done[case.id] = prepare(case, config.preprocessing, len(label_set) + 1, files.cache)
            except MedswinError as error:
                failed.append(str(error))
    if failed:
        raise ConfigError(f"{len(failed)} case(s) cannot be used: " + " | ".join(failed[:5]), where=dataset.name)
    return done


def _describe(split: Split, prints: dict[str, Any]) -> str:
    fov, spacing = prints["fov_mm"], prints["spacing_mm"]
    shares = {name: getattr(split, name) for name in PARTS}
    people_of = {name: len({split.people[c] for c in cases}) for name, cases in shares.items()}
    parts = ", ".join(f"{len(cases)} of {people_of[name]} people for {name}" for name, cases in shares.items())
    return (
        f"scans: {parts}\n"
        f"field of view {fov['min']} to {fov['max']} mm, spacing {spacing['min']} to {spacing['max']} mm"
    )


def _model(config: Config, dataset: Dataset, prints: dict[str, Any]) -> dict[str, Any]:
    window = config.window.model_dump(mode="json")
    sizes = {"in_channels": len(dataset.channel_names), "out_channels": len(dataset.label_names)}
    params = {key: value for key, value in config.network.items() if key != "name"}
    return {
        "name": config.name,
        "version": config.version,
        "licence": config.licence,
        "about": config.about.model_dump(),
        "network": {"name": config.network["name"], "params": {**sizes, **params}},
        "preprocessing": config.preprocessing.to_json(),
        "channels": list(dataset.channel_names),
        "window": {**window, "roi_size": list(config.window.roi_size or config.training.patch_size)},
        "ood_stages": list(config.ood.stages),
        "fingerprint": prints,
    }


def _track_package(tracker: Tracker, files: RunFiles) -> None:
    for path in (files.splits, files.fingerprint, files.package):
        tracker.artifact(path, "package" if path.is_dir() else "")


def _build(build: Callable[..., Any], part: dict[str, Any], **given: Any) -> Any:
    return build(part["name"], **{key: value for key, value in part.items() if key != "name"}, **given)
