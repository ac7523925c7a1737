"""DICOM series made in code, with a canary wherever a patient could be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

CANARY = "Canary^Hans"
TEXTS = (
    "PatientName", "PatientID", "AccessionNumber", "SeriesDescription", "StudyDescription", "InstitutionName",
    "ReferringPhysicianName", "ImageComments", "StudyID", "ProtocolName", "StationName", "OperatorsName",
)  # fmt: skip


def series(
    folder: Path, image_XYZ: np.ndarray, *, study: str, origin=(0.0, 0.0, 0.0), step=2.0, tilt=0.0, **tags
) -> None:
    """An axial MR series of 1 mm pixels, its files in no order; each slice lies ``tilt`` mm behind the one below."""
    folder.mkdir(parents=True)
    uid = generate_uid()
    for k in range(image_XYZ.shape[2]):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SOPClassUID, one.SOPInstanceUID = MRImageStorage, generate_uid()
        one.StudyInstanceUID, one.SeriesInstanceUID, one.Modality = study, uid, "MR"
        for tag in TEXTS:
            setattr(one, tag, CANARY if tag != "SeriesDescription" else f"T1 {CANARY}")
        one.PatientBirthDate, one.StudyDate = "19010203", "19990807"
        one.ImagePositionPatient = [origin[0], origin[1] + tilt * k, origin[2] + step * k]
        one.ImageOrientationPatient, one.PixelSpacing, one.SliceThickness = [1, 0, 0, 0, 1, 0], [1, 1], step
        one.Columns, one.Rows = image_XYZ.shape[:2]
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
        one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
        one.PixelData = np.ascontiguousarray(image_XYZ[..., k].T.astype(np.uint16)).tobytes()
        for tag, value in tags.items():
            setattr(one, tag, value)
        one.save_as(folder / f"{(7 * k) % 97:02d}-{CANARY.lower().replace('^', '')}", enforce_file_format=True)
