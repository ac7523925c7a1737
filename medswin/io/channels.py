"""Cases whose channels lie in one file or in several: read, and put on one grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.grid import Grid, sizes
from medswin.io.images import read_image
from medswin.io.layouts import Case
from medswin.io.resampling import resampled
from medswin.io.scan import Scan

LEAST_SHOWN = 0.5
"""A channel must show at least this share of the first one's voxels."""


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
