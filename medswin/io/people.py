"""Who a case is of: the rules that put cases of one person together."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from medswin.errors import ConfigError, InputError
from medswin.io.files import read_bytes

_RULES = {"case": (), "pairs": (), "pattern": ("pattern",), "table": ("file",)}


def people(case_ids: Iterable[str], group: Mapping[str, str]) -> dict[str, str]:
    """The person of each case.

    Args:
        case_ids: names of the cases.
        group: the rule.
            ``{"by": "case"}``: each case is of another person.
            ``{"by": "pairs"}``: cases numbered 2k-1 and 2k are of one, by the last digits in their names.
            ``{"by": "pattern", "pattern": REGEX}``: what the regular expression's one group finds in the name.
            ``{"by": "table", "file": CSV}``: a table with the columns ``case`` and ``person``.

    Raises:
        ConfigError: for an unknown rule, or one with a missing, unknown or unusable setting.
        InputError: if a case has no number or no match, is not in the table, or is there with two people.
    """
    ids = list(case_ids)
    rule = _check_rule(group)
    if rule == "pairs":
        return {case: _pair(case) for case in ids}
    if rule == "pattern":
        pattern = _pattern(group["pattern"])
        return {case: _match(pattern, case) for case in ids}
    if rule == "table":
        return _look_up(ids, Path(group["file"]))
    return {case: case for case in ids}


def _check_rule(group: Mapping[str, str]) -> str:
    rule = group.get("by", "")
    if rule not in _RULES:
        raise ConfigError(f"no rule is called {rule!r}", where="group", repair=f"use one of: {', '.join(_RULES)}")
    needed = {"by", *_RULES[rule]}
    if set(group) != needed:
        raise ConfigError(
            f"the rule {rule!r} takes {', '.join(sorted(needed))}, got {', '.join(sorted(group))}",
            where="group",
            repair="correct the settings of the rule",
        )
    return rule


def _pair(case: str) -> str:
    found = re.search(r"^(.*?)(\d+)\D*$", case)
    if not found:
        raise InputError("its name has no number", where=case, repair="use another group rule than pairs")
    return f"{found[1]}pair{(int(found[2]) + 1) // 2}"


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(f"{text!r} is no regular expression ({error})", where="group.pattern") from error
    if pattern.groups != 1:
        raise ConfigError(
            f"{text!r} has {pattern.groups} groups, it needs one",
            where="group.pattern",
            repair="put () about the person",
        )
    return pattern


def _match(pattern: re.Pattern[str], case: str) -> str:
    found = pattern.search(case)
    if not found or not found[1]:
        raise InputError(f"does not match {pattern.pattern!r}", where=case, repair="correct group.pattern")
    return found[1]


def _look_up(case_ids: Sequence[str], path: Path) -> dict[str, str]:
    table = _table(path)
    lacking = [case for case in case_ids if case not in table]
    if lacking:
        raise InputError(
            f"{len(lacking)} cases are not in it, for example {lacking[0]}", where=path, repair="add a row for each"
        )
    return {case: table[case] for case in case_ids}


def _table(path: Path) -> dict[str, str]:
    try:
        rows = list(csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"is no CSV table ({error})", where=path, repair="save it as CSV in UTF-8") from error
    table: dict[str, str] = {}
    for row in rows:
        case, person = ((row.get(key) or "").strip() for key in ("case", "person"))
        if not case or not person:
            raise InputError("each row needs a case and a person", where=path, repair="name the columns case,person")
        if table.setdefault(case, person) != person:
            raise InputError(f"{case} is of {table[case]} and of {person}", where=path, repair="keep one of the rows")
    return table
