"""DICOM of small MR scans, before anything is spoilt: one file a slice, or one with all frames."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

CANARY = "MUSTER^HANS"
Image: TypeAlias = NDArray[np.float32]
Affine: TypeAlias = NDArray[np.float64]
Volumes: TypeAlias = tuple[tuple[Image, Affine], ...]
Slices: TypeAlias = list[Dataset]


def slices_of(image: NDArray[np.uint16], affine: Affine) -> Slices:
    """The slices of (X, Y, Z) intensities; ``affine``, (4, 4), leads to LPS mm and has voxels of 1 mm."""
    uids = [generate_uid() for _ in range(3)]
    return [_slice(image[..., k], affine, k, uids) for k in range(image.shape[2])]


def _slice(pixels: NDArray[np.uint16], affine: Affine, k: int, uids: list[str]) -> Dataset:
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID = MRImageStorage, generate_uid()
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = uids
    one.Modality, one.PatientName, one.PatientID = "MR", CANARY, CANARY
    one.SeriesDescription, one.InstanceNumber = f"T1 {CANARY}", k + 1
    one.ImagePositionPatient = [f"{value:.6f}" for value in affine[:3, 3] + k * affine[:3, 2]]
    one.ImageOrientationPatient = [f"{value:.9f}" for value in (*affine[:3, 0], *affine[:3, 1])]
    one.PixelSpacing, one.SliceThickness = [1.0, 1.0], 1.0
    one.Rows, one.Columns = pixels.shape[::-1]
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
    one.PixelData = np.ascontiguousarray(pixels.T).tobytes()
    return one


def enhanced(slices: Slices) -> Slices:
    """All slices as frames of one file, in an order that tells nothing."""
    file, order = deepcopy(slices[0]), [7 * k % len(slices) for k in range(len(slices))]
    frames = []
    for k in order:
        place, values = Dataset(), Dataset()
        place.ImagePositionPatient = slices[k].ImagePositionPatient
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, 0, "US"
        frames.append(_groups(PlanePosition=place, PixelValueTransformation=values))
    plane, pixels = Dataset(), Dataset()
    plane.ImageOrientationPatient, pixels.PixelSpacing = file.ImageOrientationPatient, file.PixelSpacing
    pixels.SliceThickness = file.SliceThickness
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del file[tag]
    file.SOPClassUID, file.NumberOfFrames = EnhancedMRImageStorage, len(frames)
    file.PixelData = b"".join(slices[k].PixelData for k in order)
    file.SharedFunctionalGroupsSequence = Sequence([_groups(PlaneOrientation=plane, PixelMeasures=pixels)])
    file.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return [file]


def _groups(**items: Dataset) -> Dataset:
    group = Dataset()
    for name, one in items.items():
        setattr(group, f"{name}Sequence", Sequence([one]))
    return group
