"""One self-contained HTML page over any number of cases, that opens from a file and asks no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from medswin.errors import InputError
from medswin.figures import BANNER, Window, to_gray
from medswin.io.files import write_text
from medswin.review.case import ReviewCase, describe, window_of
from medswin.review.payload import Packed, fit, viewer_data, volume_key

MAX_MB = 25.0


def write_page(
    path: Path | str, cases: Sequence[ReviewCase], title: str, *, note: str = "", max_mb: float = MAX_MB
) -> Path:
    """Write the review page, whole or not at all.

    The page runs only its own script, named by hash in its Content-Security-Policy, and may load nothing. Volumes are
    thinned (and the page says so) where it would grow beyond ``max_mb``; key images and tables are never left out.

    Args:
        path: the ``.html`` file to write.
        cases: in the order shown; cases over one image share its bytes.
        title: the page's title: no name of a patient.
        note: a paragraph about all cases, shown below the title.
        max_mb: size in megabytes from which volumes are thinned.

    Returns:
        The path written.

    Raises:
        InputError: if there is no case, or a scan's affine is singular.
    """
    if not cases:
        raise InputError("a review page needs at least one case", where=path)
    write_text(Path(path), render_page(cases, title, note=note, max_mb=max_mb))
    return Path(path)


def render_page(cases: Sequence[ReviewCase], title: str, *, note: str = "", max_mb: float = MAX_MB) -> str:
    """The page's text; see ``write_page``."""
    windows = [window_of(case) for case in cases]
    blocks = [describe(case, window) for case, window in zip(cases, windows, strict=True)]
    spent = sum(len(figure["data"]) for block in blocks for figure in block["figures"])
    volumes = _add_viewers(cases, windows, blocks, int(max_mb * 1e6) - spent)
    style, script = _asset("page.css"), _asset("viewer.js")
    environment = Environment(
        loader=PackageLoader("medswin.review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        banner=BANNER, title=title, note=note, cases=blocks, volumes=volumes, style=style, script=script,
        policy=_policy(style, script),
    )  # fmt: skip


def _asset(name: str) -> Markup:
    """A file of our own that goes into the page as it stands; nothing of a user's is in it."""
    text = resources.files("medswin.review").joinpath("templates", name).read_text(encoding="utf-8")
    # Browsers turn CRLF into LF before they hash a script.
    return Markup(text.replace("\r\n", "\n"))


def _policy(style: str, script: str) -> str:
    """Nothing may be loaded; of scripts and styles only ours run, told by their hash."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _add_viewers(
    cases: Sequence[ReviewCase], windows: Sequence[Window], blocks: Sequence[dict[str, Any]], budget_bytes: int
) -> dict[str, str]:
    """Give each block what its viewer needs; returns the packed grey volumes by key, each once."""
    poses = [case.pose for case in cases]
    grays = [pose.turn(to_gray(c.image, window)) for c, window, pose in zip(cases, windows, poses, strict=True)]
    keys = [volume_key(gray) for gray in grays]
    # A tenth stays free for label maps, tables and the script.
    share_bytes = int(0.9 * budget_bytes / len(set(keys)))
    packed: dict[str, Packed | None] = {}
    for key, gray, pose in zip(keys, grays, poses, strict=True):
        if key not in packed:
            packed[key] = fit(gray, pose.spacing_mm, share_bytes)
    for block, case, pose, window, key in zip(blocks, cases, poses, windows, keys, strict=True):
        volume, labels, names = packed[key], pose.turn(case.prediction.labels), case.prediction.label_set
        block["viewer"] = None if volume is None else viewer_data(pose, labels, names, volume, str(window))
        block["viewer_note"] = _thinned(volume)
    return {key: volume.text for key, volume in packed.items() if volume is not None}


def _thinned(volume: Packed | None) -> str:
    """What the page says where the viewer shows less than the scan."""
    if volume is None:
        return "The scan is too large for this page: only key images are shown."
    if volume.stride == (1, 1, 1):
        return ""
    x, y, z = volume.stride
    return (
        f"To keep the page small, the viewer shows 1 slice in {x} along x, 1 in {y} along y and 1 in {z} along z. "
        "Volumes and key images come from the full scan."
    )
