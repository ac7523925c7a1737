"""The end of a run: measure the chosen weights, fit and calibrate the OOD judge on them, and write the package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

import medswin
from medswin.io import FORMAT_VERSION, write_package
from medswin.labels import LabelSet
from medswin.metrics import Scores, evaluate_case, summarise
from medswin.networks import Segmenter
from medswin.ood import Judge, View, row_layout
from medswin.training.card import model_card
from medswin.training.data import PreparedCase
from medswin.training.expected import Glance, Observe, with_expected_dice
from medswin.training.split import Split


def round_to_half(network: Segmenter) -> dict[str, Tensor]:
    """Round the weights to fp16, in place, and return them so: what is measured and fitted on is what is shipped."""
    halves = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in halves.items()})
    return halves


def look(cases: Iterable[PreparedCase], glance: Glance) -> tuple[NDArray[np.float64], dict[str, dict[str, Scores]]]:
    """Rows (N, D) for the judge and metrics of each case, from one pass of inference."""
    rows, scores = [], {}
    for case in cases:
        image, label = case.load()
        row, found = glance(case, image)
        rows.append(row)
        spacing = tuple(float(s) for s in np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0))
        scores[case.id] = evaluate_case(found, label.numpy()[0], spacing, glance.label_set)
    return np.stack(rows), scores


def finish(
    network: Segmenter,
    cases: Mapping[str, PreparedCase],
    split: Split,
    observe: Observe,
    label_set: LabelSet,
    model: Mapping[str, Any],
    ood: Mapping[str, Any],
    view: View,
    folder: Path,
    bar: Callable[[list[PreparedCase]], Iterable[PreparedCase]] = iter,
) -> Judge | None:
    """Write the model package of a trained network.

    The judge is fitted on the training cases' features and calibrated on the calibration people. These chose nothing
    else, so the metrics on them are those of people whom the model has never met.

    Args:
        network: with the chosen weights, on the CPU.
        cases: every case of ``split`` by its id.
        observe: window inference, the same that the package will use.
        model: ``model.json`` without what is known here: format version, medswin's version and the labels.
        ood: ``detectors``, ``combine`` and ``false_alarm_rate`` of the judge, and how many ``degraded`` validation
            scans teach what Dice to expect.
        view: what the judge sees.
        folder: of the package.
        bar: wraps the list of cases, for a progress bar.

    Returns:
        The judge; None without calibration people.
    """
    state = round_to_half(network)
    glance = Glance(network, observe, label_set, view)
    parts = {
        name: look(bar([cases[c] for c in getattr(split, name)]), glance)
        for name in ("training", "validation", "calibration")
        if getattr(split, name)
    }
    judge, ood_json, ood_tensors = None, None, None
    if split.calibration:
        judge = _judge(parts["training"][0], parts["calibration"][0], cases, split, glance, model, ood)
        judge = with_expected_dice(judge, glance, cases, split, model["preprocessing"], ood["degraded"], bar)
        ood_json, ood_tensors = judge.to_parts()
    metrics = {name: summarise(rows, label_set, split.people) for name, (_, rows) in parts.items()}
    full = {
        "format_version": FORMAT_VERSION,
        **model,
        "ood_view": view.to_json(),
        "labels": label_set.to_json(),
        "medswin_version": medswin.__version__,
    }
    write_package(
        folder,
        model=full,
        state=state,
        ood_json=ood_json,
        ood_tensors=ood_tensors,
        metrics=metrics,
        card=model_card(full, metrics, ood_json),
    )
    return judge


def _judge(
    train_ND: NDArray[np.float64],
    calibration_ND: NDArray[np.float64],
    cases: Mapping[str, PreparedCase],
    split: Split,
    glance: Glance,
    model: Mapping[str, Any],
    ood: Mapping[str, Any],
) -> Judge:
    channels, structures = model["channels"], glance.label_set.names
    features = train_ND.shape[1] - row_layout(glance.view, 0, channels, structures).width
    return Judge.fit(
        train_ND,
        calibration_ND,
        train_people=[split.people[c] for c in split.training],
        calibration_people=[split.people[c] for c in split.calibration],
        train_geometry=[cases[c].geometry for c in split.training],
        calibration_geometry=[cases[c].geometry for c in split.calibration],
        detectors=ood["detectors"],
        combine=ood["combine"],
        layout=row_layout(glance.view, features, channels, structures),
        false_alarm_rate=ood["false_alarm_rate"],
    )
