"""Pictures of scans that a clinician can read: key images with outlines, sides, scale and position.

Everything here is drawn in radiological convention: axial slices are seen from below with anterior up, coronal
slices from the front with superior up, both with the patient's left on the viewer's right; sagittal slices have
anterior on the viewer's left. Sides come from the affine alone, never from how the array happens to be stored, and
where the file does not tell them they are printed as ``?``.
"""

from __future__ import annotations

from medswin.figures.anatomy import PLANES, Plane, Pose, bounding_box, largest_slice
from medswin.figures.key_image import KeyImage, key_image, save_png
from medswin.figures.outline import outline
from medswin.figures.reconstruction import reconstruction
from medswin.figures.sheet import BANNER
from medswin.figures.window import Window, auto_window, to_gray

__all__ = [
    "BANNER",
    "PLANES",
    "KeyImage",
    "Plane",
    "Pose",
    "Window",
    "auto_window",
    "bounding_box",
    "key_image",
    "largest_slice",
    "outline",
    "reconstruction",
    "save_png",
    "to_gray",
]
