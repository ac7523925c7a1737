"""What a page says of the model: an extract of its package, kept once beside the results it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medswin.errors import InputError
from medswin.io.files import read_json, write_json

FACTS_VERSION = 1
_ID_DIGITS = 12
_TAUGHT_BY = "training"


@dataclass(frozen=True)
class ModelFacts:
    """A model in words and numbers for people.

    Attributes:
        name, version, package: of the model; ``package`` is the package's id, 64 hex digits.
        licence: of the model.
        about: what its makers say of it: ``intended_use``, ``limits``, ``data`` and so on.
        dice: part of the data that was not trained on -> structure -> mean Dice, the ends of its 95 % interval, and
            the number of scans.
        expected_ml: structure -> smallest and largest volume in ml in the training scans, as this model outlines them;
            empty where its judge does not know.
        modality: of the scans it takes, as DICOM has it; empty where its package does not say.
        channels: of a scan, by name, in their order.
    """

    name: str
    version: str
    package: str
    licence: str = ""
    about: dict[str, str] = field(default_factory=dict)
    dice: dict[str, dict[str, tuple[float, float, float, int]]] = field(default_factory=dict)
    expected_ml: dict[str, tuple[float, float]] = field(default_factory=dict)
    modality: str = ""
    channels: tuple[str, ...] = ()

    def outside(self, structure: str, volume_ml: float) -> bool:
        """Whether a volume is one that no training scan had; never for a structure that was not found."""
        low, high = self.expected_ml.get(structure, (0.0, float("inf")))
        return volume_ml > 0 and not low <= volume_ml <= high


def dice_of(metrics: Mapping[str, Any]) -> dict[str, dict[str, tuple[float, float, float, int]]]:
    """What a package's ``metrics.json`` says of Dice, but for the scans that it was trained on, and what is not said.

    A package's metrics have no fixed form: what cannot be read is left out.
    """
    parts = {}
    for part, found in metrics.items():
        try:
            rows = {name: _dice(row) for name, row in found["structures"].items() if row["dice_ci95"]}
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if rows and part != _TAUGHT_BY:
            parts[part] = rows
    return parts


def _dice(row: Mapping[str, Any]) -> tuple[float, float, float, int]:
    low, high = row["dice_ci95"]
    return float(row["dice"]), float(low), float(high), int(row["both"])


def write_facts(folder: Path | str, facts: ModelFacts) -> Path:
    """Write ``model-<id>.json`` unless it is there, and give its path.

    Raises:
        InputError: if it cannot be written.
    """
    path = facts_path(folder, facts.package)
    if read_facts(folder, facts.package) != facts:
        write_json(path, {"facts_version": FACTS_VERSION, **asdict(facts)})
    return path


def read_facts(folder: Path | str, package: str) -> ModelFacts | None:
    """What was kept of a model; None where nothing was, or it is damaged or of another version."""
    try:
        values = read_json(facts_path(folder, package))
        if values.pop("facts_version") != FACTS_VERSION:
            return None
        values["dice"] = {
            part: {name: (float(mean), float(low), float(high), int(scans)) for name, (mean, low, high, scans) in of}
            for part, of in ((part, rows.items()) for part, rows in values["dice"].items())
        }
        values["expected_ml"] = {name: (float(low), float(high)) for name, (low, high) in values["expected_ml"].items()}
        values["channels"] = tuple(str(name) for name in values.get("channels", ()))
        return ModelFacts(**values)
    except (InputError, KeyError, TypeError, ValueError, AttributeError):
        return None


def facts_path(folder: Path | str, package: str) -> Path:
    """Where the facts of a package are kept in a folder of results."""
    return Path(folder) / f"model-{package[:_ID_DIGITS]}.json"
