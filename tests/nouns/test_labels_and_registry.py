"""Label sets survive JSON; registries answer with the names they know."""

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
