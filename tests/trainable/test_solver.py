"""Losses and schedules against numbers worked out by hand."""

import math

import pytest
import torch

from configs.loader import load_cfg
from trainable.solver.loss import build_loss
from trainable.solver.schedule import build_schedule

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
LABELS = torch.tensor([[0], [1]])
P = math.exp(2) / (math.exp(2) + 1)  # probability of the first image's label; the second's is 1/2


def loss_of(name: str, *pairs: str, training: bool = True, **mixed: object) -> float:
    loss = build_loss(load_cfg(None, ["MODEL.SOLVER.LOSS.NAME", name, *pairs]).MODEL.SOLVER.LOSS)
    loss.train(training)
    return loss([LOGITS], LABELS, **mixed).item()


def test_softmax_cross_entropy():
    assert loss_of("softmax_cross_entropy") == pytest.approx((-math.log(P) + math.log(2)) / 2)


def test_label_smoothing_spreads_eps_over_all_classes():
    first = -(0.9 * math.log(P) + 0.1 * math.log(1 - P))  # eps 0.2: 0.9 for the label, 0.1 for the other class
    assert loss_of("label_smoothing_cross_entropy", "MODEL.SOLVER.LOSS.EPS", "0.2") == pytest.approx(
        (first + math.log(2)) / 2
    )


def test_focal_loss():
    expected = ((1 - P) ** 3 * -math.log(P) + 0.5**3 * math.log(2)) / 2
    assert loss_of("weighted_focal_loss", "MODEL.SOLVER.LOSS.FOCAL_LOSS.GAMMA", "3") == pytest.approx(expected)


def test_focal_loss_without_focus_is_cross_entropy():
    plain = loss_of("softmax_cross_entropy")
    assert loss_of("weighted_focal_loss", "MODEL.SOLVER.LOSS.FOCAL_LOSS.GAMMA", "0") == pytest.approx(plain)


def test_ohem_keeps_the_hardest_in_training_only():
    half = ("MODEL.SOLVER.LOSS.OHEM_RATE", "0.5")
    assert loss_of("softmax_cross_entropy", *half) == pytest.approx(math.log(2))
    assert loss_of("softmax_cross_entropy", *half, training=False) == loss_of("softmax_cross_entropy")


def test_mixed_labels_weigh_as_their_images():
    swapped = (-math.log(1 - P) + math.log(2)) / 2  # each image with the other's label
    mixed = loss_of("softmax_cross_entropy", partners=torch.tensor([1, 0]), own_weight=0.75)
    assert mixed == pytest.approx(0.75 * loss_of("softmax_cross_entropy") + 0.25 * swapped)


def test_tasks_are_summed():
    loss = build_loss(load_cfg().MODEL.SOLVER.LOSS)
    two = loss([LOGITS, LOGITS], LABELS.repeat(1, 2)).item()
    assert two == pytest.approx(2 * loss_of("softmax_cross_entropy"))


def rates(name: str, *pairs: str, epochs: int = 4, steps: int = 2, val_losses: tuple[float, ...] = ()) -> list[float]:
    """The learning rate of each update; BASE_LR is 1."""
    cfg = load_cfg(None, ["MODEL.SOLVER.SCHEDULER.NAME", name, *pairs]).MODEL.SOLVER.SCHEDULER
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(cfg, optimizer, epochs, steps)
    seen = []
    for epoch in range(epochs):
        for _ in range(steps):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.after_update()
        schedule.after_epoch(val_losses[epoch] if val_losses else 1.0)
    return seen


def test_unchange():
    assert rates("unchange") == [1.0] * 8


def test_multi_steps():
    got = rates("multi_steps", "MODEL.SOLVER.SCHEDULER.MULTI_STEPS.MILESTONES", "[1, 3]")
    assert got == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_reduce_on_plateau_waits_for_its_patience():
    got = rates(
        "reduce_on_plateau",
        *("MODEL.SOLVER.SCHEDULER.PLATEAU.PATIENCE", "1", "MODEL.SOLVER.SCHEDULER.PLATEAU.FACTOR", "0.5"),
        steps=1,
        epochs=5,
        val_losses=(1.0, 0.9, 0.9, 0.9, 0.9),
    )
    assert got == [1, 1, 1, 1, 0.5]


def test_cosine_spans_all_epochs():
    got = rates("cosine", "MODEL.SOLVER.SCHEDULER.MIN_LR", "0.2")
    assert got == pytest.approx([0.2 + 0.8 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)])


def test_one_cycle_peaks_at_max_lr_and_ends_near_nothing():
    got = rates("OneCycleLR", "MODEL.SOLVER.SCHEDULER.MAX_LR", "4", epochs=50)
    assert got[0] == pytest.approx(4 / 25)
    assert max(got) == pytest.approx(4, rel=0.01)
    assert got.index(max(got)) == pytest.approx(0.3 * 100, abs=1)
    assert got[-1] < 0.01


def test_one_cycle_without_max_lr_peaks_at_base_lr():
    assert max(rates("OneCycleLR", epochs=50)) == pytest.approx(1, rel=0.01)
