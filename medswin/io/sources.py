"""Cases that wait to be read: found in a file, a folder, a tree of DICOM files, a zip or a table of files."""

from __future__ import annotations

import hashlib
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path

from medswin.errors import InputError, MedswinError, explain
from medswin.io.cases import check_case_name
from medswin.io.channels import (
    find_images,
    grouped_by_channel,
    has_images,
    on_one_grid,
    read_channels,
    read_image_grid,
    read_table,
)
from medswin.io.datasets import read_unlabelled
from medswin.io.dicom import Series, find_series, read_series, unpacked
from medswin.io.layouts import Case
from medswin.io.private import naming_key, origin
from medswin.io.scan import Scan
from medswin.io.selection import Rule

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Reading:
    """What is done to DICOM series on request.

    Attributes:
        suv: PET becomes SUV by body weight.
        resample_tilt: slices of a tilted gantry are shifted onto a straight grid; else they are refused.
    """

    suv: bool = False
    resample_tilt: bool = False

    def scan(self, series: Series) -> Scan:
        """Read a series; see `medswin.io.dicom.read_series` for the errors."""
        return read_series(series, resample_tilt=self.resample_tilt, suv=self.suv and series.modality == "PT")


AS_IT_IS = Reading()


@dataclass(frozen=True, eq=False)
class Source(ABC):
    """One case, not yet read.

    Attributes:
        case: the name of its results.
        where: what errors and logs call it. It tells nothing of the patient, unless the user's own file names do.
        files: all that is read of it, in order.
        unpacked: where a zip was unpacked to, and the zip; None for what lies in none.
    """

    case: str
    where: str
    files: tuple[Path, ...]
    unpacked: tuple[Path, Path] | None = None

    @property
    @abstractmethod
    def voxels(self) -> int:
        """Of a channel, as far as headers tell; 0 where they do not."""

    @abstractmethod
    def read(self) -> Scan:
        """Read it.

        Raises:
            InputError: for what cannot be used; it names the case by ``where``.
        """

    def explain(self, error: Exception) -> str:
        """One line on what went wrong with it, which begins with ``where``."""
        return _as_zipped(explain(error, Path(self.where)), self.unpacked)

    @property
    def origin(self) -> dict[str, list[str]]:
        """What exports need of the source, for the owner's eyes only: see `medswin.io.private`."""
        return {"files": [str(path.absolute()) for path in self.files]}

    def digest(self) -> str | None:
        """SHA-256 of the contents of its files, one after the other; None where one cannot be read."""
        found = hashlib.sha256()
        try:
            for path in self.files:
                with path.open("rb") as stream:
                    while block := stream.read(_CHUNK):
                        found.update(block)
        except OSError:
            return None
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class ImageSource(Source):
    """A file, or one file a channel.

    Attributes:
        channels: names of the model's channels.
    """

    channels: tuple[str, ...] = ("image",)

    @property
    def voxels(self) -> int:
        """By the first file's header: an empty scan is a small file."""
        try:
            return prod(read_image_grid(self.files[0]).shape)
        except (MedswinError, OSError):
            return 0  # reading it explains

    def read(self) -> Scan:
        """See `Source.read`."""
        return read_channels(Case(self.case, self.files), self.channels)


@dataclass(frozen=True, eq=False)
class SeriesSource(Source):
    """DICOM series, one a channel.

    Attributes:
        series: in the order of the model's channels.
        channels: their names.
        reading: how they are read.
    """

    series: tuple[Series, ...] = ()
    channels: tuple[str, ...] = ("image",)
    reading: Reading = AS_IT_IS

    @property
    def voxels(self) -> int:
        first = self.series[0]
        return prod(first.slices[0].size) * len(first.slices)

    def explain(self, error: Exception) -> str:
        """Of what others than medswin say, which may quote names of files and values in them, the kind alone."""
        if isinstance(error, MedswinError):
            return super().explain(error)
        why = error.strerror if isinstance(error, OSError) and error.strerror else f"unexpected {type(error).__name__}"
        return f"{self.where}: {why}. Repair: add --debug to see where, on a screen that only you see"

    @property
    def origin(self) -> dict[str, list[str]]:
        return origin(self.series)

    def digest(self) -> str | None:
        """Also of which frames and which time these are: of one file they may be several cases; and how it is read."""
        files = super().digest()
        parts = [(one.frame, one.times, one.repeats) for series in self.series for one in series.slices]
        how = "" if self.reading == AS_IT_IS else f" {self.reading}"
        return None if files is None else hashlib.sha256(f"{files} {parts}{how}".encode()).hexdigest()

    def read(self) -> Scan:
        """See `Source.read`."""
        if len(self.series) == 1:
            return self.reading.scan(self.series[0])
        return on_one_grid(self.case, map(self.reading.scan, self.series), self.channels)


