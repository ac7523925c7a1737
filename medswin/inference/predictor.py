"""Predictor: a scan in, a `Prediction` out, with the model kept in memory."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

import medswin
from medswin.errors import ConfigError, InputError
from medswin.inference.box import Box
from medswin.inference.compute import device_name, find_device, find_precision, machine_memory, mixed, out_of_memory
from medswin.inference.model import Model
from medswin.inference.paint import Painter
from medswin.inference.plan import Plan, gigabytes, make_plan, peak_bytes, resident_bytes, shape_text
from medswin.inference.prepare import Prepared, prepare
from medswin.inference.remarks import remarks
from medswin.inference.sliding import WindowInferer
from medswin.inference.volume import Found, paint_volume
from medswin.inference.windows import Tiling
from medswin.io.package import read_package
from medswin.io.scan import Scan
from medswin.ood import not_checked, row
from medswin.ood.gloss import without_sides
from medswin.prediction import OODResult, Prediction

STITCH_SHARE = 0.5  # of a GPU's free memory that blended logits may take; more is put together on the CPU
MEMORY_LIMIT_GB = 6.0
MEMORY_SHARE = 0.8  # of the machine's memory, for scans that take more than that
TRIES = 3

log = logging.getLogger(__name__)


class Predictor:
    """Segments scans with one model, and says of each whether the model can be trusted on it.

    Args:
        model: what to run.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
        precision: ``"auto"``, ``"fp32"``, ``"bf16"`` or ``"fp16"``, see `medswin.inference.compute.find_precision`.
        threads: CPU threads of the network from now on; left as they are where None. `predict_folder` reads and writes
            in two more.
        mirror: whether to average over mirrored passes: over the axes that the model names, or where it names none
            over all three (over the last two if its structures have sides). None does as the model says.
        memory_limit_gb: for the whole process, in 10^9 bytes; large scans are done in parts to keep it. None keeps 6 GB
            where it can, and four fifths of the machine's memory where it cannot. It counts what the process held when
            the predictor was made, and what a scan adds while the network runs; reading a scan is not bounded.
        processes: that share the machine's memory, this one among them.
        skip_air: leave windows out that hold no body, see `body_windows`; what only they hold becomes background.
        notify: gets the peak memory of a scan in words before the network runs on it, if none before took as much.

    Raises:
        ConfigError: for a device, precision or number of threads that cannot be had.
    """

    def __init__(
        self,
        model: Model,
        *,
        device: str | torch.device = "cpu",
        precision: str = "auto",
        threads: int | None = None,
        mirror: bool | None = None,
        memory_limit_gb: float | None = None,
        processes: int = 1,
        skip_air: bool = True,
        notify: Callable[[str], None] = log.info,
    ) -> None:
        if memory_limit_gb is not None and memory_limit_gb <= 0:
            raise ConfigError(f"a memory limit is above 0 GB, got {memory_limit_gb}", where="memory_limit_gb")
        self.model = model
        self.memory_limit_gb, self.skip_air, self.notify = memory_limit_gb, skip_air, notify
        self.processes = processes
        self._told_bytes = 0
        self.device = find_device(device)
        self.precision = find_precision(precision, self.device)
        if threads is not None:
            if threads < 1:
                raise ConfigError(f"threads must be at least 1, got {threads}", where="threads")
            torch.set_num_threads(threads)
        self.network = model.network.to(self.device)
        self.window = {**model.window, "mirror_axes": _mirror_axes(model, mirror)}
        self._check_judged_alike()
        self.inferer = WindowInferer(**self.window, sw_device=self.device)
        once = {**self.window, "overlap": 0.0, "mirror_axes": ()}
        self.quick = WindowInferer(**once, sw_device=self.device)
        self.held_bytes = resident_bytes()  # now: later, other threads read and write scans

    @classmethod
    def load(cls, model: str | Path, **options: Any) -> Predictor:
        """Load a model: the name of a shipped one, or a package's folder or zip; ``name@sha256:HEX`` pins one.

        ``options`` are the further arguments of `Predictor`.

        Raises:
            PackageError: if there is no such package, it is damaged, or of a newer format version.
            ConfigError: see `Predictor`.
        """
        return cls(Model.build(read_package(model)), **options)

    def __call__(self, image: Any, box: str | Box | None = None) -> Prediction:
        """Segment one scan.

        Args:
            image: path of a NIfTI file, a `Scan`, or an array (C, X, Y, Z) or (X, Y, Z); a `MetaTensor` brings its
                affine.
            box: the part to look at, see `Box.parse`; the labels are on the whole scan's grid all the same.

        Raises:
            InputError: for a scan that cannot be read or used, or a box that does not lie in it.
        """
        return self.predict(self.prepare(image, box))

    def prepare(self, image: Any, box: str | Box | None = None) -> Prepared:
        """The first half of a call, without the network: one thread may prepare scans while another predicts."""
        return prepare(self.model, image, box)

    def predict(self, prepared: Prepared) -> Prediction:
        """The other half."""
        started = time.perf_counter()
        scan, looked_at, slices = prepared.scan, prepared.looked_at, prepared.slices
        inside, found = self.segment(prepared)
        labels = inside
        if slices is not None:
            labels = np.zeros(scan.shape, dtype=np.uint8)
            labels[slices] = inside
        said = self.settings(prepared.box) | {
            "date": datetime.now(UTC).date().isoformat(),
            "input_sha256": prepared.sha256,
            "device": device_name(self.device),
            "threads": torch.get_num_threads(),
            "skipped_windows": round(found.skipped, 4),
            "seconds": round(prepared.seconds + time.perf_counter() - started, 2),
        }
        noticed = remarks(scan, self.model.label_set, quick=self.model.too_large(looked_at))
        ood = self.verdict(prepared, inside, found.feature.numpy())
        region = None if slices is None else tuple((axis.start, axis.stop) for axis in slices)
        return Prediction(
            scan.case, labels, scan.grid.affine, self.model.label_set, ood, scan.findings + noticed, said, region
        )

    def segment(self, prepared: Prepared) -> tuple[NDArray[np.uint8], Found]:
        """Labels (X, Y, Z) uint8 on the grid of what is looked at, and its bottleneck feature (F,), from one pass.

        A scan far larger than the training scans will be rejected whatever is found in it. It gets a quick look, with
        windows side by side and no mirroring, rather than an hour's work that nobody may use.

        Where memory runs out in spite of the plan, it is tried again in smaller parts, `TRIES` times in all.

        Raises:
            InputError: for a scan too large for memory, or a network that answers with NaN or infinity.
        """
        for part in range(TRIES):
            try:
                return self._segment(prepared, 1 / 2**part)
            except (MemoryError, RuntimeError) as error:  # torch raises either
                if not out_of_memory(error):
                    raise
            gc.collect()  # here, where the error holds no frames any more
            log.info("out of memory: tried again in smaller parts")
        raise InputError(
            "memory ran out, in smaller parts too",
            where=prepared.scan.path or prepared.scan.case,
            repair="close other programs, set --memory-limit, or cut the region out with --box",
        )

    def _segment(self, prepared: Prepared, share: float) -> tuple[NDArray[np.uint8], Found]:
        scan, image = prepared.looked_at, prepared.image
        inferer = self.quick if self.model.too_large(scan) else self.inferer
        reading = self.model.reading
        painter = Painter(image.shape[1:], np.asarray(image.affine), scan.shape, scan.grid.affine, reading)
        plan = self._plan(scan, image, inferer, painter, share)
        needed = max(plan.bytes, peak_bytes())  # reading it may have taken more
        if needed > 1.1 * self._told_bytes:
            self._told_bytes = needed
            self.notify(f"{scan.case}: {shape_text(plan, image.shape[1:], needed)}")
        with torch.inference_mode(), mixed(self.precision, self.device):
            found = paint_volume(
                image.as_tensor(),
                self.network,
                inferer,
                painter,
                plan,
                device=self._blend_on(plan),
                view=self.model.view,
                skip_air=self.skip_air,
            )
        if not (torch.isfinite(found.feature).all() and painter.finite):
            cause = "look at the scan's intensities; if they are as always, the model is at fault"
            raise InputError(
                "the network answers with NaN or infinity",
                where=scan.path or scan.case,
                repair=cause if self.precision == "fp32" else "use --precision fp32",
            )
        return painter.labels, found

    def _check_judged_alike(self) -> None:
        """Refuse what would move a verdict's score away from those that its limit was set on."""
        model, own = self.model, tuple(self.model.window.get("mirror_axes", ()))
        if model.judge is None:
            return
        if model.view.outputs and self.window["mirror_axes"] != own:
            raise ConfigError(
                "mirroring changes what this model's verdict rests on, and its limit was set without that",
                where="mirror",
                repair="leave --mirror and --no-mirror out",
            )
        if not self.skip_air and (model.view.outputs or model.view.shape):
            raise ConfigError(
                "this model's verdict rests on what is found in windows that hold some of the body, and its limit was "
                "set with the others left out",
                where="skip_air",
                repair="leave --no-skip-air out",
            )

    def _plan(self, scan: Scan, image: MetaTensor, inferer: WindowInferer, painter: Painter, share: float) -> Plan:
        """The plan of least work within a share of the memory limit; where none is set and 6 GB are too few, within
        that share of the machine's memory.
        """
        tiling = Tiling.plan(image.shape[1:], inferer.roi_size, inferer.overlap)
        copies = 2 if tiling.padded != tiling.shape else 1
        watched = 4 * (painter.channels + 1) * prod(tiling.roi) if self.model.view.outputs else 0
        windows = inferer.sw_batch_size if self.device.type == "cuda" else 1  # more gain CPUs nothing and take memory
        machine = machine_memory()
        ours = MEMORY_SHARE * machine / self.processes
        usual = [min(1e9 * MEMORY_LIMIT_GB, ours), ours]
        for limit in [1e9 * self.memory_limit_gb] if self.memory_limit_gb else usual:
            plan = make_plan(
                tiling,
                painter.channels,
                self.network.decoder.out_channels,
                windows,
                self.held_bytes + copies * 4 * len(image) * prod(tiling.padded) + painter.labels.nbytes + watched,
                share * limit,
                exact=painter.halo == 0,
                mirrored=bool(inferer.mirror_axes),
            )
            if plan.bytes <= share * limit:
                break
        allowed = 1e9 * self.memory_limit_gb if self.memory_limit_gb else machine
        if plan.bytes > allowed:
            raise InputError(
                f"it takes about {gigabytes(plan.bytes)} of memory, {gigabytes(allowed)} are allowed",
                where=scan.path or scan.case,
                repair="cut the region out with --box, raise --memory-limit, or use a larger machine",
            )
        return plan

    def verdict(self, prepared: Prepared, labels: NDArray[np.uint8], told: NDArray[np.float32]) -> OODResult:
        """Whether the model can be trusted on a scan of which a pass has told this."""
        if self.model.judge is None:
            return not_checked()
        found = self.model.judge.judge(self.row(prepared, labels, told), geometry(prepared.looked_at))
        if prepared.scan.oriented:
            return found
        return replace(found, reasons=tuple(map(without_sides, found.reasons)))

    def row(self, prepared: Prepared, labels: NDArray[np.uint8], told: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the judge sees of a scan, see `medswin.ood.row`."""
        scan, values = prepared.looked_at, [part.value for part in self.model.label_set]
        image, affine = prepared.image, np.asarray(prepared.image.affine)
        if self.model.view.shape and not (labels.shape == image.shape[1:] and np.allclose(scan.grid.affine, affine)):
            on_scan = MetaTensor(torch.from_numpy(labels[None]).float(), affine=scan.grid.affine)
            labels = self.model.preprocessing.label(on_scan).numpy()[0].astype(np.uint8)  # as in training
        return row(self.model.view, told, image.numpy(), geometry(scan), labels, affine, values)

    def settings(self, box: Box | None = None) -> dict[str, Any]:
        """What a prediction depends on beside the scan, as JSON."""
        return {
            "model": self.model.name,
            "version": self.model.version,
            "package": self.model.package,
            "medswin": medswin.__version__,
            "window": {key: list(value) if isinstance(value, tuple) else value for key, value in self.window.items()},
            "precision": self.precision,
            "skip_air": self.skip_air,
            "box": box.text if box else None,
        }

    def _blend_on(self, plan: Plan) -> torch.device:
        if self.device.type != "cuda":
            return torch.device("cpu")
        free, _ = torch.cuda.mem_get_info(self.device)
        return self.device if plan.bytes < STITCH_SHARE * free else torch.device("cpu")


def geometry(scan: Scan) -> dict[str, tuple[float, float, float]]:
    """Field of view and spacing of a scan in mm, per RAS axis."""
    return {"fov_mm": scan.fov_mm, "spacing_mm": scan.spacing_mm}


def _mirror_axes(model: Model, mirror: bool | None) -> tuple[int, ...]:
    """The model's axes; where it names none and mirroring is wanted, all along which left stays left."""
    if mirror is False:
        return ()
    own = tuple(model.window.get("mirror_axes", ()))
    return own if own or not mirror else (1, 2) if model.label_set.sided else (0, 1, 2)
