"""MedswinReader: what MONAI's LoadImaged gives with it is what `read_series` and `read_nifti` give, or an error."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import traps
from monai.data import DataLoader, Dataset
from monai.transforms import Compose, EnsureChannelFirstd, LoadImage, LoadImaged
from traps import version

from medswin.errors import InputError
from medswin.io import read_nifti, write_image
from medswin.io.dicom import MedswinReader, find_series, read_series
from medswin.io.images import read_image

SERIES = ("mr_hippocrop_a", "mr_hippocrop_b", "mr_t1post_oblique", "ct_body_jpeg2000")


def loaded(path: Path | list[Path], reader: MedswinReader | None = None) -> torch.Tensor:
    load = LoadImaged("image", reader=reader or MedswinReader())
    return Compose([load, EnsureChannelFirstd("image")])({"image": path})["image"]


def assert_same(image: torch.Tensor, scan: object) -> None:
    np.testing.assert_array_equal(image.numpy(), scan.image.numpy())
    np.testing.assert_array_equal(image.affine, scan.image.affine)
    assert image.meta["space"] == "RAS"


@pytest.mark.parametrize("name", SERIES)
def test_a_folder_is_read_as_by_read_series(data_dir: Path, name: str) -> None:
    folder = data_dir / "dicom" / name
    (series,) = find_series(folder, b"key").series
    assert_same(loaded(folder), read_series(series))


def test_nifti_is_read_as_by_read_nifti(hippocampus_dir: Path) -> None:
    path = min((hippocampus_dir / "imagesTr").glob("*.nii.gz"))
    assert_same(loaded(path), read_nifti(path))


def test_other_images_are_read_as_by_read_image(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    stored = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32))
    stored.SetSpacing((1.0, 2.0, 3.0))
    for name in ("a.mha", "a.nrrd"):
        sitk.WriteImage(stored, tmp_path / name)
        assert_same(loaded(tmp_path / name), read_image(tmp_path / name))


def test_channels_of_a_nifti_file_come_first(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
    write_image(tmp_path / "two.nii", image, np.diag([2, 3, 4, 1]))
    np.testing.assert_array_equal(loaded(tmp_path / "two.nii").numpy(), image)


def test_files_become_channels_where_they_share_a_grid(tmp_path: Path) -> None:
    for number, side in enumerate((1, 1, 2)):
        image = np.full((4, 5, 6), number, dtype=np.float32)
        image[0] = 9
        write_image(tmp_path / f"{number}.nii", image, np.diag([side, 1, 1, 1]))
    paths = [tmp_path / f"{number}.nii" for number in range(3)]
    assert loaded(paths[:2])[:, 1, 0, 0].tolist() == [0, 1]
    with pytest.raises(InputError, match="does not lie on the grid"):
        LoadImage(reader=MedswinReader())(paths)


def test_a_zip_is_read(slices: list, write: Callable, tmp_path: Path) -> None:
    folder, path = write(slices), tmp_path / "scan.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    assert_same(loaded(path), read_series(find_series(folder, b"key").series[0]))


@pytest.mark.parametrize("change", [traps.tilted, lambda d, i: [] if i == 6 else d, traps.no_position])
def test_no_other_reader_of_monai_reads_what_is_refused(plant: Callable, change: Callable) -> None:
    """``LoadImage`` tries the others where a reader raises, and they would take the tilted stack for a straight one."""
    with pytest.raises(InputError):
        LoadImage(reader=MedswinReader())(plant(change))


def test_one_series_is_chosen_or_the_choice_is_asked_for(slices: list, write: Callable, quiet_check: Callable) -> None:
    for d in slices:
        d.EchoTime = 10
    others = [version(d) for d in slices[:8]]
    for d in others:
        d.EchoTime = 80
    folder = write([*slices, *others])
    with pytest.raises(InputError, match=r"2 series of 2 are wanted, it must be one: .*12 slices of 80 x 96") as error:
        LoadImage(reader=MedswinReader())(folder)
    quiet_check(error.value)
    chosen = loaded(folder, MedswinReader(choose=lambda series: len(series.slices) == 8))
    assert chosen.shape[-1] == 8


def test_findings_and_the_name_are_told(plant: Callable) -> None:
    image = loaded(plant(traps.tilted), MedswinReader(key=b"key", resample_tilt=True))
    assert "gantry-tilt: Its slices were tilted by 15.0 degrees" in image.meta["findings"]
    assert image.meta["case"].startswith("series-")


def test_batches_are_made_of_it(data_dir: Path) -> None:
    """So its metadata can be collated, and the reader sent to another process."""
    reader = pickle.loads(pickle.dumps(MedswinReader(key=b"key")))  # noqa: S301
    rows = [{"image": data_dir / "dicom" / "mr_hippocrop_a"}] * 2
    load = Compose([LoadImaged("image", reader=reader), EnsureChannelFirstd("image")])
    (batch,) = DataLoader(Dataset(rows, load), batch_size=2)
    assert batch["image"].shape == (2, 1, 35, 51, 32)


@pytest.mark.parametrize(
    ("name", "known"), [("a.nii.gz", True), ("a.zip", True), ("a.dcm", True), ("IM0001", True), ("a.png", False)]
)
def test_suffixes(name: str, known: bool) -> None:
    assert MedswinReader().verify_suffix(name) == known
    assert MedswinReader().verify_suffix(["b.nii", name]) == known
