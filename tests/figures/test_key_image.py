"""Key images, pixel by pixel: the right letters at the right edges, scale, colours and words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from medswin.errors import InputError
from medswin.figures import PLANES, key_image, save_png
from medswin.figures.scene import Scene, set_scene
from medswin.figures.sheet import GUTTER_PX, LINE_PX, _legend, panel, picture
from medswin.labels import LabelSet

NAMES = LabelSet.from_names(["head", "tail"])
HEAD, TAIL = (np.array(label.color) for label in NAMES)


def scan() -> tuple[np.ndarray, np.ndarray]:
    """A head in the patient's left, anterior, superior corner and a tail in the opposite one, on 1x1x2 mm voxels."""
    labels = np.zeros((40, 40, 20), dtype=np.uint8)
    labels[2:10, 30:38, 14:18] = 1
    labels[30:38, 2:10, 2:6] = 2
    return np.random.default_rng(0).normal(50, 10, labels.shape), labels


AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def scene(structure: str | None = None, *, known: bool = True, panel_px: int = 200) -> Scene:
    image, labels = scan()
    return set_scene(
        image, labels, AFFINE, NAMES,
        structure=structure, known=known, window=None, reference_XYZ=None, panel_px=panel_px,
    )  # fmt: skip


def letter_at(pixels: np.ndarray, x: int, y: int) -> str:
    """The letter that is drawn around (x, y), found by comparing with each letter drawn anew."""
    half = GUTTER_PX // 2
    seen = pixels[y - half : y + half, x - half : x + half].max(axis=2).astype(float)
    errors = {}
    for letter in "RLAPSI?":
        sheet = Image.new("L", (2 * half, 2 * half))
        ImageDraw.Draw(sheet).text((half, half), letter, fill=255, font=ImageFont.load_default(20), anchor="mm")
        errors[letter] = np.abs(np.asarray(sheet) - seen).sum()
    return min(errors, key=lambda letter: errors[letter])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("number", "edges"), [(0, "RLAP"), (1, "RLSI"), (2, "APSI")], ids=["axial", "cor", "sag"])
