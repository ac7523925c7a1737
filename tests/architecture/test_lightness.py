"""What is promised to be cheap is cheap: no torch before it is needed."""

from collections.abc import Callable

HEAVY = "[m for m in ('torch', 'monai', 'numpy', 'mlflow', 'lightning', 'nilearn') if m in sys.modules]"


def test_import_medswin_loads_nothing_heavy(python: Callable) -> None:
    assert python(f"import sys, medswin; print({HEAVY})").stdout == "[]\n"


def test_help_loads_nothing_heavy(python: Callable) -> None:
    code = f"""
import sys
from medswin.cli.app import run
status = run(["--help"])
print({HEAVY}, status, file=sys.stderr)
"""
    done = python(code)
    assert done.stderr == "[] 0\n"
    assert all(command in done.stdout for command in ("demo", "predict", "train", "evaluate", "models", "config"))


def test_help_answers_in_half_a_second(python: Callable) -> None:
    # Processor time of the process, which a busy machine does not stretch as it does the clock.
    code = "import time; from medswin.cli.app import run; run(['--help']); print(f'\\n{time.process_time()}')"
    assert min(float(python(code).stdout.splitlines()[-1]) for _ in range(2)) < 0.5
