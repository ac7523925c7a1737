"""The real data, against nibabel's reading of it."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medswin.io import find_scans, people, read_dataset, read_grid, read_labels, read_nifti


def test_hippocampi(hippocampus_dir: Path) -> None:
    dataset = read_dataset(hippocampus_dir)
    assert (dataset.layout, len(dataset.cases), dataset.channel_names) == ("msd", 200, ("MRI",))
    assert dataset.label_names == {"background": 0, "Anterior": 1, "Posterior": 2}
    assert dataset.licence == "CC-BY-SA 4.0"
    owners = people([case.id for case in dataset.cases], {"by": "pairs"})
    numbers = {case.id: int(case.id[-3:]) for case in dataset.cases}
    assert owners == {case: f"hippocampus_pair{(number + 1) // 2}" for case, number in numbers.items()}
    for case in dataset.cases[::20]:
        scan = read_nifti(case.images[0])
        labels = read_labels(case.label, like=scan, values=range(3))
        assert scan.findings == ()
        assert np.array_equal(scan.image[0].numpy(), nib.load(case.images[0]).get_fdata(dtype=np.float32))
        assert np.array_equal(labels, nib.load(case.label).get_fdata())
        assert scan.fov_mm == scan.shape  # 1 mm, stored as RAS


@pytest.mark.parametrize("name", ["ct_trunk_3mm", "mr_trunk_3mm"])
def test_trunks(data_dir: Path, name: str) -> None:
    path = data_dir / "nifti" / f"{name}.nii.gz"
    scan, expected = read_nifti(path), nib.load(path)
    assert scan.case == name
    assert path in find_scans(path.parent)
    assert np.array_equal(scan.image[0].numpy(), expected.get_fdata(dtype=np.float32))
    assert np.array_equal(scan.image.affine.numpy(), expected.affine)
    assert np.array_equal(read_grid(path).affine, expected.affine)
    assert scan.spacing_mm == (3.0, 3.0, 3.0)
