"""A fraction of a GPU's memory, on a GPU that is pretended: its bookkeeping stands for that of torch and the driver."""

import logging
import weakref
from types import SimpleNamespace

import pytest
import torch

from configs.errors import ConfigError
from configs.loader import load_cfg
from search.record.outcomes import Outcome
from search.trials.faults import outcome_of
from search.trials.gpu_memory import (
    CONTEXT,
    LEAST_CONTEXT,
    GpuMemory,
    GpuShareExceededError,
    context_size,
    free_before_context,
    within_share,
)
from search.trials.nvidia_smi import free_memory

GIB = 2**30


class PretendedGpu:
    """A device of 80 GiB, as torch tells of it; memory in bytes."""

    total = 80 * GIB

    def __init__(self) -> None:
        self.others = 0  # what other processes hold
        self.reserved = 0  # by this process
        self.fraction = 1.0
        self.emptied = 0

    def allocate(self, size: int) -> None:
        if self.reserved + size > self.fraction * self.total or size > self.free():
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size / GIB:.2f} GiB. GPU 0 has ...")
        self.reserved += size

    def free(self) -> int:
        return self.total - self.others - self.reserved

    def empty_cache(self) -> None:
        self.emptied += 1
        self.reserved = 0


@pytest.fixture
def gpu(monkeypatch):
    gpu = PretendedGpu()
    for name, stand_in in {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "mem_get_info": lambda: (gpu.free(), gpu.total),
        "memory_reserved": lambda: gpu.reserved,
        "max_memory_allocated": lambda: gpu.reserved,
        "max_memory_reserved": lambda: gpu.reserved,
        "reset_peak_memory_stats": lambda: None,
        "empty_cache": gpu.empty_cache,
        "get_device_name": lambda: "Pretended 80GB",
        "get_device_properties": lambda device: SimpleNamespace(uuid="aaaa"),
        "set_per_process_memory_fraction": lambda fraction: setattr(gpu, "fraction", fraction),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return gpu


CFG = load_cfg(None, ["DATASET.BATCH_SIZE", "256", "DATASET.RESIZE_SHAPE", "[224, 224]"])
QUARTER = GpuMemory(0.25, {"aaaa": 78 * GIB}, context=GIB // 2)  # 19 GiB


def test_a_trial_gets_its_fraction_of_what_was_free_less_its_context():
    assert QUARTER.limit("aaaa", 80 * GIB) == 19 * GIB
    assert QUARTER.limit("another", 80 * GIB) == 19.5 * GIB, "of the whole, where nobody could measure"
    message = r"gets 0.01 of a GPU on which 40.0 GiB are free, which is less than the 0.5 GiB that its CUDA context"
    with pytest.raises(ConfigError, match=message):
        GpuMemory(0.01, {"aaaa": 40 * GIB, "bbbb": 0}, context=GIB // 2).check()
    GpuMemory(0.25, {"aaaa": 78 * GIB, "full": 0}, context=GIB // 2).check()  # another may be there for others
    GpuMemory(0.25, {}).check()


def test_a_trial_within_its_share_trains_and_leaves_nothing(gpu, caplog):
    with caplog.at_level(logging.INFO), within_share(QUARTER, CFG):
        assert gpu.fraction * gpu.total == pytest.approx(19 * GIB)
        gpu.allocate(18 * GIB)
    assert gpu.fraction == 1 and gpu.emptied == 1
    assert "may take 19.0 GiB: 0.25 of the 78.0 GiB that Pretended 80GB had free when the search began" in caplog.text
    assert "less 0.5 GiB for the CUDA context" in caplog.text
    assert "at most 18.0 GiB were allocated, 18.0 GiB reserved" in caplog.text


def test_more_than_the_share_fails_that_trial_alone(gpu):
    with pytest.raises(GpuShareExceededError) as raised, within_share(QUARTER, CFG):
        gpu.allocate(18 * GIB)
        gpu.allocate(2 * GIB)
    message = "batch 256 at 224 px needs more than 0.25 of this GPU (19.0 GiB of 80.0 GiB)"
    assert str(raised.value).startswith(message)
    assert outcome_of(raised.value) == Outcome.FAILED
    assert gpu.fraction == 1 and gpu.emptied == 1


def test_a_device_that_others_have_filled_is_tried_again(gpu):
    with pytest.raises(torch.OutOfMemoryError) as raised, within_share(QUARTER, CFG):
        gpu.others = 70 * GIB  # somebody who was not there when the search began
        try:
            gpu.allocate(18 * GIB)
        finally:
            gpu.others = 0  # and has gone before anybody looks
    assert outcome_of(raised.value) == Outcome.EXTERNAL_FAILURE
    assert gpu.fraction == 1 and gpu.emptied == 1


@pytest.mark.parametrize("error", [RuntimeError("a head"), SystemExit(0), torch.OutOfMemoryError("CUDA out of memory")])
def test_the_model_is_gone_when_the_cache_is_emptied(gpu, monkeypatch, error):
    """Also when Ray ends a trial, by SystemExit: the error in flight holds the functions that hold the model."""

    class Model:
        pass

    models = []
    was_alive = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: was_alive.append(models[0]() is not None))

    def train() -> None:
        model = Model()
        models.append(weakref.ref(model))
        raise error

    with pytest.raises(BaseException) as raised, within_share(QUARTER, CFG):
        train()
    assert was_alive == [False]
    assert isinstance(raised.value, (type(error), GpuShareExceededError))


def test_an_error_of_the_device_is_told_as_it_was(gpu, monkeypatch):
    def broken() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered, again")

    monkeypatch.setattr(torch.cuda, "empty_cache", broken)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (gpu.free(), gpu.total))
    with pytest.raises(RuntimeError, match=r"assert triggered$"), within_share(QUARTER, CFG):
        raise RuntimeError("CUDA error: device-side assert triggered")


def test_without_a_gpu_there_is_no_share(monkeypatch):
    with within_share(QUARTER, CFG), within_share(None, CFG):
        pass


@pytest.mark.parametrize(
    ("before", "after", "context"),
    [
        (80_000, 79_500, 500 * 2**20),
        (80_000, 79_990, LEAST_CONTEXT),
        (80_000, 60_000, CONTEXT),  # another process came meanwhile
        (60_000, 80_000, CONTEXT),  # one has gone
    ],
)
def test_a_context_takes_what_is_gone_after_the_first_use(gpu, monkeypatch, before, after, context):
    monkeypatch.setattr("search.trials.gpu_memory.free_memory", lambda: {"aaaa": after * 2**20})
    assert context_size({"aaaa": before * 2**20}) == context


def test_a_context_that_nobody_can_measure(gpu):
    assert context_size({}) == CONTEXT
    assert free_before_context() == {}, "this process has one already"


def test_where_nobody_could_measure_the_log_says_so(gpu, caplog):
    with caplog.at_level(logging.INFO), within_share(GpuMemory(0.25, {"another": GIB}, context=0), CFG):
        pass
    assert "may take 20.0 GiB: 0.25 of the 80.0 GiB that Pretended 80GB has (what was free is not known)" in caplog.text


@pytest.mark.parametrize(
    ("answer", "free"),
    [
        ("echo 'GPU-aaaa, 81152'; echo 'GPU-bbbb, 3'", {"aaaa": 81152 * 2**20, "bbbb": 3 * 2**20}),
        ("echo 'GPU-aaaa, [N/A]'; echo 'GPU-bbbb, 3'", {"bbbb": 3 * 2**20}),
        ("echo 'NVIDIA-SMI has failed'; exit 9", {}),
    ],
)
def test_the_tool_of_the_driver_is_asked(monkeypatch, tmp_path, answer, free):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert free_memory() == {}, "it is not there"
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{answer}\n")
    tool.chmod(0o755)
    assert free_memory() == free
