"""Model packages: all that is needed to use a model, and nothing that runs code.

A package is a folder, or a zip of it, with ``model.safetensors``, ``model.json``, ``metrics.json``, ``MODEL_CARD.md``,
for models with a detector ``ood.safetensors`` and ``ood.json``, and ``SHA256SUMS`` over all of them, which
``sha256sum -c`` reads. The SHA-256 of that list is the package's id: it tells damage, not forgery. Every listed file
must be there and intact, and every file must be listed, so that the id speaks for all that is in a package; only names
that begin with a dot, ``__MACOSX`` and ``__pycache__``, which other programs add, are passed over and never read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from medswin.errors import InputError, PackageError
from medswin.io.archive import pack, read_folder, read_zip
from medswin.io.files import parse_json, replacing_folder, sha256, to_json, write_bytes
from medswin.resources import ZOO

FORMAT_VERSION = 1
SUMS = "SHA256SUMS"
FILES = ("model.safetensors", "model.json", "metrics.json", "MODEL_CARD.md")
OOD_FILES = ("ood.safetensors", "ood.json")
KEYS = {
    "name": str,
    "version": str,
    "network": dict,
    "preprocessing": dict,
    "labels": list,
    "channels": list,
    "window": dict,
    "fingerprint": dict,
    "medswin_version": str,
    "licence": str,
}
"""What ``model.json`` must hold beside ``format_version``, and of which type."""

_AGAIN = "get the package again"
_SUM = re.compile(r"([0-9a-f]{64})  ([^/\\]+)")
_PIN = re.compile(r"[0-9a-f]{12,64}")


@dataclass(frozen=True, eq=False)
class Package:
    """A model package, read and verified.

    Attributes:
        model: ``model.json``: network, preprocessing, labels, channels, window, fingerprint, licence.
        state: the network's weights, of the types they were stored in.
        ood_json, ood_tensors: the parts of the judge; None and empty for a model without one.
        metrics: ``metrics.json``.
        card: the model card, Markdown.
        id: SHA-256 of ``SHA256SUMS``, 64 hex digits.
        name: the model's name.
    """

    model: dict[str, Any]
    state: dict[str, Tensor]
    ood_json: dict[str, Any] | None
    ood_tensors: dict[str, Tensor]
    metrics: dict[str, Any]
    card: str
    id: str
    name: str


def write_package(
    folder: Path | str,
    *,
    model: Mapping[str, Any],
    state: Mapping[str, Tensor],
    ood_json: Mapping[str, Any] | None = None,
    ood_tensors: Mapping[str, Tensor] | None = None,
    metrics: Mapping[str, Any],
    card: str,
) -> str:
    """Write a package folder, whole or not at all, and return its id.

    Args:
        folder: where; a package that is there is replaced, anything else is left alone.
        model: see `KEYS`; ``format_version`` is added where it is missing.
        state: weights, stored in the types they have.
        ood_json, ood_tensors: the parts of the judge, both or neither.
        metrics: anything that JSON can hold.
        card: Markdown.

    Raises:
        PackageError: if ``model`` lacks a key, one part of the judge is missing, or ``folder`` holds something else.
        InputError: if a value does not go into JSON, or the place cannot be written to.
    """
    folder = Path(folder)
    if not _may_replace(folder):
        raise PackageError("exists and is no model package", where=folder, repair="choose another name or remove it")
    full = {"format_version": FORMAT_VERSION, **model}
    _check_model(full, folder)
    if (ood_json is None) == bool(ood_tensors):
        raise PackageError("ood_json and ood_tensors go together", where=folder, repair="give both or neither")
    files = {
        "model.safetensors": _to_bytes(state),
        "model.json": to_json(full, folder / "model.json").encode(),
        "metrics.json": to_json(metrics, folder / "metrics.json").encode(),
        "MODEL_CARD.md": card.encode(),
    }
    if ood_json is not None:
        files |= {"ood.safetensors": _to_bytes(ood_tensors or {}), "ood.json": to_json(ood_json, folder).encode()}
    sums = "".join(f"{sha256(files[name])}  {name}\n" for name in sorted(files)).encode()
    with replacing_folder(folder) as temporary:
        for name, content in {**files, SUMS: sums}.items():
            (temporary / name).write_bytes(content)
    return sha256(sums)


def read_package(name_or_path: str | Path) -> Package:
    """Read and verify a package.

    Args:
        name_or_path: a folder, a zip, or the name of a shipped model. A text that is such a name means the shipped
            model, even where a folder is called so too: write ``./name`` for that. ``...@sha256:HEX`` pins an id, by
            all its digits or at least the first 12.

    Raises:
        PackageError: if there is no such package, it is damaged or incomplete, holds files that are not listed, is of
            a newer format version, or has another id than the one pinned.
    """
    path, files = _verified(name_or_path)
    return _package(files, path)


def find_package(name_or_path: str | Path) -> Path:
    """The place of a package; see `read_package` for what a name means.

    Raises:
        PackageError: if there is none; it lists the shipped models.
    """
    if isinstance(name_or_path, str) and name_or_path in list_zoo():
        return ZOO / name_or_path
    path = Path(name_or_path)
    if not path.exists() or str(name_or_path) == "":
        shipped = ", ".join(list_zoo()) or "none"
        raise PackageError("no such model", where=repr(str(name_or_path)), repair=f"give a path or one of: {shipped}")
    return path


def list_zoo() -> list[str]:
    """Names of the shipped models, sorted."""
    return sorted(path.parent.name for path in ZOO.glob(f"[!.]*/{SUMS}"))


def zip_package(source: str | Path, out: Path | str) -> None:
    """Write a package as one zip, whole or not at all; the same package gives the same bytes.

    Args:
        source: folder, zip or name, see `read_package`.
        out: the zip.

    Raises:
        PackageError: if the package cannot be read.
        InputError: if ``out`` cannot be written.
    """
    path, files = _verified(source)
    _package(files, path)
    write_bytes(out, pack(files))


def _may_replace(folder: Path) -> bool:
    """Whether nothing is there, or an empty folder, or a package: never does a slip cost other files."""
    if not folder.is_dir():
        return not folder.exists()
    names = {part.name for part in folder.iterdir()}
    return not names or {SUMS, "model.json"} <= names


def _verified(name_or_path: str | Path) -> tuple[Path, dict[str, bytes]]:
    """Place and files of a package whose version, sums and pinned id have been found right."""
    text, pinned, pin = str(name_or_path).partition("@sha256:")
    path = find_package(text if isinstance(name_or_path, str) else Path(text))
    files = read_folder(path) if path.is_dir() else read_zip(path)
    if SUMS not in files:
        raise PackageError(f"no {SUMS} in it: it is no model package, or half of one", where=path, repair=_AGAIN)
    _check_version(files, path)
    _verify(files, path)
    identity = sha256(files[SUMS])
    if pinned and not (_PIN.fullmatch(pin.lower()) and identity.startswith(pin.lower())):
        raise PackageError(f"its id is {identity}, not {pin!r}", where=path, repair="pin that id, or use that model")
    return path, files


def _check_version(files: Mapping[str, bytes], path: Path) -> None:
    """Look at the version before anything else, as a newer format may have other files and rules."""
    try:
        version = parse_json(files.get("model.json", b""), path).get("format_version")
    except InputError:
        return  # damaged: the check sums say so
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise PackageError(
            f"its format version is {version}, this medswin reads up to {FORMAT_VERSION}",
            where=path,
            repair="update medswin",
        )


def _verify(files: Mapping[str, bytes], path: Path) -> None:
    sums = _sums(files[SUMS], path)
    needed = {*FILES, *(OOD_FILES if set(OOD_FILES) & set(sums) else ())}
    for what, names in {
        "is missing": (set(sums) | needed) - set(files),
        f"is not listed in {SUMS}": set(files) - set(sums) - {SUMS},
        "is damaged: its SHA-256 is not the listed one": {n for n in sums if sha256(files.get(n, b"")) != sums[n]},
    }.items():
        if names:
            raise PackageError(f"{', '.join(sorted(names))} {what}", where=path, repair=_AGAIN)


def _sums(content: bytes, path: Path) -> dict[str, str]:
    lines = content.decode("utf-8", "replace").splitlines()
    rows = [_SUM.fullmatch(line) for line in lines]
    sums = {row[2]: row[1] for row in rows if row}
    if len(sums) != len(lines):
        raise PackageError(f"{SUMS} is damaged", where=path, repair=_AGAIN)
    return sums


def _package(files: Mapping[str, bytes], path: Path) -> Package:
    try:
        model, metrics = (parse_json(files[name], path / name) for name in ("model.json", "metrics.json"))
        _check_model(model, path / "model.json")
        has_judge = "ood.json" in files
        return Package(
            model=model,
            state=safetensors.torch.load(files["model.safetensors"]),
            ood_json=parse_json(files["ood.json"], path / "ood.json") if has_judge else None,
            ood_tensors=safetensors.torch.load(files["ood.safetensors"]) if has_judge else {},
            metrics=metrics,
            card=files["MODEL_CARD.md"].decode(),
            id=sha256(files[SUMS]),
            name=model["name"],
        )
    except (InputError, SafetensorError, UnicodeDecodeError) as error:
        raise PackageError(f"cannot be read ({error})", where=path, repair=_AGAIN) from error


def _check_model(model: Mapping[str, Any], where: Path) -> None:
    version = model.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise PackageError(f"format_version must be 1 to {FORMAT_VERSION}, got {version!r}", where=where)
    wrong = [f"{key} ({kind.__name__})" for key, kind in KEYS.items() if not isinstance(model.get(key), kind)]
    if wrong:
        raise PackageError(f"its description lacks {', '.join(wrong)}", where=where, repair="write the package anew")


def _to_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Safetensors; each tensor is copied, as the format has no two names for one memory."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return bytes(safetensors.torch.save(plain))
