"""Volumes and the verdict on the scan as a structured report (TID 1500), which nobody has verified."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from medswin.labels import Code
from medswin.prediction import Prediction
from medswin.review.dicom import codes, identity, stand_in
from medswin.review.dicom.reference import Reference
from medswin.review.dicom.segmentation import segments
from medswin.review.dicom.text import different, line
from medswin.review.dicom.uids import made_up
from medswin.review.edited import EDITED_HEADLINE, is_edited, rejected_structures
from medswin.review.volumes import VolumeRow, significant, volume_rows
from medswin.review.words import BEYOND_SCALE, dice_words, score_words, verdict_words

NUMBER = 2
_SCORE = ("score", "Score of the scan, higher is more unusual")
UNUSABLE = "DO NOT USE THIS VOLUME: the scan is unlike the training scans"
_PROCEDURES = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
    "PT": Code("44136-0", "LN", "PET unspecified body region"),
    "NM": Code("49118-3", "LN", "NM unspecified body region"),
}
_COMMENT = Code("121106", "DCM", "Comment")


def measurement_report(prediction: Prediction, reference: Reference, segmentation: Any = None) -> Any:
    """The report of a case: PRELIMINARY and UNVERIFIED, which only a person may change.

    Each structure that was found has its volume in ml to three figures; a group of its own holds the verdict on the
    scan with its numbers. On a rejected scan each volume is marked as not to be used, in a code and in words.

    Args:
        prediction: the case.
        reference: its slices.
        segmentation: the object that the volumes were counted in; None where there is none in this export, and the
            report then names the slices alone.

    Returns:
        A `highdicom.sr.ComprehensiveSR`.
    """
    from highdicom.sr import ComprehensiveSR, MeasurementReport
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    rows = [row for row in volume_rows(prediction) if row.voxels]
    groups = [_scan(prediction), *(_structure(prediction, reference, row, segmentation) for row in rows)]
    content = MeasurementReport(
        observation_context=_observer(prediction),
        procedure_reported=codes.concept(_PROCEDURES.get(reference.modality, _PROCEDURES["CT"])),
        imaging_measurements=groups,
        title=codes.concept(Code("126000", "DCM", "Imaging Measurement Report")),
    )
    made = identity.equipment(prediction)
    report = ComprehensiveSR(
        evidence=[*stand_in.files(reference), *([] if segmentation is None else [segmentation])],
        content=content,
        series_instance_uid=generate_uid(prefix=None),
        series_number=1,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer=made["Manufacturer"],
        manufacturer_model_name=made["ManufacturerModelName"],
        software_versions=made["SoftwareVersions"],
        device_serial_number=made["DeviceSerialNumber"],
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        coding_schemes=[codes.scheme()],
    )
    identity.identify(report, reference)
    identity.series(report, "SR", NUMBER, "volumes", prediction)
    return report


def _observer(prediction: Prediction) -> Any:
    from highdicom.sr import DeviceObserverIdentifyingAttributes, ObservationContext, ObserverContext
    from pydicom.sr.codedict import codes as known

    made = identity.equipment(prediction)
    package = str(prediction.provenance.get("package") or "unknown")
    device = DeviceObserverIdentifyingAttributes(
        uid=made_up(package.encode(), "device"),  # the same for the same package
        name=made["ManufacturerModelName"],
        manufacturer_name=made["Manufacturer"],
        model_name=made["SoftwareVersions"][1],
        serial_number=made["DeviceSerialNumber"],
    )
    observer = ObserverContext(observer_type=known.DCM.Device, observer_identifying_attributes=device)
    return ObservationContext(observer_device_context=observer)


def _algorithm(prediction: Prediction) -> Any:
    from highdicom.sr import AlgorithmIdentification

    told = identity.algorithm(prediction)
    parameters = [f"{key}={value}" for key, value in told["parameters"].items()]
    return AlgorithmIdentification(name=told["name"], version=told["version"], parameters=parameters)


def _scan(prediction: Prediction) -> Any:
    """The group on the scan as a whole: the verdict in a code, its numbers, and what to do in words."""
    from highdicom.sr import MeasurementsAndQualitativeEvaluations, QualitativeEvaluation, TrackingIdentifier

    ood, words = prediction.ood, verdict_words(prediction.ood.verdict)
    evaluations = [(_own("verdict", "Verdict on the scan"), _own(ood.verdict.replace(" ", "-"), words.headline))]
    if ood.score >= BEYOND_SCALE:
        evaluations.append((_own(*_SCORE), _own("beyond-the-scale", score_words(ood.score))))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=_uid(prediction, "scan"), identifier=line(f"Scan {prediction.case}")
        ),
        algorithm_id=_algorithm(prediction),
        measurements=_numbers(prediction),
        qualitative_evaluations=[QualitativeEvaluation(name=name, value=value) for name, value in evaluations],
    )
    texts = [f"{identity.WARNING}.", *([EDITED_HEADLINE] if is_edited(prediction) else [])]
    texts += [f"{words.headline}. {words.meaning} {words.advice}", *ood.reasons]
    texts += [f"{finding.grade}: {finding.message} {finding.repair}" for finding in prediction.findings]
    if ood.expected_dice is not None:
        texts.append(f"Expected Dice: {dice_words(ood.expected_dice)}")
    rejected = rejected_structures(prediction)
    missing = [name for name, volume in prediction.volumes_ml.items() if volume == 0 and name not in rejected]
    texts += [f"Rejected by the reviewer, no volume: {', '.join(rejected)}"] if rejected else []
    texts += [f"Not found in this scan: {', '.join(missing)}"] if missing else []
    return _commented(group, texts + identity.part(prediction))


def _numbers(prediction: Prediction) -> list[Any]:
    from highdicom.sr import Measurement

    ood, one = prediction.ood, codes.concept(codes.ONE)
    told = {
        _SCORE: ood.score if ood.score < BEYOND_SCALE else math.nan,
        ("limit", "Limit of the score, up to which scans are accepted"): ood.limit,
        ("p-value", "Share of calibration people at least as unusual"): ood.p_value,
        ("people", "Number of calibration people"): float(ood.people) if ood.people else math.nan,
    }
    return [
        Measurement(name=_own(*of), value=_short(value), unit=one) for of, value in told.items() if math.isfinite(value)
    ]


def _structure(prediction: Prediction, reference: Reference, row: VolumeRow, segmentation: Any) -> Any:
    """The group of a structure: its volume, its side, and what makes the volume unfit for use."""
    from highdicom.sr import (
        FindingSite,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    label, rejected = row.label, prediction.ood.verdict == "reject"
    name = different([one.name for one in prediction.label_set])[label.value - 1]
    side = codes.side_of(label)
    site = FindingSite(
        anatomic_location=codes.concept(codes.structure(label)),
        laterality=codes.concept(side) if side else None,
        topographical_modifier=codes.concept(label.modifier) if label.modifier else None,
    )
    volume = Measurement(
        name=codes.concept(codes.VOLUME), value=float(significant(row.volume_ml)), unit=codes.concept(codes.MILLILITRE)
    )
    told: dict[str, Any] = {
        "tracking_identifier": TrackingIdentifier(uid=_uid(prediction, label.name), identifier=name),
        "finding_type": codes.concept(codes.structure(label)),
        "finding_category": codes.concept(codes.category(label)),
        "finding_sites": [site],
        "algorithm_id": _algorithm(prediction),
        "measurements": [volume],
        "qualitative_evaluations": _usable(rejected, row),
    }
    group = (
        MeasurementsAndQualitativeEvaluations(**told)
        if segmentation is None
        else VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=_segment(reference, segmentation, segments(prediction)[label]), **told
        )
    )
    return _commented(group, [*([UNUSABLE] if rejected else []), *row.notes])


def _usable(rejected: bool, row: VolumeRow) -> list[Any]:
    from highdicom.sr import QualitativeEvaluation

    if rejected:
        told = _own("unusable", "Unusable: the scan was rejected")
    else:
        told = _own("check-first", "Check first: it may be wrong") if row.notes else _own("check", "Check as usual")
    return [QualitativeEvaluation(name=_own("use", "Use of the volume"), value=told)]


def _segment(reference: Reference, segmentation: Any, number: int) -> Any:
    from highdicom.sr import ReferencedSegment, SourceSeriesForSegmentation

    return ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=number,
        source_series=SourceSeriesForSegmentation(referenced_series_instance_uid=reference.series),
    )


def _commented(group: Any, texts: Sequence[str]) -> Any:
    """A group with sentences for people at its end."""
    from highdicom.sr import TextContentItem

    for text in texts:
        item = TextContentItem(name=codes.concept(_COMMENT), value=line(text, 1000), relationship_type="CONTAINS")
        group[0].ContentSequence.append(item)
    return group


def _own(value: str, meaning: str) -> Any:
    return codes.concept(Code(value, identity.SCHEME, meaning))


def _uid(prediction: Prediction, of: str) -> str:
    return made_up(str(prediction.provenance.get("input_sha256")).encode(), "structure", of)


def _short(value: float) -> float:
    """Four figures: a decimal string has room for no more than 16 characters."""
    return float(f"{value:.4g}")
