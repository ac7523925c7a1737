"""Window inference: any network over a scan of any size, by overlapped windows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import chain, combinations
from typing import Any, Protocol

import torch
from monai.inferers import Inferer
from torch import Tensor

from medswin.errors import ConfigError
from medswin.inference.body import body_windows
from medswin.inference.stitch import FeaturePool, parts, unpart
from medswin.inference.sweep import Sweep
from medswin.inference.windows import MODES, Tiling, importance
from medswin.ood import View

PADDINGS = ("constant", "reflect", "replicate", "circular")
# Arguments of MONAI's inferer that only change how it works inside, with the values that ask for nothing else of us.
MONAI_ONLY: dict[str, tuple[tuple[Any, ...], str]] = {
    "progress": ((False,), "count the calls of the network instead"),
    "cpu_thresh": ((None,), 'give device="cpu" instead'),
    "buffer_steps": ((None, 0), 'give device="cpu" instead'),
    "with_coord": ((False,), "use a network that takes the image alone"),
    "buffer_dim": ((), ""),
    "cache_roi_weight_map": ((), ""),
}


class EncodesAndDecodes(Protocol):
    """What `WindowInferer.with_features` needs of a network; `medswin.networks.Segmenter` has it."""

    def encode(self, x_BCDHW: Tensor) -> list[Tensor]:
        """Image -> features, the bottleneck last."""

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Features -> logits."""


