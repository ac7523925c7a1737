"""Cases that wait to be read: found in a file, a folder, a tree of DICOM files, a zip or a table of files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from medswin.errors import InputError
from medswin.io.by_name import grouped_by_channel
from medswin.io.datasets import read_unlabelled
from medswin.io.dicom import unpacked
from medswin.io.dicom.series import nothing, pseudonym
from medswin.io.found import Sources, checked
from medswin.io.images import IMAGE_SUFFIXES, find_images, has_images
from medswin.io.layouts import Case
from medswin.io.private import naming_key
from medswin.io.reading import AS_IT_IS, Reading
from medswin.io.selection import Rule
from medswin.io.source import ImageSource, SeriesSource, Source, as_zipped
from medswin.io.studies import find_cases, listed_series
from medswin.io.table import read_table

__all__ = [
    "AS_IT_IS",
    "ImageSource",
    "Reading",
    "SeriesSource",
    "Source",
    "Sources",
    "check_some",
    "find_sources",
    "is_dicom",
    "unzipped",
]


def find_sources(
    inputs: Path | str,
    private: Path,
    channels: Sequence[str],
    rules: Sequence[Rule],
    *,
    all_series: bool = False,
    reading: Reading = AS_IT_IS,
    zipped: Path | None = None,
    may_be_none: bool = False,
) -> Sources:
    """The cases in an image file, a folder of them, a table, or a tree of DICOM files.

    A ``.csv`` file is a table (`medswin.io.table.read_table`), a folder with a ``dataset.json`` a data set. Below
    any other folder DICOM series are looked for, beside the images that lie directly in it; of the series those are
    chosen that fit the model's rules. Images in the folders below are left out, and said to be.

    Args:
        inputs: what to look into.
        private: folder of the results; the key of the series' names is kept here, for the owner's eyes only.
        channels: names of the model's channels.
        rules: one a channel.
        all_series: take every series of a one-channel model, whatever the rules say.
        reading: what is done to DICOM series.
        zipped: the zip that ``inputs`` was unpacked from; it is what errors name.
        may_be_none: whether it is fine that none is for this model.

    Raises:
        InputError: if there is no case, or none for this model.
    """
    path = Path(inputs)
    unpacked = None if zipped is None or zipped == path else (path, zipped)
    try:
        found = _found(path, private, channels, rules, all_series)
        if not may_be_none:
            check_some(found, path)
    except InputError as error:
        raise InputError(error.what, where=as_zipped(str(error.where), unpacked), repair=error.repair) from (
            None if unpacked else error
        )
    return checked(_read_so(found, reading), unpacked)


def _read_so(found: Sources, reading: Reading) -> Sources:
    cases = [replace(one, reading=reading) if isinstance(one, SeriesSource) else one for one in found.cases]
    return replace(found, cases=tuple(cases))


def _found(path: Path, private: Path, channels: Sequence[str], rules: Sequence[Rule], all_series: bool) -> Sources:
    if path.is_file() and path.suffix.lower() == ".csv":
        return _listed(*read_table(path, channels), private, channels)
    if (path / "dataset.json").is_file():
        cases = [case for case in read_unlabelled(path, private) if isinstance(case, Case)]
        return _images(cases, [], channels)
    if is_dicom(path):
        return find_cases(path, private, channels, rules, all_series=all_series)
    if not path.is_dir():
        return _images(*grouped_by_channel(find_images(path), channels), channels)
    here = find_images(path) if has_images(path) else []
    images = _images(*grouped_by_channel(here, channels), channels) if here else Sources(())
    series = find_cases(path, private, channels, rules, all_series=all_series)
    elsewhere = _elsewhere(path, private)
    if not (images.cases or images.failed or series.cases or series.failed or series.left_out):
        raise _nothing(path, series, elsewhere)
    names = {pseudonym("file", str(file.absolute()), naming_key(private)): file for file in elsewhere}
    passed_over = Counter(series.passed_over) - Counter({"not DICOM": len(here) + len(elsewhere)})
    return Sources(
        images.cases + series.cases,
        images.failed + series.failed,
        series.left_out + tuple((name, _kind(file)) for name, file in names.items()),
        series.chosen,
        dict(passed_over),
        series.origins | {name: {"files": [str(file.absolute())]} for name, file in names.items()},
    )


def _elsewhere(path: Path, private: Path) -> list[Path]:
    """Images in the folders below one, which are no cases of it, and zips; but for results of ours."""
    named = (file for file in path.rglob("*") if file.name.lower().endswith((*IMAGE_SUFFIXES, ".zip")))
    hidden = (file for file in named if not any(part.startswith(".") for part in file.relative_to(path).parts))
    ours = (file for file in hidden if private.absolute() not in file.absolute().parents)
    return sorted(file for file in ours if file.is_file() and (file.parent != path or file.suffix.lower() == ".zip"))


def _kind(file: Path) -> str:
    zipped = file.suffix.lower() == ".zip"
    return "a zip in a folder: name it alone" if zipped else "an image in a folder below: name that folder"


def _nothing(path: Path, series: Sources, elsewhere: Sequence[Path]) -> InputError:
    if not elsewhere:
        return nothing(path, series.passed_over)
    return InputError(
        f"no scan lies in it, but {len(elsewhere)} image(s) or zip(s) in the folders below do",
        where=path,
        repair="name the folder that holds them, or list them in a table (-i cases.csv)",
    )


def _images(cases: Sequence[Case], failed: Sequence[tuple[str, InputError]], channels: Sequence[str]) -> Sources:
    sources = [ImageSource(case.id, str(case.images[0]), case.images, channels=tuple(channels)) for case in cases]
    return Sources(tuple(sources), tuple(failed))


def _listed(
    cases: Sequence[Case], failed: Sequence[tuple[str, InputError]], private: Path, channels: Sequence[str]
) -> Sources:
    """Cases of a table: files, or folders that hold one DICOM series each."""
    files = _images([case for case in cases if not any(map(Path.is_dir, case.images))], failed, channels)
    good, bad = list(files.cases), list(files.failed)
    chosen: list[tuple[str, str]] = []
    for case in cases:
        if not any(map(Path.is_dir, case.images)):
            continue
        try:
            source = listed_series(case, private, channels)
            good.append(source)
            chosen += [(case.id, f"{one.summary}; named in the table") for one in source.series]
        except InputError as error:
            bad.append((case.id, error))
    return Sources(tuple(good), tuple(bad), chosen=tuple(chosen))


def check_some(found: Sources, path: Path) -> None:
    """Refuse an input without a case for the model."""
    if found.cases or found.failed:
        return
    reasons = Counter(why for _, why in found.left_out)
    told = "; ".join(f"{count} left out: {why}" for why, count in reasons.most_common(3)) or "nothing to read"
    raise InputError(f"no case for this model ({told})", where=path, repair="name another folder, or --all-series")


def is_dicom(path: Path) -> bool:
    """Whether this is one DICOM file, by its content."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


@contextmanager
def unzipped(path: Path, private: Path) -> Iterator[Path]:
    """What is in a zip, in a hidden folder that is removed after; a folder in which all of it lies is entered.

    Anything but a zip is given as it is. See `medswin.io.dicom.unpacked` for the errors.
    """
    with unpacked(path, private.absolute()) as folder:  # whole, to be found again in what is said of its files
        while folder != path and len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir():
            folder = inside[0]
        yield folder
