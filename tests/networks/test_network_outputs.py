"""Logits read as labels: drawn by hand, and beside plain NumPy."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from medswin.labels import LabelSet
from medswin.networks.outputs import OUTSIDE, Largest, Painted, reading
from medswin.regions import Regions

TUMOUR = LabelSet.from_names(["oedema", "core"])
ROWS = [{"of": ["oedema", "core"], "paints": "oedema"}, {"of": ["core"], "paints": "core", "threshold": 0.8}]
REGIONS = Regions.from_json(ROWS, TUMOUR)


def test_a_row_of_voxels_is_painted_in_order() -> None:
    """Five voxels: nothing, tumour, tumour and core, core alone, and a core that is likely but not likely enough."""
    probabilities = torch.tensor([[0.1, 0.6, 0.9, 0.2, 0.7], [0.1, 0.1, 0.9, 0.9, 0.7]]).view(2, 1, 1, 5)
    painted = Painted(REGIONS)
    labels = painted.labels(painted.centred(probabilities.logit()))
    assert labels.dtype == torch.uint8
    assert labels.flatten().tolist() == [0, 1, 2, 2, 1]


def test_a_batch_is_centred_as_each_of_it() -> None:
    logits = torch.randn(3, 2, 4, 2, 1)
    painted = Painted(REGIONS)
    assert torch.equal(painted.centred(logits), torch.stack([painted.centred(one) for one in logits]))
    assert painted.centred(logits.bfloat16()).dtype == torch.bfloat16


def test_the_largest_is_numpys_and_the_first_of_equals() -> None:
    logits = torch.randint(0, 4, (7, 3, 4, 5)).float()
    assert np.array_equal(Largest(7).labels(logits).numpy(), logits.numpy().argmax(0))


def test_what_is_left_out_is_background() -> None:
    where = torch.tensor([True, False]).view(1, 1, 2)
    for read in (Largest(2), Painted(REGIONS)):
        logits = torch.tensor([[1.0, 1.0], [2.0, 2.0]]).view(2, 1, 1, 2)
        read.leave_out(logits, where)
        assert (read.labels(logits).flatten() > 0).tolist() == [False, True]
        outside = read.as_classes(logits)[..., 0].softmax(0).flatten()
        assert outside[0] > 1 - 1e-6
        assert logits.abs().max() == OUTSIDE


def test_classes_of_regions_are_their_chances_to_be_painted_last() -> None:
    """Drawing two independent regions in all four ways: what is painted last has the sum of their chances."""
    logits = torch.tensor([0.3, -1.2]).view(2, 1, 1, 1)
    chances = logits.sigmoid().flatten().tolist()
    expected = np.zeros(3)
    for drawn in product((0, 1), repeat=2):
        chance = np.prod([p if there else 1 - p for p, there in zip(chances, drawn, strict=True)])
        expected[max((i + 1 for i, there in enumerate(drawn) if there), default=0)] += chance
    found = Painted(REGIONS).as_classes(logits).softmax(0).flatten()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_a_model_reads_classes_unless_it_tells_regions() -> None:
    assert isinstance(reading(2, None), Largest)
    assert reading(2, None).channels == 3
    assert reading(2, REGIONS).channels == 2
