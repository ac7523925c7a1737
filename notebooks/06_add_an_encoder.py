# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Add an encoder of your own
#
# In medswin a segmenter is an **encoder**, a **decoder** and a head. The decoder is built from two facts about the
# encoder and never sees the encoder itself. So a new encoder needs no change anywhere else: write one class, give it a
# name in one line, and training, packages, prediction and the verdict work with it.
#
# Here that is done with a small convolutional encoder for scans with thick slices. It takes a few seconds on a laptop
# and no data.

# %% [markdown]
# ## 1. The contract
#
# An encoder (`medswin.networks.Encoder`) turns an image (B, C, X, Y, Z) into a list of features and promises:
#
# | | |
# |---|---|
# | `channels` | channels of each feature; the first are the image's own |
# | `strides` | voxels of the image per position of each feature, **per axis**; the first is (1, 1, 1) |
# | `embed(x)` | the image cut into patches: the first feature after the image |
# | `encode(tokens)` | all features after the image, finest first |
#
# `forward` is inherited: it checks the input and returns `[x, *encode(embed(x))]`. The first feature is the image, the
# last one the bottleneck. The cut between `embed` and `encode` leaves room for masked pre-training, which replaces some
# tokens there.

# %% [markdown]
# ## 2. Write it
#
# Slices are often two to five times as thick as a pixel is wide. This encoder halves a slice's own axes first and the
# axis across the slices one step later.

# %%
import torch
from torch import nn

from medswin.networks import Encoder


def convolution(channels, width, stride):
    return nn.Sequential(
        nn.Conv3d(channels, width, kernel_size=3, stride=stride, padding=1),
        nn.GroupNorm(4, width),
        nn.GELU(),
    )


class ThickSliceEncoder(Encoder):
    """Strided convolutions; the width doubles with every stage."""

    def __init__(self, in_channels, width=12):
        super().__init__()
        self.channels = (in_channels, width, 2 * width, 4 * width)
        self.strides = ((1, 1, 1), (2, 2, 1), (4, 4, 2), (8, 8, 4))
        self.patch = convolution(in_channels, width, stride=(2, 2, 1))
        self.stages = nn.ModuleList(convolution(c, 2 * c, stride=2) for c in self.channels[1:-1])

    def embed(self, x):
        return self.patch(x)

    def encode(self, tokens):
        features = [tokens]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


# %% [markdown]
# ## 3. Register it, in one line
#
# From now on, and in this process, configs and model packages can call it by its name. A name that is taken is never
# overwritten; to run the cell again after a change, take the old one back first.

# %%
from medswin.networks import ENCODERS

if "thick_slices" in ENCODERS:
    ENCODERS.remove("thick_slices")
ENCODERS.add("thick_slices", ThickSliceEncoder)

ENCODERS["thick_slices"]

# %% [markdown]
# Inside medswin it would be one file in `medswin/networks/encoders/` and one line in its `__init__.py`. All other
# registries (decoders, losses, detectors, augmentations, ...) work the same way.
#
# ## 4. Build a segmenter with it

# %%
import medswin.networks

torch.manual_seed(0)
network = medswin.networks.build(
    "segmenter",
    encoder={"name": "thick_slices", "width": 12},
    decoder={"name": "unetr", "finest_width": 8},
    in_channels=1,
    out_channels=2,
)
print(
    f"{sum(p.numel() for p in network.parameters()):,} parameters; input sizes must be multiples of {network.divisor}"
)

# %% [markdown]
# ## 5. Does it keep its promises?
#
# The checks that matter most. `tests/contracts/test_encoder.py` has all of them, and runs them on every encoder that is
# registered inside medswin.


