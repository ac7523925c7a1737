"""Images in any format, and cases whose channels lie in one file or in several."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io import itk
from medswin.io.cases import check_case_name
from medswin.io.files import read_bytes
from medswin.io.grid import Grid, sizes
from medswin.io.layouts import Case, case_names
from medswin.io.nifti import SUFFIXES, case_name, find_scans, named_like_scans, read_grid, read_nifti
from medswin.io.scan import Scan

IMAGE_SUFFIXES = (*SUFFIXES, *itk.SUFFIXES)
"""Endings of the names of files that `read_image` reads, in lower case."""

Found: TypeAlias = tuple[list[Case], list[tuple[str, InputError]]]
"""The cases that can be tried; and of each other one its name, its file or its line, and what is wrong with it."""

LEAST_SHOWN = 0.5
"""A channel must show at least this share of the first one's voxels."""

_NUMBERED = re.compile(r"(.+)_(\d{4})")
_EDGE = 0.5 + 1e-3  # voxels from the outermost centres to the edge of the field of view, and room for rounding
_SLAB = 8  # planes that are resampled at once


def read_image(path: Path | str) -> Scan:
    """Read a scan from MetaImage (``.mha``, ``.mhd``), NRRD (``.nrrd``, ``.nhdr``) or NIfTI, which is all the rest.

    See `medswin.io.nifti.read_nifti` and `medswin.io.itk.read_itk` for what is noticed and what is refused.

    Raises:
        InputError: for a file that cannot be used.
    """
    path = Path(path)
    return itk.read_itk(path) if path.suffix.lower() in itk.SUFFIXES else read_nifti(path)


def read_image_grid(path: Path | str) -> Grid:
    """Shape and affine of a scan, from its header alone; see `read_image` for the errors."""
    path = Path(path)
    return itk.read_itk_grid(path) if path.suffix.lower() in itk.SUFFIXES else read_grid(path)


def find_images(path: Path | str) -> list[Path]:
    """`medswin.io.nifti.find_scans` for all of `IMAGE_SUFFIXES`."""
    return find_scans(path, IMAGE_SUFFIXES)


def has_images(folder: Path | str) -> bool:
    """Whether anything directly in the folder is named like an image."""
    return bool(named_like_scans(Path(folder), IMAGE_SUFFIXES))


def grouped_by_channel(paths: Sequence[Path], channels: Sequence[str]) -> Found:
    """The cases that files make by their names.

    For one channel each file is a case, see `medswin.io.layouts.case_names`. For several, ``CASE_0000.nii.gz``,
    ``CASE_0001.nii.gz`` and so on are one, as nnU-Net has it; where no file ends in a number, each is a case that
    holds all the channels itself.

    Args:
        paths: of the files.
        channels: names of the model's channels, in order.
    """
    if len(channels) == 1:
        return _one_file_each(case_names(paths))
    numbered = {path: _NUMBERED.fullmatch(case_name(path)) for path in paths}
    if not any(numbered.values()):
        return _one_file_each({path: case_name(path) for path in paths})
    groups: dict[str, list[tuple[int, Path]]] = {}
    for path, match in numbered.items():
        if match:
            groups.setdefault(match[1], []).append((int(match[2]), path))
    good, failed = [], [(str(path), _unnumbered(path)) for path, match in numbered.items() if not match]
    for name, files in sorted(groups.items()):
        error = _misnumbered(name, files, channels)
        if error is None:
            good.append(Case(name, tuple(path for _, path in sorted(files))))
        else:
            failed.append((name, error))
    return good, failed


