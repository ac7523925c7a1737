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
from medswin.io.found import Sources, checked
from medswin.io.images import find_images, has_images
from medswin.io.layouts import Case
from medswin.io.reading import AS_IT_IS, Reading
from medswin.io.selection import Rule
from medswin.io.source import ImageSource, SeriesSource, Source, as_zipped
from medswin.io.studies import find_cases
from medswin.io.table import read_table

__all__ = [
    "AS_IT_IS",
    "ImageSource",
    "Reading",
    "SeriesSource",
    "Source",
    "Sources",
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
) -> Sources:
    """The cases in an image file, a folder of them, a table, or a tree of DICOM files.

    A ``.csv`` file is a table (`medswin.io.table.read_table`), a folder with a ``dataset.json`` a data set. Below
    any other folder DICOM series are looked for, beside the images that lie directly in it; of the series those are
    chosen that fit the model's rules.

    Args:
        inputs: what to look into.
        private: folder of the results; the key of the series' names is kept here, for the owner's eyes only.
        channels: names of the model's channels.
        rules: one a channel.
        all_series: take every series of a one-channel model, whatever the rules say.
        reading: what is done to DICOM series.
        zipped: the zip that ``inputs`` was unpacked from; it is what errors name.

    Raises:
        InputError: if there is no case, or none for this model.
    """
    path = Path(inputs)
    unpacked = None if zipped is None or zipped == path else (path, zipped)
    try:
        found = _found(path, private, channels, rules, all_series)
        if not found.cases and not found.failed:
            raise _nothing_fits(found, path)
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
        return _images(*read_table(path, channels), channels)
    if (path / "dataset.json").is_file():
        cases = [case for case in read_unlabelled(path, private) if isinstance(case, Case)]
        return _images(cases, [], channels)
    if is_dicom(path) or (path.is_dir() and not has_images(path)):
        return find_cases(path, private, channels, rules, all_series=all_series)
    images = _images(*grouped_by_channel(find_images(path), channels), channels)
    if not (path.is_dir() and any(part.is_dir() for part in path.iterdir())):
        return images
    try:
        below = find_cases(path, private, channels, rules, all_series=all_series)
    except InputError:
        return images  # no DICOM
    both = {name: getattr(images, name) + getattr(below, name) for name in ("cases", "failed", "left_out", "chosen")}
    return replace(below, **both)


def _images(cases: Sequence[Case], failed: Sequence[tuple[str, InputError]], channels: Sequence[str]) -> Sources:
    sources = [ImageSource(case.id, str(case.images[0]), case.images, channels=tuple(channels)) for case in cases]
    return Sources(tuple(sources), tuple(failed))


def _nothing_fits(found: Sources, path: Path) -> InputError:
    reasons = Counter(why for _, why in found.left_out)
    told = "; ".join(f"{count} left out: {why}" for why, count in reasons.most_common(3)) or "nothing to read"
    return InputError(f"no case for this model ({told})", where=path, repair="name another folder, or --all-series")


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
