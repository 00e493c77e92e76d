"""Trains a config again and compares it, epoch by epoch, with the curve that its file records."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from configs.dump import recorded_environment
from configs.errors import ExitStatus
from configs.metric_names import TIMES
from trainable.environment import DATA, describe_environment, environment_differences, other_parts
from trainable.fit import fit
from trainable.process_state import pick_device
from trainable.run_folder import RunFolder
from trainable.training import Metrics

# How much a metric of an epoch may differ on a GPU without DETERMINISTIC: about twice what was measured (docs/gpu.md).
NOISE = 0.02


class _EnoughTrained(Exception):  # noqa: N818  it is no error
    """As many epochs as were asked for are trained."""


def verify(
    cfg: CfgNode,
    recorded: Sequence[Metrics],
    environment: dict[str, Any],
    folder: RunFolder,
    epochs: int | None = None,
    changed: Sequence[str] = (),
) -> ExitStatus:
    """Trains a config, and prints for each epoch whether it is what the file records.

    Args:
        cfg: a loaded config.
        recorded: its curve.
        environment: that its file records.
        folder: for what the training leaves.
        epochs: how many are compared; None: all that are recorded.
        changed: says which values are not those of the file.

    Returns:
        DONE if all are identical or within the noise of the device; NO_RESULT if the curves part.
    """
    compared = list(recorded[: epochs or len(recorded)])
    allowed = NOISE if pick_device().type == "cuda" and not cfg.DETERMINISTIC else 0.0
    largest = 0.0
    parted: str | None = None

    def compare(row: Metrics, checkpoint: Path) -> None:
        nonlocal largest, parted
        was = compared[row["epoch"] - 1]
        differences = {name: abs(row[name] - was[name]) for name in was if name in row and name not in TIMES}
        most = max(differences, key=lambda name: differences[name])
        largest = max(largest, differences[most])
        what = "identical"
        if differences[most]:
            what = f"{most} {was[most]:.10g} recorded, {row[most]:.10g} here"
        print(f"epoch {row['epoch']:>3}/{len(compared)}  val_score {row['val_score']:.4f}  {what}", flush=True)
        if differences[most] > allowed and parted is None:
            parted = f"they differ from epoch {row['epoch']} on: {what}"
        if row["epoch"] == len(compared):
            raise _EnoughTrained

    with folder.locked(is_new=True), suppress(_EnoughTrained):
        fit(cfg, compare, folder)
    return _told(len(compared), largest, parted, [*changed, *_reasons(cfg, environment, folder)])


def _told(epochs: int, largest: float, parted: str | None, reasons: Sequence[str]) -> ExitStatus:
    if parted is None:
        noise = "" if largest == 0 else f", within the noise of this device: at most {largest:.2g} apart"
        print(f"identical in all {epochs} epochs" if not noise else f"{epochs} epochs{noise}")
        return ExitStatus.DONE
    print(parted)
    for reason in reasons or ["nothing that the file records of versions, device, code, weights and data differs here"]:
        print(f"  possible reason: {reason}")
    return ExitStatus.NO_RESULT


def _reasons(cfg: CfgNode, recorded: Mapping[str, Any], folder: RunFolder) -> list[str]:
    """Returns what differs of what decides about numbers."""
    here = describe_environment(pick_device(), cfg)
    versions = environment_differences(dict(recorded), here)
    data = recorded_environment(folder.config).get(DATA)
    reasons = [*([versions] if versions else []), *other_parts(recorded, here)]
    if None not in (data, recorded.get(DATA)) and data != recorded[DATA]:
        reasons.append("the images, their labels or their split are others")
    if torch.cuda.is_available() and not cfg.DETERMINISTIC:
        reasons.append("DETERMINISTIC is false: on a GPU, numbers differ from run to run")
    return reasons
