"""How fast is medswin beside MONAI, and how much memory does each take? Both run here, in turns, on the same weights.

MONAI runs as it comes and, where it can, with its best flag (``use_flash_attention``, which has no gradient on CPUs).
Where bf16 is native, and on GPUs, rows also run under autocast, forward with batches of 1 and 4, on GPUs compiled too;
``medswin train`` and ``predict`` do so there by themselves.
The row "CT" is a made-up patient in air, from file to file: ``medswin predict`` beside MONAI's readers, inferer and
writer.

Usage: python pipelines/speed.py [--rows WORD ...] [--pairs 3]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import SwinUNETR as MonaiSwinUNETR
from monai.transforms import Compose, EnsureChannelFirst, LoadImage, SaveImage, ScaleIntensityRange
from side_by_side import DEVICE, Contenders, Run, in_turns, one_after_the_other, record
from torch import nn

import medswin
from medswin.inference import Predictor, WindowInferer
from medswin.inference.model import Model
from medswin.inference.paint import Painter
from medswin.inference.plan import make_plan, resident_bytes
from medswin.inference.volume import paint_volume
from medswin.inference.windows import Tiling
from medswin.io import FORMAT_VERSION, Scan, read_package, write_package
from medswin.labels import LabelSet
from medswin.networks import CSwinUNet, SwinUNETR
from medswin.networks.outputs import Largest
from medswin.networks.precision import has_bf16
from medswin.networks.weights import load_monai_swin_unetr

RESULTS = Path(__file__).with_suffix(".json")
OURS, THEIRS, BEST = "medswin", "MONAI", "MONAI, best flags"
INCOMPARABLE = ("beside", "blending")  # other networks, and logits that MONAI weighs in place, again and again
CT = "CT from file to file, 256x256x224, feature size 12, overlap 0.5"
LARGE_CT = "CT from file to file, 512x512x600, 105 classes, feature size 12, overlap 0.25"
STEPS = ((24, 2, 64), (48, 1, 96))  # of training: feature size, patches and their edge
FLAGS: dict[str, dict[str, bool]] = {THEIRS: {}, BEST: {"use_flash_attention": True}}


def main() -> None:
    """Measure the rows, and write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=[""], metavar="WORD", help="only rows with one of these in them")
    parser.add_argument("--pairs", type=int, default=3, help="after a first run, which does not count")
    parser.add_argument("--alone", nargs=2, metavar=("ROW", "WHO"), help="one run, whose memory another process reads")
    parser.add_argument("--ct", nargs=2, metavar=("WHO", "FOLDER"), help="MONAI's way from file to file")
    options = parser.parse_args()
    if options.alone:
        row, who = options.alone
        rows()[row][who]()()
    elif options.ct:
        monai_from_file_to_file(FLAGS[options.ct[0]], Path(options.ct[1]))
    else:
        names = [*rows(), CT, LARGE_CT]
        for name, contenders in rows().items():
            if any(word in name for word in options.rows):
                compare = not any(word in name for word in INCOMPARABLE)
                record(RESULTS, names, in_turns(name, contenders, options.pairs, compare=compare))
        for name, shape, classes, overlap in ((CT, (256, 256, 224), 3, 0.5), (LARGE_CT, (512, 512, 600), 105, 0.25)):
            if any(word in name for word in options.rows):
                with tempfile.TemporaryDirectory() as folder:
                    files = PatientInAir(Path(folder), shape, classes, overlap)
                    whose = (OURS,) if name == LARGE_CT else (OURS, *FLAGS)  # MONAI's would take 66 GB for the logits
                    found = one_after_the_other(name, files.commands(whose), options.pairs, files.labels)
                    record(RESULTS, names, found)


