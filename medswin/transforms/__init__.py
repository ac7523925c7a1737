"""Transforms: the preprocessing that a model package stores, the augmentations of training, the views of pre-training.

Everything here is made of MONAI transforms over `MetaTensor`: channel first, affine voxel index -> RAS+ mm.
"""

from medswin.transforms.augment import AUGMENTATIONS, build_augmentation
from medswin.transforms.preprocessing import INTENSITIES, Preprocessing
from medswin.transforms.views import VIEWS, Turns, build_views

__all__ = ["AUGMENTATIONS", "INTENSITIES", "VIEWS", "Preprocessing", "Turns", "build_augmentation", "build_views"]
