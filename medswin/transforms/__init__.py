"""Transforms: the preprocessing that a model package stores, and the augmentations of training.

Everything here is made of MONAI transforms over `MetaTensor`: channel first, affine voxel index -> RAS+ mm.
"""

from medswin.transforms.augment import AUGMENTATIONS, build_augmentation
from medswin.transforms.preprocessing import INTENSITIES, Preprocessing

__all__ = ["AUGMENTATIONS", "INTENSITIES", "Preprocessing", "build_augmentation"]
