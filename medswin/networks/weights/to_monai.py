"""The way back: a network of ours as a state dict of MONAI's SwinUNETR."""

from __future__ import annotations

from torch import Tensor

from medswin.errors import WeightsError
from medswin.networks.blocks.merging import PatchMerging
from medswin.networks.blocks.position import RelativeBias
from medswin.networks.partition import relative_index
from medswin.networks.segmenter import Segmenter
from medswin.networks.weights.names import monai_names
from medswin.networks.weights.windows import own_windows

_STRIDES = tuple((2**i,) * 3 for i in range(6))


def to_monai_state_dict(segmenter: Segmenter) -> dict[str, Tensor]:
    """State dict, index buffers included, that MONAI's SwinUNETR of the same settings takes with ``strict=True``.

    MONAI then gives the logits of a network with ``compat="monai-1.5"``; with ``"monai-legacy"``, be it ``compat`` or
    the merging order that ``downsample`` names, only a MONAI before 1.5 does. Without ``compat`` MONAI agrees only
    where no map is padded or smaller than a window.

    Raises:
        WeightsError: for a network that MONAI cannot express: other than four stages or strides of 2, windows that
            differ between stages, another ``finest_width``, or options that MONAI does not have.
    """
    names = monai_names(segmenter)
    _check(segmenter)
    own = segmenter.state_dict()
    found = {theirs: own[ours].detach().clone() for ours, theirs in names.items()}
    device = segmenter.head.weight.device
    for index, window in own_windows(segmenter, names).items():
        found[index] = relative_index(window, window).to(device).clone()
    return found


def _check(segmenter: Segmenter) -> None:
    """Refuse what has MONAI's names and is another network all the same."""
    encoder, modules = segmenter.encoder, list(segmenter.modules())
    windows = {module.window for module in modules if isinstance(module, RelativeBias)}
    width = getattr(segmenter.decoder, "out_channels", None)
    for wrong, what in (
        (tuple(encoder.strides) != _STRIDES, f"features at strides {list(encoder.strides)}, not 2 to 32"),
        (len(windows) != 1, f"windows that differ between stages: {sorted(windows)}"),
        (width != encoder.channels[1], f"finest_width={width} beside feature_size={encoder.channels[1]}"),
        (any(isinstance(m, PatchMerging) and m.post_norm for m in modules), "post_norm"),
    ):
        if wrong:
            raise WeightsError(f"MONAI's SwinUNETR has no {what}", repair="keep this network in medswin")
