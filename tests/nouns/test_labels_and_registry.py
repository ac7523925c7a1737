"""Label sets survive JSON; registries answer with the names they know."""

import pytest

from medswin.errors import ConfigError, InputError
from medswin.labels import Code, Label, LabelSet
from medswin.registry import Registry


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