def rows() -> dict[str, Contenders]:
    """Each row's contenders."""
    table: dict[str, Contenders] = {}
    for size in (12, 24, 48):
        table[f"forward, feature size {size}, 96x96x96"] = {
            OURS: lambda size=size: forward(ours(size)),
            THEIRS: lambda size=size: forward(theirs(size)),
            BEST: lambda size=size: forward(theirs(size, **FLAGS[BEST])),
        }
    table["forward, CSwinUNet beside SwinUNETR, feature size 24, 96x96x96"] = {
        OURS: lambda: forward(CSwinUNet(1, 3, feature_size=24)),
        BEST: lambda: forward(theirs(24, **FLAGS[BEST])),
    }
    for shape in ((36, 50, 36), (44, 64, 50)):  # of one window, and of eight: larger ones it rejects
        table[f"hippocampus model beside itself without its verdict, {'x'.join(map(str, shape))}"] = {
            OURS: lambda shape=shape: predict(shape, verdict=True),
            "no verdict": lambda shape=shape: predict(shape, verdict=False),
        }
    for size, batch, edge in STEPS:
        table[f"training step, feature size {size}, {batch} x {edge}x{edge}x{edge}"] = {
            OURS: lambda a=(batch, edge), size=size: step(ours(size), *a),
            **{
                f"medswin, use_checkpoint {said}": lambda a=(batch, edge), size=size, stages=stages: step(
                    ours(size, use_checkpoint=stages), *a
                )
                for said, stages in (("all", True), ("first", (True, False, False, False)))
            },
            THEIRS: lambda a=(batch, edge), size=size: step(theirs(size), *a),
        }
    image = torch.rand(1, 240, 240, 240)
    table["blending alone, 240x240x240, 105 classes, overlap 0.25"] = {
        OURS: lambda: paint(image, Null(105), 105, 0.25),
        THEIRS: lambda: stitch(image, Null(105), 0.25, 1),
        "MONAI, four at once": lambda: stitch(image, Null(105), 0.25, 4),
    }
    if has_bf16(DEVICE) or DEVICE == "cuda":
        for size, batch in ((12, 1), (48, 1), (48, 4)):
            compiled: Contenders = {  # on CPUs bf16 is refused: PyTorch compiles it into wrong numbers
                "medswin, compiled": lambda a=(size, batch): forward(torch.compile(ours(a[0])), a[1], autocast=True)
            }
            table[f"forward, autocast, feature size {size}, {batch} x 96x96x96"] = {
                OURS: lambda a=(size, batch): forward(ours(a[0]), a[1], autocast=True),
                **(compiled if DEVICE == "cuda" else {}),
                BEST: lambda a=(size, batch): forward(theirs(a[0], **FLAGS[BEST]), a[1], autocast=True),
                f"{BEST}, fp32": lambda a=(size, batch): forward(theirs(a[0], **FLAGS[BEST]), a[1]),
            }
        for size, batch, edge in STEPS:
            table[f"training step, autocast, feature size {size}, {batch} x {edge}x{edge}x{edge}"] = {
                OURS: lambda a=(batch, edge), size=size: step(ours(size), *a, autocast=True),
                THEIRS: lambda a=(batch, edge), size=size: step(theirs(size), *a, autocast=True),
                f"{THEIRS}, fp32": lambda a=(batch, edge), size=size: step(theirs(size), *a),
            }
    return table


def theirs(size: int, **flags: Any) -> nn.Module:
    """MONAI's network."""
    torch.manual_seed(0)
    network: nn.Module = MonaiSwinUNETR(1, 3, feature_size=size, **flags)
    return network


def ours(size: int, **options: Any) -> nn.Module:
    """Medswin's, with the weights of MONAI's."""
    network = SwinUNETR(1, 3, feature_size=size, compat="monai-1.5", **options)
    load_monai_swin_unetr(network, theirs(size).state_dict())
    return network


def forward(network: nn.Module, batch: int = 1, *, autocast: bool = False) -> Run:
    """One batch of patches -> logits."""
    network.eval().to(DEVICE)
    torch.manual_seed(0)
    x = torch.randn(batch, 1, 96, 96, 96, device=DEVICE)

    def run() -> Any:
        with torch.inference_mode(), torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
            return network(x)

    return run


def step(network: nn.Module, batch: int, edge: int, *, autocast: bool = False) -> Run:
    """Forward, backward and AdamW; gives the loss."""
    network.train().to(DEVICE)
    torch.manual_seed(0)
    x = torch.randn(batch, 1, edge, edge, edge, device=DEVICE)
    target = torch.randint(0, 3, (batch, edge, edge, edge), device=DEVICE)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-6)

    def run() -> Any:
        optimiser.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16, enabled=autocast):
            logits = network(x)
        loss = nn.functional.cross_entropy(logits.float(), target)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return run


