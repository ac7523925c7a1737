"""Each loss beside a naive twin: loops over samples, features or voxels."""

from __future__ import annotations

import math
from itertools import pairwise, product

import pytest
import torch

from medswin.errors import ConfigError
from medswin.networks.contract import Encoder
from medswin.pretraining import MultiTask, TaskOutput, Views, build
from medswin.pretraining.barlow_twins import barlow_twins
from medswin.pretraining.contrastive import nt_xent
from medswin.pretraining.simmim import over_cells, to_voxels

CHANNELS, STRIDES = (1, 3, 4), ((1, 1, 1), (1, 2, 2), (2, 4, 4))


class Plain(Encoder):
    """Two convolutions."""

    channels, strides = CHANNELS, STRIDES

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv3d(1, 3, STRIDES[1], STRIDES[1])
        self.second = torch.nn.Conv3d(3, 4, 2, 2)

    def embed(self, x_BCDHW):
        return self.first(x_BCDHW)

    def encode(self, tokens_BCDHW):
        return [tokens_BCDHW, self.second(tokens_BCDHW)]


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_nt_xent_is_the_mean_over_all_views_of_minus_log_its_partners_share(n):
    first, second = torch.randn(2, n, 7, dtype=torch.float64)
    views = [*first, *second]
    losses = []
    for i, one in enumerate(views):
        partner = views[(i + n) % (2 * n)]
        others = [math.exp(cosine(one, views[j]) / 0.5) for j in range(2 * n) if j != i]
        losses.append(-math.log(math.exp(cosine(one, partner) / 0.5) / sum(others)))
    assert float(nt_xent(first, second, 0.5)) == pytest.approx(sum(losses) / (2 * n), abs=1e-12)


def test_nt_xent_of_twins_among_opposites_is_small_and_of_strangers_large():
    a, b = torch.eye(2)
    assert nt_xent(torch.stack([a, -a]), torch.stack([a, -a]), 0.1) < 1e-6
    assert nt_xent(torch.stack([a, b]), torch.stack([b, a]), 0.1) > 9


def test_barlow_twins_sums_over_the_correlation_of_features():
    first, second = torch.randn(2, 6, 4, dtype=torch.float64)

    def standard(z, i):
        column = z[:, i] - z[:, i].mean()
        return column / math.sqrt(float((column**2).mean()) + 1e-5)

    loss = 0.0
    for i, j in product(range(4), repeat=2):
        c = float((standard(first, i) * standard(second, j)).sum()) / 6
        loss += (1 - c) ** 2 if i == j else 5e-3 * c**2
    assert float(barlow_twins(first, second, 5e-3)) == pytest.approx(loss, abs=1e-10)
    assert barlow_twins(first, first, 0.0) < 1e-6


def test_inpainting_is_the_mean_absolute_error_over_all_voxels_of_both_views():
    task, encoder = build("inpainting", channels=CHANNELS, strides=STRIDES), Plain()
    given = {name: torch.randn(2, 1, 4, 8, 8) for name in task.needs}
    found = [task.decoder(encoder(given[name])[-1]).detach() for name in ("view1", "view2")]
    error = sum(
        abs(float(a) - float(b))
        for one, name in zip(found, ("clean1", "clean2"), strict=True)
        for a, b in zip(one.flatten(), given[name].flatten(), strict=True)
    )
    assert task(Views(encoder, given)).loss.item() == pytest.approx(error / (2 * 2 * 256), rel=1e-5)


def test_the_inpainting_decoder_is_that_of_the_paper():
    """768-384-192-96-48-48 channels with a doubling after each, then a convolution of one voxel."""
    channels = (1, 48, 96, 192, 384, 768)
    strides = tuple((2**i,) * 3 for i in range(6))
    with torch.device("meta"):
        task = build("inpainting", channels=channels, strides=strides)
        shown = task.decoder(torch.empty(1, 768, 3, 3, 3))
    convolutions = [(m.in_channels, m.out_channels, m.kernel_size) for m in task.decoder if hasattr(m, "in_channels")]
    widths = [768, 384, 192, 96, 48, 48]
    assert convolutions[:-1] == [(a, b, (3, 3, 3)) for a, b in pairwise(widths)]
    assert convolutions[-1] == (48, 1, (1, 1, 1))
    assert shown.shape == (1, 1, 96, 96, 96)