def read_table(path: Path | str, channels: Sequence[str]) -> Found:
    """The cases that a CSV file lists, one a line.

    Its columns are ``case`` and one for each channel, by its name or as ``channel_0000`` and so on; or ``case`` and
    ``image``, for files that hold all channels. Others are passed over. Files are relative to the table's folder.

    Args:
        path: of the table, in UTF-8; commas or semicolons part the cells.
        channels: names of the model's channels, in order.

    Raises:
        InputError: for a table that cannot be read, has other columns, or lists no case.
    """
    path = Path(path)
    (_, header), *lines = _cells(path)
    columns = _columns(header, channels, path)
    rows = [(number, dict(zip(header, cells, strict=False)), cells[len(header) :]) for number, cells in lines]
    rows = [(number, row, beyond) for number, row, beyond in rows if any(row.values()) or any(beyond)]
    if not rows:
        raise InputError("lists no case", where=path, repair="write a line for each case below the columns' names")
    times = Counter(row.get("case", "") for _, row, _ in rows)
    good: list[Case] = []
    failed: list[tuple[str, InputError]] = []
    for number, row, beyond in rows:
        where = f"{path.name}, line {number}"
        try:
            if any(beyond):
                raise InputError("has more cells than columns", where=where, repair="put cells with commas in quotes")
            good.append(_listed(row, columns, times[row.get("case", "")], path, where))
        except InputError as error:
            failed.append((where, error))
    return good, failed


def read_channels(case: Case, channels: Sequence[str]) -> Scan:
    """Read a case: one file that holds all channels, or one file a channel, see `on_one_grid`.

    Args:
        case: with the files in the order of the channels.
        channels: names of the model's channels, in order.

    Raises:
        InputError: for a file that cannot be read, or files that do not make one scan.
    """
    if len(case.images) == 1:
        return replace(read_image(case.images[0]), case=case.id)
    if len(case.images) != len(channels):
        raise InputError(
            f"has {len(case.images)} files, the model takes {len(channels)} channels ({', '.join(channels)})",
            where=case.id,
            repair="give one file for each channel, or one that holds them all",
        )
    return on_one_grid(case.id, map(read_image, case.images), channels)


def on_one_grid(case: str, scans: Iterable[Scan], channels: Sequence[str]) -> Scan:
    """One scan of several, each of which is a channel, on the grid of the first.

    A channel on another grid is resampled by linear interpolation between positions in mm. Voxels outside its field
    of view take its lowest value. Findings say so; they and those of the scans name the channel.

    Args:
        case: name of the scan.
        scans: in the order of the channels; two of them are held at once.
        channels: their names.

    Raises:
        InputError: for a scan of more than one channel, and for one on another grid if either tells no orientation,
            or if it shows less than `LEAST_SHOWN` of the first.
    """
    firsts = iter(scans)
    first = _one_channel(next(firsts), channels[0])
    image = np.empty((len(channels), *first.shape), dtype=np.float32)
    image[0], findings = first.image[0].numpy(), _named(first, channels[0])
    for i, scan in enumerate(firsts, start=1):
        other = _one_channel(scan, channels[i])
        image[i], noticed = _placed(other, first, channels[i], channels[0])
        findings += (*_named(other, channels[i]), *noticed)
    return Scan.checked(case, image, first.grid, findings, first.path)


def _one_file_each(names: Mapping[Path, str]) -> Found:
    times = Counter(names.values())
    good = [Case(name, (path,)) for path, name in names.items() if times[name] == 1]
    failed = []
    for path, name in names.items():
        if times[name] > 1:
            twin = next(other for other in names if other != path and names[other] == name)
            what = f"has the same case name as {twin.name}"
            failed.append((str(path), InputError(what, where=path, repair="rename or remove one of them")))
    return good, failed


def _unnumbered(path: Path) -> InputError:
    return InputError(
        "its name does not end in the number of a channel, others here do",
        where=path,
        repair=f"name it like {case_name(path)}_0000{_suffix(path)}, or put it into a folder of its own",
    )


