"""Losses, by name: MONAI's, with the arguments that a segmentation needs."""

from collections.abc import Sequence
from typing import Any

import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor, nn

from medswin.registry import Registry


class RegionLoss(nn.Module):
    """Soft Dice plus binary cross-entropy of regions that may overlap.

    Args:
        regions: the label values that each region, and channel of the logits, is made of.
        lambda_dice, lambda_ce: weights of the two terms.
        dice: further arguments of MONAI's `DiceLoss`.
    """

    def __init__(self, regions: Sequence[Sequence[int]], lambda_dice: float, lambda_ce: float, **dice: Any) -> None:
        super().__init__()
        self.regions = [torch.tensor(values) for values in regions]
        self.lambda_dice, self.lambda_ce = lambda_dice, lambda_ce
        self.dice, self.ce = DiceLoss(sigmoid=True, **dice), nn.BCEWithLogitsLoss()

    def forward(self, logits_BRDHW: Tensor, labels_B1DHW: Tensor) -> Tensor:
        inside = [torch.isin(labels_B1DHW, values.to(labels_B1DHW)) for values in self.regions]
        targets = torch.cat(inside, dim=1).to(logits_BRDHW)
        loss: Tensor = self.lambda_dice * self.dice(logits_BRDHW, targets)
        loss = loss + self.lambda_ce * self.ce(logits_BRDHW, targets)
        return loss


def dice_ce(
    batch_dice: bool = True,
    lambda_dice: float = 1.0,
    lambda_ce: float = 1.0,
    regions: Sequence[Sequence[int]] = (),
) -> nn.Module:
    """Soft Dice over the foreground classes plus cross-entropy, on (B, classes, D, H, W) logits and (B, 1, ...) labels.

    Args:
        batch_dice: sum over the batch before dividing, so that a patch without a structure does not blow up its term.
        lambda_dice: weight of the Dice term.
        lambda_ce: weight of the cross-entropy term.
        regions: where structures lie inside each other, see `RegionLoss`: then each channel is one of these.
    """
    smooth = {"batch": batch_dice, "smooth_nr": 1e-5, "smooth_dr": 1e-5}
    if regions:
        return RegionLoss(regions, lambda_dice, lambda_ce, **smooth)
    loss: nn.Module = DiceCELoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        lambda_dice=lambda_dice,
        lambda_ce=lambda_ce,
        **smooth,
    )
    return loss


LOSSES: Registry[nn.Module] = Registry("loss", {"dice_ce": dice_ce})


def build(name: str, /, **params: Any) -> nn.Module:
    """Build a registered loss; see `medswin.registry.Registry.build` for the errors."""
    return LOSSES.build(name, **params)
