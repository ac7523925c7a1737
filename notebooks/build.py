"""Makes every .ipynb here from its .py, which is the source: converts it, runs it, and keeps what it shows.

`make notebooks` runs this; tests/notebooks holds the two in step.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

from medswin.io import write_text
from medswin.quiet import SWITCHES

FOLDER = Path(__file__).resolve().parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources() -> list[Path]:
    """The notebooks' sources, in reading order."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def convert(source: Path) -> NotebookNode:
    """The notebook of a source, without outputs; made twice, it is the same to the byte."""
    book = jupytext.read(source)
    book.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(book.cells, 1):
        cell.id, cell.metadata = f"cell-{number}", NotebookNode()
    return book


def execute(book: NotebookNode, folder: Path, timeout_s: int = 240, **env: str) -> NotebookNode:
    """Run a notebook top to bottom, in place, with this Python and with ``folder`` as its working directory.

    The kernel talks over a file socket, not over TCP. What Jupyter and IPython write for themselves goes into a
    folder that is deleted afterwards, so that nothing is left behind in a home.
    """
    with tempfile.TemporaryDirectory() as scratch, _environment(scratch):
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{scratch}/k")
        kernel.kernel_spec.argv[0] = sys.executable
        at = {"metadata": {"path": str(folder)}}
        NotebookClient(book, km=kernel, timeout=timeout_s, record_timing=False, resources=at).execute(
            env={**os.environ, **env}
        )
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/jpeg", None)  # the same picture as the PNG beside it
    return book


@contextmanager
def _environment(scratch: str) -> Iterator[None]:
    names = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(names, scratch) | SWITCHES)
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # a progress bar's wish for another package
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> None:
    """Make all of them anew."""
    for source in sources():
        with tempfile.TemporaryDirectory() as folder:
            book = execute(convert(source), Path(folder))
        book.metadata = nbformat.from_dict(METADATA)
        write_text(source.with_suffix(".ipynb"), nbformat.writes(book) + "\n")


if __name__ == "__main__":
    main()
