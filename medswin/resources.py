"""Finds the files that medswin ships: configs and the model zoo, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

from medswin.errors import InputError

PACKAGE = Path(__file__).resolve().parent
ZOO = PACKAGE / "zoo"


def configs_folder() -> Path:
    """The folder of the shipped configs: inside the package where a wheel put them, else beside it in a checkout."""
    installed = PACKAGE / "_configs"
    return installed if installed.is_dir() else PACKAGE.parent / "configs"


def shipped_configs() -> list[str]:
    """Names of the shipped configs, such as ``"hippocampus/swin_unetr.yaml"``, sorted."""
    root = configs_folder()
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.yaml"))


def find_config(name: str | Path) -> Path:
    """The config file of this path, or else the shipped one of this name.

    ``configs/hippocampus/swin_unetr.yaml`` therefore works from anywhere, with or without ``configs/`` and ``.yaml``.

    Raises:
        InputError: where neither exists; it lists the shipped names.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = path.as_posix().removeprefix("configs/").removesuffix(".yaml") + ".yaml"
    if shipped not in shipped_configs():
        raise InputError(
            "no such config file, and none of that name is shipped",
            where=name,
            repair=f"give the path of a YAML file or one of: {', '.join(shipped_configs())}",
        )
    return configs_folder() / shipped
