"""Self-supervised pre-training tasks: what an encoder can learn from scans without labels.

A task (`PretrainTask`, the contract) is a loss on `Views` of a batch, with heads of its own; `MultiTask` adds several
over one encoder. They know nothing of data, optimisers or files: `medswin pretrain` puts those around them.
"""

from collections.abc import Sequence
from typing import Any

from medswin.networks.contract import Triple
from medswin.pretraining.barlow_twins import BarlowTwins
from medswin.pretraining.contract import JointTask, PretrainTask, TaskOutput, Views
from medswin.pretraining.contrastive import Contrastive
from medswin.pretraining.inpainting import Inpainting
from medswin.pretraining.multi_task import MultiTask
from medswin.pretraining.rotation import Rotation
from medswin.pretraining.simmim import SimMIM
from medswin.registry import Registry

TASKS: Registry[PretrainTask] = Registry(
    "pre-training task",
    {
        "barlow_twins": BarlowTwins,
        "contrastive": Contrastive,
        "inpainting": Inpainting,
        "rotation": Rotation,
        "simmim": SimMIM,
    },
)

__all__ = ["TASKS", "JointTask", "MultiTask", "PretrainTask", "TaskOutput", "Views", "build"]


def build(name: str, /, *, channels: Sequence[int], strides: Sequence[Triple], **params: Any) -> PretrainTask:
    """Build a registered task for an encoder; see `medswin.registry.Registry.build` for the errors."""
    return TASKS.build(name, channels=channels, strides=strides, **params)
