"""Gates for foreign weights: one per source, each with a report of what was taken over."""

from medswin.networks.weights.encoder_file import encoder_about, load_encoder
from medswin.networks.weights.monai_swin_unetr import load_monai_swin_unetr
from medswin.networks.weights.reading import read_weights
from medswin.networks.weights.report import LoadReport
from medswin.networks.weights.settings import monai_settings
from medswin.networks.weights.to_monai import to_monai_state_dict

__all__ = [
    "LoadReport",
    "encoder_about",
    "load_encoder",
    "load_monai_swin_unetr",
    "monai_settings",
    "read_weights",
    "to_monai_state_dict",
]
