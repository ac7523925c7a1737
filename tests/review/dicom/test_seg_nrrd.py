"""Label maps for 3D Slicer: voxels in their place, and names, colours and codes in the header."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK
from studies import LABELS, Study, picture, sorted_cloud


def test_voxels_are_where_they_were(case: Path, study: Study, exported: Callable) -> None:
    (path,) = exported(case, "seg-nrrd").files
    image = SimpleITK.ReadImage(path)
    array = SimpleITK.GetArrayFromImage(image)
    for value in (1, 2):
        index = np.argwhere(array == value)[:, ::-1]
        points = np.array([image.TransformIndexToPhysicalPoint(one.tolist()) for one in index])
        np.testing.assert_allclose(sorted_cloud(points.T), study.cloud(picture(), value), atol=0.011)


def test_segments_are_described(case: Path, exported: Callable) -> None:
    (path,) = exported(case, "seg-nrrd").files
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    for i, label in enumerate(LABELS):
        told = {
            key: reader.GetMetaData(f"Segment{i}_{key}") for key in ("Name", "LabelValue", "Layer", "Color", "Tags")
        }
        assert (told["Name"], told["LabelValue"], told["Layer"]) == (label.name, str(label.value), "0")
        colour = np.array(told["Color"].split(), dtype=float) * 255
        np.testing.assert_allclose(colour, label.color, atol=0.01)
    assert reader.GetMetaData("Segment0_Extent") == "2 12 2 8 2 4"
    assert "SCT^5366008^Hippocampus~SCT^255549009^Anterior" in reader.GetMetaData("Segment0_Tags")
