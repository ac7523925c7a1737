"""Augmentations: image and label move together, and the same seed moves them the same way."""

import torch
from monai.data import MetaTensor

from medswin.transforms import AUGMENTATIONS, build_augmentation


def sample():
    label = torch.zeros(1, 12, 14, 10)
    label[0, 4:9, 5:10, 3:8] = 1
    affine = torch.eye(4, dtype=torch.float64)
    return {"image": MetaTensor(label * 10, affine=affine), "label": MetaTensor(label, affine=affine)}


def first(result):
    return result[0] if isinstance(result, list) else result


def test_each_is_a_function_of_its_seed():
    for name in AUGMENTATIONS:
        augment = build_augmentation(name, patch_size=(16, 8, 8))
        runs = [first(augment.set_random_state(seed=seed)(sample()))["image"] for seed in (3, 4, 5, 6, 3)]
        assert runs[0].shape == (1, 16, 8, 8)
        assert torch.equal(runs[0], runs[-1])
        assert not all(torch.equal(runs[0], other) for other in runs[1:-1])


def test_image_and_label_move_together():
    augment = build_augmentation("mri", patch_size=(12, 14, 10), affine_probability=1.0, intensity_probability=0.0)
    for seed in range(5):
        moved = first(augment.set_random_state(seed=seed)(sample()))
        bright = moved["image"] > 5
        overlap = 2 * (bright & (moved["label"] > 0)).sum() / (bright.sum() + (moved["label"] > 0).sum())
        assert overlap > 0.9
        assert set(moved["label"].unique().tolist()) <= {0, 1}
