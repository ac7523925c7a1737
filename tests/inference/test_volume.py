"""Labels with bounded memory beside the plain way: all logits blended, resampled, arg-maxed."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fakes import ORIENTATIONS, reoriented
from monai.inferers import SlidingWindowInferer
from torch import Tensor

from medswin.errors import ShapeError
from medswin.inference import body, resample
from medswin.inference.blend import Blend, kept_bytes
from medswin.inference.paint import Painter
from medswin.inference.plan import Plan, make_plan
from medswin.inference.resample import to_grid
from medswin.inference.sliding import WindowInferer
from medswin.inference.volume import paint_volume
from medswin.inference.windows import Tiling
from medswin.labels import LabelSet
from medswin.networks.outputs import Largest, Painted
from medswin.regions import Regions

AFFINE = np.array([[1.5, 0, 0, -20.0], [0, 1.5, 0, 7.0], [0, 0, 2.0, 3.0], [0, 0, 0, 1.0]])


class Local(torch.nn.Module):
    """Five classes from a small convolution: cheap, and different in every window, since a window's rim sees zeros."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv3d(1, 5, 3, padding=1)
        self.windows = 0

    def encode(self, x: Tensor) -> list[Tensor]:
        self.windows += len(x)
        return [x, torch.nn.functional.avg_pool3d(x, 2)]

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        return self.conv(features[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def paint(image, inferer, shape_to, affine_to, plan=None, network=None, reading=None, **options):
    painter = Painter(image.shape[1:], AFFINE, shape_to, affine_to, reading or Largest(5))
    tiling = Tiling.plan(image.shape[1:], inferer.roi_size, inferer.overlap)
    plan = plan or make_plan(tiling, 5, 1, 2, 0, 1e12, exact=painter.halo == 0)
    with torch.no_grad():
        found = paint_volume(image, network or Local(), inferer, painter, plan, **options)
    assert painter.finite
    return painter.labels, found


def parts_of(tiling, order, middle, inner):
    """All along the first axis of ``order``, in so many strips along each of the others."""
    spans = []
    for axis, count in zip(order, (1, middle, inner), strict=True):
        starts = tiling.axes[axis]
        borders = sorted({starts[len(starts) * i // count] for i in range(count)})
        spans.append(list(itertools.pairwise([*borders, tiling.padded[axis]])))
    return tuple(tuple(part[order.index(axis)] for axis in range(3)) for part in product(*spans))


def check_same(labels, logits):
    """Equal, but where the two best logits are nearly so."""
    best = logits.topk(2, dim=0)
    clear = (best.values[0] - best.values[1] > 1e-4).numpy()
    assert np.array_equal(labels[clear], best.indices[0].numpy()[clear])
    assert (~clear).sum() <= 1 + 0.01 * clear.size


ORGANS = LabelSet.from_names(["shell", "meat", "stone", "seed", "spot"])
THRESHOLDS = (0.5, 0.3, 0.7, 0.45, 0.6)
REGIONS = Regions.from_json(
    [
        {"of": ORGANS.names[i:], "paints": ORGANS.names[i], "threshold": threshold}
        for i, threshold in enumerate(THRESHOLDS)
    ],
    ORGANS,
)


def check_same_regions(labels, logits):
    """Each voxel the last region whose probability is above its threshold, but where one is nearly so."""
    margins = logits.sigmoid() - torch.tensor(THRESHOLDS)[:, None, None, None]
    clear = (margins.abs() > 1e-5).all(0).numpy()
    expected = np.zeros(labels.shape, dtype=np.uint8)
    for value, margin in enumerate(margins, 1):
        expected[margin.numpy() > 0] = value
    assert np.array_equal(labels[clear], expected[clear])
    assert (~clear).sum() <= 1 + 0.01 * clear.size


def plain(image, roi, overlap, shape_to, affine_to, outside=()):
    """MONAI's blended logits on another grid; ``outside`` channels are put before those of the network."""
    inferer = SlidingWindowInferer(roi, 2, overlap, mode="gaussian")
    with torch.no_grad():
        logits = inferer(image[None], Local())[0]
        return to_grid(torch.cat([*outside, logits]), AFFINE, shape_to, affine_to)


sizes = st.tuples(*[st.integers(3, 14)] * 3)


@settings(max_examples=80, deadline=None)
@given(
    shape=sizes,
    roi=st.tuples(*[st.integers(2, 8)] * 3),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.8, (0.25, 0.5, 0.0), (0.5, 0.8, 0.5)]),
    order=st.permutations(range(3)),
    strips=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    windows=st.integers(1, 5),
    scale=st.sampled_from([None, 0.6, 1.0, 1.7]),
    shift=st.floats(-3, 3),
    regions=st.booleans(),
)
def test_labels_are_those_of_the_plain_way(shape, roi, overlap, order, strips, windows, scale, shift, regions) -> None:
    """``scale`` None: the network's own grid; else another spacing, somewhere else. Classes, or regions."""
    image = torch.rand(1, *shape)
    inferer = WindowInferer(roi, overlap)
    affine, wanted = AFFINE.copy(), shape
    if scale is not None:
        affine[:3, :3] *= scale
        affine[:3, 3] += shift
        wanted = tuple(max(round(size / scale), 1) for size in shape)
    tiling = Tiling.plan(shape, roi, overlap)
    plan = Plan(tuple(order), parts_of(tiling, order, *strips), windows, 0)
    if regions:
        labels, _ = paint(image, inferer, wanted, affine, plan, reading=Painted(REGIONS), skip_air=False)
        inside = plain(image, roi, overlap, wanted, affine, [torch.zeros_like(image)])
        check_same_regions(labels, torch.where(inside[0] == 0, inside[1:], -9.0))  # 0 where the field is
    else:
        labels, _ = paint(image, inferer, wanted, affine, plan, skip_air=False)
        check_same(labels, plain(image, roi, overlap, wanted, affine))


@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS)
def test_labels_lie_as_the_scan_does(permutation, signs) -> None:
    image = torch.rand(1, 7, 9, 8)
    there, affine = reoriented(image[0].numpy(), AFFINE, permutation, signs)
    labels, _ = paint(image, WindowInferer((4, 4, 4)), there.shape, affine, skip_air=False)
    check_same(labels, plain(image, (4, 4, 4), 0.5, there.shape, affine))


def test_an_oblique_scan_is_labelled_slab_by_slab_too(monkeypatch) -> None:
    monkeypatch.setattr(resample, "CHUNK_VALUES", 2000)
    turned = AFFINE @ np.array([[0.9, 0.2, 0.1, 1.0], [-0.2, 0.95, 0.1, 1.0], [0.0, -0.1, 0.8, 1.0], [0, 0, 0, 1.0]])
    image = torch.rand(1, 12, 11, 10)
    tiling = Tiling.plan((12, 11, 10), (4, 6, 4), 0.5)
    for order in itertools.permutations(range(3)):
        plan = Plan(order, parts_of(tiling, order, 2, 2), 2, 0)
        labels, _ = paint(image, WindowInferer((4, 6, 4)), (13, 12, 14), turned, plan, skip_air=False)
        check_same(labels, plain(image, (4, 6, 4), 0.5, (13, 12, 14), turned))


def test_air_is_left_out_on_another_grid_and_the_body_is_not_touched() -> None:
    """Blocks of air come before, between and behind those of two bodies; in parts the labels are the same."""
    image = torch.zeros(1, 40, 32, 36)
    image[:, 10:20, 6:16, 4:14] = 1 + torch.rand(1, 10, 10, 10)
    image[:, 28:38, 20:30, 24:34] = 1 + torch.rand(1, 10, 10, 10)
    finer, shape, inferer = AFFINE @ np.diag([0.8, 0.9, 1.3, 1.0]), (50, 36, 28), WindowInferer((8, 8, 8), 0.25)
    tiling, found = Tiling.plan(image.shape[1:], (8, 8, 8), 0.25), []
    expected, _ = paint(image, inferer, shape, finer, skip_air=False)
    for strips in ((1, 1), (2, 1), (3, 2)):
        labels, said = paint(image, inferer, shape, finer, Plan((2, 0, 1), parts_of(tiling, (2, 0, 1), *strips), 1, 0))
        assert said.skipped > 0.3
        for body_at in (np.s_[13:24, 7:17, 4:10], np.s_[36:47, 23:33, 19:26]):
            assert np.array_equal(labels[body_at], expected[body_at])
        found.append(labels)
    assert all(np.array_equal(found[0], labels) for labels in found)


@pytest.mark.parametrize(
    ("shape", "roi", "overlap"),
    [
        ((512, 512, 600), 96, 0.25),
        ((512, 512, 600), 96, 0.5),
        ((341, 341, 600), 96, 0.5),
        ((256, 256, 300), 96, 0.5),
        ((512, 512, 600), 128, 0.25),
    ],
)
def test_a_large_scan_of_105_classes_fits_where_it_is_resampled_too(shape, roi, overlap) -> None:
    """512 x 512 x 600 voxels within 6 GB, of which 0.62 GB and the scan are held; in less where less is allowed."""
    tiling = Tiling.plan(shape, roi, overlap)
    held = round(0.62e9) + 4 * prod(tiling.padded) + 512 * 512 * 600
    assert make_plan(tiling, 105, 12, 1, held, 6e9, exact=False).bytes <= 6e9
    roomy, least = (make_plan(tiling, 105, 12, 1, held, limit, exact=False) for limit in (1e12, 0))
    assert len(roomy.parts) == 1
    assert least.bytes < 0.8 * roomy.bytes


def test_windows_of_128_voxels_fit_at_half_an_overlap() -> None:
    tiling = Tiling.plan((512, 512, 600), 128, 0.5)
    held = round(0.62e9) + 5 * prod(tiling.padded)
    assert make_plan(tiling, 105, 12, 1, held, 6e9, exact=True).bytes <= 6e9


def test_air_is_left_out_and_the_body_is_not_touched() -> None:
    """A body in one corner of a scan of air: fewer windows, the same labels in it, and the same feature."""
    image = torch.zeros(1, 48, 40, 44)
    image[:, 6:20, 8:22, 5:25] = 1 + torch.rand(1, 14, 14, 20)
    inferer, all_of_it, some = WindowInferer((8, 8, 8)), Local(), Local()
    labels, found = paint(image, inferer, image.shape[1:], AFFINE, network=all_of_it, skip_air=False)
    quick, quickly = paint(image, inferer, image.shape[1:], AFFINE, network=some)
    assert some.windows < 0.4 * all_of_it.windows
    assert quickly.skipped == 1 - some.windows / all_of_it.windows
    assert found.skipped == 0
    assert np.array_equal(quick[6:20, 8:22, 5:25], labels[6:20, 8:22, 5:25])
    assert (quick[40:] == 0).all()
    assert torch.equal(quickly.feature, found.feature)
    _logits, feature = inferer.with_features(image[None], Local())
    torch.testing.assert_close(feature[0], found.feature)


def test_a_scan_without_air_is_all_body() -> None:
    """Noise, a constant, and a scan with a dark half."""
    half = torch.cat([torch.zeros(1, 16, 8, 8), torch.ones(1, 16, 8, 8)], dim=2)
    for image in (torch.rand(1, 16, 16, 16), torch.ones(1, 16, 16, 16)):
        assert body.body_cells(image).all()
    tiling = Tiling.plan((16, 16, 8), 8, 0.0)
    assert body.body_windows(half, tiling) == frozenset(tiling.starts)  # the dark half's windows touch the bright one's
    assert body.body_windows(torch.rand(1, 1, 1, 1), Tiling.plan((1, 1, 1), 4, 0.5)) == {(0, 0, 0)}


def test_lungs_are_body_though_they_are_dark() -> None:
    """A trunk with two lungs open above and below, in air: every window with a voxel of either is kept."""
    x, y, z = np.meshgrid(np.arange(96), np.arange(72), np.arange(48), indexing="ij")
    trunk = ((x - 48) / 44) ** 2 + ((y - 36) / 30) ** 2 + 0 * z < 1
    lungs = sum(((x - middle) / 17) ** 2 + ((y - 36) / 22) ** 2 + 0 * z < 1 for middle in (27, 69)) > 0
    image = torch.from_numpy(np.where(trunk & ~lungs, 1.0, 0.0)[None]).float()
    tiling = Tiling.plan(image.shape[1:], 8, 0.0)
    kept = body.body_windows(image, tiling)
    holding = {start for start in tiling.starts if lungs[tiling.window(start)].any()}
    assert holding <= kept
    assert len(kept) < 0.9 * len(tiling.starts)  # what is outside of the trunk is air as before
    assert not body.body_cells(image)[tuple(slice(low // 4, low // 4 + 2) for low in (24, 32, 16))].any()


def test_less_memory_takes_strips_and_single_windows() -> None:
    tiling = Tiling.plan((400, 300, 600), 96, 0.5)
    roomy, tight = (make_plan(tiling, 105, 12, 4, 10**9, limit, exact=True) for limit in (64e9, 5e9))
    assert len(roomy.parts) == 1
    assert roomy.windows == 4
    assert roomy.order[0] == 2  # the cross-section of the longest axis is the smallest
    assert len(tight.parts) > 1
    assert tight.windows == 1
    assert tight.bytes <= 5e9 < roomy.bytes
    covered = np.zeros((400, 300, 600), dtype=np.uint8)
    for part in tight.parts:
        assert part[tight.order[0]] == (0, tiling.padded[tight.order[0]])
        covered[tuple(slice(*span) for span in part)] += 1
    assert (covered == 1).all()


def test_nan_in_the_logits_is_noticed() -> None:
    image = torch.rand(1, 6, 6, 6)
    network = Local()
    for value, affine in product((torch.nan, -torch.inf), (AFFINE, AFFINE @ np.diag([0.5, 0.5, 0.5, 1.0]))):
        network.conv.bias.data[2] = value
        painter = Painter(image.shape[1:], AFFINE, (6, 6, 6), affine, Largest(5))
        plan = make_plan(Tiling.plan((6, 6, 6), 4, 0.5), 5, 1, 1, 0, 1e12, exact=True)
        with torch.no_grad():
            paint_volume(image, network, WindowInferer(4), painter, plan)
        assert not painter.finite


def test_a_network_of_another_shape_is_refused() -> None:
    image = torch.rand(1, 6, 6, 6)
    for logits in (torch.rand(1, 5, 1, 1, 1), torch.rand(1, 3, 4, 4, 4)):
        network = Local()
        network.decode = lambda features, logits=logits: logits.expand(len(features[0]), -1, -1, -1, -1)
        with pytest.raises(ShapeError, match="5 classes"):
            paint(image, WindowInferer(4), (6, 6, 6), AFFINE, network=network)


def test_a_small_bright_part_does_not_make_tissue_air() -> None:
    image = torch.zeros(1, 96, 64, 64)
    image[:, 8:88, 12:52, 12:52] = 1 + 0.1 * torch.randn(80, 40, 40)
    cool = body.body_cells(image)
    image[:, 40:56, 24:40, 24:36] = 20.0
    assert torch.equal(body.body_cells(image), cool)
    assert 0.2 < cool.float().mean() < 0.6


def test_a_blend_hands_out_each_voxel_once_and_whole() -> None:
    """A line of five in windows of three, two apart: two voxels, then the rest; weights 1 2 1."""
    weights = torch.tensor([1.0, 2.0, 1.0]).view(1, 1, 3)
    blend = Blend([[0], [0], [0, 2]], weights, 1, (0, 1, 2), wanted=((0, 1), (0, 1), (0, 5)))
    found = []
    for window in blend.windows():
        for channels, values in blend.add(window, torch.full((1, 1, 1, 3), 3.0)):
            found.append((blend.box(window)[2], channels, values.flatten(1).tolist()))
    first, rest = (slice(0, 2), slice(0, 2), [[3, 6], [1, 2]]), (slice(2, 5), slice(0, 2), [[6, 6, 3], [2, 2, 1]])
    assert found == [first, rest]


PEAK = """
import re, sys
from pathlib import Path
import numpy as np, torch
from medswin.inference import WindowInferer
from medswin.inference.paint import Painter
from medswin.inference.plan import make_plan, resident_bytes
from medswin.inference.volume import paint_volume
from medswin.networks import SwinUNETR
from medswin.networks.outputs import Largest
strips, finer = int(sys.argv[1]), float(sys.argv[2])
network = SwinUNETR(1, 60, feature_size=12).eval()
image, inferer = torch.rand(1, 96, 128, 80), WindowInferer(64, 0.25, sw_batch_size=1)
shape = tuple(round(n / finer) for n in image.shape[1:])
painter = Painter(image.shape[1:], np.eye(4), shape, np.diag([finer] * 3 + [1.0]), Largest(60))
tiling = inferer.sweep(image[None]).tiling
def plan(limit):
    return make_plan(tiling, 60, 12, 1, resident_bytes(), limit, exact=finer == 1)
chosen, limit = plan(1e12), 1e12
while len(chosen.parts) < strips:
    limit = chosen.bytes - 1
    chosen = plan(limit)
with torch.inference_mode():
    paint_volume(image, network, inferer, painter, chosen)
peak = int(re.findall(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[0]) * 1024
print(chosen.bytes / peak)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize(("strips", "finer"), [(2, 1.0), (1, 0.8)])
def test_the_estimate_of_memory_is_kept_and_not_wasteful(strips: int, finer: float) -> None:
    """A network of feature size 12 in a process of its own."""
    run = [sys.executable, "-c", PEAK, str(strips), str(finer)]
    assert 1.0 < float(subprocess.run(run, capture_output=True, text=True, check=True).stdout) < 1.5


SLAB = (
    PEAK.replace("SwinUNETR(1, 60, feature_size=12).eval()", "Free()")
    .replace(
        "strips, finer",
        """
class Free:
    def encode(self, x):
        return [x]
    def decode(self, features):
        return torch.zeros(len(features[0]), 60, 64, 64, 64)
strips, finer""",
        1,
    )
    .replace("96, 128, 80", "160, 192, 160")
    .replace("60, 12, 1, resident", "60, 1, 1, resident")
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("finer", [1.0, 0.8])
def test_the_estimate_holds_where_sums_and_slabs_are_most_of_it(finer: float) -> None:
    """A network that takes nothing."""
    run = [sys.executable, "-c", SLAB, "1", str(finer)]
    assert 1.0 < float(subprocess.run(run, capture_output=True, text=True, check=True).stdout) < 1.5


def test_a_blend_holds_what_was_estimated() -> None:
    starts, weights = [[0, 4, 7], [0, 4, 8, 9], [0, 5]], torch.ones(8, 8, 8)
    for order in itertools.permutations(range(3)):
        for wanted in (((0, 15), (0, 8), (0, 13)), ((0, 15), (4, 9), (2, 13))):
            blend = Blend(starts, weights, 5, order, wanted)
            sizes = [last - first for first, last in wanted]
            assert sum(kept.nbytes for kept in blend.kept) == kept_bytes(starts, (8, 8, 8), order, sizes, 5)
