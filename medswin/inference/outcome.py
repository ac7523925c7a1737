"""What became of a case, small enough that a batch of thousands fits into memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from medswin.findings import Finding
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction


@dataclass(frozen=True)
class CaseResult:
    """A `Prediction` without its label map, which is on the disk.

    Attributes:
        case, label_set, ood, findings, volumes_ml, cut_off: as of the prediction.
        resumed: whether the results were there already.
        outputs: name -> SHA-256 of each file of the results.
        seconds: that the case took.
    """

    case: str
    label_set: LabelSet
    ood: OODResult
    findings: tuple[Finding, ...]
    volumes_ml: dict[str, float]
    cut_off: tuple[str, ...]
    resumed: bool
    outputs: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def of(cls, made: Prediction, outputs: dict[str, str], *, resumed: bool) -> CaseResult:
        """Keep what is needed of a prediction."""
        seconds = float(made.provenance.get("seconds", 0.0))
        told = (made.case, made.label_set, made.ood, made.findings, made.volumes_ml, made.cut_off)
        return cls(*told, resumed, outputs, seconds)


@dataclass(frozen=True)
class Failed:
    """A case without results.

    Attributes:
        case: its name, or where it was found if it has none that can be used.
        where: the file, or the pseudonym of a DICOM series.
        reason: one line that begins with it: what is wrong, and how to mend it.
    """

    case: str
    where: str
    reason: str

    @property
    def told(self) -> tuple[str, str]:
        """What is wrong, and how to mend it."""
        what, _, repair = self.reason.partition(". Repair: ")
        return what.removeprefix(f"{self.where}: "), repair


Outcome: TypeAlias = CaseResult | Failed