class WindowInferer(Inferer):
    """Overlapped windows with Gaussian weights: a `monai.inferers.Inferer` for any network.

    Without mirroring its logits are those of MONAI's `SlidingWindowInferer`. Windows are batched over the scans of a
    batch; a scan smaller than a window is padded on both sides, and the padding cut off again.

    Args:
        roi_size: shape of a window, one number for all axes or one for each; None, 0 or less: the scan's own size.
        overlap: share of a window that the next one covers again, in [0, 1), for all axes or for each.
        mode: ``"gaussian"`` (a window's middle counts more than its rim) or ``"constant"``.
        sigma_scale: standard deviation of the Gaussian as a share of the window, for all axes or for each.
        sw_batch_size: windows per call of the network.
        padding_mode: ``"constant"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        cval: fill value of constant padding.
        mirror_axes: spatial axes (0, 1, 2) to mirror over; the mean is taken over the passes for all subsets of them,
            which costs ``2 ** len(mirror_axes)`` calls per window.
        sw_device: where the network is; the scan's device where None.
        device: where the result is put together; the scan's device where None.
        monai: further arguments of MONAI's inferer, accepted where they ask for nothing that is not done here.

    Raises:
        ConfigError: for a value outside its range, or an argument of MONAI's that is not offered.
    """

    def __init__(
        self,
        roi_size: int | Sequence[int | None] | None,
        overlap: float | Sequence[float] = 0.5,
        mode: str = "gaussian",
        sigma_scale: float | Sequence[float] = 0.125,
        sw_batch_size: int = 4,
        padding_mode: str = "constant",
        cval: float = 0.0,
        mirror_axes: Sequence[int] = (),
        sw_device: torch.device | str | None = None,
        device: torch.device | str | None = None,
        **monai: Any,
    ) -> None:
        super().__init__()
        _check(all(0 <= o < 1 for o in _values(overlap)), "overlap", f"must be at least 0 and below 1, got {overlap}")
        _check(all(s > 0 for s in _values(sigma_scale)), "sigma_scale", f"must be positive, got {sigma_scale}")
        _check(int(sw_batch_size) >= 1, "sw_batch_size", f"must be at least 1, got {sw_batch_size}")
        _check(mode in MODES, "mode", f"must be one of {MODES}, got {mode!r}")
        _check(padding_mode in PADDINGS, "padding_mode", f"must be one of {PADDINGS}, got {padding_mode!r}")
        axes = sorted(set(mirror_axes))
        different = len(axes) == len(mirror_axes) and all(0 <= axis <= 2 for axis in axes)
        _check(different, "mirror_axes", f"must be different axes of 0, 1 and 2, got {tuple(mirror_axes)}")
        _refuse(monai)
        self.roi_size, self.overlap, self.mode, self.sigma_scale = roi_size, overlap, str(mode), sigma_scale
        self.sw_batch_size, self.padding_mode, self.cval = int(sw_batch_size), str(padding_mode), cval
        self.mirror_axes, self.sw_device, self.device = tuple(axes), sw_device, device

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a network over scans.

        Args:
            inputs: (B, C, *spatial); three spatial axes, or any number that the network takes.
            network: (N, C, *roi) -> a tensor (N, K, *roi), or a tuple or dict of such.
            args, kwargs: handed to the network; ``device`` is taken out and replaces the inferer's own.

        Returns:
            Logits (B, K, *spatial) in the inputs' number format, a `MetaTensor` with the inputs' affine where these
            are one; a tuple or dict of them where the network gives one.

        Raises:
            ShapeError: if the network's output is not as large as the window, or the scan cannot be padded so.
        """
        device = kwargs.pop("device", self.device)
        _refuse({name: kwargs.pop(name) for name in ("buffer_steps", "buffer_dim") if name in kwargs})
        if kwargs.get("condition") is not None:
            rule = "a condition beside the image is not cut into windows"
            raise ConfigError(rule, where="condition", repair="stack it with the image as further channels")
        sweep = self.sweep(inputs, device)
        output: Any = None
        for places, windows in sweep.batches():
            output = network(windows, *args, **kwargs)
            sweep.add(places, self.mirrored(windows, parts(output), lambda x: parts(network(x, *args, **kwargs))))
        return unpart(sweep.results(), output)

    def with_features(
        self,
        inputs: Tensor,
        segmenter: EncodesAndDecodes,
        *,
        view: View | None = None,
        device: torch.device | str | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits and pooled features from one pass: the encoder runs once per window (and per mirrored pass).

        Args:
            inputs: (B, C, *spatial).
            segmenter: a network with ``encode`` and ``decode``.
            view: which of the features that ``encode`` returns to pool, and how; the bottleneck's mean where None.
            device: where the logits are put together; the inferer's own where None.

        Returns:
            Logits (B, K, *spatial), and features (B, F) float32: of each stage those of the windows that hold any of
            the body (`body_windows`), pooled by `FeaturePool`, one stage after the other. Mirrored passes contribute
            to the logits only.
        """
        sweep = self.sweep(inputs, device or self.device)
        view = View() if view is None else view
        pools = [FeaturePool(sweep.tiling, len(inputs), view, sweep.image) for _ in view.stages]  # type: ignore[arg-type]
        bodies = [body_windows(image, sweep.tiling) for image in sweep.image]
        for places, windows in sweep.batches():
            features = segmenter.encode(windows)
            held = [i for i, (scan, start) in enumerate(places) if start in bodies[scan]]
            for pool, stage in zip(pools, view.stages, strict=True):
                pool.add([places[i] for i in held], features[stage][held])
            logits: dict[Hashable, Tensor] = {0: segmenter.decode(features)}
            sweep.add(places, self.mirrored(windows, logits, lambda x: {0: segmenter.decode(segmenter.encode(x))}))
        return sweep.results()[0], torch.cat([pool.result() for pool in pools], dim=1)

    def sweep(self, inputs: Tensor, device: torch.device | str | None = None) -> Sweep:
        """The windows of scans (B, C, *spatial), to be put together on ``device``, the scans' own where None."""
        tiling = Tiling.plan(inputs.shape[2:], self.roi_size, self.overlap)
        weights = importance(tiling.roi, self.mode, self.sigma_scale)
        padding = (self.padding_mode, self.cval)
        return Sweep(inputs, tiling, weights, self.sw_batch_size, padding, self.sw_device, device)

    def mirrored(
        self, windows: Tensor, plain: dict[Hashable, Tensor], run: Callable[[Tensor], dict[Hashable, Tensor]]
    ) -> dict[Hashable, Tensor]:
        """Mean of the plain pass and of one pass for each set of mirrored axes, mirrored back."""
        axes = [axis + 2 for axis in self.mirror_axes]
        subsets = list(chain.from_iterable(combinations(axes, n) for n in range(1, len(axes) + 1)))
        total = dict(plain)
        for subset in subsets:
            for name, part in run(windows.flip(subset)).items():
                total[name] = total[name] + part.flip(subset)
        return {name: part.div_(len(subsets) + 1) for name, part in total.items()} if subsets else total


def _values(value: float | Sequence[float]) -> Sequence[float]:
    return value if isinstance(value, Sequence) else [value]


def _check(good: bool, where: str, rule: str) -> None:
    if not good:
        raise ConfigError(f"{where} {rule}", where=where)


def _refuse(arguments: dict[str, Any]) -> None:
    """Raise ConfigError for an argument that is not MONAI's, or asks for what is not done here."""
    for name, value in arguments.items():
        if name not in MONAI_ONLY:
            raise ConfigError(f"the window inferer has no argument {name!r}", where=name)
        harmless, repair = MONAI_ONLY[name]
        if harmless and value not in harmless:
            raise ConfigError(f"{name}={value!r} is MONAI's and not offered here", where=name, repair=repair)
