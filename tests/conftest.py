"""Fixtures of all tests: an empty working folder, an environment without our keys, and one Ray for the session."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from filelock import FileLock

from configs.defaults import TOP_LEVEL
from configs.metric_names import TIMES
from data.make_synthetic import make_synthetic
from search.trials.ray_environment import prepare_ray_environment
from tests.warm_workers import warm_workers

prepare_ray_environment(address=None)  # before anything imports ray
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  tests beside them must not starve the workers
os.environ["RAY_metrics_report_interval_ms"] = "1000"  # noqa: SIM112  figures that a test looks at

in_make_chaos = pytest.mark.skipif("CHAOS_RUNS" not in os.environ, reason="takes long: make chaos runs it")

ROOT = Path(__file__).parent.parent
TINY = str(ROOT / "tests" / "parts" / "tiny.py")  # a backbone that trains in milliseconds

# The digits through a network that trains in a fraction of a second, with augmentation and dropout on.
TINY_PAIRS = [
    *("USER_MODULES", f"[{TINY}]"),
    *("MODEL.BACKBONE.NAME", "tiny"),
    *("DATASET.VALIDATION_FRACTION", "0.8"),
    *("DATASET.RESIZE_SHAPE", "[8, 8]"),
    *("DATASET.AUGMENTATION.ROTATION_PROB", "0.5"),
    *("DATASET.AUGMENTATION.CUTOUT_PROB", "0.5"),
    *("MODEL.HEAD.HIDDEN_DIMS", "[16]"),
    *("MODEL.HEAD.DROPOUT", "0.2"),
    *("MODEL.SOLVER.TOTAL_EPOCHS", "3"),
    *("TENSORBOARD", "false"),
]


def write_tiny(path: Path, changes: Mapping[str, str]) -> Path:
    """Writes an experiment of the tiny network, with some values changed or added, and returns its path."""
    values = dict(zip(TINY_PAIRS[::2], TINY_PAIRS[1::2], strict=True)) | changes
    path.write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
    return path


def write_pictures(folder: Path, classes: Sequence[str], each: int) -> None:
    """Writes random pictures of 12 by 10 pixels, one folder a class."""
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(each):
            cv2.imwrite(str(folder / name / f"{number}.png"), rng.integers(0, 256, (12, 10, 3), dtype=np.uint8))


def put_into_cache(cache: Path, name: str, seed: int) -> Path:
    """Puts weights where timm looks for those of a model, and returns their file."""
    import timm  # here: both take seconds
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    model = timm.create_model(name.partition(".")[0])
    place = cache / f"models--timm--{timm.get_pretrained_cfg(name).hf_hub_id.removeprefix('timm/')}"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / "main").write_text("f00")
    (place / "snapshots" / "f00").mkdir(parents=True, exist_ok=True)
    file = place / "snapshots" / "f00" / "model.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, file)
    return file


def processed(form: str, folder: str = "done") -> Path:
    """Returns the one folder of processed data of a form, as in bengali-32x32."""
    (found,) = Path(folder).glob(f"{form}-[0-9a-f]*")
    return found


def classes_of(*counts: int) -> dict[str, tuple[str, ...]]:
    """Returns tasks with so many classes each."""
    return {f"task_{task}": tuple(str(label) for label in range(count)) for task, count in enumerate(counts)}


def without_times(rows: list[dict]) -> list[dict]:
    """Returns rows of metrics without what differs between two runs of one config."""
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole searches first: they take longest, and no process should wait for another that has them left."""
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is marked gpu is skipped where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def kaggle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic graphemes in Kaggle's layout, as few as have every class; to be read only.

    The first process of the tests that asks for them makes them.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kaggle"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            assert make_synthetic(folder, images=400, test_images=8, seed=1) == 0
    return folder


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test works in an empty folder, and sees none of our keys in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.replace("__", ".").split(".")[0] in TOP_LEVEL:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def ray_folder() -> Iterator[Path]:
    """Where the Ray that all tests share keeps its own files."""
    folder = tempfile.mkdtemp(prefix="yt-", dir="/tmp")  # short: Ray's socket paths may have 107 characters
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def ray_address(ray_folder: Path) -> Iterator[str]:
    """The address of a Ray with 2 CPUs, and the GPUs that are here, that all tests share."""
    import torch
    from ray.cluster_utils import Cluster

    os.makedirs("/tmp/ray", exist_ok=True)  # where Ray notes the address, whatever its temp_dir
    with warm_workers(ray_folder) as setup_worker_path:
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 2,
                "num_gpus": torch.cuda.device_count(),
                "include_dashboard": False,
                "temp_dir": str(ray_folder),
                "setup_worker_path": setup_worker_path,
            },
        )
        yield cluster.address
        cluster.shutdown()
