"""Labels of an image on its own grid, and what the judge sees: the pass by which training fits what use will score."""

from __future__ import annotations

from math import inf, prod

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch import Tensor

from medswin.inference.paint import Painter
from medswin.inference.plan import make_plan
from medswin.inference.sliding import EncodesAndDecodes, WindowInferer
from medswin.inference.volume import paint_volume
from medswin.inference.windows import Tiling
from medswin.networks.outputs import Reading
from medswin.ood import View


def observe(
    image: MetaTensor, network: EncodesAndDecodes, inferer: WindowInferer, reading: Reading, view: View
) -> tuple[NDArray[np.uint8], Tensor]:
    """One pass over a preprocessed image.

    Args:
        image: (C, X, Y, Z).
        network: the network.
        inferer: its windows.
        reading: of its logits.
        view: what the judge sees.

    Returns:
        Labels (X, Y, Z), and the features and outputs of the view, as `paint_volume` gives them.
    """
    shape = tuple(image.shape[1:])
    painter = Painter(shape, np.asarray(image.affine), shape, np.asarray(image.affine), reading)
    tiling = Tiling.plan(shape, inferer.roi_size, inferer.overlap)
    plan = make_plan(tiling, reading.channels, 1, 1, prod(shape), inf, exact=True)
    with torch.inference_mode():
        found = paint_volume(image.as_tensor(), network, inferer, painter, plan, view=view)
    return painter.labels, found.feature
