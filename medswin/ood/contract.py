"""What every out-of-distribution detector promises, in words and code.

A detector sees features, never a network or a scan: ``fit(train_ND)`` then ``score(new_ND) -> (N,)``, and a higher
score is more unusual. Shape legend: N scans, D features of a scan. It draws no line: `medswin.ood.calibration` turns
scores into p-values and `medswin.ood.judge` into a verdict. A new detector is one file and one line in ``DETECTORS``.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from medswin.errors import InputError, PackageError, ShapeError

Features = NDArray[np.float64]
ArrayDict = dict[str, NDArray[Any]]


class OODDetector(ABC):
    """Scores how unlike the training scans a scan's features are. Higher = more unusual.

    ``__init__`` only keeps its arguments, under their own names, and these must fit into JSON. What `fit` learns is
    kept in attributes that end in ``_``; fitting again forgets all of them. All arithmetic is float64.

    A subclass writes ``_fit`` and ``_score``, names in ``saved`` the fitted arrays and integers that make up its
    state, and may rebuild the rest in ``_restore``. ``reads`` names the parts of a scan's row that it is meant for
    (`medswin.ood.view`). Both may follow from the constructor's arguments.

    Attributes:
        unbounded: whether the score grows without end in whatever direction a scan's features move away.
        width_: D, the number of features that the detector was fitted on.
    """

    saved: tuple[str, ...] = ()
    reads: tuple[str, ...] = ("features",)
    unbounded: ClassVar[bool] = True
    width_: int

    @abstractmethod
    def _fit(self, train_ND: Features) -> None:
        """Learn from at least two finite rows; raise ConfigError for an argument out of its range."""

    @abstractmethod
    def _score(self, features_ND: Features) -> Features:
        """(N,) scores of finite rows of the fitted width; higher = more unusual."""

    def _restore(self) -> None:
        """Rebuild what is not saved, once all of ``saved`` is there."""
        return

    @property
    def params(self) -> dict[str, Any]:
        """The arguments of the constructor, by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def fit(self, features_ND: ArrayLike | torch.Tensor) -> Self:
        """Learn what is usual from the features of the training scans, (N, D) with N at least 2.

        Raises:
            ShapeError: if the features are not a table with at least one column.
            InputError: for fewer than two scans, or features that are NaN or infinite.
            ConfigError: if an argument of the detector is out of its range.
        """
        train_ND = as_features(features_ND)
        if len(train_ND) < 2:
            raise InputError(
                f"a detector learns from at least 2 scans, got {len(train_ND)}", repair="give more training scans"
            )
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        self._fit(train_ND)
        self._restore()
        self.width_ = train_ND.shape[1]
        return self

    def score(self, features_ND: ArrayLike | torch.Tensor) -> Features:
        """Score scans by their features, (N, D) -> (N,) float64. Higher = more unusual.

        Raises:
            ShapeError: if the features are not a table as wide as the one that the detector was fitted on.
            InputError: if the detector is not fitted, or features are NaN or infinite.
        """
        self._check_fitted()
        return self._score(as_features(features_ND, self.width_))

    def state(self) -> tuple[dict[str, Any], ArrayDict]:
        """What is needed to score again: the constructor's arguments (JSON) and the fitted arrays.

        Raises:
            InputError: if the detector is not fitted.
        """
        self._check_fitted()
        return self.params, {name: np.asarray(getattr(self, name)) for name in ("width_", *self.saved)}

    @classmethod
    def from_state(cls, params: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The detector whose `state` this is; its scores are the same to the last bit.

        Raises:
            PackageError: if an array is missing.
        """
        detector = cls(**params)
        missing = [name for name in ("width_", *detector.saved) if name not in arrays]
        if missing:
            raise PackageError(
                f"the stored {cls.__name__} lacks {', '.join(missing)}", repair="get the model package again"
            )
        for name in detector.saved:
            setattr(detector, name, np.array(arrays[name], order="C"))
        detector.width_ = int(arrays["width_"])
        detector._restore()
        return detector

    def _check_fitted(self) -> None:
        if not hasattr(self, "width_"):
            raise InputError(f"this {type(self).__name__} is not fitted", repair="call fit first")


def as_features(features_ND: ArrayLike | torch.Tensor, width: int | None = None) -> Features:
    """The features as an (N, D) float64 array on the CPU, checked.

    Raises:
        ShapeError: if they are not a table, have no column, or another width than ``width``.
        InputError: if one is NaN or infinite.
    """
    if isinstance(features_ND, torch.Tensor):
        features_ND = features_ND.detach().to("cpu", torch.float64).numpy()
    table = np.ascontiguousarray(features_ND, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ShapeError(f"features must have the shape (scans, features), got {table.shape}")
    if width is not None and table.shape[1] != width:
        raise ShapeError(
            f"the detector was fitted on {width} features per scan, got {table.shape[1]}",
            repair="take the features from the model that the detector belongs to",
        )
    if not np.isfinite(table).all():
        rows = int((~np.isfinite(table)).any(axis=1).sum())
        raise InputError(
            f"features must be finite, but {rows} of {len(table)} scans have NaN or infinite ones",
            repair="check the scan for NaNs and the network's weights for damage",
        )
    return table


def is_count(value: Any) -> bool:
    """Whether ``value`` is an integer of at least 1 (True and False are not)."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
