"""Maximum softmax probability."""

from __future__ import annotations

from medswin.ood.output import WithTemperature


class MaximumSoftmax(WithTemperature):
    r"""One minus the largest class probability. Higher = more unusual.

    .. math:: s = 1 - \max_k \mathrm{softmax}(z / T)_k

    Source: Hendrycks & Gimpel 2017 (arXiv 1610.02136); with a temperature, Liang et al. 2018 (arXiv 1706.02690).
    """

    output = "msp"
