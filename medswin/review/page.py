"""One self-contained HTML page over any number of cases, that opens from a file and asks no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medswin.errors import InputError
from medswin.io.files import write_text
from medswin.review.answers import ANSWERS, REASONS
from medswin.review.case import ReviewCase, describe, key_images
from medswin.review.levels import CODES, encode, levels_for
from medswin.review.payload import Packed, fit, viewer_data, volume_key
from medswin.review.pictures import bytes_of, embedded, fitted
from medswin.review.safe_html import niivue, own_script, own_style, render

MAX_MB = 12.0
PICTURES = 0.3
"""Share of a page that key images may take where the viewer needs the room, too."""
PARTS = ("parts.js", "nifti.js", "viewer.js", "editor.js", "answers.js", "volume3d.js", "start.js")


def write_page(
    path: Path | str,
    cases: Sequence[ReviewCase],
    title: str,
    *,
    note: str = "",
    links: Sequence[tuple[str, str]] = (),
    max_mb: float = MAX_MB,
) -> Path:
    """Write the review page, whole or not at all.

    The page runs only its own scripts, named by hash in its Content-Security-Policy, and may load nothing. Where it
    would grow beyond ``max_mb``, volumes are thinned and key images coarser or fewer (and the page says so); tables and
    the picture of the whole field are never left out.

    Args:
        path: the ``.html`` file to write.
        cases: in the order shown; cases over one image share its bytes.
        title: the page's title: no name of a patient.
        note: a paragraph about all cases, shown below the title.
        links: address, relative to the page, and words of each link below the title.
        max_mb: size in megabytes from which volumes are thinned.

    Returns:
        The path written.

    Raises:
        InputError: if there is no case, or a scan's affine is singular.
    """
    if not cases:
        raise InputError("a review page needs at least one case", where=path)
    write_text(Path(path), render_page(cases, title, note=note, links=links, max_mb=max_mb))
    return Path(path)


def render_page(
    cases: Sequence[ReviewCase],
    title: str,
    *,
    note: str = "",
    links: Sequence[tuple[str, str]] = (),
    max_mb: float = MAX_MB,
) -> str:
    """The page's text; see ``write_page``."""
    blocks = [describe(case) for case in cases]
    scripts = [*niivue(), own_script(*PARTS)]
    free = int(max_mb * 1e6) - sum(map(len, scripts))
    pictures = [key_images(case) for case in cases]
    wanted = sum(bytes_of(embedded(some)) for some in pictures)
    volumes = _add_viewers(cases, blocks, free - min(wanted, int(PICTURES * free)))
    used = sum(map(len, volumes.values())) + sum(len(one["viewer"]["labels"]) for one in blocks if one["viewer"])
    for block, case, some in zip(blocks, cases, pictures, strict=True):
        block["figures"] = fitted(case, some, (0.95 * free - used) / len(cases))
        block["left_out"] = block["found"] + 1 - len(block["figures"])
    return render(
        "page.html.j2", scripts, own_style("page.css"), title=title, note=note, links=links, cases=blocks,
        volumes=volumes, answers=ANSWERS, reasons=REASONS,
    )  # fmt: skip


def _add_viewers(cases: Sequence[ReviewCase], blocks: Sequence[dict[str, Any]], budget_bytes: int) -> dict[str, str]:
    """Give each block what its viewer needs; returns the packed volumes by key, each once."""
    poses = [case.pose for case in cases]
    tables = [levels_for(case.image, case.windows) for case in cases]
    codes = [pose.turn(encode(c.image, table)) for c, table, pose in zip(cases, tables, poses, strict=True)]
    keys = [volume_key(volume) for volume in codes]
    labels = [pose.turn(case.prediction.labels) for case, pose in zip(cases, poses, strict=True)]
    # A twentieth stays free for tables and the script.
    share_bytes = int(0.95 * budget_bytes / len(set(keys)))
    packed: dict[str, Packed | None] = {}
    for key, volume, pose in zip(keys, codes, poses, strict=True):
        if key not in packed:
            over = [label_map for label_map, its in zip(labels, keys, strict=True) if its == key]
            packed[key] = fit(volume, over, pose.spacing_mm, share_bytes)
    for block, case, pose, table, key, label_map in zip(blocks, cases, poses, tables, keys, labels, strict=True):
        held, names = packed[key], case.prediction.label_set
        block["viewer"] = None if held is None else viewer_data(pose, label_map, names, held, table, case.windows)
        shown = f"Viewer and key images show {case.channel}. " if case.channel else ""
        block["viewer_note"] = f"{shown}{_thinned(held)}".strip()
        block["whole"] = held is not None and held.stride == (1, 1, 1)
    return {key: held.text for key, held in packed.items() if held is not None}


def _thinned(volume: Packed | None) -> str:
    """What the page says where the viewer shows less than the scan."""
    if volume is None:
        return "The scan is too large for this page: only key images are shown."
    if volume.stride == (1, 1, 1):
        levels = CODES // volume.merged
        return f"To keep the page small, the viewer shows {levels} grey levels." if volume.merged > 1 else ""
    x, y, z = volume.stride
    return (
        f"To keep the page small, the viewer shows 1 slice in {x} along x, 1 in {y} along y and 1 in {z} along z. "
        "Volumes and key images come from the full scan."
    )
