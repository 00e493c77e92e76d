"""Losses and schedules against numbers worked out by hand."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from configs.errors import ConfigError
from configs.loader import load_cfg
from trainable.solver.class_weights import class_balanced_weights
from trainable.solver.loss import TaskLoss, build_loss, jensen_shannon
from trainable.solver.optimizer import build_optimizer
from trainable.solver.schedule import build_schedule

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
LABELS = torch.tensor([[0], [1]])
LOSS_NAMES = ("softmax_cross_entropy", "label_smoothing_cross_entropy", "weighted_focal_loss")
F_CROSS_ENTROPY = partial(torch.nn.functional.cross_entropy, reduction="none")
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


def test_cosine_warms_up_first():
    got = rates("cosine", "MODEL.SOLVER.SCHEDULER.WARMUP_EPOCHS", "1.5", "MODEL.SOLVER.TOTAL_EPOCHS", "4")
    falling = [(1 + math.cos(math.pi * step / 5)) / 2 for step in range(5)]
    assert got == pytest.approx([1 / 4, 2 / 4, 3 / 4, *falling])


@pytest.mark.parametrize("name", ["OneCycleLR", "cosine", "multi_steps", "reduce_on_plateau"])
def test_schedules_keep_the_ratio_of_rates(name):
    cfg = load_cfg(None, ["MODEL.SOLVER.SCHEDULER.NAME", name, "MODEL.SOLVER.SCHEDULER.MIN_LR", "0.1"])
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    schedule = build_schedule(cfg.MODEL.SOLVER.SCHEDULER, optimizer, 8, 2)
    seen = []
    for _ in range(8):
        for _ in range(2):
            seen.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            schedule.after_update()
        schedule.after_epoch(1.0)
    assert all(backbone == pytest.approx(0.1 * head) for head, backbone in seen)
    assert len({head for head, _ in seen}) > 1


def test_task_weights():
    loss = TaskLoss(F_CROSS_ENTROPY, task_weights=(2.0, 0.5))
    first, second = loss_of("softmax_cross_entropy"), (-math.log(1 - P) + math.log(2)) / 2
    assert loss([LOGITS, -LOGITS], LABELS.repeat(1, 2)).item() == pytest.approx(2 * first + 0.5 * second)


def test_class_weights_multiply_the_loss_of_their_images():
    loss = TaskLoss(F_CROSS_ENTROPY, class_weights=[torch.tensor([3.0, 0.5])])
    assert loss([LOGITS], LABELS).item() == pytest.approx((3 * -math.log(P) + 0.5 * math.log(2)) / 2)
    mixed = loss([LOGITS], LABELS, partners=torch.tensor([1, 0]), own_weight=0.75).item()
    swapped = (0.5 * -math.log(1 - P) + 3 * math.log(2)) / 2  # a partner's label brings its weight along
    assert mixed == pytest.approx(0.75 * (3 * -math.log(P) + 0.5 * math.log(2)) / 2 + 0.25 * swapped)


def test_class_weights_equal_those_of_torch_but_for_the_divisor():
    weights, logits, labels = torch.tensor([0.2, 1.5, 3.0]), torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    ours = TaskLoss(F_CROSS_ENTROPY, class_weights=[weights])([logits], labels[:, None])
    theirs = torch.nn.functional.cross_entropy(logits, labels, weights)  # divided by the sum of weights, not of images
    assert ours.item() == pytest.approx(theirs.item() * weights[labels].sum().item() / 6, rel=1e-5)


def test_class_balanced_weights():
    # effective numbers for beta 0.9: (1 - 0.9) / 0.1 = 1, (1 - 0.81) / 0.1 = 1.9, (1 - 0.9**10) / 0.1 = 6.5132
    effective = [1.0, 1.9, 6.513215599]
    inverse = [1 / number for number in effective]
    expected = [3 * number / sum(inverse) for number in inverse]
    assert class_balanced_weights([1, 2, 10], beta=0.9).tolist() == pytest.approx(expected)
    assert class_balanced_weights([1, 2, 10], beta=0.0).tolist() == [1, 1, 1]
    assert class_balanced_weights([1, 0, 1], beta=0.9).tolist() == [1, 1, 1]  # a class without images has no say


def test_class_balanced_weights_come_from_the_training_images():
    cfg = load_cfg(None, ["MODEL.SOLVER.LOSS.CLASS_BALANCED_BETA", "0.9"])
    classes = {"animal": ("cat", "dog", "eel"), "place": ("in", "out")}
    labels = np.array([[0, 0], [1, 1], [1, 0], *[[2, 1]] * 10])
    loss = build_loss(cfg.MODEL.SOLVER.LOSS, classes, labels)
    assert loss.class_weights[0].tolist() == pytest.approx(class_balanced_weights([1, 2, 10], 0.9).tolist())
    assert loss.class_weights[1].tolist() == pytest.approx(class_balanced_weights([2, 11], 0.9).tolist())
    assert not any(weight.requires_grad for weight in loss.parameters())


def test_jensen_shannon_against_scipy():
    logits = torch.randn(2, 5, 4, dtype=torch.float64)
    p, q = logits.softmax(dim=2).numpy()
    expected = [jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)]  # scipy gives the root, in nats
    assert jensen_shannon(logits).tolist() == pytest.approx(expected)
    assert jensen_shannon(logits[:1].repeat(3, 1, 1)).abs().max() < 1e-12


def test_the_divergence_of_views_is_added_to_the_loss_of_the_first():
    views = torch.cat([LOGITS, LOGITS + 1.0, -LOGITS])
    loss = TaskLoss(F_CROSS_ENTROPY, jsd_weight=12.0)
    divergence = jensen_shannon(views.view(3, 2, 2)).mean().item()
    assert divergence > 0.01
    assert loss([views], LABELS).item() == pytest.approx(loss_of("softmax_cross_entropy") + 12 * divergence)


@pytest.mark.parametrize("name", ["lamb", "nadamw", "rmsprop", "adopt"])
def test_optimizers_of_timm(name):
    layer = torch.nn.Linear(3, 2)
    cfg = load_cfg(None, ["MODEL.SOLVER.OPTIMIZER.NAME", name, "MODEL.SOLVER.OPTIMIZER.BASE_LR", "0.1"])
    optimizer = build_optimizer(cfg.MODEL.SOLVER.OPTIMIZER, layer.parameters())
    inputs, targets = torch.randn(64, 3), torch.randn(64, 2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append((layer(inputs) - targets).square().mean())
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] and optimizer.param_groups[0]["lr"] == 0.1


def test_an_unknown_optimizer_is_answered_with_the_nearest():
    cfg = load_cfg(None, ["MODEL.SOLVER.OPTIMIZER.NAME", "typo_adamw"])
    with pytest.raises(ConfigError, match=r"unknown optimizer 'typo_adamw'\. Did you mean '\w*adamw'\? Known: adam, "):
        build_optimizer(cfg.MODEL.SOLVER.OPTIMIZER, torch.nn.Linear(1, 1).parameters())


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_every_loss_weighs_mixed_labels(name):
    """Of images that are mixed half and half, each half counts alike, whichever image is called the partner."""
    labels = LABELS.repeat(1, 2)
    loss = build_loss(load_cfg(None, ["MODEL.SOLVER.LOSS.NAME", name]).MODEL.SOLVER.LOSS)
    own, others = (loss([LOGITS, LOGITS], one).item() for one in (labels, labels.flip(0)))
    mixed = loss([LOGITS, LOGITS], labels, partners=torch.tensor([1, 0]), own_weight=0.3).item()
    assert own != others
    assert mixed == pytest.approx(0.3 * own + 0.7 * others)


@pytest.mark.parametrize("gamma", ["0.5", "1", "2"])
def test_focal_loss_has_finite_gradients_for_certain_predictions(gamma):
    pairs = ["MODEL.SOLVER.LOSS.NAME", "weighted_focal_loss", "MODEL.SOLVER.LOSS.FOCAL_LOSS.GAMMA", gamma]
    logits = torch.tensor([[40.0, 0.0, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    build_loss(load_cfg(None, pairs).MODEL.SOLVER.LOSS)([logits], torch.tensor([[0], [1]])).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
