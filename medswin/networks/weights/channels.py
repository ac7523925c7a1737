"""Weights of a first convolution for another number of input channels."""

from __future__ import annotations

from torch import Tensor

CHOICES = ("repeat", "mean", "fresh")


def adapt_channels(weight: Tensor, channels: int, how: str) -> Tensor:
    """Weights (O, a, ...) of a convolution of a channels -> (O, b, ...), for images of ``channels`` = b channels.

    ``"repeat"`` takes the a channels in turn, ``"mean"`` their mean b times; both times a / b. An image whose channels
    are all equal then gets the response that it had: exactly with ``"mean"``, and with ``"repeat"`` where b is a
    multiple of a, else about that.
    """
    a = weight.shape[1]
    if how == "mean":
        taken = weight.mean(dim=1, keepdim=True).repeat_interleave(channels, dim=1)
    else:
        taken = weight[:, [i % a for i in range(channels)]]
    return taken * (a / channels)
