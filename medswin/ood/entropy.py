"""Entropy of the prediction."""

from __future__ import annotations

from medswin.ood.output import OutputScore


class Entropy(OutputScore):
    r"""Entropy of the class probabilities over that of an even guess, 0 to 1. Higher = more unusual.

    .. math:: s = -\sum_k p_k \log p_k / \log K
    """

    reads = ("entropy",)
