"""The end of a run: measure the chosen weights, fit and calibrate the OOD judge on them, and write the package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import medswin
from medswin.io import FORMAT_VERSION, write_package
from medswin.labels import LabelSet
from medswin.metrics import Scores, evaluate_case, summarise
from medswin.networks import Segmenter
from medswin.ood import Judge
from medswin.training.card import model_card
from medswin.training.data import PreparedCase
from medswin.training.split import Split
from medswin.training.validation import Infer


def round_to_half(network: Segmenter) -> dict[str, Tensor]:
    """Round the weights to fp16, in place, and return them so: what is measured and fitted on is what is shipped."""
    halves = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in halves.items()})
    return halves


def look(
    cases: Iterable[PreparedCase], network: Segmenter, infer: Infer, label_set: LabelSet
) -> tuple[NDArray[np.float32], dict[str, dict[str, Scores]]]:
    """Features (N, F) and metrics of each case, from one pass of inference."""
    features, rows = [], {}
    for case in cases:
        image, label = case.load()
        with torch.inference_mode():
            logits, feature = infer(image.as_tensor()[None], network)
        found = logits[0].argmax(0).to(torch.uint8).numpy()
        spacing = tuple(float(s) for s in np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0))
        features.append(feature[0].float().cpu().numpy())
        rows[case.id] = evaluate_case(found, label.numpy()[0], spacing, label_set)
    return np.stack(features), rows


def finish(
    network: Segmenter,
    cases: Mapping[str, PreparedCase],
    split: Split,
    infer: Infer,
    label_set: LabelSet,
    model: Mapping[str, Any],
    ood: Mapping[str, Any],
    folder: Path,
    bar: Callable[[list[PreparedCase]], Iterable[PreparedCase]] = iter,
) -> None:
    """Write the model package of a trained network.

    The judge is fitted on the training cases' features and calibrated on the calibration people. These chose nothing
    else, so the metrics on them are those of people whom the model has never met.

    Args:
        network: with the chosen weights, on the CPU.
        cases: every case of ``split`` by its id.
        infer: window inference, the same that the package will use.
        model: ``model.json`` without what is known here: format version, medswin's version and the labels.
        ood: ``detectors`` and ``false_alarm_rate`` of the judge; without calibration people no judge is fitted.
        folder: of the package.
        bar: wraps the list of cases, for a progress bar.
    """
    state = round_to_half(network)
    parts = {
        name: look(bar([cases[c] for c in getattr(split, name)]), network, infer, label_set)
        for name in ("training", "validation", "calibration")
        if getattr(split, name)
    }
    ood_json, ood_tensors = None, None
    if split.calibration:
        judge = Judge.fit(
            parts["training"][0],
            parts["calibration"][0],
            train_people=[split.people[c] for c in split.training],
            calibration_people=[split.people[c] for c in split.calibration],
            train_geometry=[cases[c].geometry for c in split.training],
            calibration_geometry=[cases[c].geometry for c in split.calibration],
            detectors=ood["detectors"],
            false_alarm_rate=ood["false_alarm_rate"],
        )
        ood_json, ood_tensors = judge.to_parts()
    metrics = {name: summarise(rows, label_set, split.people) for name, (_, rows) in parts.items()}
    full = {
        "format_version": FORMAT_VERSION,
        **model,
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
