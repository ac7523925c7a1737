"""Reviewed cases beside a data set's own: they teach, and neither validate nor calibrate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from medswin.errors import ConfigError
from medswin.io import Case, Dataset, people, read_dataset
from medswin.io.files import read_bytes, sha256
from medswin.io.quarantine import Record, check_unchanged, read_records
from medswin.io.sources import ImageSource
from medswin.labels import LabelSet
from medswin.training.split import Split


@dataclass(frozen=True)
class Reviewed(Case):
    """A case of a quarantine.

    Attributes:
        input_sha256: of the files of its scan as they were segmented; None where it is not known.
    """

    input_sha256: str | None = None


def read_reviewed(folder: Path, dataset: Dataset, label_set: LabelSet) -> dict[str, Reviewed]:
    """The cases of a quarantine (`medswin.io.quarantine`), or of any data set with the same structures.

    Args:
        folder: of them.
        dataset: that they are put beside.
        label_set: of the model to come; its structures may have other names than in the data set.

    Raises:
        ConfigError: if its structures or its number of channels are others, or a case of it has the name of one of the
            data set's, or none of its cases may teach.
        InputError: if it cannot be read, or an image or label map is not the one that was taken in.
    """
    folder = folder.parent if folder.is_file() else folder
    records = read_records(folder)
    if records and not any(record["usable"] for record in records.values()):
        what = f"none of its {len(records)} cases may teach: in each a structure was rejected"
        raise ConfigError(what, where=folder, repair="correct outlines instead, or train without --reviewed")
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
    cases = {case.id: _reviewed(case, records) for case in found.cases if case.label is not None}
    if twice := sorted(set(cases) & {case.id for case in dataset.cases}):
        raise ConfigError(
            f"{len(twice)} of its cases are in {dataset.name} already, for example {twice[0]}",
            where=folder,
            repair="take them out of one of the two",
        )
    for name in cases if records else ():
        check_unchanged(folder, name, records)
    return cases


def _reviewed(case: Case, records: Mapping[str, Record]) -> Reviewed:
    return Reviewed(case.id, case.images, case.label, records.get(case.id, {}).get("input_sha256"))


def hashes(cases: Mapping[str, Case]) -> dict[str, str]:
    """SHA-256 of each case's label map: a run is resumed with the cases that it was started with."""
    return {name: sha256(read_bytes(case.label)) for name, case in sorted(cases.items()) if case.label is not None}


def add_reviewed(
    cases: Mapping[str, Reviewed], dataset: Dataset, split: Split, group: Mapping[str, str]
) -> tuple[Dataset, Split, tuple[str, ...]]:
    """Dataset and split with the reviewed cases among those that teach.

    Args:
        cases: see `read_reviewed`.
        dataset: with its test cases, which have no label.
        split: of its labelled cases.
        group: the rule that tells whose scan a case is.

    Returns:
        Both, and the names of the cases left out: of people on whom the model is chosen, calibrated or tested, or the
        very scans that it is, whatever their names.

    Raises:
        InputError: if the rule does not tell whose scan a case is.
    """
    measuring = {*split.validation, *split.calibration}
    tests = [case.id for case in dataset.cases if case.label is None]
    owners = people([*cases, *tests], group)
    held = {split.people[case] for case in measuring} | {owners[case] for case in tests}
    kept = {name: case for name, case in cases.items() if owners[name] not in held}
    known = {case.input_sha256: name for name, case in kept.items() if case.input_sha256}
    for case in dataset.cases if known else ():
        if case.id in measuring or case.label is None:
            kept.pop(known.get(ImageSource(case.id, case.id, case.images).digest() or "", ""), None)
    both = Split(
        tuple(sorted((*split.training, *kept))),
        split.validation,
        split.calibration,
        {**split.people, **{name: owners[name] for name in kept}},
    )
    return replace(dataset, cases=(*dataset.cases, *kept.values())), both, tuple(sorted(set(cases) - set(kept)))
