"""A case that waits to be read."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from pathlib import Path

from medswin.errors import MedswinError, explain
from medswin.io.channels import on_one_grid, read_channels
from medswin.io.dicom import Series
from medswin.io.images import read_image_grid
from medswin.io.layouts import Case
from medswin.io.private import origin
from medswin.io.reading import AS_IT_IS, Reading
from medswin.io.scan import Scan

_CHUNK = 1 << 20


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
        return as_zipped(explain(error, Path(self.where)), self.unpacked)

    @property
    def person(self) -> str:
        """Whose it is, as far as it tells itself: DICOM names a patient, any other case stands for its own."""
        return self.case

    @property
    def origin(self) -> dict[str, list[str]]:
        """What exports need of the source, for the owner's eyes only: see `medswin.io.private`."""
        return {"files": [str(path.absolute()) for path in self.files]}

    def digest(self) -> str | None:
        """SHA-256 of the contents of its files, one after the other; None where one cannot be read."""
        found = hashlib.sha256()
        if not all(path.is_file() for path in self.files):
            return None  # a pipe or a device would be read for ever
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
    def person(self) -> str:
        return self.series[0].person

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


def as_zipped(text: str, unpacked: tuple[Path, Path] | None) -> str:
    """A text with the zip's name for that of the folder that it was unpacked to."""
    return text if unpacked is None else text.replace(str(unpacked[0].absolute()), str(unpacked[1]))
