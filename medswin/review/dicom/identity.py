"""Whose an object is and what made it: patient and study as in the scan, medswin and its model as the equipment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from medswin import __version__
from medswin.prediction import Prediction
from medswin.review.case import part_looked_at
from medswin.review.dicom.reference import Reference
from medswin.review.dicom.text import LONGEST, line
from medswin.review.edited import EDITED, is_edited
from medswin.review.words import verdict_words

_RESEARCH = "RESEARCH USE ONLY"
WARNING = f"{_RESEARCH}, not for diagnosis"
_REJECTED = "REJECTED SCAN, do not use"
_PART = "part of scan only"
MAKER = "medswin"
SCHEME = "99MEDSWIN"
"""Coding scheme of what no public one has a code for."""
PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "OtherPatientIDs",
           "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence")  # fmt: skip
STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDescription",
         "PatientAge", "PatientSize", "PatientWeight", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID",
         "ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID",
         "LongitudinalTemporalInformationModified")  # fmt: skip
NEEDED = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
          "AccessionNumber", "ReferringPhysicianName")  # fmt: skip
"""What an object must have, empty where the scan has none (DICOM's type 2)."""
_SERIES_NUMBER = 9100


def described(what: str, prediction: Prediction) -> str:
    """SeriesDescription: the warning first, as a viewer may show no more of it."""
    model = prediction.provenance.get("model", "")
    return line(f"{_warning(prediction)}: {'edited ' if is_edited(prediction) else ''}{what} {model}")


def brief(prediction: Prediction) -> str:
    """The warning, and whether a person edited the case and it is of a part of its scan, as far as there is room."""
    told = _warning(prediction)
    for mark in [EDITED] * is_edited(prediction) + [_PART] * (prediction.region is not None):
        more = f"{told}; {mark}"
        told = more if len(more) <= LONGEST else told
    return told


def marks(prediction: Prediction) -> list[str]:
    """What a picture has to say: that its scan was rejected, and that a part of it alone was looked at."""
    return [_REJECTED] * _rejected(prediction) + [_PART] * (prediction.region is not None)


def cautions(prediction: Prediction) -> list[str]:
    """What to know of the scan before anything is used; nothing of one that was accepted and looked at as a whole."""
    words = verdict_words(prediction.ood.verdict)
    told = [] if prediction.ood.verdict == "accept" else [f"{words.headline}. {words.advice}"]
    return told + part(prediction)


def part(prediction: Prediction) -> list[str]:
    """That a part of the scan alone was looked at, in words."""
    return list(filter(None, [part_looked_at(prediction)]))


def _rejected(prediction: Prediction) -> bool:
    return prediction.ood.verdict == "reject"


def _warning(prediction: Prediction) -> str:
    return f"{_RESEARCH}, {_REJECTED}" if _rejected(prediction) else WARNING


def identify(dataset: Any, reference: Reference) -> None:
    """Put an object into the study of its scan: patient and study as the scan has them, text in UTF-8.

    What the scan says against the form of a date, time, age, number or code, and several values where there may be one
    alone, is left out, as no archive could use it.
    """
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for tag in (*PATIENT, *STUDY):
        value = _copied(reference.header, tag)
        if value is not None:
            setattr(dataset, tag, value)
        elif tag in NEEDED:
            setattr(dataset, tag, None)
        elif tag in dataset:
            delattr(dataset, tag)
    dataset.StudyInstanceUID = reference.study
    if (dataset.get("PatientSex") or "") not in ("M", "F", "O", ""):
        dataset.PatientSex = None


def series(dataset: Any, modality: str, number: int, what: str, prediction: Prediction) -> None:
    """Put an object into a new series of its own."""
    from pydicom.uid import generate_uid

    dataset.Modality = modality
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.SeriesNumber, dataset.InstanceNumber = _SERIES_NUMBER + number, 1
    dataset.SeriesDescription = described(what, prediction)


def equipment(prediction: Prediction) -> dict[str, Any]:
    """What made the object, in DICOM's words; the model's package stands for a serial number."""
    provenance = prediction.provenance
    model = line(f"{provenance.get('model', 'unknown')} {provenance.get('version', '')}")
    return {
        "Manufacturer": MAKER,
        "ManufacturerModelName": line(f"{MAKER} {model}"),
        "DeviceSerialNumber": line(provenance.get("package") or "unknown"),
        "SoftwareVersions": [line(f"{MAKER} {provenance.get('medswin', __version__)}"), model],
    }


def algorithm(prediction: Prediction) -> dict[str, Any]:
    """Name, version and settings of what segmented the scan; the hash of the model's package is among them."""
    provenance = prediction.provenance
    window = provenance.get("window") or {}
    told = {
        "package": provenance.get("package"),
        "medswin": provenance.get("medswin"),
        "precision": provenance.get("precision"),
        "device": provenance.get("device"),
        "roi_size": window.get("roi_size"),
        "overlap": window.get("overlap"),
        "mirror_axes": window.get("mirror_axes"),
        "box": provenance.get("box"),
    }
    return {
        "name": line(provenance.get("model") or "unknown"),
        "version": line(provenance.get("version") or "unknown"),
        "source": MAKER,
        "parameters": {
            key: line(str(value).replace(",", " "), 200) for key, value in told.items() if value is not None
        },
    }


def base(storage: str, reference: Reference, prediction: Prediction) -> Any:
    """A new object of a storage class with patient, study, equipment and dates, to be filled."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID, ExplicitVRLittleEndian, generate_uid

    made, uid = Dataset(), generate_uid(prefix=None)
    made.file_meta = FileMetaDataset()
    made.SOPClassUID, made.file_meta.MediaStorageSOPClassUID = UID(storage), UID(storage)
    made.SOPInstanceUID, made.file_meta.MediaStorageSOPInstanceUID = uid, uid
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    identify(made, reference)
    for tag, value in equipment(prediction).items():
        setattr(made, tag, value)
    now = datetime.now()
    made.InstanceCreationDate, made.InstanceCreationTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    return made


def _copied(header: Any, tag: str) -> Any:
    """A value of the scan; None where it has none, one against the form of its type, or more than there may be."""
    from pydicom import config
    from pydicom.datadict import dictionary_VM
    from pydicom.valuerep import validate_value

    try:
        element = header[tag]
        if element.VR == "SQ":
            return element.value
        several = element.value if element.VM > 1 else [element.value]
        if len(several) > 1 and dictionary_VM(element.tag) == "1":
            return None
        texts = ["" if value is None else str(value) for value in several]
        for number, text in enumerate(texts):
            if element.VR in ("DA", "TM", "AS", "DS", "CS", "DT"):
                validate_value(element.VR, text, config.RAISE)
            else:
                texts[number] = "".join(one for one in text if one >= " " and one != "\x7f")
        return (texts if len(texts) > 1 else texts[0]) if any(texts) else None
    except Exception:  # missing, or a value that cannot be decoded
        return None
