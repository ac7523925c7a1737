"""Which DICOM series of a tree are for a model, and which of a study is which channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medswin.errors import InputError
from medswin.io.dicom import Series
from medswin.io.dicom.series import Tree, pseudonym, search
from medswin.io.found import Sources
from medswin.io.layouts import Case
from medswin.io.lone import lone_slices
from medswin.io.private import naming_key, origin
from medswin.io.selection import Rule
from medswin.io.source import SeriesSource

_BROKEN = "export their series again; .private/sources.json tells the folder by this name"


def find_cases(
    folder: Path, private: Path, channels: Sequence[str], rules: Sequence[Rule], *, all_series: bool
) -> Sources:
    """The cases of a tree of DICOM files, or of one file.

    Each series is a case of its own; where the model takes several channels, each study is, one series a channel.

    Args:
        folder: the tree.
        private: folder of the results; the key of the series' names is kept here.
        channels: names of the model's channels.
        rules: one a channel; none where any series will do.
        all_series: take every series of a one-channel model, whatever the rules say.

    Slices that are no volume are left out, see `medswin.io.lone`; a series for the model that fell apart into such
    slices, and a folder with files that cannot be read, are cases that failed.
    """
    key, names = naming_key(private), tuple(channels)
    tree = search(folder, key)
    given = list(rules) or [Rule() for _ in names]
    asked = [Rule()] if all_series and len(names) == 1 else given
    left_out = [(one.id, _objections(asked, one)) for one in tree.series]
    left_out = [(name, why) for name, why in left_out if why]
    fitting = [one for one in tree.series if one.id not in dict(left_out)]
    cases: list[SeriesSource] = []
    failed: list[tuple[str, InputError]] = []
    alone = lone_slices(tree.lone)
    for group in alone:
        if group.torn and not _objections(asked, group.series):
            failed.append((group.series.id, InputError(group.why, where=group.series.id, repair=group.repair)))
        else:
            left_out.append((group.series.id, group.why))
    studies: dict[str, list[Series]] = {}
    for one in fitting:
        studies.setdefault(one.id if len(names) == 1 else one.study, []).append(one)
    for case, series in studies.items():
        try:
            chosen = (series[0],) if len(names) == 1 else _one_each(case, series, asked, names)
            cases.append(SeriesSource(case, case, _files(chosen), series=chosen, channels=names))
        except InputError as error:
            failed.append((case, error))
    broken = {pseudonym("files", str(folder.absolute()), key): (folder, why) for folder, why in tree.broken.items()}
    failed += [(name, InputError(why, where=name, repair=_BROKEN)) for name, (_, why) in broken.items()]
    told = [
        (one.id, f"{one.summary}; {_why(one, rule, name if len(names) > 1 else '')}")
        for case in cases
        for one, rule, name in zip(case.series, given, names, strict=True)
    ]
    origins = {name: {"files": [str(folder.absolute())]} for name, (folder, _) in broken.items()}
    origins |= {one.id: origin([one]) for one in tree.series} | {one.series.id: origin([one.series]) for one in alone}
    origins |= {name: origin(of) for name, of in studies.items()}
    return Sources(tuple(cases), tuple(failed), tuple(left_out), tuple(told), dict(tree.passed_over), origins)


def listed_series(case: Case, private: Path, channels: Sequence[str]) -> SeriesSource:
    """A case whose channels are DICOM series, each all that its folder holds, whatever the model's rules say.

    Raises:
        InputError: for a file among the folders, a folder for several channels, or one with no series or several, with
            slices that are no volume or with files that cannot be read.
    """
    names = tuple(channels)
    if len(case.images) != len(names) or not all(path.is_dir() for path in case.images):
        repair = f"give the columns {', '.join(names)} a folder each, or only files"
        raise InputError("names a folder of DICOM that is not one channel's", where=case.id, repair=repair)
    key, chosen = naming_key(private), list[Series]()
    for folder, name in zip(case.images, names, strict=True):
        tree = search(folder, key)
        if len(tree.series) < 2:
            _check_whole(tree, name, case.id)
        if len(tree.series) != 1:
            raise InputError(
                f"the folder for {name} holds {len(tree.series)} DICOM series of CT, MR, PT or NM, it must hold one",
                where=case.id,
                repair="name the folder of one series, or give the whole tree, which needs no table (-i FOLDER)",
            )
        chosen.append(replace(tree.series[0], id=case.id if len(names) == 1 else f"{case.id}, {name}"))
    return SeriesSource(case.id, case.id, _files(chosen), series=tuple(chosen), channels=names)


def _check_whole(tree: Tree, name: str, where: str) -> None:
    """Refuse a folder of which more is known than its series: slices that are no volume, or files that are damaged."""
    alone = lone_slices(tree.lone)
    found = Counter([*tree.broken.values(), *(one.why for one in alone)])
    if not found:
        return
    told = "; ".join(f"{count} x {why}" if count > 1 else why for why, count in found.most_common())
    repair = next((one.repair for one in alone if one.repair), "export the series again, into a folder of its own")
    raise InputError(f"the folder for {name} is not one whole series: {told}", where=where, repair=repair)


def _one_each(case: str, series: Sequence[Series], rules: Sequence[Rule], names: Sequence[str]) -> tuple[Series, ...]:
    """The series of a study that is each channel."""
    chosen = []
    for rule, name in zip(rules, names, strict=True):
        fitting = [one for one in series if not _objections([rule], one)]
        if len(fitting) != 1:
            raise InputError(
                f"{len(fitting)} of its series fit the model's rule for channel {name}, one must",
                where=case,
                repair="give the study with one series for each channel, or list the files in a table (-i cases.csv)",
            )
        chosen.append(fitting[0])
    return tuple(chosen)


def _why(series: Series, rule: Rule, channel: str) -> str:
    """Why a series was chosen, for the log; one that the rule is against was not chosen by it."""
    objection = _objections([rule], series)
    if objection:
        return f"taken by --all-series, though {objection}"
    which = f" for channel {channel}" if channel else ""
    return f"fits the model's rule{which}: {rule.words()}"


def _files(series: Sequence[Series]) -> tuple[Path, ...]:
    """A file of many frames comes once."""
    return tuple(dict.fromkeys(path for one in series for path in one.files))


def _objections(rules: Sequence[Rule], series: Series) -> str:
    """Why a series is for none of the channels; empty if it is for one."""
    facts = {"modality": series.modality, "orientation": series.plane, "description": series.description}
    found = [rule.objection(slices=len(series.slices), **facts) for rule in rules]
    return "" if "" in found else found[0]
