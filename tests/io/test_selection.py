"""Rules on DICOM series: what fits, what does not and why, and what is no rule."""

from __future__ import annotations

from typing import Any

import pytest

from medswin.errors import PackageError
from medswin.io.selection import Rule, rules_of

ROW = {
    "modality": ["MR"],
    "orientation": ["axial", "oblique"],
    "min_slices": 8,
    "max_slices": 60,
    "description": ["*t2w*", "*t2_tse*"],
    "not_description": ["*fs*"],
}
FITS: dict[str, Any] = {"modality": "MR", "orientation": "axial", "slices": 20, "description": "Ax T2W tse"}
HIDDEN = "its description does not match the model's rule: description *t2w* or *t2_tse* but not *fs*"


@pytest.mark.parametrize(
    ("series", "objection"),
    [
        ({}, ""),
        ({"orientation": "oblique", "slices": 8}, ""),
        ({"slices": 60, "description": "T2_TSE tra"}, ""),
        ({"modality": "CT"}, "CT, the model takes MR"),
        ({"modality": "Hans Muster"}, "another modality, the model takes MR"),
        ({"modality": ""}, "another modality, the model takes MR"),
        ({"orientation": "sagittal"}, "sagittal, the model takes axial or oblique"),
        ({"orientation": ""}, "unknown orientation, the model takes axial or oblique"),
        ({"slices": 3}, "3 slices, the model takes 8 or more"),
        ({"slices": 61}, "61 slices, the model takes 60 or fewer"),
        ({"description": "DWI of Hans Muster"}, HIDDEN),
        ({"description": "t2w FS"}, HIDDEN),
        ({"description": ""}, HIDDEN),
    ],
)
def test_what_a_rule_says_of_a_series(series: dict[str, Any], objection: str) -> None:
    assert Rule.from_json(ROW).objection(**FITS | series) == objection


def test_an_empty_rule_asks_nothing_and_a_rule_comes_back() -> None:
    assert Rule().objection(modality="", orientation="", slices=0, description="") == ""
    assert Rule.from_json({}) == Rule()
    assert Rule().to_json() == {}
    assert Rule.from_json(ROW).to_json() == ROW
    assert Rule.from_json({"not_description": ["*flair*"]}).objection(**FITS) == ""


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (ROW, "MR, axial or oblique, 8 or more slices, 60 or fewer slices, description *t2w* or *t2_tse* but not *fs*"),
        ({}, "any series"),
        ({"modality": ["CT", "MR"], "min_slices": 8}, "CT or MR, 8 or more slices"),
        ({"max_slices": 9, "not_description": ["*fs*"]}, "9 or fewer slices, description any but not *fs*"),
    ],
)
def test_a_rule_in_words(row: dict[str, Any], words: str) -> None:
    assert Rule.from_json(row).words() == words


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"modalities": ["MR"]}, "has the key 'modalities', the keys are modality, orientation, min_slices"),
        ({"modality": "MR"}, "modality is 'MR'.* must be a list of words"),
        ({"modality": [3]}, r"modality is \[3\]"),
        ({"description": [""]}, "description"),
        ({"orientation": ["axail"]}, "orientation is 'axail'.* must be axial or coronal or sagittal or oblique"),
        ({"min_slices": 0}, "min_slices is 0"),
        ({"min_slices": True}, "min_slices is True"),
        ({"max_slices": 9.5}, "max_slices is 9.5"),
        ({"min_slices": 9, "max_slices": 8}, "min_slices is 9 and max_slices 8"),
        (["MR"], "must be an object"),
        (None, "must be an object"),
    ],
)
def test_what_is_no_rule(row: Any, says: str) -> None:
    with pytest.raises(PackageError, match=says) as caught:
        Rule.from_json(row)
    assert caught.value.repair == 'correct "series" in its model.json'


def test_rules_of_a_model() -> None:
    t2w, adc = {"description": ["*t2w*"]}, {"description": ["*adc*"]}
    assert rules_of({}, ["t2w", "adc"]) == (Rule(), Rule())
    assert rules_of({"series": t2w}, ["t2w"]) == (Rule(description=("*t2w*",)),)
    assert rules_of({"series": {"channels": [t2w]}}, ["t2w"]) == (Rule(description=("*t2w*",)),)
    both = rules_of({"series": {"channels": [t2w, adc]}}, ["t2w", "adc"])
    assert both == (Rule(description=("*t2w*",)), Rule(description=("*adc*",)))


@pytest.mark.parametrize(
    ("series", "says"),
    [
        ({"description": ["*t2w*"]}, "has 1 rules for series, its 2 channels need one each"),
        ({"channels": [{}]}, "has 1 rules"),
        ({"channels": {}}, "has no list of rules"),
        ({"channels": [{}, {}], "modality": ["MR"]}, "has 1 rules"),
        ({"channels": [{}, 3]}, "is 3, it must be an object"),
        (None, "has 1 rules"),
    ],
)
def test_rules_that_do_not_fit_the_channels(series: Any, says: str) -> None:
    with pytest.raises(PackageError, match=says):
        rules_of({"series": series}, ["t2w", "adc"])
