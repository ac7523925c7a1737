"""Which DICOM series of a tree are for a model, and which of a study is which channel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medswin.errors import InputError
from medswin.io.dicom import Series, find_series
from medswin.io.found import Sources
from medswin.io.private import naming_key, origin
from medswin.io.selection import Rule
from medswin.io.source import SeriesSource


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

    Raises:
        InputError: where there is no series.
    """
    tree, names = find_series(folder, naming_key(private)), tuple(channels)
    asked = [Rule()] if all_series and len(names) == 1 else list(rules) or [Rule() for _ in names]
    left_out = [(one.id, _objections(asked, one)) for one in tree.series]
    left_out = [(name, why) for name, why in left_out if why]
    fitting = [one for one in tree.series if one.id not in dict(left_out)]
    cases, failed = [], []
    studies: dict[str, list[Series]] = {}
    for one in fitting:
        studies.setdefault(one.id if len(names) == 1 else one.study, []).append(one)
    for case, series in studies.items():
        try:
            chosen = (series[0],) if len(names) == 1 else _one_each(case, series, asked, names)
            cases.append(SeriesSource(case, case, _files(chosen), series=chosen, channels=names))
        except InputError as error:
            failed.append((case, error))
    told = [(one.id, one.summary) for case in cases for one in case.series]
    origins = {one.id: origin([one]) for one in tree.series} | {name: origin(of) for name, of in studies.items()}
    return Sources(tuple(cases), tuple(failed), tuple(left_out), tuple(told), dict(tree.passed_over), origins)


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


def _files(series: Sequence[Series]) -> tuple[Path, ...]:
    """A file of many frames comes once."""
    return tuple(dict.fromkeys(path for one in series for path in one.files))


def _objections(rules: Sequence[Rule], series: Series) -> str:
    """Why a series is for none of the channels; empty if it is for one."""
    facts = {"modality": series.modality, "orientation": series.plane, "description": series.description}
    found = [rule.objection(slices=len(series.slices), **facts) for rule in rules]
    return "" if "" in found else found[0]
