"""Reviewed cases beside a data set's own: they teach, and neither validate nor calibrate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from medswin.errors import ConfigError
from medswin.io import Case, Dataset, people, read_dataset
from medswin.io.files import read_bytes, sha256
from medswin.labels import LabelSet
from medswin.training.split import Split


def read_reviewed(folder: Path, dataset: Dataset, label_set: LabelSet) -> dict[str, Case]:
    """The cases of a quarantine (`medswin.review.quarantine`), or of any data set with the same structures.

    Args:
        folder: of them.
        dataset: that they are put beside.
        label_set: of the model to come; its structures may have other names than in the data set.

    Raises:
        ConfigError: if its structures or its number of channels are others, or a case of it has the name of one of the
            data set's.
        InputError: if it cannot be read.
    """
    found = read_dataset(folder)
    theirs, ours, named = (
        {name: value for name, value in names.items() if value}
        for names in (found.label_names, dataset.label_names, {label.name: label.value for label in label_set})
    )
    if theirs not in (ours, named):
        raise ConfigError(
            f"its structures are {theirs}, those of {dataset.name} are {ours}",
            where=folder,
            repair="take in reviews of a model that was trained on this data set",
        )
    if len(found.channel_names) != len(dataset.channel_names):
        channels = f"{len(found.channel_names)} channels, {dataset.name} has {len(dataset.channel_names)}"
        raise ConfigError(f"it has {channels}", where=folder, repair="take in cases of as many channels")
    cases = {case.id: case for case in found.cases if case.label is not None}
    if twice := sorted(set(cases) & {case.id for case in dataset.cases}):
        raise ConfigError(
            f"{len(twice)} of its cases are in {dataset.name} already, for example {twice[0]}",
            where=folder,
            repair="take them out of one of the two",
        )
    return cases


def hashes(cases: Mapping[str, Case]) -> dict[str, str]:
    """SHA-256 of each case's label map: a run is resumed with the cases that it was started with."""
    return {name: sha256(read_bytes(case.label)) for name, case in sorted(cases.items()) if case.label is not None}


def add_reviewed(
    cases: Mapping[str, Case], dataset: Dataset, split: Split, group: Mapping[str, str]
) -> tuple[Dataset, Split, tuple[str, ...]]:
    """Dataset and split with the reviewed cases among those that teach.

    Args:
        cases: see `read_reviewed`.
        dataset: with its test cases, which have no label.
        split: of its labelled cases.
        group: the rule that tells whose scan a case is.

    Returns:
        Both, and the names of the cases left out: of people on whom the model is chosen, calibrated or tested.

    Raises:
        InputError: if the rule does not tell whose scan a case is.
    """
    tests = [case.id for case in dataset.cases if case.label is None]
    owners = people([*cases, *tests], group)
    held = {split.people[case] for case in (*split.validation, *split.calibration)} | {owners[case] for case in tests}
    kept = {name: case for name, case in cases.items() if owners[name] not in held}
    both = Split(
        tuple(sorted((*split.training, *kept))),
        split.validation,
        split.calibration,
        {**split.people, **{name: owners[name] for name in kept}},
    )
    return replace(dataset, cases=(*dataset.cases, *kept.values())), both, tuple(sorted(set(cases) - set(kept)))
