"""Each notebook is its .py and nothing else, runs top to bottom without a network, and shows what it showed before."""

import importlib.util
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))
REPAIR = "run `make notebooks`"

# Python reads this before anything else: each way out of the process, by name or by address, is noted and refused.
NO_NETWORK = """
import os, socket

def refusing(name):
    def refuse(*args, **kwargs):
        with open(os.environ["ATTEMPTS"], "a") as file:
            print(name, repr(args)[:200], file=file)
        raise OSError("the network is blocked")
    return refuse

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refusing(name))
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, refusing(name))
"""


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_notebooks", FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=SOURCES, ids=lambda source: source.stem)
def source(request):
    return request.param


@pytest.fixture(scope="module")
def committed(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


@pytest.fixture(scope="module")
def run(build, source, tmp_path_factory):
    """The notebook, executed now; its working folder; and where it noted what it tried to reach."""
    guard, work = tmp_path_factory.mktemp("guard"), tmp_path_factory.mktemp("work")
    (guard / "sitecustomize.py").write_text(NO_NETWORK)
    attempts = guard / "attempts"
    path = os.pathsep.join([str(guard), str(FOLDER.parent)])
    return build.execute(build.convert(source), work, PYTHONPATH=path, ATTEMPTS=str(attempts)), work, attempts


def cells(book):
    return [(cell.cell_type, cell.source) for cell in book.cells]


def body(text):
    """A source without its header, which names jupytext's version, and without a formatter's blank lines."""
    return re.sub(r"\n{2,}", "\n\n", text.split("# ---\n", 2)[-1]).strip()


def shown(book):
    """What each cell shows: kinds of output, and words; numbers differ from machine to machine, # stands for them."""
    return [[part for output in cell.get("outputs", ()) for part in parts(output)] for cell in book.cells]


def parts(output):
    if output.output_type == "stream":
        return [(output.name, words(output.text))]
    return [(kind, words(text) if kind.startswith("text/") else "") for kind, text in sorted(output.data.items())]


def words(text):
    return " ".join(re.sub(r"0x\w+|\d[\d,.]*", "#", text).split())


def test_every_notebook_has_its_source_and_every_source_its_notebook():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {path.stem for path in SOURCES}
    assert {"01_segment_and_judge", "06_add_an_encoder"} <= {path.stem for path in SOURCES}


def test_the_notebook_is_the_source(build, source, committed):
    assert cells(committed) == cells(build.convert(source)), REPAIR
    assert [cell.id for cell in committed.cells] == [cell.id for cell in build.convert(source).cells]


def test_the_source_is_the_notebook(source, committed):
    assert body(jupytext.writes(committed, "py:percent")) == body(source.read_text(encoding="utf-8")), REPAIR


def test_it_is_small_and_holds_no_path_of_the_machine_it_was_made_on(source, committed):
    text = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert len(text) < 700_000
    assert set(committed.metadata) == {"kernelspec", "language_info"}
    assert not re.search(r"/(home|root|work|tmp|Users)/", text)
    assert sys.prefix not in text


def test_it_runs_and_leaves_nothing_behind(run):
    book, work, _ = run
    counts = [cell.execution_count for cell in book.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert list(work.iterdir()) == []


def test_it_reaches_for_no_network(run):
    _, _, attempts = run
    assert not attempts.exists(), attempts.read_text()


def test_it_warns_of_nothing(run):
    book, _, _ = run
    streams = [output for cell in book.cells for output in cell.get("outputs", ()) if output.output_type == "stream"]
    assert [output.text for output in streams if output.name == "stderr"] == []


def test_it_shows_what_the_committed_one_shows(run, committed):
    book, _, _ = run
    assert shown(committed) == shown(book), f"the notebook's outputs are old: {REPAIR}"
