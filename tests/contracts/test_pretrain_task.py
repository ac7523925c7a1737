"""What every registered pre-training task promises, over every registered encoder. A new one needs a line in TASKS."""

from __future__ import annotations

import copy
import inspect

import pytest
import torch

from medswin.networks import ENCODERS
from medswin.pretraining import TASKS, JointTask, MultiTask, PretrainTask, TaskOutput, Views, build
from medswin.pretraining.accumulate import backward, in_parts
from medswin.transforms import build_views

KEYS = ("image", "clean1", "clean2", "view1", "view2", "turn1", "turn2", "mask")

SMALL = {
    "cswin": {"feature_size": 12, "depths": (1, 1), "stripe_width": 2, "patch_size": (1, 2, 2)},
    "swin": {"feature_size": 12, "depths": (1, 1), "window_size": 2, "patch_size": (1, 2, 2)},
}
SIZE = (4, 16, 16)


@pytest.fixture(params=sorted(ENCODERS))
def encoder(request):
    torch.manual_seed(0)
    return ENCODERS.build(request.param, in_channels=2, **SMALL.get(request.param, {}))


class Taught(PretrainTask):
    """One view is to look as a teacher sees the other: the least task that cannot begin without `attach`."""

    needs = ("view1", "view2")

    def __init__(self, channels, strides):
        super().__init__(channels, strides)
        self.head = torch.nn.Linear(channels[-1], channels[-1])

    def attach(self, encoder):
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)

    def forward(self, views):
        aim = self.teacher(views["view2"])[-1].mean((2, 3, 4))
        return TaskOutput(torch.nn.functional.mse_loss(self.head(views.pooled("view1")), aim))


ALL = (*sorted(TASKS), "taught")


@pytest.fixture(params=ALL)
def task(request, encoder):
    return attached(request.param, encoder)


def attached(name, encoder):
    """A task as a run makes it: told of the encoder."""
    shape = {"channels": encoder.channels, "strides": encoder.strides}
    found = Taught(**shape) if name == "taught" else build(name, **shape)
    found.attach(encoder)
    return found


def batch(count=4):
    torch.manual_seed(1)
    views = build_views("two_views", patch_size=SIZE, mask_unit=(2, 8, 8))
    samples = []
    for k in range(count):
        views.set_random_state(seed=k)
        sample = views({name: torch.randn(2, 5, 18, 20) for name in ("image", "other")})
        samples.append({name: torch.as_tensor(sample[name]) for name in KEYS})
    return {name: torch.stack([sample[name] for sample in samples]) for name in KEYS}


def test_its_loss_is_finite_and_teaches_the_whole_encoder(task, encoder):
    output = task(Views(encoder, batch()))
    assert output.loss.ndim == 0
    assert torch.isfinite(output.loss)
    output.loss.backward()
    silent = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not [name for name in silent if not name.startswith("stages.0")], "beyond features that it does not read"
    assert all(p.grad is not None for p in task.parameters() if p.requires_grad)


def test_it_owns_its_heads_and_nothing_of_the_encoder(task, encoder):
    before = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    task(Views(encoder, batch())).loss.backward()
    assert {name: tensor.shape for name, tensor in encoder.state_dict().items()} == before
    owned = {p.data_ptr() for p in task.parameters()}
    assert owned
    assert not owned & {p.data_ptr() for p in encoder.parameters()}


def test_it_reads_views_that_are_made(task, encoder):
    assert set(task.needs) <= set(KEYS)
    task(Views(encoder, {name: value for name, value in batch().items() if name in task.needs}))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_no_parameter_has_a_name_that_configs_keep_for_the_task_as_a_whole(name):
    assert not {"name", "weight"} & set(inspect.signature(TASKS[name]).parameters)


def test_a_picture_is_on_the_grid_of_the_patch(task, encoder):
    picture = task(Views(encoder, batch())).picture
    assert picture is None or {tuple(volume.shape) for volume in picture} == {(4, 2, *SIZE)}


def test_a_batch_in_parts_has_the_gradients_of_the_whole(task, encoder):
    torch.manual_seed(2)
    for parameter in task.parameters():  # a mask token's gradient, too, is then none of rounding alone
        parameter.data += 0.1 * torch.randn_like(parameter)
    found = []
    for size in (4, 2, 3):
        one, heads = (
            copy.deepcopy(encoder).double().eval(),
            MultiTask({"it": copy.deepcopy(task)}, learned=True).double(),
        )
        output = backward(
            heads,
            one,
            in_parts(
                {name: value.double() if value.is_floating_point() else value for name, value in batch().items()}, size
            ),
            seed=0,
        )
        gradients = [p.grad for p in (*one.parameters(), *heads.parameters()) if p.grad is not None]
        found.append((output, gradients))
    (whole, wanted), *others = found
    for output, gradients in others:
        torch.testing.assert_close(output.loss, whole.loss, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(gradients, wanted, rtol=1e-3, atol=1e-4)
        assert output.parts.keys() == whole.parts.keys()


@pytest.mark.parametrize("learned", [False, True])
def test_together_too_and_with_dropout_parts_say_and_teach_what_the_whole_does(encoder, learned):
    """The second pass over a part draws the same dropout as the first one."""
    tasks = {name: attached(name, encoder) for name in ALL}
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.2
    found = []
    given = {name: value.double() if value.is_floating_point() else value for name, value in batch().items()}
    for training, size in ((False, 4), (False, 2), (True, 2), (True, 2)):
        one, heads = copy.deepcopy(encoder).double().train(training), MultiTask(copy.deepcopy(tasks), learned=learned)
        output = backward(heads.double(), one, in_parts(given, size), seed=0)
        found.append((output, [p.grad for p in (*one.parameters(), *heads.parameters()) if p.grad is not None]))
    (whole, wanted), (parts, gradients), *dropped = found
    torch.testing.assert_close(gradients, wanted)
    for name in whole.parts:
        torch.testing.assert_close(torch.as_tensor(parts.parts[name]).double(), whole.parts[name].double())
    torch.testing.assert_close(dropped[0][1], dropped[1][1])


def test_projections_of_joint_tasks_are_the_same_in_both_passes_with_dropout(encoder):
    """Gradients of a part come through the very projection that was compared: finite differences agree with them.

    Another task, which draws dropout of its own, stands before it.
    """
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.3
    encoder.double().train()
    names = ("simmim", "contrastive")
    tasks = {name: build(name, channels=encoder.channels, strides=encoder.strides) for name in names}
    heads = MultiTask(tasks).double()
    given = {name: value.double() if value.is_floating_point() else value for name, value in batch().items()}
    parts = in_parts(given, 2)
    backward(heads, encoder, parts, seed=5)
    weight = heads.tasks["contrastive"].head.weight
    slope = float(weight.grad[0, 0])
    losses = []
    for shift in (1e-5, -2e-5):
        weight.data[0, 0] += shift
        losses.append(float(backward(heads, encoder, parts, seed=5).loss))
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(slope, rel=1e-3, abs=1e-8)


def test_tasks_that_are_trained_together_encode_each_view_once(encoder):
    seen = []
    tasks = {name: attached(name, encoder) for name in ALL}
    encoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))  # now: a teacher copies hooks
    total = MultiTask(tasks)(Views(encoder, batch()))
    assert len(seen) == 2
    assert set(ALL) <= set(total.parts)
    assert any(isinstance(one, JointTask) for one in tasks.values())
