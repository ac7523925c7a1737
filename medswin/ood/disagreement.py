"""Whether the network says the same of the mirrored scan."""

from __future__ import annotations

from medswin.ood.output import OutputScore


class Disagreement(OutputScore):
    """One minus the Dice of the labels from the plain pass and those from the mean of all mirrored passes.

    Over all structures together, 0 to 1; 1 where neither finds anything. Higher = more unusual. The model must
    segment mirrored passes (``window.mirror_axes``). An ensemble that costs nothing more than the mirroring does; cf.
    Lakshminarayanan et al. 2017 (arXiv 1612.01474) on ensembles and Wang et al. 2019 (arXiv 1807.07356) on passes over
    transformed images.
    """

    reads = ("disagreement",)
