"""From losses to weights: accumulation, clipping, skipping, averaging; against numbers worked out by hand."""

import pytest
import torch
from torch import nn

from configs.loader import load_cfg
from trainable.solver.schedule import Schedule
from trainable.update import TrainingDivergedError, WeightUpdate

CPU = torch.device("cpu")


def updating(*pairs: str, model: nn.Module | None = None, schedule: Schedule | None = None, rate: float = 1.0):
    """A linear model without bias, at 0, and its update by plain gradient descent."""
    if model is None:
        model = nn.Linear(2, 1, bias=False)
        nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    solver = load_cfg(None, list(pairs)).MODEL.SOLVER
    update = WeightUpdate(solver, model, optimizer, schedule or Schedule(), CPU)
    update.start_epoch()
    return model, update


def loss(model: nn.Module, *inputs: float) -> torch.Tensor:
    return model(torch.tensor([inputs])).sum()  # its gradient is the inputs


def test_each_batch_is_an_update():
    model, update = updating()
    update.add(loss(model, 1.0, 2.0), step=0, steps=2)
    update.add(loss(model, 3.0, 0.0), step=1, steps=2)
    assert model.weight.tolist() == [[-4.0, -2.0]]
    assert update.rate == 1.0


def test_accumulated_gradients_are_averaged_and_a_rest_counts_for_itself():
    model, update = updating("MODEL.SOLVER.ACCUMULATION_STEPS", "2")
    update.add(loss(model, 1.0, 2.0), step=0, steps=3)
    assert model.weight.tolist() == [[0.0, 0.0]]
    update.add(loss(model, 3.0, 0.0), step=1, steps=3)
    assert model.weight.tolist() == [[-2.0, -1.0]]
    update.add(loss(model, 1.0, 1.0), step=2, steps=3)
    assert model.weight.tolist() == [[-3.0, -2.0]]


def test_clipping_scales_long_gradients_only():
    model, update = updating("MODEL.SOLVER.CLIP_GRAD_NORM", "1")
    update.add(loss(model, 3.0, 4.0), step=0, steps=2)
    assert model.weight.tolist()[0] == pytest.approx([-0.6, -0.8], abs=1e-5)
    update.add(loss(model, 0.3, 0.4), step=1, steps=2)
    assert model.weight.tolist()[0] == pytest.approx([-0.9, -1.2], abs=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_is_skipped_and_counted(bad):
    model, update = updating()
    update.add(loss(model, bad, 1.0), step=0, steps=2)
    assert model.weight.tolist() == [[0.0, 0.0]] and update.skipped == 1
    update.add(loss(model, 1.0, 1.0), step=1, steps=2)
    assert model.weight.tolist() == [[-1.0, -1.0]] and update.skipped == 1


def test_a_bad_batch_spoils_only_the_update_that_it_is_part_of():
    model, update = updating("MODEL.SOLVER.ACCUMULATION_STEPS", "2")
    for step, inputs in enumerate([(float("nan"), 1.0), (1.0, 1.0), (2.0, 2.0), (4.0, 4.0)]):
        update.add(loss(model, *inputs), step, steps=4)
    assert model.weight.tolist() == [[-3.0, -3.0]] and update.skipped == 1


def test_too_many_skipped_steps_in_a_row_end_the_training():
    model, update = updating("MODEL.SOLVER.MAX_SKIPPED_STEPS", "2")
    for step, value in enumerate([float("nan"), float("nan"), 1.0, float("nan"), float("nan")]):
        update.add(loss(model, value, 0.0), step, steps=9)
    with pytest.raises(
        TrainingDivergedError, match=r"not finite in 3 steps in a row \(MODEL.SOLVER.MAX_SKIPPED_STEPS\)"
    ):
        update.add(loss(model, float("nan"), 0.0), step=5, steps=9)


def test_statistics_that_a_bad_batch_spoils_are_put_back():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
    model, update = updating(model=model)
    update.add(model(torch.tensor([[float("nan"), 1.0], [2.0, 3.0]])).sum(), step=0, steps=2)
    assert model[0].running_mean.tolist() == [0.0, 0.0]
    update.add(model(torch.tensor([[1.0, 1.0], [2.0, 3.0]])).sum(), step=1, steps=2)
    assert model[0].running_mean.isfinite().all() and model[0].running_mean.abs().sum() > 0


def test_the_schedule_moves_on_with_every_update():
    _, reference = updating()
    optimizer = reference._optimizer
    schedule = Schedule(torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step), each="update")
    model = nn.Linear(2, 1, bias=False)
    update = WeightUpdate(load_cfg().MODEL.SOLVER, model, optimizer, schedule, CPU)
    seen = []
    for step in range(3):
        update.add(loss(model, 1.0, 1.0), step, steps=3)
        seen.append(update.rate)
    assert seen == [1.0, 0.5, 0.25]


def test_the_average_follows_the_weights():
    model, update = updating("MODEL.SOLVER.EMA_DECAY", "0.9", rate=0.1)
    assert update.averaged is not None
    seen = []
    for step in range(200):
        update.add(loss(model, 1.0, 0.0), step, steps=200)
        seen.append((model.weight[0, 0].item(), update.averaged.weight[0, 0].item()))
    assert seen[0][0] == seen[0][1] == pytest.approx(-0.1)  # nothing to average yet
    # weights that fall by 0.1 in each step lie 0.1 * decay / (1 - decay) below their average in the end
    assert seen[-1][1] - seen[-1][0] == pytest.approx(0.9, abs=0.01)


def test_without_a_decay_there_is_no_average():
    assert updating()[1].averaged is None


def test_it_goes_on_from_its_state():
    whole_model, whole = updating("MODEL.SOLVER.EMA_DECAY", "0.9")
    model, update = updating("MODEL.SOLVER.EMA_DECAY", "0.9")
    values = [1.0, float("nan"), 2.0, 3.0]
    for step, value in enumerate(values):
        whole.add(loss(whole_model, value, 1.0), step, steps=4)
    for step, value in enumerate(values[:2]):
        update.add(loss(model, value, 1.0), step, steps=4)
    again_model, again = updating("MODEL.SOLVER.EMA_DECAY", "0.9")
    again_model.load_state_dict(model.state_dict())
    again.load_state_dict(update.state_dict())
    for step, value in enumerate(values[2:], start=2):
        again.add(loss(again_model, value, 1.0), step, steps=4)
    assert torch.equal(again_model.weight, whole_model.weight) and again.skipped == 1
    assert torch.equal(again.averaged.weight, whole.averaged.weight)
