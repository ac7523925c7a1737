"""Gates for foreign weights: one per source, each with a report of what was taken over."""

from medswin.networks.weights.monai_swin_unetr import LoadReport, load_monai_swin_unetr

__all__ = ["LoadReport", "load_monai_swin_unetr"]
