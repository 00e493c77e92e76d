"""What TensorBoard itself reads from the event files of trainings."""

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.loader import load_cfg
from tests.conftest import TINY_PAIRS
from trainable.fit import fit
from trainable.run_folder import RunFolder

pytest.importorskip("tensorboard")

METRIC = "val_loss"


def train(name: str, hyperparameters: dict[str, Any] | None, stop_after: int = 9, resume: bool = False) -> None:
    given = dict(zip(TINY_PAIRS[::2], TINY_PAIRS[1::2], strict=True)) | {"TENSORBOARD": "true", "BEST_METRIC": METRIC}
    cfg = load_cfg(None, [text for pair in given.items() for text in pair])

    def report(row, checkpoint):
        if row["epoch"] == stop_after:
            raise KeyboardInterrupt

    folder = RunFolder(Path("experiments/trials", name), is_trial=True)
    with contextlib.suppress(KeyboardInterrupt):
        fit(cfg, report, folder, resume=resume, hyperparameters=hyperparameters)


def runs() -> Any:
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    found = EventMultiplexer().AddRunsFromDirectory("experiments")
    found.Reload()
    return found


def scalars(found: Any, run: str, tag: str) -> dict[int, float]:
    return {event.step: event.tensor_proto.float_val[0] for event in found.Tensors(run, tag)}


def test_epochs_that_a_killed_process_has_not_written_are_written_when_it_goes_on():
    train("0000_a", {}, stop_after=2)
    metrics = {row["epoch"]: row for row in RunFolder("experiments/trials/0000_a").read_metrics()}
    for file in Path("experiments/trials/0000_a/tensorboard").iterdir():
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])  # in the middle of the inputs
    train("0000_a", {}, resume=True)
    found = runs()
    values = scalars(found, "trials/0000_a/tensorboard", "val_loss")
    assert list(values) == [1, 2, 3]
    assert values[1] == pytest.approx(metrics[1]["val_loss"]) and values[2] == pytest.approx(metrics[2]["val_loss"])
    best = scalars(found, "trials/0000_a/tensorboard", f"best/{METRIC}")
    assert list(best.values()) == [min(list(values.values())[: epoch + 1]) for epoch in range(3)]


def test_each_trial_is_one_run_and_one_row_of_the_table_of_hyperparameters():
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.context import RequestContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

    train("0000_a", {"BASE_LR": 0.1, "OPTIMIZER": "sgd", "MOMENTUM": 0.9, "BETAS": None})
    train("0001_b", {"BASE_LR": 0.2, "OPTIMIZER": "adam", "MOMENTUM": None, "BETAS": (0.9, 0.99)}, stop_after=1)
    found = runs()
    assert sorted(found.Runs()) == ["trials/0000_a/tensorboard", "trials/0001_b/tensorboard"]

    context = backend_context.Context(SimpleNamespace(data_provider=MultiplexerDataProvider(found, "experiments")))
    request = api_pb2.GetExperimentRequest(include_metrics=True)
    experiment = get_experiment.Handler(RequestContext(), context, "", request).run()
    assert {info.name for info in experiment.hparam_infos} == {"BASE_LR", "OPTIMIZER", "MOMENTUM", "BETAS"}
    assert [info.name.tag for info in experiment.metric_infos][:2] == [f"best/{METRIC}", METRIC]
    states = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING, api_pb2.STATUS_SUCCESS]
    request = api_pb2.ListSessionGroupsRequest(slice_size=9, allowed_statuses=states, include_metrics=True)
    groups = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    rows = {frozenset(group.hparams) for group in groups}
    assert rows == {frozenset(["BASE_LR", "OPTIMIZER", key]) for key in ("MOMENTUM", "BETAS")}
    assert all(group.sessions[0].status == api_pb2.STATUS_SUCCESS for group in groups)
    best = {value.name.tag: value.value for value in groups[0].sessions[0].metric_values}
    assert f"best/{METRIC}" in best and "val_score" in best