class Null(nn.Module):
    """Answers every window with the same logits, at no cost: what remains is the inferer's own."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes, self.answers = classes, dict[int, torch.Tensor]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) not in self.answers:
            torch.manual_seed(0)
            self.answers[len(x)] = torch.rand(1, self.classes, *x.shape[2:]).repeat(len(x), 1, 1, 1, 1)
        return self.answers[len(x)]

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x]

    def decode(self, features: list[torch.Tensor]) -> torch.Tensor:
        return self(features[0])


def predict(shape: tuple[int, int, int], *, verdict: bool) -> Run:
    """A scan of noise through the shipped model with its mirrored passes, which its verdict shares."""
    model = Model.build(read_package("hippocampus"))
    predictor = Predictor(model if verdict else replace(model, judge=None), precision="fp32")
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    scan = Scan.from_array(image, np.eye(4))
    return lambda: torch.from_numpy(predictor(scan).labels)


def paint(image: torch.Tensor, network: Any, classes: int, overlap: float) -> Run:
    """Medswin's way from windows to labels."""
    shape = tuple(image.shape[1:])

    def run() -> Any:
        painter = Painter(shape, np.eye(4), shape, np.eye(4), Largest(classes))
        plan = make_plan(Tiling.plan(shape, 96, overlap), classes, 12, 1, resident_bytes(), 6e9, exact=True)
        with torch.inference_mode():
            paint_volume(image, network, WindowInferer(96, overlap), painter, plan)
        return torch.from_numpy(painter.labels)

    return run


def stitch(image: torch.Tensor, network: nn.Module, overlap: float, at_once: int) -> Run:
    """MONAI's: all logits, then the largest."""
    inferer = SlidingWindowInferer(96, at_once, overlap, mode="gaussian")

    def run() -> Any:
        with torch.inference_mode():
            return inferer(image[None], network)[0].argmax(0).to(torch.uint8)

    return run


class PatientInAir:
    """A scan of an ellipsoid of 62 x 45 x 80 % of the field and a model for it, of random weights, both as files."""

    def __init__(self, folder: Path, shape: tuple[int, int, int], classes: int, overlap: float) -> None:
        self.folder = folder
        x, y, z = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)
        body = (x / 0.62) ** 2 + (y / 0.45) ** 2 + (z / 0.8) ** 2 < 1
        image = np.random.default_rng(0).integers(-15, 15, shape, dtype=np.int16) + np.where(body, np.int16(40), -1000)
        spacing = 384 / shape[0]
        nibabel.save(nibabel.Nifti1Image(image.astype(np.int16), np.diag([spacing] * 3 + [1])), folder / "ct.nii.gz")
        package(folder / "package", classes, overlap)

    def commands(self, whose: Sequence[str]) -> dict[str, list[str]]:
        """What segments it."""
        command = [str(Path(sys.executable).with_name("medswin")), "predict", "--overwrite", "--precision", "fp32"]
        files = [
            "-i",
            str(self.folder / "ct.nii.gz"),
            "-o",
            str(self.folder / OURS),
            "-m",
            str(self.folder / "package"),
        ]
        monai = {who: [sys.executable, __file__, "--ct", who, str(self.folder)] for who in FLAGS}
        return {who: [*command, *files] if who == OURS else monai[who] for who in whose}

    def labels(self, who: str) -> torch.Tensor:
        """The label map that a command has written."""
        path = next((self.folder / who).rglob("ct*.nii.gz"))
        return torch.from_numpy(np.asarray(nibabel.load(path).dataobj).astype(np.uint8))


def package(folder: Path, classes: int, overlap: float) -> None:
    """A model package of random weights."""
    torch.manual_seed(0)
    network = ours(12) if classes == 3 else SwinUNETR(1, classes, feature_size=12)
    params = {"in_channels": 1, "out_channels": classes, "feature_size": 12}
    model = {
        "format_version": FORMAT_VERSION,
        "medswin_version": medswin.__version__,
        "name": "ct",
        "version": "1.0.0",
        "fingerprint": {},
        "licence": "none",
        "channels": ["CT"],
        "network": {"name": "swin_unetr", "params": params | ({"compat": "monai-1.5"} if classes == 3 else {})},
        "preprocessing": {"spacing_mm": None, "intensity": {"name": "window", "low": -175.0, "high": 250.0}},
        "labels": LabelSet.from_names([f"structure {i}" for i in range(1, classes)]).to_json(),
        "window": {"roi_size": [96, 96, 96], "overlap": overlap, "mode": "gaussian", "sw_batch_size": 4},
    }
    write_package(folder, model=model, state=network.state_dict(), metrics={}, card="random weights")


def monai_from_file_to_file(flags: dict[str, bool], folder: Path) -> None:
    """Read, scale, segment, label, write."""
    read = Compose([LoadImage(), EnsureChannelFirst(), ScaleIntensityRange(-175, 250, 0, 1, clip=True)])
    image = read(folder / "ct.nii.gz")
    inferer = SlidingWindowInferer(96, 4, 0.5, mode="gaussian")
    with torch.inference_mode():
        labels = inferer(image[None], theirs(12, **flags).eval())[0].argmax(0, keepdim=True)
    who = next(name for name, own in FLAGS.items() if own == flags)
    SaveImage(folder / who, output_dtype=np.uint8, print_log=False)(labels)


if __name__ == "__main__":
    main()