@dataclass(frozen=True)
class Sources:
    """What an input holds.

    Attributes:
        cases: to be done, in the order of their names; all names differ and can name files.
        failed: name and reason of each case that cannot even be tried.
        left_out: name of each DICOM series that is not for this model, and why.
        chosen: name of each DICOM series that is, and what it is.
        passed_over: how many files of a DICOM tree are no slice of a volume, by what they are.
        origins: where each case and each series came from, see `Source.origin`.
    """

    cases: tuple[Source, ...]
    failed: tuple[tuple[str, InputError], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    chosen: tuple[tuple[str, str], ...] = ()
    passed_over: dict[str, int] = field(default_factory=dict)
    origins: dict[str, dict[str, list[str]]] = field(default_factory=dict)


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

    A ``.csv`` file is a table (`medswin.io.channels.read_table`), a folder with a ``dataset.json`` a data set. Below
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
        raise InputError(error.what, where=_as_zipped(str(error.where), unpacked), repair=error.repair) from (
            None if unpacked else error
        )
    return _checked(_read_so(found, reading), unpacked)


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
        return _series(path, private, channels, rules, all_series)
    images = _images(*grouped_by_channel(find_images(path), channels), channels)
    if not (path.is_dir() and any(part.is_dir() for part in path.iterdir())):
        return images
    try:
        below = _series(path, private, channels, rules, all_series)
    except InputError:
        return images  # no DICOM
    both = {name: getattr(images, name) + getattr(below, name) for name in ("cases", "failed", "left_out", "chosen")}
    return replace(below, **both)


def _images(cases: Sequence[Case], failed: Sequence[tuple[str, InputError]], channels: Sequence[str]) -> Sources:
    sources = [ImageSource(case.id, str(case.images[0]), case.images, channels=tuple(channels)) for case in cases]
    return Sources(tuple(sources), tuple(failed))


def _series(folder: Path, private: Path, channels: Sequence[str], rules: Sequence[Rule], all_series: bool) -> Sources:
    """Each series is a case of its own; where the model takes several channels, each study is, one series a channel."""
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


def _nothing_fits(found: Sources, path: Path) -> InputError:
    reasons = Counter(why for _, why in found.left_out)
    told = "; ".join(f"{count} left out: {why}" for why, count in reasons.most_common(3)) or "nothing to read"
    return InputError(f"no case for this model ({told})", where=path, repair="name another folder, or --all-series")


def _checked(found: Sources, unpacked: tuple[Path, Path] | None) -> Sources:
    """Refuse names that cannot name files or that two cases share, and say of what was unpacked where it came from."""
    names = Counter(map(_plain, found.cases))
    good: list[Source] = []
    failed = [(_as_zipped(case, unpacked), error) for case, error in found.failed]
    for source in (replace(one, where=_as_zipped(one.where, unpacked), unpacked=unpacked) for one in found.cases):
        try:
            check_case_name(source.case, source.where)
            if names[_plain(source)] > 1:
                raise InputError(
                    f"{names[_plain(source)]} cases have this name, {source.case}",
                    where=source.where,
                    repair="rename or remove all but one of them",
                )
            good.append(source)
        except InputError as error:
            failed.append((source.where, error))
    failed = [
        (case, InputError(error.what, where=_as_zipped(str(error.where), unpacked), repair=error.repair))
        for case, error in failed
    ]
    origins = found.origins | {source.case: source.origin for source in good}
    for row in origins.values():
        row["files"] = [_as_zipped(file, unpacked) for file in row["files"]]
    return replace(found, cases=tuple(good), failed=tuple(failed), origins=origins)


def _plain(source: Source) -> str:
    """The case's name as a disk may see it that knows no case of letters."""
    return unicodedata.normalize("NFC", source.case).casefold()


def _as_zipped(text: str, unpacked: tuple[Path, Path] | None) -> str:
    """A text with the zip's name for that of the folder that it was unpacked to."""
    return text if unpacked is None else text.replace(str(unpacked[0].absolute()), str(unpacked[1]))


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
