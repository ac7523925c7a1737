"""What a config may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from medswin.errors import ConfigError
from medswin.io.selection import rules_of
from medswin.labels import PALETTE, Code, Label, LabelSet
from medswin.losses import LOSSES
from medswin.networks import NETWORKS
from medswin.ood import CHOSEN_COMBINE, chosen_detectors, parsed
from medswin.pretraining import TASKS
from medswin.regions import Regions
from medswin.registry import Registry
from medswin.training import PretrainRecipe, Recipe
from medswin.transforms import AUGMENTATIONS, VIEWS, Preprocessing, Turns


class Strict(BaseModel):
    """A section in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _part(registry: Registry[Any], **given: Any) -> Any:
    """The type of ``{"name": ..., **parameters}`` for a registered part; ``given`` is what the run adds itself."""

    def check(value: dict[str, Any]) -> dict[str, Any]:
        params = dict(value)
        if "name" not in params:
            raise ValueError(f"name is missing; use one of: {', '.join(sorted(registry))}")
        registry.check(params.pop("name"), params, given)
        return value

    return Annotated[dict[str, Any], AfterValidator(check)]


class Data(Strict):
    """Which scans, and who is who.

    ``group`` says which cases are of one person: ``{by: case}``, ``{by: pairs}`` (ids 2k-1 and 2k),
    ``{by: pattern, pattern: REGEX}`` or ``{by: table, file: CSV}``. ``validation`` and ``calibration`` are shares of
    all people.
    """

    folder: Path | None = None
    group: dict[str, str] = Field(default_factory=lambda: {"by": "case"})
    validation: float = Field(default=0.1, gt=0, lt=1)
    calibration: float = Field(default=0.3, ge=0, lt=1)
    seed: int = 0


class Structure(Strict):
    """A structure by the name that the data set gives it, with what reports call it."""

    dataset_name: str
    name: str
    color: tuple[int, int, int] | None = None
    code: tuple[str, str, str] | None = None
    modifier: tuple[str, str, str] | None = None

    def label(self, value: int) -> Label:
        """The structure as voxel value ``value``; codes are (value, scheme, meaning)."""
        return Label(
            value,
            self.name,
            self.color or PALETTE[(value - 1) % len(PALETTE)],
            Code(*self.code) if self.code else None,
            Code(*self.modifier) if self.modifier else None,
        )


class Outlined(Strict):
    """A region that the network outlines by itself: what it is made of, and which of that it paints.

    Structures are called as ``structures`` calls them. A voxel whose probability is above ``threshold`` lies in it.
    """

    of: list[str] = Field(min_length=1)
    paints: str
    threshold: float = Field(default=0.5, gt=0, lt=1)


class Window(Strict):
    """Window inference: of validation, of the OOD features, and of the package."""

    roi_size: tuple[int, int, int] | None = None
    overlap: float = Field(default=0.5, ge=0, lt=1)
    mode: Literal["gaussian", "constant"] = "gaussian"
    mirror_axes: tuple[int, ...] = ()


class OOD(Strict):
    """The judge: detectors by name, the share of usual scans that may be flagged, and the features that it sees.

    A detector is a name, or ``{name, params, reads}``; by default they are the shipped model's, with ``disagreement``
    only where ``window.mirror_axes`` are set. ``combine`` makes one score of several: ``max`` or ``fisher``. ``stages``
    counts the encoder's features; 0 is the image, -1 the bottleneck, null all but the image. For ``grid``, ``kernel``,
    ``stride``, ``flat`` and ``foreground`` see `medswin.ood.View`. So many ``degraded`` copies of validation scans
    teach what Dice to expect; 0 for no such estimate.
    """

    detectors: list[str | dict[str, Any]] = Field(
        default_factory=lambda: chosen_detectors(mirrored=False), min_length=1
    )
    combine: Literal["max", "fisher"] = CHOSEN_COMBINE
    false_alarm_rate: float = Field(default=0.05, gt=0, lt=1)
    stages: tuple[int, ...] | None = Field(default=None, min_length=1)
    grid: tuple[int, int, int] = (1, 1, 1)
    kernel: int = Field(default=1, ge=1)
    stride: int = Field(default=1, ge=1)
    flat: bool = False
    foreground: bool = False
    degraded: int = Field(default=200, ge=0)

    def model_post_init(self, context: Any) -> None:
        """Check the detectors' names and parameters against the registry."""
        for spec in self.detectors:
            parsed(spec)


class Tracking(Strict):
    """MLflow: ``uri`` of a server or store, None for an SQLite file beside the run's folder, ``off`` for nothing."""

    uri: Annotated[str | None, BeforeValidator(lambda uri: "off" if uri is False else uri)] = None  # YAML's off
    experiment: str = "medswin"


