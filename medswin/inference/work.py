"""The work on one case: read it, segment it, write its results; whatever goes wrong becomes a `Failed`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from medswin.errors import InputError
from medswin.inference.begun import Begun
from medswin.inference.box import Box
from medswin.inference.model import Model
from medswin.inference.outcome import CaseResult, Failed, Outcome
from medswin.inference.prepare import Prepared, file_sha256
from medswin.io.cases import described_case, read_case, write_case
from medswin.io.manifest import Entry
from medswin.io.sources import Source
from medswin.io.superseded import set_aside
from medswin.prediction import Prediction

log = logging.getLogger(__name__)

LARGE_BYTES = 2**26  # of a channel; so large a scan is read, segmented and written while no other is in memory


class Predicts(Protocol):
    """What a batch needs of a `medswin.inference.Predictor`."""

    model: Model

    def prepare(self, image: Any, box: Box | None = None) -> Prepared:
        """Preprocess one scan."""

    def predict(self, prepared: Prepared) -> Prediction:
        """Segment it."""

    def settings(self, box: Box | None = None) -> dict[str, Any]:
        """What a prediction depends on beside the scan."""


@dataclass(frozen=True)
class Work:
    """What is to be done with each case of a batch.

    Attributes:
        out: folder of the results.
        box: the part of each scan to look at.
        overwrite: do again what is there.
        before: what the manifest says of each case.
        begun: which cases never ended.
    """

    out: Path
    box: Box | None
    overwrite: bool
    before: dict[str, Entry]
    begun: Begun

    def whole(self, predictor: Predicts, source: Source) -> Outcome:
        """All of it, one step after the other."""
        try:
            return self.segmented(predictor, source, lambda: self.read(predictor, source))()
        except Exception as error:  # what comes of it cannot be written
            return failed(source, error)

    def read(self, predictor: Predicts, source: Source) -> Prepared | CaseResult:
        """The scan, ready for the network; or its results, where an earlier run made them of the same file alike."""
        digest, described = source.digest(), self.out / f"{source.case}.json"
        there = None if self.overwrite else self._made_before(described, digest, predictor.settings(self.box))
        if there is not None:
            return CaseResult.of(there, _hashes(self.out, source.case), resumed=True)
        _set_stale_aside(described, digest)
        return replace(predictor.prepare(source.read(), self.box), sha256=digest)

    def segmented(
        self, predictor: Predicts, source: Source, take: Callable[[], Prepared | CaseResult]
    ) -> Callable[[], Outcome]:
        """Run the network on a scan; what is left to do is returned, to be done in another thread."""
        try:
            found = take()
            if isinstance(found, CaseResult):
                return partial(_same, found)
            return partial(self._write, replace(predictor.predict(found), case=source.case))
        except Exception as error:  # whatever is wrong with one scan, the others are done
            return partial(_same, failed(source, error))

    def _write(self, made: Prediction) -> CaseResult:
        write_case(self.out, made)
        return CaseResult.of(made, _hashes(self.out, made.case), resumed=False)

    def _made_before(self, described: Path, digest: str | None, settings: dict[str, Any]) -> Prediction | None:
        """The results of an earlier run, if they are whole, unchanged, and what this run would make."""
        if digest is None or not described.is_file():
            return None
        try:
            found = read_case(described)
        except InputError:
            return None  # damaged or of another version: made again
        entry = self.before.get(described.stem)
        if entry is not None and entry.outputs and entry.outputs != _hashes(self.out, described.stem):
            return None  # changed since
        same = all(found.provenance.get(key) == value for key, value in settings.items())
        return found if same and found.provenance.get("input_sha256") == digest else None


def is_large(source: Source) -> bool:
    """Whether it is done alone."""
    return 4 * source.voxels > LARGE_BYTES


def failed(source: Source, error: Exception) -> Failed:
    """What is told of a case that failed, as one line that begins with where it lies."""
    log.debug("a case failed", exc_info=error)
    return Failed(source.case, source.where, source.explain(error))


def _same(outcome: Outcome) -> Outcome:
    return outcome


def _hashes(out: Path, case: str) -> dict[str, str]:
    return {name: file_sha256(out / name) for name in (f"{case}.nii.gz", f"{case}.json")}


def _set_stale_aside(described: Path, digest: str | None) -> None:
    """Set aside the results of another scan of this name; those of a scan that cannot be read now are left."""
    values = described_case(described)
    if values is None or digest is None:
        return
    provenance = values.get("provenance")
    if not isinstance(provenance, dict) or provenance.get("input_sha256") != digest:
        set_aside(described.parent, described.stem)
