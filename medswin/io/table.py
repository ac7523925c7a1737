"""Cases that a table lists, one a line."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from medswin.errors import InputError
from medswin.io.by_name import Found
from medswin.io.cases import check_case_name
from medswin.io.files import read_bytes
from medswin.io.layouts import Case


def read_table(path: Path | str, channels: Sequence[str]) -> Found:
    """The cases that a CSV file lists, one a line.

    Its columns are ``case`` and one for each channel, by its name or as ``channel_0000`` and so on; or ``case`` and
    ``image``, for files that hold all channels. Others are passed over. Files are relative to the table's folder; a
    folder stands for the DICOM series in it.

    Args:
        path: of the table, in UTF-8; commas or semicolons part the cells.
        channels: names of the model's channels, in order.

    Raises:
        InputError: for a table that cannot be read, has other columns, or lists no case.
    """
    path = Path(path)
    (_, header), *lines = _cells(path)
    columns = _columns(header, channels, path)
    rows = [(number, dict(zip(header, cells, strict=False)), cells[len(header) :]) for number, cells in lines]
    rows = [(number, row, beyond) for number, row, beyond in rows if any(row.values()) or any(beyond)]
    if not rows:
        raise InputError("lists no case", where=path, repair="write a line for each case below the columns' names")
    times = Counter(row.get("case", "") for _, row, _ in rows)
    good: list[Case] = []
    failed: list[tuple[str, InputError]] = []
    for number, row, beyond in rows:
        told = where = f"{path.name}, line {number}"
        try:
            check_case_name(row.get("case", ""), where)
            told = row["case"]
            if any(beyond):
                raise InputError("has more cells than columns", where=where, repair="put cells with commas in quotes")
            good.append(_listed(row, columns, times[row.get("case", "")], path, where))
        except InputError as error:
            failed.append((told, error))
    return good, failed


def _cells(path: Path) -> list[tuple[int, list[str]]]:
    """Number and cells of each line."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
        head = text.partition("\n")[0]
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("is no table that can be read", where=path, repair="save it as CSV in UTF-8") from error
    return lines or [(1, [])]


def _columns(header: Sequence[str], channels: Sequence[str], path: Path) -> dict[str, str]:
    """Column -> what it holds, of those that name files."""
    ways = (list(channels), [f"channel_{i:04d}" for i in range(len(channels))], ["image"])
    for columns in ways:
        wanted = ["case", *columns]
        if set(wanted) <= set(header):
            double = [name for name in wanted if header.count(name) > 1]
            if double:
                raise InputError(f"has two columns {double[0]!r}", where=path, repair="rename or remove one of them")
            return dict(zip(columns, channels if len(columns) == len(channels) else columns, strict=True))
    lacking = next(name for name in ("case", *channels) if name not in header)
    raise InputError(
        f"has no column {lacking!r} in its first line",
        where=path,
        repair=f"name the columns case, {', '.join(channels)}, or case and image for files that hold all channels",
    )


def _listed(row: Mapping[str, str], columns: Mapping[str, str], times: int, table: Path, where: str) -> Case:
    """The case of a line."""
    name = row["case"]
    if times > 1:
        raise InputError(
            f"is one of {times} lines with the same case", where=where, repair="rename or remove one of them"
        )
    files = tuple(_file(row.get(column, ""), what, table, where) for column, what in columns.items())
    if len(set(files)) < len(files):
        raise InputError("names one file for two channels", where=where, repair="give each channel its own file")
    return Case(name, files)


def _file(cell: str, what: str, table: Path, where: str) -> Path:
    if not cell:
        raise InputError(f"names no file for {what}", where=where, repair="fill in the path, or remove the line")
    path = table.parent / cell.replace("\\", "/")
    try:
        there = path.exists()
    except OSError:  # a name that is too long, or a folder that is closed to us
        there = False
    if not there:
        repair = "correct its path, which is relative to the folder of the table"
        raise InputError(f"no such file or folder for {what}", where=where, repair=repair)  # it may be a patient's name
    return path