def test_the_sides_are_burned_in(number: int, edges: str, known: bool) -> None:
    shown, plane = scene(known=known), PLANES[number]
    pixels = panel(shown, plane, 3).pixels()
    width, height = shown.size_px(plane)
    x, y, half = (pixels.shape[1] - width) // 2, LINE_PX + GUTTER_PX, GUTTER_PX // 2
    places = [
        (x - half, y + height // 2),
        (x + width + half, y + height // 2),
        (x + width // 2, y - half),
        (x + width // 2, y + height + half),
    ]
    assert "".join(letter_at(pixels, *place) for place in places) == (edges if known else "????")


def test_structures_lie_on_the_side_that_the_letters_say() -> None:
    shown = scene("head")
    for plane, index, (row, column) in zip(PLANES, shown.slices, [(0, 1), (0, 1), (0, 0)], strict=True):
        pixels = picture(scene(), plane, index)
        where = np.argwhere((pixels == HEAD).all(axis=2)).mean(axis=0) > np.array(pixels.shape[:2]) / 2
        assert where.tolist() == [bool(row), bool(column)], plane.name


def test_panels_are_in_proportion_whatever_the_voxels() -> None:
    shown = scene()
    assert shown.field_mm == (40.0, 40.0, 40.0)
    assert [shown.size_px(plane) for plane in PLANES] == [(200, 200)] * 3


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    pixels = panel(scene(), PLANES[0], 3).pixels()
    white = (pixels == 255).all(axis=2)[200 + LINE_PX + 2 * GUTTER_PX :]
    longest = max(len(run) for row in white for run in "".join("#" if p else "." for p in row).split("."))
    assert longest == pytest.approx(10 * 200 / 40, abs=2)


def test_outlines_do_not_fill() -> None:
    shown = scene("head")
    pixels = picture(shown, PLANES[0], shown.slices[0])
    colored = (pixels == HEAD).all(axis=2)
    rows, columns = np.nonzero(colored)
    middle = colored[(rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2]
    assert not middle
    assert colored[rows.min(), columns.min() : columns.max() + 1].all()


def test_each_structure_is_shown_where_it_is_largest() -> None:
    image, labels = scan()
    assert key_image(image, labels, AFFINE, NAMES, structure="head").slices == (16, 34, 6)
    assert key_image(image, labels, AFFINE, NAMES, structure="tail").slices == (4, 6, 34)


def test_a_structure_is_shown_from_nearby_and_the_whole_field_otherwise() -> None:
    image, labels = scan()
    assert "whole field, slices of largest area, field 40 x 40 x 40 mm" in key_image(image, labels, AFFINE, NAMES).words
    near = key_image(image, labels, AFFINE, NAMES, structure="tail", title="case-7").words
    assert near == "case-7: tail, slices of largest area, field 25 x 25 x 28 mm."


def test_a_scan_without_structures_says_so() -> None:
    image, labels = scan()
    empty = key_image(image, labels * 0, AFFINE, NAMES)
    assert "nothing segmented" in empty.words
    assert empty.slices == (10, 20, 20)
    assert not (empty.pixels == HEAD).all(axis=2)[:-80].any()


def test_a_reference_is_dashed_and_white() -> None:
    image, labels = scan()
    plain = key_image(image, labels, AFFINE, NAMES).pixels
    both = key_image(image, labels, AFFINE, NAMES, reference_XYZ=np.roll(labels, 3, axis=0)).pixels
    changed = (plain[:-100] != both[: plain.shape[0] - 100]).any(axis=2)
    assert changed.any()
    assert (both[: plain.shape[0] - 100][changed] == 255).all()


def many(count: int, size: int = 60) -> tuple[Scene, LabelSet]:
    """Columns of voxels, each of another structure, the first ones the largest."""
    labels = np.zeros((size, size, 4), dtype=np.uint8)
    for i in range(count):
        labels[i % 20 * 3 : i % 20 * 3 + 2, i // 20 * 10 : i // 20 * 10 + 8 - i // 20, 1:3] = i + 1
    names = LabelSet.from_names([f"structure of the body {i + 1}" for i in range(count + 3)])
    shown = set_scene(
        labels.astype(float), labels, np.eye(4), names,
        structure=None, known=True, window=None, reference_XYZ=None, panel_px=200,
    )  # fmt: skip
    return shown, names


def test_the_legend_tells_what_is_seen() -> None:
    shown, _ = many(3)
    assert [name for row in _legend(shown, 600) for name, _ in row] == [f"structure of the body {i}" for i in (1, 2, 3)]
    near = scene("tail")
    assert [name for row in _legend(near, 600) for name, _ in row] == ["tail"]


def test_a_legend_that_is_too_long_tells_of_the_largest_and_counts_the_rest() -> None:
    shown, _ = many(100)
    rows = _legend(shown, 600)
    listed = [name for row in rows for name, _ in row]
    assert len(rows) == 6
    assert listed[:2] == ["1 structure of the body 1", "2 structure of the body 2"]
    assert listed[-1] == f"and {100 - (len(listed) - 1)} more"
    assert len(listed) > 10


def test_more_structures_than_styles_are_numbered() -> None:
    """A number is white within its structure, and beside one without room."""
    for count, numbered in ((3, False), (4, True)):
        shown, _ = many(count)
        assert shown.numbered is numbered
        plain, drawn = picture(shown, PLANES[0], 1), panel(shown, PLANES[0], 1).pixels()
        x, y = (drawn.shape[1] - plain.shape[1]) // 2, LINE_PX + GUTTER_PX
        inside = drawn[y : y + plain.shape[0], x : x + plain.shape[1]]
        assert bool((inside != plain).any(axis=2).sum() > 100) is numbered


def test_structures_of_one_style_are_numbered() -> None:
    """1, 4 and 7 are all solid."""
    shown, _ = many(7)
    kept = np.where(np.isin(shown.labels, (1, 4, 7)), shown.labels, 0).astype(np.uint8)
    assert replace(shown, labels=kept).numbered
    assert not replace(shown, labels=np.where(shown.labels < 4, shown.labels, 0).astype(np.uint8)).numbered


@pytest.mark.parametrize("name", ["label map", "reference"])
def test_volumes_on_different_grids_are_refused(name: str) -> None:
    image, labels = scan()
    own, reference = (labels, labels[:-1]) if name == "reference" else (labels[:-1], None)
    with pytest.raises(InputError, match=rf"{name} has shape \(39, 40, 20\), the image \(40, 40, 20\)"):
        key_image(image, own, AFFINE, NAMES, reference_XYZ=reference)


def test_an_unknown_structure_is_refused_with_the_names() -> None:
    image, labels = scan()
    with pytest.raises(InputError, match="use one of: head, tail"):
        key_image(image, labels, AFFINE, NAMES, structure="body")


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 30), (300, 4, 2)])
def test_flat_and_long_scans_are_drawn_too(shape: tuple[int, int, int]) -> None:
    drawn = key_image(np.ones(shape), np.ones(shape, dtype=np.uint8), np.eye(4), NAMES, structure="head")
    assert drawn.pixels.shape[2] == 3
    assert drawn.pixels.shape[1] >= 520


def test_pictures_are_saved_without_loss(tmp_path: Path) -> None:
    image, labels = scan()
    drawn = key_image(image, labels, AFFINE, NAMES)
    save_png(tmp_path / "key.png", drawn)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "key.png")), drawn.pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["key.png"]


def test_a_real_liver_lies_on_the_viewers_left(data_dir: Path) -> None:
    """The trunk MR: the liver, the largest soft organ, makes the patient's right upper belly even and dark."""
    stored = nib.load(data_dir / "nifti" / "mr_trunk_3mm.nii.gz")
    image = np.asarray(stored.dataobj)
    empty = np.zeros(image.shape, dtype=np.uint8)
    shown = set_scene(
        image, empty, stored.affine, NAMES,
        structure=None, known=True, window=None, reference_XYZ=None, panel_px=350,
    )  # fmt: skip
    pixels = picture(shown, PLANES[0], 10)[..., 0].astype(float)
    height, width = pixels.shape
    upper = slice(int(0.38 * height), int(0.58 * height))
    left, right = (
        pixels[upper, int(0.15 * width) : int(0.35 * width)],
        pixels[upper, int(0.65 * width) : int(0.85 * width)],
    )
    assert left.std() < right.std() / 2