class About(Strict):
    """Words for the model card."""

    intended_use: str = ""
    limits: str = ""
    data: str = ""
    recipe: str = ""


class Config(Strict):
    """A training run, from data to package."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = "1.0.0"
    licence: str = "not stated"
    about: About = About()
    series: dict[str, Any] | None = None
    """Which DICOM series are for the model, see `medswin.io.selection`: one rule, or one for each channel."""
    data: Data = Data()
    structures: list[Structure] | None = None
    regions: list[Outlined] | None = Field(default=None, min_length=1)
    """Of structures inside each other: an output with a sigmoid for each, painted in this order, outer ones first."""
    preprocessing: Preprocessing = Preprocessing()
    augmentation: _part(AUGMENTATIONS, patch_size=(1, 1, 1)) = {"name": "none"}  # type: ignore[valid-type]
    network: _part(NETWORKS, in_channels=1, out_channels=2)  # type: ignore[valid-type]
    loss: _part(LOSSES) = {"name": "dice_ce"}  # type: ignore[valid-type]
    training: Recipe
    window: Window = Window()
    ood: OOD = OOD()
    tracking: Tracking = Tracking()

    def model_post_init(self, context: Any) -> None:
        """Which detectors are the default depends on the windows."""
        if "detectors" not in self.ood.model_fields_set:
            chosen = chosen_detectors(mirrored=bool(self.window.mirror_axes))
            self.__dict__["ood"] = self.ood.model_copy(update={"detectors": chosen})  # frozen for everybody else

    @field_validator("series")
    @classmethod
    def _check_series(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        """Check the rules as far as that can be done without the data set, which names the channels."""
        if value is not None:
            rules = value.get("channels", [value])
            rules_of({"series": value}, [str(i) for i in range(len(rules))])
        return value

    def label_set(self, dataset_names: dict[str, int]) -> LabelSet:
        """The structures of a data set under the names that this config gives them."""
        ordered = sorted((value, name) for name, value in dataset_names.items() if value > 0)
        if self.structures is None:
            return LabelSet.from_names([name for _, name in ordered])
        given = {row.dataset_name.casefold(): row for row in self.structures}
        missing = [name for _, name in ordered if name.casefold() not in given]
        if missing or len(given) != len(ordered):
            raise ConfigError(
                f"the data set has the structures {[name for _, name in ordered]}, the config {sorted(given)}",
                where="structures",
                repair="give each structure of the data set one entry, or leave the section out",
            )
        return LabelSet(tuple(given[name.casefold()].label(value) for value, name in ordered))

    def regions_of(self, label_set: LabelSet) -> Regions | None:
        """The regions that the network outlines, or None where it tells classes apart."""
        return None if self.regions is None else Regions.from_json([r.model_dump() for r in self.regions], label_set)


class Unlabelled(Strict):
    """Scans to pre-train on.

    ``exclude`` is the ``splits.json`` of a training run, whose validation and calibration cases are left out: nothing
    may learn from the people that a study is judged on. ``margin`` voxels are kept around the body.
    """

    folder: Path | None = None
    exclude: Path | None = None
    margin: int = Field(default=4, ge=0)


def _check_task(value: dict[str, Any]) -> dict[str, Any]:
    params = dict(value)
    if "name" not in params:
        raise ValueError(f"name is missing; use one of: {', '.join(sorted(TASKS))}")
    weight = params.pop("weight", 1.0)
    if not isinstance(weight, int | float) or weight < 0:
        raise ValueError(f"weight must be a number of at least 0, got {weight!r}")
    TASKS.check(params.pop("name"), params, {"channels": (), "strides": ()})
    return value


class PretrainConfig(Strict):
    """A pre-training run, from scans to an encoder.

    ``network`` is the whole network that the encoder is for; ``tasks`` are ``{name, weight, **parameters}``;
    ``weighting`` says whether these weights stay as they are or are learned.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    data: Unlabelled = Unlabelled()
    preprocessing: Preprocessing = Preprocessing()
    network: _part(NETWORKS, in_channels=1, out_channels=2)  # type: ignore[valid-type]
    views: _part(VIEWS, patch_size=(1, 1, 1), turns=Turns()) = {"name": "two_views"}  # type: ignore[valid-type]
    tasks: list[Annotated[dict[str, Any], AfterValidator(_check_task)]] = Field(min_length=1)
    weighting: Literal["fixed", "learned"] = "fixed"
    training: PretrainRecipe
    tracking: Tracking = Tracking()
