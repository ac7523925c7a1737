"""A model package made ready for use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

import medswin.networks
from medswin.errors import MedswinError, PackageError, ShapeError
from medswin.inference.sliding import WindowInferer
from medswin.inference.windows import per_axis
from medswin.io.facts import ModelFacts, dice_of
from medswin.io.package import Package
from medswin.io.scan import Scan
from medswin.io.selection import Rule, rules_of
from medswin.labels import LabelSet
from medswin.networks import Segmenter
from medswin.networks.outputs import Reading, reading
from medswin.ood import Judge, View
from medswin.regions import Regions
from medswin.transforms import Preprocessing

_REPAIR = "get the model package again, or update medswin"


@dataclass(frozen=True, eq=False)
class Model:
    """What a package describes, built.

    Attributes:
        name, version, package: of the model; ``package`` is the package's id.
        network: with its weights, in fp32 and in evaluation mode, on the CPU.
        preprocessing: what is done to a scan before.
        label_set: the structures.
        channels: names of the image's channels.
        window: arguments of `WindowInferer`.
        view: what the judge sees.
        judge: None for a model that brings no detector.
        series: which DICOM series are for this model, a rule for each channel; any where empty.
        about: what its makers say of it.
        licence: of the model.
        metrics: of the package.
        regions: what the network's outputs are, where they may overlap; classes where None.
    """

    name: str
    version: str
    package: str
    network: Segmenter
    preprocessing: Preprocessing
    label_set: LabelSet
    channels: tuple[str, ...]
    window: dict[str, Any]
    view: View
    judge: Judge | None
    series: tuple[Rule, ...] = ()
    about: dict[str, str] = field(default_factory=dict)
    licence: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    regions: Regions | None = None

    @classmethod
    def build(cls, package: Package) -> Model:
        """Build what a package describes.

        Raises:
            PackageError: if it names a part that this medswin does not have, or its parts do not fit each other.
        """
        described, where = package.model, f"model package {package.name}"
        try:
            network = medswin.networks.build(described["network"]["name"], **described["network"]["params"])
            window = dict(described["window"])
            WindowInferer(**window)
            _check_window(network, window["roi_size"])
            judge = None if package.ood_json is None else Judge.from_parts(package.ood_json, package.ood_tensors)
            label_set = LabelSet.from_json(described["labels"])
            rows = described.get("regions")
            model = cls(
                package.name,
                described["version"],
                package.id,
                network.eval().requires_grad_(False),
                Preprocessing.from_json(described["preprocessing"]),
                label_set,
                tuple(map(str, described["channels"])),
                window,
                View.from_json(described.get("ood_view", {})),
                judge,
                rules_of(described, described["channels"]),
                {str(key): str(text).strip() for key, text in described.get("about", {}).items()},
                str(described.get("licence", "")),
                package.metrics,
                None if rows is None else Regions.from_json(rows, label_set),
            )
        except (MedswinError, KeyError, TypeError, ValueError) as error:
            raise PackageError(f"cannot be built ({error})", where=where, repair=_REPAIR) from error
        _load(network, package.state, where)
        _check_sizes(model, where)
        return model

    def too_large(self, scan: Scan) -> bool:
        """Whether the scan's field of view is so much larger than the training scans' that it is always rejected."""
        return self.judge is not None and self.judge.geometry.fov_mm.too_large(scan.fov_mm, self.judge.geometry.factor)

    @property
    def reading(self) -> Reading:
        """How its logits are read."""
        return reading(len(self.label_set), self.regions)

    @property
    def facts(self) -> ModelFacts:
        """What pages say of it."""
        expected = {} if self.judge is None else self.judge.reference.volumes_ml()
        modality = self.series[0].modality if self.series else ()
        told = (self.licence, self.about, dice_of(self.metrics), expected, modality[0] if len(modality) == 1 else "")
        return ModelFacts(self.name, self.version, self.package, *told, self.channels)


def _load(network: Segmenter, state: Mapping[str, Tensor], where: str) -> None:
    """Fill the network; weights stored in half precision are widened, which is exact."""
    own = network.state_dict()
    names = sorted(set(own) ^ set(state))
    names += sorted(name for name in set(own) & set(state) if own[name].shape != state[name].shape)
    if names:
        raise PackageError(
            f"{len(names)} weights do not fit the network it describes, for example {names[0]}",
            where=where,
            repair=_REPAIR,
        )
    network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in state.items()})


def _check_window(network: Segmenter, roi: int | Sequence[int | None] | None) -> None:
    """Raise ShapeError for windows that the network cannot take. Where they are as large as a scan, that scan tells."""
    sizes = per_axis(roi, 3, "window.roi_size")
    if any(size is not None and size > 0 and size % step for size, step in zip(sizes, network.divisor, strict=True)):
        raise ShapeError(f"windows of {roi} voxels are not divisible by the network's {network.divisor}")


def _check_sizes(model: Model, where: str) -> None:
    has = (model.network.in_channels, model.network.out_channels)
    wanted = (len(model.channels), model.reading.channels)
    if has != wanted:
        raise PackageError(
            f"its network takes {has[0]} channels and has {has[1]} outputs, its description says {wanted[0]} and "
            f"{wanted[1]}",
            where=where,
            repair=_REPAIR,
        )
