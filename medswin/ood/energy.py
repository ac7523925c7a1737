"""Free energy of the logits."""

from __future__ import annotations

from medswin.ood.output import WithTemperature


class Energy(WithTemperature):
    r"""Free energy of the logits. Higher = more unusual.

    .. math:: s = -T \log \sum_k \exp(z_k / T)

    Source: Liu et al. 2020 (arXiv 2010.03759).
    """

    output = "energy"
