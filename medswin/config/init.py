"""What a training run starts from: a model package, an encoder that was pre-trained, or published weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import medswin.networks
from medswin.errors import ConfigError
from medswin.io import list_zoo, read_package
from medswin.io.package import Package
from medswin.labels import LabelSet
from medswin.networks import Segmenter
from medswin.networks.blocks.position import RelativeBias, crop_table
from medswin.networks.weights import encoder_about, load_encoder, load_monai_swin_unetr
from medswin.regions import Regions

FILES = (".safetensors", ".pt", ".pth")


def check_start(init: str | None, channels: str | None, freeze_steps: int) -> None:
    """Raise ConfigError, before any work, for a start that cannot be: see `start_from`."""
    if init is None and (channels is not None or freeze_steps):
        where = "--init-channels" if channels is not None else "training.freeze_steps"
        raise ConfigError("a run from fresh weights has nothing to adapt or to keep", where=where, repair="add --init")
    if init is not None and Path(init).suffix in FILES and not Path(init).is_file():
        raise ConfigError("no such file", where=f"--init {init}", repair="check the path")
    if init is not None and init not in list_zoo():
        _check_no_run(Path(init))


def _check_no_run(init: Path) -> None:
    """A run's folder, or its checkpoint, would be read as a damaged package."""
    run = init.parent if init.suffix == ".ckpt" else init
    ends = [path for path in (run / "pretrained.safetensors", run / "package") if path.exists()]
    is_folder = (ends or (run / "last.ckpt").exists()) and not (run / "model.json").exists()
    if run != init or is_folder:
        unfinished = "let that run end, and name its pretrained.safetensors or package"
        raise ConfigError(
            "it is a run, of which others start from the end alone",
            where=f"--init {init}",
            repair=f"add --init {ends[0]}" if ends else unfinished,
        )


def start_from(
    network: Segmenter,
    init: str,
    label_set: LabelSet,
    channels: str | None = None,
    regions: Regions | None = None,
) -> str:
    """Fill a network with the weights that a run starts from.

    Args:
        network: to be filled.
        init: the file of an encoder that ``medswin pretrain`` wrote; a ``.pt``, ``.pth`` or ``.safetensors`` file of
            MONAI's SwinUNETR or of its published pre-training, see `load_monai_swin_unetr`, whose encoder is taken;
            or a model package, by its shipped name or path, of which all is taken.
        label_set: structures of the run; a head for others stays fresh.
        channels: for weights whose scans had another number of channels: ``"repeat"``, ``"mean"`` or ``"fresh"``.
        regions: what the run's network outlines, if no classes; a head for others stays fresh.

    Returns:
        What was done, for the user.

    Raises:
        WeightsError: for a file of another network.
        ConfigError: for a package of another network.
    """
    if Path(init).suffix in FILES:
        if encoder_about(init) is not None:
            return str(load_encoder(network, init, channels=channels))
        return str(load_monai_swin_unetr(network, init, channels=channels, decoder="fresh"))
    if channels is not None:
        raise ConfigError("a model package's channels are not adapted", where="--init-channels", repair="leave it out")
    _from_package(network, init, label_set, regions)
    return f"starting from the weights of {init}"


def _from_package(network: Segmenter, init: str, label_set: LabelSet, regions: Regions | None) -> None:
    """A package's weights; a head for other structures stays fresh, and windows may be smaller."""
    package = read_package(init)
    own, state = network.state_dict(), _in_our_windows(package, network)
    same_head = LabelSet.from_json(package.model["labels"]).names == label_set.names
    same_head &= _outlined(package.model.get("regions")) == _outlined(None if regions is None else regions.to_json())
    fitting = {
        name: tensor.to(own[name].dtype)
        for name, tensor in state.items()
        if name in own and tensor.shape == own[name].shape and (same_head or not name.startswith("head."))
    }
    lacking = sorted(name for name in own if name not in fitting and not name.startswith("head."))
    if lacking:
        raise ConfigError(
            f"its network is another one: {len(lacking)} tensors do not fit, for example {lacking[0]}",
            where=f"--init {init}",
            repair="use the network section of that package's model.json",
        )
    network.load_state_dict({**own, **fitting})


def _outlined(rows: list[dict[str, Any]] | None) -> list[set[str]] | None:
    """What each output is of; order and thresholds of painting teach a network nothing."""
    return None if rows is None else [set(row["of"]) for row in rows]


def _in_our_windows(package: Package, network: Segmenter) -> dict[str, Tensor]:
    """The package's weights; bias tables of larger windows than ours are cut to ours, which changes no bias."""
    with torch.device("meta"):
        built = medswin.networks.build(package.model["network"]["name"], **package.model["network"]["params"])
    theirs = {name: part.window for name, part in built.named_modules() if isinstance(part, RelativeBias)}
    state = dict(package.state)
    for name, part in network.named_modules():
        window = theirs.get(name)
        if isinstance(part, RelativeBias) and window and all(n <= m for n, m in zip(part.window, window, strict=True)):
            state[f"{name}.table"] = crop_table(state[f"{name}.table"], window, part.window)
    return state
