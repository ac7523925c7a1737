"""Two processes see each other's samples: the loss and its gradients are those of the joint batch in one."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from medswin.pretraining.contract import gathered
from medswin.pretraining.contrastive import nt_xent


def loss(projections):
    first, second = projections.unbind(1)
    return nt_xent(first, second, 0.5)


def work(rank: int, store: str, batch: torch.Tensor, found: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    mine = batch[3 * rank : 3 * rank + 3].clone().requires_grad_()
    value = loss(gathered(mine))
    value.backward()
    torch.save((value.detach(), mine.grad), f"{found}{rank}")
    dist.destroy_process_group()


def test_two_processes_have_the_nt_xent_of_the_joint_batch(tmp_path):
    """Each process' gradient is that of the sum of both losses, which are equal: twice its share of the joint one."""
    batch = torch.randn(6, 2, 5)
    joint = batch.clone().requires_grad_()
    value = loss(joint)
    value.backward()
    mp.spawn(work, (str(tmp_path / "store"), batch, str(tmp_path / "found")), nprocs=2)
    for rank in (0, 1):
        theirs, gradient = torch.load(tmp_path / f"found{rank}", weights_only=True)
        torch.testing.assert_close(theirs, value.detach())
        torch.testing.assert_close(gradient, 2 * joint.grad[3 * rank : 3 * rank + 3])
