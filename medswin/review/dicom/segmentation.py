"""The label map as a DICOM segmentation, frame by frame on the slices that it was made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.labels import Label
from medswin.prediction import Prediction
from medswin.review.dicom import codes, identity, rle, stand_in
from medswin.review.dicom.predecessor import Predecessor, refer
from medswin.review.dicom.reference import Reference
from medswin.review.dicom.text import different, line
from medswin.review.edited import is_edited, rejected_structures

LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
NUMBER = 1


def segmentation(
    prediction: Prediction,
    reference: Reference,
    *,
    labelmap: bool = False,
    predecessor: Predecessor | None = None,
) -> Any:
    """The segmentation of a case.

    Args:
        prediction: the case.
        reference: its slices.
        labelmap: one frame a slice with all structures, run-length encoded: far smaller, but read by new software
            alone. Else a frame a slice and structure (BINARY), which every archive takes.
        predecessor: the segmentation that was edited.

    Returns:
        A `highdicom.seg.Segmentation`. Slices without any structure have no frame; where nothing was found, the first
        slice has them all, empty.

    Raises:
        InputError: see `segments`.
    """
    from highdicom.seg import Segmentation
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    frames = np.ascontiguousarray(numbered(prediction).T)  # slices, rows, columns: see `referenced`
    if not frames.any():
        frames = frames[:1]
    made = Segmentation(
        source_images=[stand_in.stand_in(reference, len(frames))],
        pixel_array=frames,
        segmentation_type="LABELMAP" if labelmap else "BINARY",
        segment_descriptions=_described(prediction),
        series_instance_uid=generate_uid(prefix=None),
        series_number=1,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_label="SEGMENTATION",
        content_description=identity.brief(prediction),
        coding_schemes=[codes.scheme()] if _private(prediction) else None,
        **_equipment(prediction),
    )
    if labelmap:
        rle.compress(made)
    stand_in.renamed(made, reference)
    identity.identify(made, reference)
    identity.series(made, "SEG", NUMBER, "SEG", prediction)
    if predecessor is not None:
        refer(made, predecessor)
    return made


def segments(prediction: Prediction) -> dict[Label, int]:
    """Numbers of the segments, 1, 2, ...: of all structures but those that a reviewer rejected.

    Raises:
        InputError: if all were.
    """
    rejected = rejected_structures(prediction)
    kept = [label for label in prediction.label_set if label.name not in rejected]
    if not kept:
        raise InputError(
            "the review rejects all its structures, no segment is left",
            where=prediction.case,
            repair="leave dicom-seg out of -f; dicom-sr and dicom-pdf tell of the review",
        )
    return {label: number for number, label in enumerate(kept, start=1)}


def numbered(prediction: Prediction) -> NDArray[np.uint8]:
    """The label map with the numbers of `segments` as its values."""
    table = np.zeros(256, dtype=np.uint8)
    for label, number in segments(prediction).items():
        table[label.value] = number
    return table[prediction.labels]


def _described(prediction: Prediction) -> list[Any]:
    names = different([label.name for label in prediction.label_set])
    found = segments(prediction)
    return [_segment(number, label, names[label.value - 1], prediction) for label, number in found.items()]


def _segment(number: int, label: Label, name: str, prediction: Prediction) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes as known

    told = identity.algorithm(prediction)
    made = SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=codes.concept(codes.category(label)),
        segmented_property_type=codes.concept(codes.structure(label)),
        algorithm_type="SEMIAUTOMATIC" if is_edited(prediction) else "AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=told["name"],
            version=told["version"],
            family=known.DCM.ArtificialIntelligence,
            source=told["source"],
            parameters=told["parameters"],
        ),
        tracking_uid=_tracking(label, prediction),
        tracking_id=name,
        display_color=CIELabColor.from_rgb(*label.color),
    )
    made.SegmentDescription = line(" ".join([*identity.cautions(prediction), label.name]), 1024)
    found = [codes.concept(code) for code in codes.modifiers(label)]
    if found:
        made.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = found
    return made


def _tracking(label: Label, prediction: Prediction) -> str:
    from medswin.review.dicom.uids import made_up

    return made_up(str(prediction.provenance.get("input_sha256")).encode(), "structure", label.name)


def _private(prediction: Prediction) -> bool:
    return any(label.code is None for label in segments(prediction))


def _equipment(prediction: Prediction) -> dict[str, Any]:
    made = identity.equipment(prediction)
    return {
        "manufacturer": made["Manufacturer"],
        "manufacturer_model_name": made["ManufacturerModelName"],
        "software_versions": made["SoftwareVersions"],
        "device_serial_number": made["DeviceSerialNumber"],
    }
