"""Labels and features of a whole volume in one pass over its windows, with bounded memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medswin.inference.blend import Blend, Box, Index, Spans
from medswin.inference.body import body_windows
from medswin.inference.confidence import Confidence
from medswin.inference.paint import Painter, Sums
from medswin.inference.plan import Plan
from medswin.inference.sliding import EncodesAndDecodes, WindowInferer
from medswin.inference.stitch import FeaturePool
from medswin.inference.sweep import Sweep
from medswin.inference.windows import Shape
from medswin.networks.outputs import Reading
from medswin.ood import View


class _Centred:
    """A network that answers with centred logits."""

    def __init__(self, segmenter: EncodesAndDecodes, reading: Reading) -> None:
        self.encode, self._decode, self._reading = segmenter.encode, segmenter.decode, reading

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        return self._reading.centred(self._decode(features))


@dataclass(frozen=True)
class Found:
    """What a pass over a volume gives beside labels.

    Attributes:
        feature: pooled features, and after them the outputs that the view takes, float32, on the CPU.
        skipped: share of the windows that hold no body and were left out, 0 to 1.
    """

    feature: Tensor
    skipped: float


def paint_volume(
    image_CDHW: Tensor,
    segmenter: EncodesAndDecodes,
    inferer: WindowInferer,
    painter: Painter,
    plan: Plan,
    *,
    view: View | None = None,
    skip_air: bool = True,
    device: torch.device | str | None = None,
) -> Found:
    """Run a network over all windows of a volume, blend their logits and paint labels.

    The labels are those of all logits blended, resampled and read. Features are pooled over the windows that hold
    any of the body, whether or not the others are skipped.

    Args:
        image_CDHW: on the network's grid.
        segmenter: the network.
        inferer: its windows.
        painter: takes the blocks.
        plan: for the tiling of this image by this inferer.
        view: of the features and the outputs; the bottleneck's mean where None.
        skip_air: leave windows out that hold no body; what only they hold becomes background.
        device: where logits are blended; the image's where None.
    """
    sweep = inferer.sweep(image_CDHW[None], device)
    body = body_windows(image_CDHW, sweep.tiling)
    run = body if skip_air else frozenset(sweep.tiling.starts)
    view = view or View()
    stages = view.stages
    pools = [FeaturePool(sweep.tiling, 1, view, [image_CDHW]) for _ in stages]
    segmenter = _Centred(segmenter, painter.reading)
    doubt = Confidence(view.outputs, painter.reading) if view.outputs else None
    pooled: set[Shape] = set()  # a window on the border of two parts runs twice and counts once
    for part in plan.parts:
        for start, features in _paint_part(sweep, segmenter, inferer, painter, plan, part, run, stages, doubt):
            if start in body and start not in pooled:
                pooled.add(start)
                for pool, feature in zip(pools, features, strict=True):
                    pool.add([(0, start)], feature[None])
    found = [pool.result()[0].cpu() for pool in pools] + ([doubt.result().float()] if doubt else [])
    return Found(torch.cat(found).float().cpu(), 1 - len(run) / len(sweep.tiling.starts))


def _paint_part(
    sweep: Sweep,
    segmenter: EncodesAndDecodes,
    inferer: WindowInferer,
    painter: Painter,
    plan: Plan,
    spans: Spans,
    run: frozenset[Shape],
    stages: Sequence[int],
    doubt: Confidence | None,
) -> Iterator[tuple[Shape, list[Tensor]]]:
    """Paint a part, and give the start and the features of each window that ran."""
    starts = plan.starts(sweep.tiling, spans, painter.halo)
    wanted = tuple((max(first - painter.halo, 0), last) for first, last in spans)
    blend = Blend(starts, sweep.weights.to(sweep.device), painter.channels, plan.order, wanted)
    pads = [before for before, _ in sweep.tiling.pads]
    part = _part(sweep, spans)
    painter.start(part, plan.order)
    for window, start, logits, features in _outputs(sweep, segmenter, inferer, blend, plan.windows, run, stages, doubt):
        d, h, w = (slice(b.start - pad, b.stop - pad) for b, pad in zip(blend.box(window), pads, strict=True))
        sums = blend.add(window, logits)
        painter.block(
            (d, h, w), _watched(sums, (d, h, w), part, painter.channels, doubt) if doubt and doubt.of_logits else sums
        )
        if features:
            yield start, features
        del logits, features  # not to be held while the next window runs


def _outputs(
    sweep: Sweep,
    segmenter: EncodesAndDecodes,
    inferer: WindowInferer,
    blend: Blend,
    at_once: int,
    run: frozenset[Shape],
    stages: Sequence[int],
    doubt: Confidence | None,
) -> Iterator[tuple[Index, Shape, Tensor | None, list[Tensor]]]:
    """Each window with its start, logits and features, in the order of the blend; None and [] where it does not run."""
    waiting: list[tuple[Index, Shape]] = []
    for window in blend.windows():
        waiting.append((window, tuple(blend.starts[axis][i] for axis, i in enumerate(window))))
        last = all(i + 1 == len(starts) for i, starts in zip(window, blend.starts, strict=True))
        running = [start for _, start in waiting if start in run]
        if not last and len(running) < at_once:
            continue
        made: Iterator[tuple[Tensor, list[Tensor]]] = iter(())
        if running:
            windows = sweep.cut([(0, start) for start in running])
            features = segmenter.encode(windows)
            logits: dict[Hashable, Tensor] = {0: segmenter.decode(features)}
            plain = logits
            logits = inferer.mirrored(windows, logits, lambda x: {0: segmenter.decode(segmenter.encode(x))})
            new = [i for i, start in enumerate(running) if start not in doubt.compared] if doubt else []
            if doubt and "disagreement" in doubt.wanted and new:
                doubt.compared.update(running)  # a window on the border of two parts runs twice and counts once
                doubt.compare(plain[0][new], logits[0][new])
            made = iter([(logits[0][i], [features[stage][i] for stage in stages]) for i in range(len(running))])
            del windows, features, logits, plain
        for index, start in waiting:
            yield (index, start, *(next(made) if start in run else (None, [])))
        del made
        waiting = []


def _watched(sums: Sums, box: Box, part: Box, channels: int, doubt: Confidence) -> Sums:
    """The same sums; what of them lies inside of the part is shown to ``doubt`` before the first is handed on."""
    held: Tensor | None = None
    places: list[slice] = []
    for place, values in sums:
        held = values.new_empty((channels + 1, *values.shape[1:])) if held is None else held
        held[place] = values
        places.append(place)
    if held is None:
        return
    spans = zip(box, part, strict=True)
    inside = [slice(max(b.start, p.start) - b.start, min(b.stop, p.stop) - b.start) for b, p in spans]
    if all(axis.start < axis.stop for axis in inside):
        block = held[(slice(None), *inside)]
        doubt.add(block[:-1], block[-1])
    yield from ((place, held[place]) for place in places)


def _part(sweep: Sweep, spans: Spans) -> Box:
    """A part on the scan without its padding."""
    d, h, w = (
        slice(max(first - before, 0), min(last - before, size))
        for (first, last), (before, _), size in zip(spans, sweep.tiling.pads, sweep.tiling.shape, strict=True)
    )
    return d, h, w