def test_rotation_reads_all_tokens_or_with_tang_the_first_one():
    encoder = Plain()
    given = {name: torch.randn(3, 1, 4, 8, 8) for name in ("view1", "view2")}
    given |= {"turn1": torch.tensor([0, 1, 2]), "turn2": torch.tensor([3, 3, 0])}
    for compat in (None, "tang"):
        task = build("rotation", channels=CHANNELS, strides=STRIDES, compat=compat)
        said, right = 0.0, 0
        for view, turn in (("view1", "turn1"), ("view2", "turn2")):
            bottleneck = encoder(given[view])[-1]
            seen = bottleneck[:, :, 0, 0, 0] if compat else bottleneck.mean((2, 3, 4))
            for one, wanted in zip(task.head(seen), given[turn], strict=True):
                said -= one.log_softmax(0)[wanted].item()
                right += int(one.argmax() == wanted)
        output = task(Views(encoder, given))
        assert output.loss.item() == pytest.approx(said / 6, rel=1e-5)
        assert float(output.parts["accuracy"]) == pytest.approx(right / 6)


def test_contrastive_coding_with_tang_reads_the_second_token():
    encoder = Plain()
    given = {name: torch.randn(3, 1, 4, 8, 8) for name in ("view1", "view2")}
    task = build("contrastive", channels=CHANNELS, strides=STRIDES, width=5, compat="tang")
    seen = [task.head(encoder(given[name])[-1][:, :, 0, 0, 1]) for name in ("view1", "view2")]
    assert task(Views(encoder, given)).loss.item() == pytest.approx(nt_xent(*seen, 0.5).item(), rel=1e-6)
    with pytest.raises(ConfigError, match="token 1 of the bottleneck, which has 1"):
        task(Views(encoder, {name: torch.randn(3, 1, 2, 4, 4) for name in ("view1", "view2")}))


def test_simmim_counts_hidden_voxels_alone_and_hides_their_tokens():
    encoder = Plain()
    task = build("simmim", channels=CHANNELS, strides=STRIDES)
    image, mask = torch.randn(2, 1, 4, 8, 8), (torch.rand(2, 1, 2, 2, 2) > 0.5).float()
    tokens = encoder.embed(image)
    for n, d, h, w in product(range(2), range(4), range(4), range(4)):
        if mask[n, 0, d // 2, h // 2, w // 2]:
            tokens[n, :, d, h, w] = task.token
    cells = task.head(encoder.encode(tokens)[-1])
    total, count = 0.0, 0
    for n, d, h, w in product(range(2), range(4), range(8), range(8)):
        if mask[n, 0, d // 2, h // 4, w // 4]:
            channel = (d % 2) * 16 + (h % 4) * 4 + w % 4
            total += abs(float(cells[n, channel, d // 2, h // 4, w // 4]) - float(image[n, 0, d, h, w]))
            count += 1
    assert float(task(Views(encoder, {"image": image, "mask": mask})).loss) == pytest.approx(total / count, rel=1e-5)


def test_cells_become_their_voxels():
    cells = torch.arange(8.0).view(1, 8, 1, 1, 1)
    assert to_voxels(cells, (2, 2, 2)).flatten().tolist() == list(range(8))
    assert to_voxels(torch.arange(4.0).view(1, 2, 1, 1, 2), (1, 1, 2)).flatten().tolist() == [0, 2, 1, 3]


def test_a_mask_is_spread_over_whole_cells_only():
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 1, 2)
    assert over_cells(mask, (1, 1, 4)).flatten().tolist() == [1, 1, 0, 0]
    with pytest.raises(ConfigError, match="2 units of the mask lie on 3 tokens"):
        over_cells(mask, (1, 1, 3))


class Said(torch.nn.Module):
    needs = ()

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, views):
        return TaskOutput(torch.tensor(self.value))


def test_fixed_weights_add_up_and_learned_ones_follow_the_closed_form():
    """s_i = 1 first: L / 2 + log 2 each. d/ds = -L / s^3 + 2 s / (1 + s^2): at s = 1, 1 - L."""
    parts = {"a": Said(3.0), "b": Said(5.0)}
    assert float(MultiTask(parts, {"a": 1.0, "b": 0.5})(None).loss) == 5.5
    learned = MultiTask(parts, learned=True)
    output = learned(None)
    assert float(output.loss) == pytest.approx(4 + 2 * math.log(2))
    output.loss.backward()
    assert learned.scales.grad.tolist() == pytest.approx([1 - 3.0, 1 - 5.0])
    assert output.parts["b/weight"] == 0.5
    with pytest.raises(ConfigError, match="finite weight"):
        MultiTask(parts, {"a": 1.0})
