"""Networks: encoders and decoders behind one contract, and the segmenters made of them.

The contract is in `medswin.networks.contract`: an encoder promises ``channels`` and ``strides`` and returns a list of
features that begins with the image and ends with the bottleneck; a decoder is built from those two alone.
"""

from typing import Any

from medswin.networks.blocks.merging import PatchMerging
from medswin.networks.contract import Decoder, Encoder
from medswin.networks.decoders import DECODERS
from medswin.networks.encoders import ENCODERS
from medswin.networks.segmenter import CSwinUNet, Segmenter, SwinUNETR, segmenter
from medswin.registry import Registry

NETWORKS: Registry[Segmenter] = Registry(
    "network", {"swin_unetr": SwinUNETR, "cswin_unet": CSwinUNet, "segmenter": segmenter}
)

__all__ = [
    "DECODERS",
    "ENCODERS",
    "NETWORKS",
    "CSwinUNet",
    "Decoder",
    "Encoder",
    "PatchMerging",
    "Segmenter",
    "SwinUNETR",
    "build",
]


def build(name: str, /, **params: Any) -> Segmenter:
    """Build a registered network; see `medswin.registry.Registry.build` for the errors."""
    return NETWORKS.build(name, **params)
