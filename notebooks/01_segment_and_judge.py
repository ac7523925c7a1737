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
# # Segment a scan, and judge whether to trust the result
#
# A model answers every scan with an outline, also a scan that it should never have been shown. So medswin gives two
# answers: the **segmentation**, and a **verdict** on whether this scan is one that the model can be trusted on.
#
# Here one hippocampus is segmented with the model that medswin ships. Then two faults are built into the scan that
# happen in practice, and the judge is asked again. No download is needed; a laptop takes about a minute.
#
# > Research use only. medswin is not a medical device; do not use it for diagnosis or treatment.

# %% [markdown]
# ## 1. A scan and a model
#
# The scan is the MNI152 T1 template that comes with nilearn, so that this page runs everywhere. It is an average of 152
# skull-stripped brains, not one person: remember this when the verdict comes. For a scan of your own, give
# `medswin.io.read_nifti("scan.nii.gz")` in place of the next three lines.

# %%
from nilearn.datasets import load_mni152_template

from medswin.inference import Predictor
from medswin.io import Scan

template = load_mni152_template(resolution=1)
brain = template.get_fdata(dtype="float32")
scan = Scan.from_array(brain, template.affine, case="template")

predictor = Predictor.load("hippocampus")
spacing = " x ".join(f"{mm:g}" for mm in scan.spacing_mm)
print(f"scan: {scan.shape} voxels of {spacing} mm, model: {predictor.model.name} {predictor.model.version}")

# %% [markdown]
# ## 2. Segment the left hippocampus
#
# The model was trained on crops around one hippocampus, so it is shown one: `box` is the part to look at. It is given
# here in voxels of the array, so that the very same voxels are looked at below, whatever a header says of their size.
# In mm, counted to the patient's right, front and top, this place is `"-47:-7,-52:4,-33:11mm"`.

# %%
LEFT = "51:91,82:138,39:83"
good = predictor(scan, box=LEFT)

# %% [markdown]
# The key image shows each plane where the structure covers most. It is drawn the way radiologists read: the patient's
# left (L) is on your right. The sides come from the file's affine alone.

# %%
from PIL import Image

from medswin.figures import key_image


def picture(image_XYZ, found):
    """The anterior hippocampus in three planes; `found` is what the predictor gave for this image."""
    sheet = key_image(
        image_XYZ, found.labels, found.affine, found.label_set,
        structure="anterior hippocampus", panel_px=260, title=found.case,
    )  # fmt: skip
    return Image.fromarray(sheet.pixels)


picture(brain, good)

# %% [markdown]
# ## 3. Volumes
#
# Counted on the scan's own grid, in millilitres (1 ml = 1000 mm³). A structure that touches the edge of the box is
# called cut off: its volume may be too small.

# %%
from IPython.display import Markdown


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


table(
    ["structure", "volume, ml", "cut off"],
    [[name, f"{ml:.2f}", "yes" if name in good.cut_off else "no"] for name, ml in good.volumes_ml.items()],
)

# %% [markdown]
# ## 4. The verdict
#
# While the network segments, its deepest features are compared with those of the training scans.
#
# - The **score** says how unlike them this scan is; higher is stranger. It has no unit.
# - The **limit** was set on people whom the model never trained on: about 5 % of new scans *like the training scans*
#   will lie above it.
# - The **p-value** is the share of those people who are at least as unusual, this scan counted in. With 20 people it
#   cannot be smaller than 1/21 = 0.048.


# %%
def verdict_row(found):
    ood = found.ood
    return [found.case, f"**{ood.verdict}**", f"{ood.score:,.1f}", f"{ood.limit:.1f}", f"{ood.p_value:.3f}"]


HEAD = ["scan", "verdict", "score", "limit", "p-value"]
table(HEAD, [verdict_row(good)])

# %%
for reason in good.ood.reasons:
    print("-", reason)

# %% [markdown]
# The outline looks right, and yet the scan is rejected. Both are true. An average of 152 brains without skulls is
# blurred as no person's scan is, and nobody has measured how well the model does on such images. The judge does not
# know that the outline is good; it knows that there is no evidence for trusting it. Look before you use it.
#
# ## 5. Two broken scans
#
# **Inverted grey values.** This happens when a viewer exports an inverted display, or a T2 is taken for a T1.
#
# **A wrong voxel size.** A header is lost on the way, and a later tool fills in 2 mm for slices that are 1 mm thick.

# %%
import numpy as np

inverted = brain.max() - brain
wrong_affine = template.affine @ np.diag([1.0, 1.0, 2.0, 1.0])

upside_down = predictor(Scan.from_array(inverted, template.affine, case="inverted"), box=LEFT)
stretched = predictor(Scan.from_array(brain, wrong_affine, case="2 mm slices"), box=LEFT)

# %%
picture(inverted, upside_down)

# %%
picture(brain, stretched)

# %% [markdown]
# ## 6. Compare
#
# Without a verdict all three would have come as a number of millilitres with two decimals.

# %%
table(
    ["scan", *good.label_set.names, "cut off"],
    [
        [found.case, *(f"{ml:.2f} ml" for ml in found.volumes_ml.values()), ", ".join(found.cut_off) or "-"]
        for found in (good, upside_down, stretched)
    ],
)

# %%
table(HEAD, [verdict_row(found) for found in (good, upside_down, stretched)])

# %%
for found in (good, upside_down, stretched):
    print(found.case)
    for reason in (*found.ood.reasons, *(finding.message for finding in found.findings)):
        print("  -", reason)

# %% [markdown]
# Things to see here:
#
# - The wrong voxel size is caught by plain geometry, and the reason names it, so that it can be repaired. A scan of a
#   size never trained on is rejected whatever its features say; its score of 1,000,000 means just that.
# - In the inverted scan the outline has left the hippocampus, but the volumes are of a plausible size. Only the picture
#   and the verdict show that they are worthless.
# - All three p-values are the same: each scan is stranger than all 20 people, and 20 people allow no finer statement.
#   Beyond that only the score still orders scans.
#
# ## What a verdict says, and what it doesn't
#
# | It says | It doesn't say |
# |---|---|
# | how unlike the training scans this scan is | that the outline is right, or wrong |
# | that about 1 in 20 usual scans is flagged all the same | which share of bad segmentations it finds |
# | what to do where a reason is known (crop, voxel size) | anything about disease |
#
# An **accept** is no proof: a usual scan can be segmented badly. A **reject** is no error: like the template, it may be
# segmented well. The limits hold for people like those of the training data. For another scanner, age or protocol,
# look at the pictures, and calibrate a model on people of your own.
#
# The same for a folder of scans, with one page to look through:
# `medswin predict -i scans/ -o out/ -m hippocampus`.