# %%
def check_contract(encoder):
    size = [2 * d for d in encoder.divisor]
    x = torch.randn(2, encoder.channels[0], *size)
    features = encoder(x)
    assert features[0] is x, "the first feature is the image itself"
    for feature, channels, stride in zip(features, encoder.channels, encoder.strides, strict=True):
        assert feature.shape == (2, channels, *(s // step for s, step in zip(size, stride, strict=True)))
    sum(feature.square().sum() for feature in features[1:]).backward()
    assert all(p.grad is not None and p.grad.any() for p in encoder.parameters()), "every weight learns"
    alone = encoder(x[:1])[-1]
    torch.testing.assert_close(features[-1][:1], alone)  # the scans of a batch don't know each other
    encoder.zero_grad()
    return [tuple(feature.shape) for feature in features]


check_contract(network.encoder)

# %% [markdown]
# A size that does not fit is answered with its repair. Nobody has to write that: it is in `Encoder.forward`.

# %%
from medswin.errors import ShapeError

try:
    network(torch.randn(1, 1, 30, 32, 15))
except ShapeError as error:
    print(error)

# %% [markdown]
# ## 6. Train it for a few seconds
#
# On bright balls in noise, 24 x 24 voxels of 1 mm in 12 slices of 2 mm. A plain PyTorch loop is enough, since the
# segmenter is a plain module. The loss is the one that medswin trains with, Dice and cross-entropy.

# %%
import numpy as np

import medswin.losses

SHAPE, VOXEL_MM = (24, 24, 12), (1.0, 1.0, 2.0)
rng = np.random.default_rng(0)


def ball(noise=0.5):
    """An image (1, X, Y, Z) and its label map of the same shape."""
    grid_mm = np.moveaxis(np.indices(SHAPE), 0, -1) * VOXEL_MM
    centre_mm = rng.uniform(8, 16, 3)
    label = np.linalg.norm(grid_mm - centre_mm, axis=-1) < rng.uniform(4, 6)
    image = label + noise * rng.normal(size=SHAPE)
    return torch.tensor(image[None], dtype=torch.float32), torch.tensor(label[None], dtype=torch.float32)


loss_function = medswin.losses.build("dice_ce")
optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
losses = []
for _ in range(80):
    images, labels = (torch.stack(part) for part in zip(ball(), ball(), strict=True))
    loss = loss_function(network(images), labels)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(5, 2.4), layout="constrained")
axes.plot(losses)
axes.set(xlabel="step", ylabel="loss", ylim=(0, None), title="Dice + cross-entropy, two balls a step")
plt.show()

# %% [markdown]
# A ball that it has not seen, with the true outline dashed:

# %%
from PIL import Image

from medswin.figures import key_image
from medswin.labels import LabelSet
from medswin.metrics import dice

image, label = ball()
network.eval()
with torch.inference_mode():
    found = network(image[None])[0].argmax(0).numpy().astype(np.uint8)
truth = label[0].numpy().astype(np.uint8)

sheet = key_image(
    image[0].numpy(), found, np.diag([*VOXEL_MM, 1.0]), LabelSet.from_names(["ball"]),
    reference_XYZ=truth, panel_px=220, title=f"Dice {dice(found == 1, truth == 1):.2f}",
)  # fmt: skip
Image.fromarray(sheet.pixels)

# %% [markdown]
# ## 7. What comes for free
#
# **Scans of any size.** Windows are cut, segmented and put together again. In the same pass the bottleneck is averaged
# to one feature per scan, which is what the judge looks at.

# %%
from medswin.inference import WindowInferer

inferer = WindowInferer(roi_size=SHAPE, overlap=0.5)
with torch.inference_mode():
    logits, feature = inferer.with_features(torch.randn(1, 1, 45, 30, 17), network)
print("logits", tuple(logits.shape), " feature", tuple(feature.shape))

# %% [markdown]
# **A verdict.** A detector learns how the features of usual scans lie. Here it has seen 40 balls. It is shown ten more,
# and ten that are inverted:

# %%
import medswin.ood


def features(images):
    with torch.inference_mode():
        return torch.cat([inferer.with_features(image[None], network)[1] for image in images]).numpy()


detector = medswin.ood.build("mahalanobis").fit(features(ball()[0] for _ in range(40)))
usual = detector.score(features(ball()[0] for _ in range(10)))
inverted = detector.score(features(1 - ball()[0] for _ in range(10)))
print(f"usual {usual.min():.1f} to {usual.max():.1f}, inverted {inverted.min():.1f} to {inverted.max():.1f}")

# %% [markdown]
# **Training on real scans, and a model package.** Save the class in a file of its own, `thick_slices.py`, that ends
# with the line `ENCODERS.add("thick_slices", ThickSliceEncoder)`, and name it in a config:
#
# ```yaml
# network:
#   name: segmenter
#   encoder: {name: thick_slices, width: 24}
#   decoder: {name: unetr}
# training:
#   patch_size: [64, 64, 16]
# ```
#
# ```python
# import thick_slices                        # registers the encoder
# from medswin.config import load, train
# from medswin.inference import Predictor
#
# package = train(load("mine.yaml"), data="data/", out="runs/mine")
# prediction = Predictor.load(package)("scan.nii.gz")
# ```
#
# Splits by person, augmentation, checkpoints and resuming, the calibrated judge, the package and its card come along.
#
# A package holds names, numbers and weights, and never code. Whoever uses this one needs the file `thick_slices.py` and
# has to import it first; without it, `Predictor.load` says that no encoder has this name. An encoder that others
# should use without that belongs inside medswin.

# %%
ENCODERS.remove("thick_slices")
