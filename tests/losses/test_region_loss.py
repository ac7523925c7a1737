"""The loss of regions that overlap, beside its formula."""

import numpy as np
import torch

from medswin.losses import build


def test_it_is_dice_and_cross_entropy_of_each_region() -> None:
    """Two regions, 1 and 2 together and 2 alone, over a batch of two; Dice is taken over the batch."""
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 2, 3, 4, 2, requires_grad=True), torch.randint(0, 3, (2, 1, 3, 4, 2))
    loss = build("dice_ce", regions=[(1, 2), (2,)], lambda_ce=0.5)(logits, labels.float())
    p = 1 / (1 + np.exp(-logits.detach().numpy().astype(np.float64)))
    y = np.concatenate([labels.numpy() > 0, labels.numpy() == 2], axis=1).astype(np.float64)
    axes = (0, 2, 3, 4)
    dice = 1 - (2 * (p * y).sum(axes) + 1e-5) / (p.sum(axes) + y.sum(axes) + 1e-5)
    entropy = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    np.testing.assert_allclose(loss.item(), dice.mean() + 0.5 * entropy, rtol=1e-5)
    assert torch.isfinite(torch.autograd.grad(loss, logits)[0]).all()


def test_a_network_that_is_sure_and_right_loses_nothing() -> None:
    labels = torch.randint(0, 3, (1, 1, 4, 4, 4))
    right = torch.cat([labels > 0, labels == 2], 1) * 60.0 - 30
    assert build("dice_ce", regions=[(1, 2), (2,)])(right, labels) < 1e-5
    assert build("dice_ce", regions=[(2,), (1, 2)])(right, labels) > 0.5
