"""What a batch leaves behind beside its results: manifest, log and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medswin.errors import InputError, without_folder
from medswin.inference.outcome import CaseResult, Failed, Outcome
from medswin.inference.prepare import file_sha256
from medswin.io.cases import described_case, write_volumes
from medswin.io.facts import ModelFacts, write_facts
from medswin.io.manifest import Entry, Manifest
from medswin.io.run_log import RunLog
from medswin.io.sources import Sources
from medswin.io.summary import write_summary
from medswin.io.superseded import FOLDER, SUPERSEDED, results, set_aside, superseded


class Records:
    """``manifest.jsonl``, ``run.log``, ``volumes.csv`` and ``summary.csv`` of a folder of results.

    Where one of them cannot be written, on a full disk for example, the cases go on all the same; `end` tells of it.

    Args:
        out: the folder.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.manifest, self.log = out, Manifest(out), RunLog(out)
        self.unwritten: dict[str, Failed] = {}

    def begin(self, settings: Mapping[str, Any], sources: Sources, facts: ModelFacts) -> None:
        """Note what is to be done and by which model, and which series are left out."""
        with self._kept():
            self.log.begin(settings, sources)
        with self._kept():
            write_facts(self.out, facts)
        for name, why in sources.left_out:
            with self._kept():
                self.manifest.add(Entry(name, "skipped", why))

    def supersede(self, sources: Sources, before: Mapping[str, Mapping[str, Any]], table: str) -> tuple[str, ...]:
        """Set aside results that must not look current, and note why; gives the names of their cases.

        They are those of a series that goes by other names now, and those of what this run leaves out or cannot try.

        Args:
            sources: of this run.
            before: where the names of earlier runs came from.
            table: name of the input; lines of it that failed before, and no more, are noted too.
        """
        there, last, failed = results(self.out), dict(self.manifest.last), dict(sources.failed)
        told = {case for case, entry in last.items() if entry.reason.startswith(SUPERSEDED)}
        gone = superseded(sorted((there | set(last)) - (told - there)), before, sources.origins)
        lines = (case for case, entry in last.items() if entry.state == "failed" and case.startswith(f"{table}, line "))
        gone |= {line: f"{SUPERSEDED}the table as it is now" for line in lines if line not in failed}
        for case, why in gone.items():
            with self._kept():
                self.manifest.add(Entry(case, "skipped", why))
                self.log.say(f"gone     {case}: {why}")
        untried = {*dict(sources.left_out), *failed} - {one.case for one in sources.cases}
        aside = []
        for case in sorted(there & (untried | set(gone))):
            if not self._is_ours(case, last):
                continue
            with self._kept():
                moved = set_aside(self.out, case)
                aside.append(case)
                self.log.say(f"aside    {case}: {', '.join(moved)} of an earlier run, into {FOLDER}")
        return tuple(aside)

    def note(self, outcome: Outcome) -> Outcome:
        """Note how a case ended, and give that back."""
        if isinstance(outcome, Failed):
            reason = without_folder(outcome.reason, outcome.where)
            entry, said = Entry(outcome.case, "failed", reason), f"failed   {reason}"
        else:
            entry = Entry(outcome.case, "done", "", outcome.seconds, outcome.outputs)
            what = "there already" if outcome.resumed else f"{outcome.seconds:.1f} s"
            said = f"done     {outcome.case}: {outcome.ood.verdict}, {what}"
        with self._kept():
            self.manifest.add(entry)
        with self._kept():
            self.log.say(said)
        return outcome

    def end(self, done: Sequence[CaseResult], failed: Sequence[Failed]) -> tuple[Failed, ...]:
        """Write the tables; gives what could not be written."""
        steps: tuple[Callable[[], object], ...] = (
            lambda: self.log.end(len(done), len(failed)),
            lambda: write_volumes(self.out, without={one.case for one in failed} | self._without()),
            lambda: write_summary(self.out, self.manifest.last),
        )
        for step in steps:
            with self._kept():
                step()
        return tuple(self.unwritten.values())

    def _is_ours(self, case: str, last: Mapping[str, Entry]) -> bool:
        """Whether medswin wrote what goes by the name of a case, or the user has files of that name there."""
        labels = self.out / f"{case}.nii.gz"
        known = last[case].outputs.get(labels.name) if case in last else None
        return described_case(self.out / f"{case}.json") is not None or (
            known is not None and labels.is_file() and file_sha256(labels) == known
        )

    def _without(self) -> set[str]:
        """Cases that have no results, by what was last said of them."""
        return {case for case, entry in self.manifest.last.items() if entry.state != "done"}

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            name = Path(str(error.where)).name
            self.unwritten[name] = Failed(name, str(error.where), str(error))