def _misnumbered(name: str, files: Sequence[tuple[int, Path]], channels: Sequence[str]) -> InputError | None:
    """What is wrong with the numbers of a case's files."""
    times, path = Counter(number for number, _ in files), files[0][1]
    several = next((number for number in times if times[number] > 1), None)
    if several is not None:
        named = " and ".join(path.name for number, path in sorted(files) if number == several)
        return InputError(f"has two files for channel {several:04d}, {named}", where=name, repair="remove one of them")
    beyond = next((number for number in sorted(times) if number >= len(channels)), None)
    if beyond is not None:
        what = f"has a file for channel {beyond:04d}, the model takes {_numbers(channels)}"
        return InputError(what, where=name, repair="remove the file, or use another model")
    lacking = [number for number in range(len(channels)) if number not in times]
    if lacking:
        what = f"lacks channel {', '.join(f'{number:04d} ({channels[number]})' for number in lacking)}"
        files_lacking = " and ".join(f"{name}_{number:04d}{_suffix(path)}" for number in lacking)
        return InputError(what, where=name, repair=f"put {files_lacking} beside {path.name} and name their folder")
    return None


def _numbers(channels: Sequence[str]) -> str:
    return ", ".join(f"{number:04d} ({name})" for number, name in enumerate(channels))


def _suffix(path: Path) -> str:
    return path.name[len(case_name(path)) :]


def _cells(path: Path) -> list[tuple[int, list[str]]]:
    """Number and cells of each line."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
        head = text.partition("\n")[0]
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("is no table that can be read", where=path, repair="save it as CSV in UTF-8") from error
    return lines or [(1, [])]


def _columns(header: Sequence[str], channels: Sequence[str], path: Path) -> dict[str, str]:
    """Column -> what it holds, of those that name files."""
    ways = (list(channels), [f"channel_{i:04d}" for i in range(len(channels))], ["image"])
    for columns in ways:
        wanted = ["case", *columns]
        if set(wanted) <= set(header):
            double = [name for name in wanted if header.count(name) > 1]
            if double:
                raise InputError(f"has two columns {double[0]!r}", where=path, repair="rename or remove one of them")
            return dict(zip(columns, channels if len(columns) == len(channels) else columns, strict=True))
    lacking = next(name for name in ("case", *channels) if name not in header)
    raise InputError(
        f"has no column {lacking!r} in its first line",
        where=path,
        repair=f"name the columns case, {', '.join(channels)}, or case and image for files that hold all channels",
    )


def _listed(row: Mapping[str, str], columns: Mapping[str, str], times: int, table: Path, where: str) -> Case:
    """The case of a line."""
    name = row.get("case", "")
    check_case_name(name, where)
    if times > 1:
        raise InputError(
            f"is one of {times} lines with the same case", where=where, repair="rename or remove one of them"
        )
    files = tuple(_file(row.get(column, ""), what, table, where) for column, what in columns.items())
    if len(set(files)) < len(files):
        raise InputError("names one file for two channels", where=where, repair="give each channel its own file")
    return Case(name, files)


def _file(cell: str, what: str, table: Path, where: str) -> Path:
    if not cell:
        raise InputError(f"names no file for {what}", where=where, repair="fill in the path, or remove the line")
    path = table.parent / cell.replace("\\", "/")
    try:
        there = path.is_file()
    except OSError:  # a name that is too long, or a folder that is closed to us
        there = False
    if not there:
        repair = f"correct the path of {what}, which is relative to the folder of the table"
        raise InputError(f"no such file (for {what}, {where})", where=path, repair=repair)
    return path


def _one_channel(scan: Scan, name: str) -> Scan:
    if len(scan.image) != 1:
        raise InputError(
            f"has {len(scan.image)} channels itself, as the file of channel {name} it must have one",
            where=scan.path or scan.case,
            repair="save each channel as a file of its own",
        )
    return scan


def _named(scan: Scan, name: str) -> tuple[Finding, ...]:
    return tuple(replace(finding, message=f"Channel {name}: {finding.message}") for finding in scan.findings)


def _placed(scan: Scan, first: Scan, name: str, first_name: str) -> tuple[NDArray[np.float32], tuple[Finding, ...]]:
    """(X, Y, Z): a channel on the first one's grid, and what is to be said about it."""
    difference = first.grid.difference(scan.grid)
    if not difference:
        return scan.image[0].numpy(), ()
    where = scan.path or scan.case
    if not (scan.oriented and first.oriented):
        raise InputError(
            f"channel {name} does not lie on the grid of {first_name} ({difference}), and cannot be put there, as one "
            "of the two does not tell for certain how it lies",
            where=where,
            repair="take both from a source that keeps their orientation",
        )
    image, outside = resampled(scan, first.grid)
    if outside > 1 - LEAST_SHOWN:
        raise InputError(
            f"channel {name} shows {1 - outside:.0%} of what {first_name} shows, at least {LEAST_SHOWN:.0%} is needed",
            where=where,
            repair="give channels of one person and one region",
        )
    return image, _resampling(scan.grid, first.grid, name, first_name, outside, float(image.min()))


