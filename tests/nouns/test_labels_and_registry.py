"""Label sets survive JSON; registries answer with the names they know."""

import numpy as np
import pytest

from medswin.errors import ConfigError, InputError
from medswin.labels import Code, Label, LabelSet
from medswin.losses import LOSSES
from medswin.networks import DECODERS, ENCODERS, NETWORKS
from medswin.ood import DETECTORS
from medswin.registry import Registry
from medswin.transforms import AUGMENTATIONS
from medswin.transforms.preprocessing import INTENSITIES


def test_labels_survive_json():
    coded = Label(2, "b", (1, 2, 3), Code("5366008", "SCT", "Hippocampus"), Code("255549009", "SCT", "Anterior"))
    labels = LabelSet((Label(1, "a", (0, 0, 0)), coded))
    assert LabelSet.from_json(labels.to_json()) == labels
    assert labels.names == ("a", "b")


def test_values_must_count_up_and_names_differ():
    with pytest.raises(InputError, match=r"must be 1, 2, \.\.\. in order, got \[2\]"):
        LabelSet((Label(2, "a", (0, 0, 0)),))
    with pytest.raises(InputError, match="names must differ"):
        LabelSet.from_names(["a", "a"])


def oklab(color: tuple[int, int, int]) -> np.ndarray:
    """Lightness and two opponent colours, in which distances are about as far as they look (Ottosson 2020)."""
    share = np.array(color) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    cones = [
        [0.41222147, 0.53633254, 0.05144599],
        [0.2119035, 0.68069955, 0.10739696],
        [0.08830246, 0.28171884, 0.6299787],
    ]
    turn = [
        [0.21045426, 0.79361779, -0.00407205],
        [1.9779985, -2.42859221, 0.45059371],
        [0.0259040371, 0.78277177, -0.80867577],
    ]
    return np.array(turn) @ np.cbrt(np.array(cones) @ linear)


def test_colours_differ_and_the_first_ones_are_those_of_shipped_packages():
    labels = LabelSet.from_names([f"s{i}" for i in range(121)])
    colors = [label.color for label in labels]
    assert colors[:3] == [(230, 159, 0), (86, 180, 233), (0, 158, 115)]
    assert colors[120] == colors[0]
    assert all(type(part) is int and 0 <= part <= 255 for color in colors for part in color)
    places = np.array([oklab(color) for color in colors[:120]])
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(120)
    assert apart.min() > 0.06  # two neighbours of 8 bits are 0.003 apart
    assert places[:, 0].min() > 0.5


def half(value: float, *, twice: bool = False) -> float:
    return value if twice else value / 2


def test_a_registry_builds_by_name_and_says_what_it_knows():
    parts = Registry("part", {"half": half})
    assert parts.build("half", value=3.0) == 1.5
    with pytest.raises(ConfigError, match=r"no part is registered as 'third'.*use one of: half"):
        parts.build("third")
    with pytest.raises(ConfigError, match=r"has no parameter 'thrice'.*value, twice"):
        parts.build("half", value=1.0, thrice=True)
    with pytest.raises(ConfigError, match="missing a required argument: 'value'"):
        parts.build("half")


def test_what_the_caller_gives_is_neither_offered_nor_taken_from_a_user():
    parts = Registry("part", {"half": half})
    parts.check("half", {"twice": True}, {"value": 1.0})
    with pytest.raises(ConfigError, match=r"has no parameter 'thrice'\. Repair: use some of: twice$"):
        parts.check("half", {"thrice": True}, {"value": 1.0})
    with pytest.raises(ConfigError, match=r"'value' of part 'half' is set by the run itself\. Repair: take it out"):
        parts.check("half", {"value": 2.0}, {"value": 1.0})
    with pytest.raises(ConfigError, match=r"Repair: it takes none"):
        parts.check("half", {"thrice": True}, {"value": 1.0, "twice": True})


@pytest.fixture(
    params=[NETWORKS, ENCODERS, DECODERS, LOSSES, DETECTORS, AUGMENTATIONS, INTENSITIES, Registry("part", {})]
)
def registry(request):
    return request.param


def test_a_part_from_outside_is_added_built_and_taken_back(registry):
    before = dict(registry)
    registry.add("half of it", half)
    assert registry.build("half of it", value=3.0) == 1.5
    assert set(registry) == {*before, "half of it"}
    registry.remove("half of it")
    assert dict(registry) == before
    with pytest.raises(ConfigError, match=rf"no {registry.kind} is registered as 'half of it'.*import the code that"):
        registry.build("half of it", value=3.0)


def test_a_taken_name_is_not_overwritten():
    parts = Registry("part", {"half": half})
    with pytest.raises(ConfigError, match=r"'half' is registered already\. Repair: use another name"):
        parts.add("half", max)
    parts.add("most", max)
    with pytest.raises(ConfigError, match=r"'most' is registered already\. Repair: remove\('most'\) it first"):
        parts.add("most", min)
    assert dict(parts) == {"half": half, "most": max}


def test_own_parts_of_medswin_are_not_removed():
    parts = Registry("part", {"half": half})
    with pytest.raises(ConfigError, match="no part was added as 'half'"):
        parts.remove("half")
    assert dict(parts) == {"half": half}


@pytest.mark.parametrize(
    ("name", "constructor", "words"),
    [("", half, "a part cannot be called ''"), ("number", 3, "part 'number' cannot be called")],
)
def test_what_cannot_be_a_part_is_refused(name, constructor, words):
    parts = Registry("part", {})
    with pytest.raises(ConfigError, match=words):
        parts.add(name, constructor)
    assert not parts
