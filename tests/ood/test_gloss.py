"""Every number that a package names is told in words that need no manual."""

from __future__ import annotations

import pytest

from medswin.ood import appearance, shape
from medswin.ood.gloss import decimal, measured, number, span, without_sides


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("voxel spacing head-foot, mm", 5.0, "voxel spacing 5 mm head-foot"),
        ("field of view left-right, mm", 220.0, "field of view 220 mm left-right"),
        ("intensity at 10 %", -1.25, "normalised intensity below which 10 % of the voxels lie: -1.25"),
        ("intensity at 99 % of T2", 3.0, "normalised intensity of T2 below which 99 % of the voxels lie: 3"),
        ("skewness of the intensities", 2.0, "lopsidedness (skewness) of the normalised intensities: 2"),
        ("skewness of the intensities of T1", 2.0, "lopsidedness (skewness) of the normalised intensities of T1: 2"),
        ("noise", 0.31, "noise 0.31 of the range of intensities"),
        ("sharpness of T1", 0.05, "sharpness of T1 0.05 of the range of intensities"),
        ("entropy", 0.4, "the network is unsure of its outlines: 0.4 on a scale of 0 to 1"),
        ("msp@10", 0.4, "the network is unsure of its outlines: 0.4 on a scale of 0 to 1"),
        ("energy@1", -3.0, "the network's answer is weak: free energy -3"),
        ("disagreement", 0.3, "the mirrored scan is outlined differently: 0.3 on a scale of 0 to 1"),
        ("head: volume, ml", 8.0, "head: volume 8 ml on the model's grid"),
        ("head: offset upwards, mm", -3.5, "head: offset upwards -3.5 mm"),
        ("head: elongation", 4.0, "head: elongation (longest over shortest extent) 4"),
        ("head: separate pieces", 3.0, "head: 3 separate pieces on the model's grid"),
        ("head: share of the largest piece", 0.5, "head: share of the largest piece 0.5 on the model's grid"),
    ],
)
def test_the_words_of_a_number(name: str, value: float, words: str) -> None:
    assert measured(name, value) == words


def test_no_name_of_a_layout_is_told_without_saying_what_it_measures() -> None:
    for name in (*appearance.names(["T1", "T2"]), *shape.names(["head"])):
        assert measured(name, 1.0) != f"{name} 1", name


def test_ranges_of_sizes_have_a_decimal_and_both_ends() -> None:
    assert span("voxel spacing head-foot, mm", 1.0, 1.0000001) == "training 1.0 to 1.0"
    assert span("voxel spacing head-foot, mm", 0.43, 5.0) == "training 0.43 to 5.0"
    assert span("noise", 0.02, 0.07) == "training 0.02 to 0.07"
    assert span("head: separate pieces", 1.0, 1.0) == "training 1"


def test_three_digits_without_an_exponent() -> None:
    values = (0.0, 3.64e-8, -1e-5, 0.000123456, -0.123456, 0.9999, 12.345, 99999.0)
    assert [number(value) for value in values] == ["0", "0", "0", "0.000123", "-0.123", "1", "12.3", "99999"]
    assert [decimal(value) for value in (1.0, 0.43, 24.0)] == ["1.0", "0.43", "24.0"]


def test_no_side_is_named_where_none_is_known() -> None:
    said = "head: offset to the right -2 mm (training 0 to 1); voxel spacing 2 mm head-foot; tail: offset upwards 3 mm"
    assert without_sides(said) == (
        "head: offset along the first axis -2 mm (training 0 to 1); voxel spacing 2 mm along the third axis; "
        "tail: offset along the third axis 3 mm"
    )
