"""The walls of the house stand: who imports whom, and what is never imported."""

import ast
import re
import subprocess
import sys
from pathlib import Path


def modules(root: Path) -> list[Path]:
    return sorted((root / "medswin").rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


def test_rooms_import_only_the_rooms_below(root: Path) -> None:
    """In a process of its own: import-linter switches off the loggers of the one that it runs in."""
    lint = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", lint], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nobody_imports_pickle(root: Path) -> None:
    guilty = {p.name: imported(p) & {"pickle", "cloudpickle", "dill", "joblib", "shelve"} for p in modules(root)}
    assert {name: found for name, found in guilty.items() if found} == {}


def test_only_config_and_cli_know_yaml_and_pydantic(root: Path) -> None:
    above = {root / "medswin" / "config", root / "medswin" / "cli"}
    below = [path for path in modules(root) if not above & set(path.parents)]
    assert [str(path) for path in below if imported(path) & {"yaml", "pydantic"}] == []


def calls(path: Path, name: str) -> list[ast.Call]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == name]


def test_foreign_weights_are_read_without_running_their_code(root: Path) -> None:
    loads = [call for path in modules(root) for call in calls(path, "torch.load")]
    flags = [{key.arg: ast.unparse(key.value) for key in call.keywords}.get("weights_only") for call in loads]
    assert flags == ["True"] * len(flags)


def test_no_absolute_paths_or_registry_hosts(root: Path) -> None:
    forbidden = re.compile(r"/(home|work|root|opt|tmp)/|pypi\.org|pythonhosted|index-url")
    files = [*modules(root), root / "Makefile", root / "pyproject.toml", root / "constraints.txt", root / "README.md"]
    assert [str(p) for p in files if forbidden.search(p.read_text(encoding="utf-8"))] == []
