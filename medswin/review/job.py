"""One case on its way out: its parts, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from medswin.errors import InputError
from medswin.io.cases import read_case
from medswin.io.facts import read_facts
from medswin.io.files import replacing
from medswin.io.private import naming_key
from medswin.io.sources import SeriesSource, Source
from medswin.prediction import Prediction
from medswin.review.case import ReviewCase
from medswin.review.dicom.reference import Reference, referenced
from medswin.review.edited import edited_case


@dataclass(frozen=True)
class Options:
    """How cases are exported.

    Attributes:
        labelmap: write segmentations as label maps.
        repair_uids: make up the identifiers that a scan lacks.
        edited: a label map, or the ``review.json`` of a page, that takes the place of the case's own.
    """

    labelmap: bool = False
    repair_uids: bool = False
    edited: Path | None = None


class Job:
    """A case, its scan, and the folder that it is exported to.

    Args:
        path: of the case's JSON file.
        described: what it says.
        out: the folder.
        options: see `Options`.
        source: opens the scan; called when a format first needs it.
    """

    def __init__(
        self, path: Path, described: dict[str, Any], out: Path, options: Options, source: Callable[[], Source]
    ) -> None:
        self.path, self.described, self.out, self.options = path, described, out, options
        self.case = path.stem
        self.notes: list[str] = []
        self.segmentation: Any = None
        """What this run wrote as the segmentation, for what refers to it."""
        self._open = source

    @property
    def edited(self) -> bool:
        """Whether a person changed the label map."""
        return self.options.edited is not None

    @cached_property
    def original(self) -> Prediction:
        """The case as the model left it."""
        return read_case(self.path)

    @cached_property
    def prediction(self) -> Prediction:
        """The case that is exported."""
        if self.options.edited is None:
            return self.original
        return edited_case(self.options.edited, self.original, self.described)

    @cached_property
    def source(self) -> Source:
        """Its scan."""
        return self._open()

    @cached_property
    def reference(self) -> Reference:
        """The slices that DICOM objects refer to."""
        key = naming_key(self.path.parent) if self.options.repair_uids else None
        found = referenced(self.original, self.source, key)
        if found.notes:
            self.notes.append(f"{self.case}: {'; '.join(found.notes)}: no archive knows what was made up")
        return found

    @cached_property
    def shown(self) -> ReviewCase:
        """The case with its image, for pictures and the report."""
        modality = self.source.series[0].modality if isinstance(self.source, SeriesSource) else ""
        facts = read_facts(self.path.parent, str(self.prediction.provenance.get("package", "")))
        image = self.source.read().image
        return ReviewCase(
            self.prediction,
            image[0].numpy(),
            modality=modality or (facts.modality if facts else ""),
            facts=facts,
            channels=len(image),
        )

    def place(self, suffix: str) -> Path:
        """Where a file goes; what was edited never takes the place of what was not."""
        return self.out / f"{self.case}{'_edited' if self.edited else ''}{suffix}"

    def save(self, dataset: Any, path: Path, check: Callable[[Path], None] | None = None) -> Path:
        """Write a DICOM object, whole or not at all; ``check`` sees it before it gets its name."""
        with replacing(path) as temporary:
            dataset.save_as(temporary, enforce_file_format=True)
            if check is not None:
                check(temporary)
        return path


def needed(module: str, extra: str, what: str) -> None:
    """Refuse, in words, to write a format whose library is not installed.

    Raises:
        InputError: if it is not.
    """
    try:
        import_module(module)
    except ImportError:
        raise InputError(
            f"{what} needs {module}, which is not installed", repair=f"pip install 'medswin[{extra}]'"
        ) from None
