"""Doubt: each kind against its formula, the weights, and that strips and windows do not tell."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from inference_fakes import Threshold
from monai.data import MetaTensor

from medswin.errors import ConfigError
from medswin.inference import WindowInferer
from medswin.inference.confidence import Confidence
from medswin.inference.observe import observe
from medswin.inference.paint import Painter
from medswin.inference.plan import make_plan
from medswin.inference.volume import paint_volume
from medswin.inference.windows import Tiling
from medswin.networks.outputs import Largest
from medswin.ood import View

NAMES = ("msp@1", "msp@2", "energy@1", "energy@5", "entropy")


def naive(logits_CN: np.ndarray) -> dict[str, float]:
    """Voxel by voxel, in plain words."""
    sums, total = dict.fromkeys(NAMES, 0.0), 0.0
    for z in logits_CN.T:
        p = np.exp(z) / np.exp(z).sum()
        weight = 1 - p[0]
        total += weight
        hot = np.exp(z / 2) / np.exp(z / 2).sum()
        sums["msp@1"] += weight * (1 - p.max())
        sums["msp@2"] += weight * (1 - hot.max())
        sums["energy@1"] += weight * -math.log(np.exp(z).sum())
        sums["energy@5"] += weight * -5 * math.log(np.exp(z / 5).sum())
        sums["entropy"] += weight * -(p * np.log(p)).sum() / math.log(len(z))
    return {name: value / total for name, value in sums.items()}


def test_each_doubt_is_its_formula() -> None:
    logits = torch.randn(4, 3, 2, 5, generator=torch.Generator().manual_seed(0))
    doubt = Confidence(NAMES, Largest(4))
    for part in logits.split(2, dim=3):  # in blocks, as they come
        doubt.add(3 * part, torch.full(part.shape[1:], 3.0))  # as sums of weighted logits
    expected = naive(logits.flatten(1).double().numpy())
    np.testing.assert_allclose(doubt.result().numpy(), [expected[name] for name in NAMES], rtol=1e-5)


def test_disagreement_is_one_minus_dice() -> None:
    """Labels 1 1 0 2 and 1 2 0 2: two agree, three and three are found."""
    logits = [torch.nn.functional.one_hot(torch.tensor(labels), 3).T.float() for labels in ([1, 1, 0, 2], [1, 2, 0, 2])]
    doubt = Confidence(["disagreement"], Largest(3))
    doubt.compare(*(one.reshape(1, 3, 4, 1, 1) for one in logits))
    assert doubt.result().tolist() == [1 - 2 * 2 / 6]


def test_where_nothing_is_found_the_passes_do_not_agree() -> None:
    nothing = torch.tensor([5.0, 0.0]).reshape(1, 2, 1, 1, 1)
    doubt = Confidence(["disagreement", "entropy"], Largest(3))
    doubt.compare(nothing, nothing)
    doubt.add(nothing[0], torch.ones(1, 1, 1))
    disagreement, entropy = doubt.result().tolist()
    assert disagreement == 1.0
    assert 0 < entropy < 1


def test_an_unknown_doubt_is_refused() -> None:
    for name in ("certainty", "msp", "msp@0", "energy@x"):
        with pytest.raises(ConfigError, match="use one of: entropy, disagreement, msp@T"):
            Confidence([name], Largest(2))


@pytest.mark.parametrize("shape", [(11, 9, 10), (5, 20, 8)])
def test_every_voxel_of_the_scan_counts_once(shape: tuple[int, ...]) -> None:
    """Windows overlap and stick out: the doubt is that of all blended logits on the scan."""
    image = MetaTensor(torch.rand(1, *shape, generator=torch.Generator().manual_seed(1)), affine=torch.eye(4))
    inferer, network = WindowInferer((8, 8, 8), overlap=0.5), Threshold()
    labels, told = observe(image, network, inferer, Largest(2), View(outputs=("entropy", "energy@2")))
    logits, feature = inferer.with_features(image.as_tensor()[None], network)
    doubt = Confidence(("entropy", "energy@2"), Largest(2))
    doubt.add(logits[0].detach(), torch.ones(shape))
    torch.testing.assert_close(told, torch.cat([feature[0].detach(), doubt.result().float()]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(labels, logits[0].argmax(0).numpy())


def test_what_no_window_holds_is_background() -> None:
    doubt, whole = Confidence(("entropy",), Largest(2)), Confidence(("entropy",), Largest(2))
    logits = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(2))
    whole.add(logits[:, :2], torch.ones(2, 2, 2))
    weights = torch.cat([torch.ones(2, 2, 2), torch.zeros(2, 2, 2)])
    doubt.add(logits * weights, weights)
    torch.testing.assert_close(doubt.result(), whole.result())


def test_air_that_is_left_out_and_strips_do_not_break_the_doubt() -> None:
    """A body in one corner of a long scan: windows of air are skipped; in strips the outputs are the same."""
    image = torch.zeros(1, 64, 16, 40)
    image[:, 2:20, 2:14, 2:30] = torch.rand(18, 12, 28, generator=torch.Generator().manual_seed(0)) + 0.2
    inferer, network = WindowInferer((16, 16, 16), overlap=0.5, mirror_axes=(0,)), Threshold()
    told = []
    for strips in (1, 3):
        painter = Painter(image.shape[1:], np.eye(4), image.shape[1:], np.eye(4), Largest(2))
        tiling = Tiling.plan(image.shape[1:], (16, 16, 16), 0.5)
        plan = make_plan(tiling, 2, 1, 1, 0, float("inf"), exact=True)
        cuts = ([0, 24, 64], [0, 16, 24, 40]) if strips == 3 else ([0, 64], [0, 40])
        parts = tuple((first, (0, 16), last) for first, last in product(*map(pairwise, cuts)))
        plan = replace(plan, order=(1, 2, 0), parts=parts)
        with torch.inference_mode():
            view = View(outputs=("entropy", "disagreement"))
            found = paint_volume(image, network, inferer, painter, plan, view=view)
        assert found.skipped > 0
        assert torch.isfinite(found.feature).all()
        told.append(found.feature)
    torch.testing.assert_close(*told)