def resampled(scan: Scan, grid: Grid) -> tuple[NDArray[np.float32], float]:
    """The first channel of a scan on another grid, (X, Y, Z), by linear interpolation between positions in mm.

    Returns:
        The image, and the share of its voxels whose centres lie outside the scan's field of view (which ends half a
        voxel from the outermost centres); these take the scan's lowest value.
    """
    source, last = scan.image.as_tensor()[None, :1], np.array(scan.shape) - 1
    to_scan = np.linalg.inv(scan.grid.affine) @ grid.affine
    lowest, outside = float(source.min()), 0
    image = np.empty(grid.shape, dtype=np.float32)
    for x in range(0, grid.shape[0], _SLAB):
        index = _mapped(to_scan, range(x, min(x + _SLAB, grid.shape[0])), *map(range, grid.shape[1:]))
        beyond = ((index < -_EDGE) | (index > last + _EDGE)).any(axis=-1)
        unit = torch.from_numpy((index[..., ::-1] / last[::-1] * 2 - 1).astype(np.float32))  # -1 to 1, last axis first
        values = torch.nn.functional.grid_sample(source, unit[None], padding_mode="border", align_corners=True)
        image[x : x + _SLAB] = np.where(beyond, np.float32(lowest), values[0, 0].numpy())
        outside += int(beyond.sum())
    return image, outside / image.size


def _mapped(affine: NDArray[np.float64], *axes: range) -> NDArray[np.float64]:
    """(X, Y, Z, 3): where an affine takes each of the indices."""
    parts = [np.multiply.outer(np.array(axis), affine[:3, i]) for i, axis in enumerate(axes)]
    mapped: NDArray[np.float64] = parts[0][:, None, None] + parts[1][:, None] + parts[2] + affine[:3, 3]
    return mapped


def _resampling(
    own: Grid, first: Grid, name: str, first_name: str, outside: float, lowest: float
) -> tuple[Finding, ...]:
    spacing, other = (sizes(f"{side:.3g}" for side in grid.voxel_mm) for grid in (own, first))
    apart = float(np.linalg.norm(_centre(own) - _centre(first)))
    said = (
        f"Channel {name} ({spacing} mm) was resampled onto the grid of {first_name} ({other} mm); the centres of the "
        f"two lie {apart:.3g} mm apart."
    )
    findings = (Finding("channel-resampled", "note", said),)
    if not outside:
        return findings
    said = f"{outside:.2%} of the voxels lie outside channel {name} and were given its lowest value, {lowest:.4g}."
    repair = "check that the channels belong together and show the whole region"
    return (*findings, Finding("channel-cut-off", "warn", said, repair))


def _centre(grid: Grid) -> NDArray[np.float64]:
    middle = (np.array(grid.shape) - 1) / 2
    centre: NDArray[np.float64] = grid.affine[:3, :3] @ middle + grid.affine[:3, 3]
    return centre
