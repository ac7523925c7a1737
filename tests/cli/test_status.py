"""Exit statuses and one-line errors: what a person or a script sees when something is wrong."""

import errno
from collections.abc import Callable

import pytest

from medswin.cli import app
from medswin.cli.status import batch_status, complain
from medswin.errors import InputError, explain


@pytest.mark.parametrize(
    ("done", "failed", "status"), [(3, 0, 0), (0, 0, 2), (2, 1, 1), (1, 9, 1), (0, 1, 2), (0, 9, 2)]
)
def test_the_status_of_a_batch(done: int, failed: int, status: int) -> None:
    assert batch_status(done, failed) == status


def test_our_errors_are_told_as_they_are() -> None:
    error = InputError("a scan has three axes, this has 2", where="a.nii", repair="give\na volume")
    assert explain(error) == "a.nii: a scan has three axes, this has 2. Repair: give a volume"


def test_a_name_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    complain("a\x1b]0;pwn\x07\x9b2J\nb.nii: é is fine")
    assert capsys.readouterr().err == "medswin: a\\x1b]0;pwn\\x07\\x9b2J\\x0ab.nii: é is fine\n"


def test_errors_of_the_system_name_the_file() -> None:
    assert explain(PermissionError(errno.EACCES, "Permission denied", "out/a.json")) == "out/a.json: Permission denied"


def crash(error: BaseException):
    def command(*args: object, **kwargs: object) -> None:
        raise error

    return command


def test_a_surprise_is_one_line_that_offers_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app, "app", crash(ZeroDivisionError("by\nnothing")))
    assert app.run(["demo"]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err == (
        "medswin: unexpected ZeroDivisionError: by nothing. Repair: add --debug to see where, and report it\n"
    )


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(app, "app", crash(ZeroDivisionError("by nothing")))
    assert app.run(["demo"], debug=True) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_main_takes_debug_anywhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["medswin", "config", "check", "no-such-config", "--debug"])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 2
    assert "InputError: no-such-config" in capsys.readouterr().err


def test_control_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medswin.resources.find_config", crash(KeyboardInterrupt()))
    assert app.run(["config", "check", "any"]) == 130


@pytest.mark.parametrize(
    "words", [["no-such-command"], ["predict", "--no-such-option"], ["predict", "-i", "a", "-o", "b"], []]
)
def test_a_wrong_command_line_ends_with_2(words: list[str]) -> None:
    assert app.run(words) == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["--version"]) == 0
    assert capsys.readouterr().out == "medswin 0.1.0\n"


MAIN = """
import os, sys
from medswin.cli import app
assert "torch" not in sys.modules
sys.argv = ["medswin", "--version"]
try:
    app.main()
except SystemExit:
    print(os.environ["THP_MEM_ALLOC_ENABLE"], "torch" in sys.modules)
"""


def test_torch_is_told_of_large_pages_before_it_is_imported(python: Callable) -> None:
    assert python(MAIN).stdout.split()[-2:] == ["1", "False"]


def test_monai_is_imported_without_what_no_command_uses(python: Callable) -> None:
    """And what was left out can be imported afterwards."""
    code = "import monai; print('mlflow' in sys.modules); import mlflow, pandas, matplotlib.pyplot; print('fine')"
    assert python(MAIN + code).stdout.split()[-2:] == ["False", "fine"]
