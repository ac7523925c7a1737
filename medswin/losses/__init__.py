"""Losses, by name: MONAI's, with the arguments that a segmentation with a softmax needs."""

from typing import Any

from monai.losses import DiceCELoss
from torch import nn

from medswin.registry import Registry


def dice_ce(batch_dice: bool = True, lambda_dice: float = 1.0, lambda_ce: float = 1.0) -> nn.Module:
    """Soft Dice over the foreground classes plus cross-entropy, on (B, classes, D, H, W) logits and (B, 1, ...) labels.

    Args:
        batch_dice: sum over the batch before dividing, so that a patch without a structure does not blow up its term.
        lambda_dice: weight of the Dice term.
        lambda_ce: weight of the cross-entropy term.
    """
    loss: nn.Module = DiceCELoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        batch=batch_dice,
        smooth_nr=1e-5,
        smooth_dr=1e-5,
        lambda_dice=lambda_dice,
        lambda_ce=lambda_ce,
    )
    return loss


LOSSES: Registry[nn.Module] = Registry("loss", {"dice_ce": dice_ce})


def build(name: str, /, **params: Any) -> nn.Module:
    """Build a registered loss; see `medswin.registry.Registry.build` for the errors."""
    return LOSSES.build(name, **params)
