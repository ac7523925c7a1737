"""MONAI's way to this package: ``LoadImaged(keys, reader=MedswinReader())`` reads as safely as `read_series`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.dicom.series import Series, find_series
from medswin.io.dicom.volume import read_series
from medswin.io.dicom.zipped import unpacked
from medswin.io.images import IMAGE_SUFFIXES, read_image
from medswin.io.scan import Scan

_DICOM = (".zip", ".dcm", ".dicom", ".ima", "")
_KEY_BYTES = 32


class MedswinReader(ImageReader):
    """Reads a folder of one DICOM series, a zip of one, a multi-frame file, NIfTI, MetaImage or NRRD.

    Several files become channels.

    What cannot be read right is refused when `get_data` is called. To raise while a file is read would be no refusal:
    MONAI's ``LoadImage`` then tries its own readers, one of which may read the file wrong.

    Args:
        choose: says of each series in a folder or zip whether it is the wanted one; all are where None.
        resample_tilt, suv: see `read_series`.
        key: of the names of series, see `find_series`; drawn anew where None.
    """

    def __init__(
        self,
        *,
        choose: Callable[[Series], bool] | None = None,
        resample_tilt: bool = False,
        suv: bool = False,
        key: bytes | None = None,
    ) -> None:
        super().__init__()
        self.choose, self.resample_tilt, self.suv = choose, resample_tilt, suv
        self.key = secrets.token_bytes(_KEY_BYTES) if key is None else key

    def verify_suffix(self, filename: Sequence[PathLike[str] | str] | PathLike[str] | str) -> bool:
        """Whether these are folders, or named like files that can be read."""
        return all(path.is_dir() or _image(path) or path.suffix.lower() in _DICOM for path in _paths(filename))

    def read(self, data: Sequence[PathLike[str] | str] | PathLike[str] | str) -> list[Scan | Exception]:
        """Read what `get_data` takes: of each file or folder its scan, or why there is none."""
        return [self._tried(path) for path in _paths(data)]

    def get_data(self, img: Sequence[Scan | Exception]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """The image as (X, Y, Z), or (C, X, Y, Z) where it has several channels, and MONAI's metadata.

        They hold the affine (RAS+, mm), the series' name as ``case``, and ``findings`` in words, one a line.

        Raises:
            InputError: for what cannot be read right, and for channels that do not lie on one grid.
        """
        scans = [_or_raise(one) for one in img]
        first = scans[0]
        for scan in scans[1:]:
            difference = first.grid.difference(scan.grid)
            if difference:
                where, repair = scan.path or scan.case, "resample the channels of a case onto one grid"
                raise InputError(f"does not lie on the grid of {first.case}: {difference}", where=where, repair=repair)
        image = np.concatenate([scan.image.as_tensor().numpy() for scan in scans])
        findings = [finding for scan in scans for finding in scan.findings]
        meta = {
            MetaKeys.AFFINE: first.grid.affine,
            MetaKeys.ORIGINAL_AFFINE: first.grid.affine.copy(),
            MetaKeys.SPATIAL_SHAPE: np.array(first.shape),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.ORIGINAL_CHANNEL_DIM: 0 if len(image) > 1 else float("nan"),
            "case": first.case,
            "findings": "\n".join(f"{finding.code}: {finding.message}" for finding in findings),
        }
        return image if len(image) > 1 else image[0], meta

    def _tried(self, path: Path) -> Scan | Exception:
        try:
            return read_image(path) if _image(path) else self._series(path)
        except Exception as error:
            return error

    def _series(self, path: Path) -> Scan:
        with unpacked(path) as folder:
            found = find_series(folder, self.key).series
            wanted = [one for one in found if self.choose is None or self.choose(one)]
            if len(wanted) != 1:
                raise InputError(
                    f"{len(wanted)} series of {len(found)} are wanted, it must be one: "
                    + "; ".join(one.summary for one in wanted or found),
                    where=path,
                    repair="name the folder of one series, or tell MedswinReader which to choose",
                )
            return read_series(wanted[0], resample_tilt=self.resample_tilt, suv=self.suv)


def _or_raise(one: Scan | Exception) -> Scan:
    if isinstance(one, Exception):
        raise one
    return one


def _paths(given: Sequence[PathLike[str] | str] | PathLike[str] | str) -> list[Path]:
    return [Path(given)] if isinstance(given, str | PathLike) else [Path(one) for one in given]


def _image(path: Path) -> bool:
    return path.name.lower().endswith(IMAGE_SUFFIXES)
