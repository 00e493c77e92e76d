"""The benchmark of search quality, on a small task made here."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import import_curves, record_curves, search_quality
from benchmarks.attainable_regret import attainable_regret
from benchmarks.curve_table import BASE, Table
from benchmarks.import_curves import IMAGENET, TASKS, read_imagenet, read_multinli
from benchmarks.plateau_tables import write_plateau
from benchmarks.search_methods import COMPARED, METHODS
from benchmarks.search_quality import compare, replay
from configs.loader import load_cfg
from tests.conftest import write_tiny
from trainable.fit import fit
from trainable.run_folder import RunFolder

EPOCHS = 9


@pytest.fixture
def table() -> Path:
    """200 configurations whose curves rise to a height that falls with the distance from one point."""
    rng = np.random.default_rng(0)
    rate, width = 10 ** rng.uniform(-4, -1, 200), rng.integers(16, 257, 200)
    height = 1 - ((np.log10(rate) + 2.2) / 3) ** 2 - ((np.log2(width) - 7) / 4) ** 2
    curves = height[:, None] * (1 - 0.5 ** np.arange(1, EPOCHS + 1))
    frame = pd.DataFrame({"rate": rate, "width": width, "curve": list(curves), "epoch_cost": width / 100.0})
    task = {
        "task": "made:up",
        "space": {
            "rate": {"kind": "float", "low": 1e-4, "high": 1e-1, "log": True},
            "width": {"kind": "int", "low": 16, "high": 256, "log": True},
        },
    }
    Path("tables").mkdir()
    pq.write_table(
        pa.Table.from_pandas(frame).replace_schema_metadata({"task": json.dumps(task)}), "tables/made_up.parquet"
    )
    return Path("tables/made_up.parquet")


def test_regret_is_0_for_the_best_and_100_for_the_median(table):
    task = Table(table)
    best = task.curves.max(axis=1)
    assert task.regret(best.max()) == 0
    assert task.regret(float(np.median(best))) == pytest.approx(100)
    assert task.regret(-np.inf) == 100


def test_the_nearest_configuration_is_one_that_is_not_used(table):
    task, frame = Table(table), pd.read_parquet(table)
    used = np.zeros(200, dtype=bool)
    params = {"rate": frame["rate"][7], "width": frame["width"][7]}
    assert task.nearest(params, used) == 7
    used[7] = True
    assert task.nearest(params, used) != 7


@pytest.fixture
def table_with_kinds(table: Path) -> Path:
    """The same with two kinds: the slow one, which ends better, is behind in all epochs but the last three."""
    frame = pd.read_parquet(table)
    frame["kind"] = ["slow", "fast"] * 100
    late = np.arange(EPOCHS) >= EPOCHS - 3
    frame["curve"] = [
        curve + (np.where(late, 0.2, -0.5) if kind == "slow" else 0)
        for curve, kind in zip(frame["curve"], frame["kind"], strict=True)
    ]
    task = json.loads(pq.read_table(table).schema.metadata[b"task"])
    task["space"]["kind"] = {"kind": "choice", "values": ["fast", "slow"]}
    content = pa.Table.from_pandas(frame).replace_schema_metadata({"task": json.dumps(task | {"kinds": ["kind"]})})
    Path("kinds").mkdir()
    pq.write_table(content, "kinds/made_up.parquet")
    return Path("kinds/made_up.parquet")


def test_a_configuration_is_looked_up_among_those_of_the_same_choices(table_with_kinds):
    task, frame = Table(table_with_kinds), pd.read_parquet(table_with_kinds)
    assert task.kinds == ("kind",) and task.cost_of_run == pytest.approx(8 * EPOCHS * task.cost.mean())
    used = np.zeros(200, dtype=bool)
    for _ in range(100):
        row = task.nearest({"rate": frame["rate"][7], "width": frame["width"][7], "kind": "slow"}, used)
        assert frame["kind"][row] == "slow" and not used[row]
        used[row] = True
    assert frame["kind"][task.nearest({"rate": 0.01, "width": 64, "kind": "slow"}, used)] == "slow", "all are used"


@pytest.mark.parametrize("method", COMPARED)
def test_every_method_searches_among_kinds(table_with_kinds, method):
    task = Table(table_with_kinds)
    assert replay(task, METHODS[method](task, 0, 4)).regrets[2] < 100


def test_a_kind_that_is_slow_and_ends_best_is_found(table_with_kinds):
    figures = compare([table_with_kinds], ["ours", "random_asha"], seeds=4)["methods"]
    assert figures["ours"]["regret_full"] < 0.5 * figures["random_asha"]["regret_full"]


def test_the_base_may_be_trained_first(table):
    """One that no sample reaches is the choice; that of others is below it."""
    known = pq.read_table(table)
    task = json.loads(known.schema.metadata[b"task"])
    base = {"params": {"rate": 1e-3, "width": 99}, "curve": [2.0] * EPOCHS, "epoch_cost": 0.1, "scores": [2.0, 2.1]}
    pq.write_table(known.replace_schema_metadata({"task": json.dumps(task | {"base": base})}), table)
    with_base = Table(table)
    assert METHODS["ours"](with_base, 0, 4).suggest("first") == (10**9, None), "no sample has its number"
    assert with_base.score(BASE) == 2.05 and list(with_base.curve(BASE)) == base["curve"]
    runs = {name: replay(with_base, METHODS[name](with_base, 0, 4)) for name in ("ours", "random")}
    assert [run.is_below_base for run in runs.values()] == [False, True]
    assert runs["ours"].regrets[0] < 0 < runs["random"].regrets[2]


def test_a_choice_is_scored_by_its_second_seed(table):
    """Where the values of the first are luck, whoever finds the best of them has found nothing."""
    known = pq.read_table(table)
    second = np.random.default_rng(1).permutation(np.stack(known.to_pandas()["curve"]))
    pq.write_table(known.append_column("second_curve", pa.array(second.tolist(), pa.list_(pa.float32()))), table)
    task = Table(table)
    assert task.scores == pytest.approx(second.max(axis=1))
    assert task.regret(float(task.scores.max())) == 0
    assert task.regret(float(task.scores[task.curves.max(axis=1).argmax()])) > 0, "the luckiest with the first seed"
    runs = [replay(task, METHODS["random"](task, seed, 4)).regrets[2] for seed in range(16)]
    assert max(runs) - min(runs) > 50


@pytest.fixture
def table_with_conditions(table: Path) -> Path:
    """The same, where the width belongs to one of two branches alone."""
    known = pq.read_table(table)
    task = json.loads(known.schema.metadata[b"task"])
    task["space"] = {
        "rate": task["space"]["rate"],
        "branch": {"kind": "choice", "values": ["wide", "plain"]},
        "width [wide]": task["space"]["width"] | {"when": {"branch": ["wide"]}},
    }
    frame = known.to_pandas().rename(columns={"width": "width [wide]"})
    frame["branch"] = ["wide", "plain"] * 100
    frame["width [wide]"] = frame["width [wide]"].where(frame["branch"] == "wide")
    content = pa.Table.from_pandas(frame).replace_schema_metadata({"task": json.dumps(task)})
    pq.write_table(content, table)
    return table


def test_what_is_not_active_has_no_distance(table_with_conditions):
    task, frame = Table(table_with_conditions), pd.read_parquet(table_with_conditions)
    used = np.zeros(200, dtype=bool)
    assert task.nearest({"rate": frame["rate"][7], "branch": "plain"}, used) == 7
    assert (
        task.nearest({"rate": frame["rate"][8], "branch": "wide", "width [wide]": frame["width [wide]"][8]}, used) == 8
    )


@pytest.mark.parametrize("method", [*COMPARED, "ours_random"])
def test_every_method_searches_branches(table_with_conditions, method):
    task = Table(table_with_conditions)
    assert replay(task, METHODS[method](task, 0, 16), 16).regrets[2] < 100


@pytest.mark.parametrize("method", [*COMPARED, "ours_nsga2", "ours_random"])  # gp takes minutes
def test_every_method_searches_and_repeats(table, method):
    task = Table(table)
    first = replay(task, METHODS[method](task, 0, 4)).regrets
    assert 100 >= first[0] >= first[1] >= first[2] >= 0
    assert first[2] < 50
    assert replay(task, METHODS[method](task, 0, 4)).regrets == first


def test_the_figures(table):
    figures = compare([table], ["ours", "random"], seeds=2)
    known = {"regret_quarter", "regret_half", "regret_full", "se_full", "rank", "below"}
    assert set(figures["methods"]["ours"]) == known
    assert set(figures["tasks"]["made_up"]["ours"]) == {"regret_full", "se_full", "below"}
    assert figures["methods"]["ours"]["regret_full"] < figures["methods"]["random"]["regret_full"]
    assert figures["methods"]["ours"]["rank"] < figures["methods"]["random"]["rank"]


def test_what_could_be_reached_depends_on_what_the_hyperparameters_say(table):
    task = Table(table)
    assert attainable_regret(task, 0) < 1
    np.random.default_rng(0).shuffle(task.scores)
    assert attainable_regret(task, 0) > 5


def test_the_command_writes_json(table, monkeypatch):
    words = ["--tables", "tables", "--seeds", "1", "--methods", "random", "--json", "out.json"]
    monkeypatch.setattr(sys, "argv", ["search_quality.py", *words])
    assert search_quality.main() == 0
    assert set(json.loads(Path("out.json").read_text())["methods"]) == {"random"}


def test_curves_of_real_trainings_are_a_table(tmp_path, monkeypatch):
    write_tiny(tmp_path / "tiny.yaml", {"MODEL.SOLVER.TOTAL_EPOCHS": "4", "DATASET.VALIDATION_FRACTION": "0.9"})
    Path("mine.yaml").write_text(
        "base: tiny.yaml\nsearch: {kinds: [MODEL.SOLVER.OPTIMIZER]}\n"
        "space: {MODEL.SOLVER.OPTIMIZER.BASE_LR: {loguniform: [1e-4, 1]}, DATASET.BATCH_SIZE: {randint: [16, 65]}, "
        "MODEL.SOLVER.OPTIMIZER.NAME: {choice: [sgd, adamw]}, MODEL.SOLVER.OPTIMIZER.SGD.MOMENTUM: "
        "{uniform: [0, 0.9], when: {MODEL.SOLVER.OPTIMIZER.NAME: sgd}}}\n"
    )
    monkeypatch.setattr(record_curves, "BASE_SEEDS", 2)
    monkeypatch.setattr(sys, "argv", ["record_curves.py", "mine.yaml", "--configs", "2"])
    # here, where torch is imported already
    monkeypatch.setattr(record_curves, "ProcessPoolExecutor", partial(ThreadPoolExecutor, max_workers=1))
    assert record_curves.main() == 0
    recorded = Path("mine.recorded.jsonl").read_text()
    Path("mine.recorded.jsonl").write_text(recorded[:-20])  # the machine went down
    monkeypatch.setattr(sys, "argv", ["record_curves.py", "mine.yaml", "--configs", "3"])
    assert record_curves.main() == 0
    again = Path("mine.recorded.jsonl").read_text().splitlines()
    assert len(again) == 4 and again[:2] == recorded.splitlines()[:2], "what is there is not trained again"
    task = Table(Path("mine.parquet"))
    assert task.space["MODEL.SOLVER.OPTIMIZER.BASE_LR"] == {"kind": "float", "low": 1e-4, "high": 1.0, "log": True}
    assert task.space["DATASET.BATCH_SIZE"] == {"kind": "int", "low": 16, "high": 64, "log": False}
    assert task.space["MODEL.SOLVER.OPTIMIZER.NAME"] == {"kind": "choice", "values": ["sgd", "adamw"]}
    assert task.space["MODEL.SOLVER.OPTIMIZER.SGD.MOMENTUM"]["when"] == {"MODEL.SOLVER.OPTIMIZER.NAME": ["sgd"]}
    assert task.kinds == ("MODEL.SOLVER.OPTIMIZER.NAME",)
    assert task.curves.shape == (3, 4) and (task.cost > 0).all()
    assert set(task.base["params"]) <= set(task.space) and len(task.base["scores"]) == 2
    frame = pd.read_parquet("mine.parquet")
    sgd = frame["MODEL.SOLVER.OPTIMIZER.NAME"] == "sgd"
    assert (frame["MODEL.SOLVER.OPTIMIZER.SGD.MOMENTUM"].notna() == sgd).all()
    settings = frame.iloc[1][list(task.space)].dropna().to_dict()
    pairs = [str(word) for pair in settings.items() for word in pair]

    def trained(*more: str) -> list[float]:
        rows = fit(load_cfg("tiny.yaml", [*pairs, *more]), lambda row, path: None, RunFolder("-".join(("run", *more))))
        return pytest.approx([row["val_score"] for row in rows])

    seed = load_cfg("tiny.yaml").SEED + record_curves.SECOND_SEED
    row = frame.iloc[1]
    assert list(row["curve"]) == trained(), "the averaged weights beside it change nothing"
    assert list(row["averaged_curve"]) == trained("MODEL.SOLVER.EMA_DECAY", str(record_curves.AVERAGE_DECAY))
    assert list(row["second_curve"]) == trained("SEED", str(seed))
    assert list(row["half_curve"]) == trained("MODEL.SOLVER.TOTAL_EPOCHS", "2")
    assert list(row["quarter_curve"]) == trained("MODEL.SOLVER.TOTAL_EPOCHS", "1")
    Path("mine.yaml").write_text(Path("mine.yaml").read_text().replace("0.9]", "0.8]"))
    with pytest.raises(ValueError, match="was recorded of another space"):
        record_curves.main()


def published(epochs: int, accuracies: list[float]) -> dict:
    rest = {"batch_size": 256, "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-5, "label_smoothing": 0.1}
    rows = [{"time": 10.0 * (epoch + 1), "epoch": epoch, "top_1": value} for epoch, value in enumerate(accuracies)]
    return {"iteration": 1, "epochs": epochs, "lr_peak_epoch": epochs // 4, **rest, "learning_curve": rows}


def test_published_trainings_of_any_length_have_twenty_steps():
    rising = [0.01 * (epoch + 1) for epoch in range(40)]
    whole, broken, never = read_imagenet([published(40, rising), published(40, rising[:10]), published(20, [])])
    assert whole.params["lr_peak"] == 0.25 and set(whole.params) == set(IMAGENET)
    assert whole.curve() == pytest.approx(rising[1::2]), "every second epoch"
    assert broken.curve() == pytest.approx([*rising[1:10:2], *[0.001] * 15]), "it diverged after ten epochs"
    assert (whole.cost, broken.cost, never.cost) == (400, 400, 200), "ten seconds an epoch, never's too"

    row = {"num_train_epochs": 2, "train_batch_size": 32, "learning_rate": 1e-5, "warmup_steps": 100, "cls_drop_out": 0}
    curves = {"matched": [[1000, 0.5], [2000, 0.7], [3000, 0.6], [4000, 0.8]], "mismatched": []}
    (text,) = read_multinli([{**row, "total_model_steps": 4000, "learning_curves": curves}])
    assert text.params["warmup"] == 0.05, "100 of the first epoch's 2,000 steps"
    assert text.curve() == [*[1 / 3] * 4, *[0.5] * 5, *[0.7] * 5, *[0.6] * 5, 0.8]


def test_tables_of_published_trainings_can_be_searched(monkeypatch, capsys):
    random = np.random.default_rng(0)
    for task in TASKS:
        path = Path(f"data/{task}.results.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        if "deberta" in task:
            path.write_text("")
            continue
        rows = [published(20, random.random(20).tolist()) for _ in range(3)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(sys, "argv", ["import_curves.py", "data", "tables"])
    assert import_curves.main() == 0
    task = Table(Path("tables/alexnet_tuning.parquet"))
    assert task.curves.shape == (3, 20) and list(task.space) == list(IMAGENET)
    assert task.cost.tolist() == [10.0, 10.0, 10.0]
    Path(f"data/{next(iter(TASKS))}.results.jsonl").unlink()
    assert import_curves.main() == 2
    assert "data has no alexnet/alexnet_tuning.results.jsonl" in capsys.readouterr().err


def test_few_trainings_leave_the_plateau_and_the_first_epoch_does_not_say_which():
    write_plateau(Path("plateau.parquet"), seed=0)
    curves = Table(Path("plateau.parquet")).curves
    leave = np.flatnonzero(curves.max(axis=1) > 2 * curves[:, 0].max())
    assert 0.02 < len(leave) / len(curves) < 0.06
    first = np.argsort(-curves[:, 0])[: len(leave)]
    assert len(set(first) & set(leave)) < len(leave) / 2
