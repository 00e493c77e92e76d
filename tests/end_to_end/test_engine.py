"""What a space file can say, in whole searches: real Ray, real Optuna, real training, real files."""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.search_methods import OurMethod
from configs.loader import load_cfg, settings_at
from search.engine.controller import Controller
from search.folder import SearchFolder
from search.plan import SearchPlan, make_plan
from search.record.event_log import EventLog
from search.record.events import EpochReported, Event, TrialEnded, TrialPromoted, TrialStarted
from search.record.history import History
from search.record.outcomes import State
from search.run import main
from search.space.space_file import read_space
from search.views.terminal import describe
from tests.conftest import ROOT, without_times, write_tiny
from trainable.checkpoint import load_checkpoint
from trainable.fit import fit
from trainable.run_folder import RunFolder
from trainable.train import main as train

OPTIMIZER, LOSS, SCHEDULER = "MODEL.SOLVER.OPTIMIZER", "MODEL.SOLVER.LOSS", "MODEL.SOLVER.SCHEDULER"
RATE = f"{OPTIMIZER}.BASE_LR"


def tiny_experiment(epochs: int) -> str:
    return str(write_tiny(Path("tiny.yaml"), {"MODEL.SOLVER.TOTAL_EPOCHS": str(epochs)}))


def search(
    ray_address: str, space: str, options: str, *words: str, epochs: int = 3
) -> tuple[pd.DataFrame, SearchFolder, int]:
    """Runs a search over the tiny network, one trial at a time; returns results.csv, the folder and the exit status."""
    options = f"reference: false, {options}"
    Path("s.yaml").write_text(f"base: {tiny_experiment(epochs)}\nsearch: {{{options}}}\nspace: {{{space}}}\n")
    return run(ray_address, "s.yaml", *words)


def run(ray_address: str, space: str, *words: str) -> tuple[pd.DataFrame, SearchFolder, int]:
    # one trial at a time needs one worker process, which imports torch once
    status = main(["--space", space, "--address", ray_address, "--cpus-per-trial", "2", *words, "NUM_THREADS", "1"])
    folder = SearchFolder(Path("experiments") / Path(space).stem)
    return pd.read_csv(folder.results_csv), folder, status


def replay(events: list[Event], plan: SearchPlan, epochs: int) -> None:
    """Drives a controller as benchmarks/search_quality.py does, and compares what it decides with events."""
    controller = Controller(plan.space, plan.options, epochs, start=plan.start)
    method = OurMethod(controller, epochs, workers=1)
    tried = 0
    trial = ""
    goes_on = False
    for event in events:
        if isinstance(event, TrialStarted):
            tried += 1
            trial = str(tried)
            assert method.suggest(trial) == (event.trial, None if event.is_reference else event.params)
        elif isinstance(event, EpochReported):
            metrics = event.metrics
            goes_on = method.report(trial, metrics["epoch"], metrics["val_score"])
        elif isinstance(event, TrialEnded):
            assert not goes_on
    assert tried > plan.options.num_samples, "some have waited and gone on"
    assert method.suggest("one more") is None
    assert {record.state for record in History(events).trials.values()} == {State.DONE, State.WAITING}


def test_branches_conditions_derived_keys_and_constraints(ray_address, tmp_path, capsys):
    space, epochs = str(ROOT / "spaces" / "optimizer_branches.yaml"), 3
    experiment = tiny_experiment(epochs)
    table, folder, status = run(ray_address, space, "--cfg", experiment, "--num-samples", "12")
    assert status == 0
    reference = table[table["is_reference"]].iloc[0]
    assert (reference[OPTIMIZER], reference[RATE]) == ("adamw", 1e-3), "the base"
    assert pd.isna(reference[f"{OPTIMIZER}.SGD.MOMENTUM"]), "of another branch"
    assert reference[f"{LOSS}.NAME"] == "softmax_cross_entropy" and pd.isna(reference[f"{LOSS}.EPS"])
    table = table[~table["is_reference"]]
    first = table.iloc[0]
    assert (first[OPTIMIZER], first[RATE]) == ("adamw", 1e-3), "the start point"
    sgd = table[OPTIMIZER] == "sgd"
    assert sgd.any() and not sgd.all()
    assert (table[f"{OPTIMIZER}.SGD.MOMENTUM"].notna() == sgd).all()
    assert (table[f"{OPTIMIZER}.WEIGHT_DECAY"].notna() == ~sgd).all()
    assert table.loc[sgd, RATE].min() >= 1e-3 and table.loc[~sgd, RATE].max() < 1e-2
    smooth = table[f"{LOSS}.NAME"] == "label_smoothing_cross_entropy"
    assert (table[f"{LOSS}.EPS"].notna() == smooth).all()
    cycle = table[table[f"{SCHEDULER}.NAME"] == "OneCycleLR"]
    assert len(cycle) and cycle[f"{SCHEDULER}.MAX_LR"].tolist() == (2 * cycle[RATE]).tolist()
    assert f"{OPTIMIZER}.NAME" not in table, "the branch says it"
    best = load_cfg(folder.best)
    assert table.loc[table["val_score"].idxmax(), OPTIMIZER] == best.MODEL.SOLVER.OPTIMIZER.NAME
    events = EventLog(folder.events).read()
    replay(events, make_plan(read_space(space), experiment, num_samples=12), epochs)
    for event in events:
        if isinstance(event, TrialStarted) and not event.is_reference:
            assert event.settings[f"{OPTIMIZER}.NAME"] == event.params[OPTIMIZER]
        if isinstance(event, EpochReported):
            metrics = event.metrics
            assert metrics["params"] > 0 and metrics["macs"] > 0 and metrics["images_per_second"] > 0


def test_start_constraints_lists_and_max_t_are_in_the_results(ray_address, tmp_path, capsys):
    Path("s.yaml").write_text(
        f"base: {tiny_experiment(4)}\n"
        "search: {num_samples: 12, sampler: random, start: [defaults], reference: false, "
        "scheduler: {asha: {type: stopping, max_t: 3}}}\n"
        "space: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}, DATASET.BATCH_SIZE: {choice: [32, 64]}, "
        "MODEL.HEAD.HIDDEN_DIMS: {choice: [[], [16], [8, 4]]}}\n"
        "constraints: [MODEL.HEAD.DROPOUT < 0.25 or DATASET.BATCH_SIZE == 64]\n"
    )
    table, folder, status = run(ray_address, "s.yaml")
    assert status == 0 and len(table) == 12
    base = load_cfg(folder.base)
    first = table.iloc[0]
    assert (first["MODEL.HEAD.DROPOUT"], first["DATASET.BATCH_SIZE"]) == (base.MODEL.HEAD.DROPOUT, 32), "the defaults"
    is_allowed = (table["MODEL.HEAD.DROPOUT"] < 0.25) | (table["DATASET.BATCH_SIZE"] == 64)
    assert is_allowed.all() and (table["DATASET.BATCH_SIZE"] == 32).any() and (table["MODEL.HEAD.DROPOUT"] > 0.25).any()
    assert {tuple(json.loads(value)) for value in table["MODEL.HEAD.HIDDEN_DIMS"]} == {(), (16,), (8, 4)}
    assert table["epochs"].max() == 3 and table["epochs"].nunique() > 1
    assert "max_t 3 ends every trial 1 epochs before MODEL.SOLVER.TOTAL_EPOCHS 4" in capsys.readouterr().out


def test_a_target_and_a_budget_of_time_end_a_search(ray_address, tmp_path, capsys):
    space = "MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}"
    table, _, status = search(ray_address, space, "num_samples: 50, scheduler: none, stop: {target: 0.05}", epochs=2)
    assert status == 0 and len(table) < 50 and table["val_score"].max() >= 0.05
    assert "target reached: val_score 0." in capsys.readouterr().out
    more = ["--resume", "-o", "experiments/s", "--time-budget", "6s"]
    longer, _, status = search(ray_address, space, "num_samples: 5000, scheduler: none", *more, epochs=2)
    assert status == 0 and len(table) <= len(longer) < 5000
    printed = capsys.readouterr().out
    assert "time budget used up: " in printed
    assert (
        "to continue for the same time again: python -m search.run --resume -o" in printed
        or "no trial gave a result" in printed
    )


def test_a_small_space_ends_by_itself_and_goes_on_when_it_is_changed(ray_address, tmp_path, capsys):
    space = "DATASET.BATCH_SIZE: {choice: [32, 64]}, MODEL.HEAD.DROPOUT: {choice: [0.0, 0.5]}"
    table, folder, status = search(ray_address, space, "sampler: grid", epochs=1)
    assert status == 0
    assert len(table) == 4 and len(table[["DATASET.BATCH_SIZE", "MODEL.HEAD.DROPOUT"]].drop_duplicates()) == 4
    assert "all 4 combinations were tried: 4 done" in capsys.readouterr().out
    # another key, whose default old trials had, and another value, so that two of them do not fit any more
    wider = (
        "DATASET.BATCH_SIZE: {choice: [32, 64]}, MODEL.HEAD.DROPOUT: {choice: [0.0, 0.2]}, "
        "MODEL.HEAD.ACTIVATION: {choice: [relu, gelu]}, MODEL.SOLVER.LOSS.OHEM_RATE: {choice: [0.5, 1.0], when: "
        "{MODEL.HEAD.ACTIVATION: gelu}}"
    )
    more, _, status = search(ray_address, wider, "sampler: grid", "--resume", "-o", "experiments/s", epochs=1)
    assert status == 0
    assert more.iloc[:4]["trial"].tolist() == [0, 1, 2, 3]
    assert len(more) == 4 + 12 - 2, "all of the new space, two of which were known"
    assert "the space has changed: trials that fit it count" in capsys.readouterr().out
    assert "choice: [0.0, 0.5]" in (folder.path / "space-1.yaml").read_text()


@pytest.mark.parametrize(("scheduler", "sampler"), [("hyperband", "{gp: {n_startup_trials: 3}}"), ("median", "qmc")])
def test_trials_end_at_different_epochs(ray_address, tmp_path, scheduler, sampler):
    named = "{hyperband: {reduction_factor: 3}}" if scheduler == "hyperband" else scheduler
    options = f"num_samples: 12, scheduler: {named}, sampler: {sampler}"
    table, _, status = search(ray_address, f"{RATE}: {{loguniform: [1e-5, 1]}}", options, epochs=9)
    assert status == 0
    assert table[RATE].nunique() == 12
    ended = set(table["epochs"])
    assert 9 in ended and len(ended) >= 2, ended
    assert scheduler == "median" or ended == {1, 3, 9}


def test_each_kind_is_trained_to_its_end_and_the_events_say_why(ray_address, tmp_path, capsys):
    name = "MODEL.SOLVER.LOSS.NAME"
    space = f"{RATE}: {{loguniform: [1e-4, 1]}}, {name}: {{choice: [softmax_cross_entropy, weighted_focal_loss]}}"
    table, folder, status = search(ray_address, space, f"num_samples: 12, kinds: [{name}]", epochs=4)
    assert status == 0
    assert f"values of {name} are compared by whole trainings" in capsys.readouterr().out
    ended = table[table["state"] == "done"]
    assert set(ended[name]) == {"softmax_cross_entropy", "weighted_focal_loss"} and len(ended) < 12
    events = EventLog(folder.events).read()
    promotions = [(event.trial, event.promotion) for event in events if isinstance(event, TrialPromoted)]
    first = [why for _, why in promotions if why.rung == 1]
    assert {why.kind for why in first if why.is_whole} == set(ended[name])
    assert all(1 <= why.place <= why.of <= why.holds for why in first)
    assert {number for number, _ in promotions} == set(table.loc[table["epochs"] > 1, "trial"])
    plan = make_plan(read_space("s.yaml"), cpus_per_trial=2)
    replay(events, plan, 4)


def test_cmaes(ray_address, tmp_path):
    space = f"{RATE}: {{loguniform: [1e-3, 1e-1]}}, MODEL.HEAD.DROPOUT: {{uniform: [0, 0.5]}}"
    options = "num_samples: 6, scheduler: none, sampler: {cmaes: {n_startup_trials: 1}}"
    table, _, status = search(ray_address, space, options, epochs=1)
    assert status == 0
    assert len(table[[RATE, "MODEL.HEAD.DROPOUT"]].drop_duplicates()) == 6


def test_several_objectives(ray_address, tmp_path, capsys):
    tradeoff = "backbone_tradeoff.yaml"
    Path(tradeoff).write_text(
        f"extends: {ROOT / 'spaces' / tradeoff}\nsearch: {{sampler: {{nsga2: {{population_size: 4}}}}}}\n"
    )
    table, folder, status = run(
        ray_address,
        tradeoff,
        *("--num-samples", "8", "DATASET.VALIDATION_FRACTION", "0.9", "MODEL.SOLVER.TOTAL_EPOCHS", "3"),
        *("MODEL.BACKBONE.NAME", "test_resnet"),
    )
    assert status == 0
    assert {"val_score", "macs"} <= set(table)
    front = pd.read_csv(folder.pareto_csv)
    for _, row in front.iterrows():
        beating = table[(table["val_score"] >= row["val_score"]) & (table["macs"] <= row["macs"])]
        assert beating.query("val_score > @row.val_score or macs < @row.macs").empty
        assert load_cfg(folder.path / row["config"])
    assert front["val_score"].is_monotonic_decreasing and front["macs"].is_monotonic_decreasing
    assert len(list(folder.pareto.iterdir())) == len(front)
    assert folder.pareto_picture.read_bytes().startswith(b"\x89PNG")
    assert f"Pareto front: {len(front)} trials" in capsys.readouterr().out


def test_the_best_are_confirmed_with_other_seeds(ray_address, tmp_path, capsys):
    space = f"{RATE}: {{loguniform: [1e-4, 1e-1]}}"
    options = "num_samples: 6, confirm: {top: 2, seeds: 3}"
    table, folder, status = search(ray_address, space, options, epochs=3)
    assert status == 0
    repeats = table[table["confirms"].notna()]
    assert len(table) == 6 + 2 * 3 and (repeats["epochs"] == 3).all(), "to the last epoch, whatever asha thinks"
    samples = table[table["confirms"].isna()].sort_values("val_score", ascending=False)
    assert set(repeats["confirms"]) == set(samples["trial"].iloc[:2])
    assert repeats["SEED"].nunique() == 3 and 0 not in set(repeats["SEED"])
    confirmed = pd.read_csv(folder.confirmation)
    variances = repeats.groupby("confirms")["val_score"].var()
    for _, row in confirmed.iterrows():
        assert row["mean"] == pytest.approx(repeats.loc[repeats["confirms"] == row["trial"], "val_score"].mean())
        # Student's t for the four degrees of two configs, whose noise is pooled
        assert row["interval"] == pytest.approx(2.7764451051977987 * (variances.mean() / 3) ** 0.5)
    winner = int(confirmed["trial"].iloc[0])
    header = folder.best.read_text()
    assert f": {winner:04d}_" in header.splitlines()[0]
    assert f"# confirmed: trial {winner}, val_score {confirmed['mean'].iloc[0]:.4f} +- " in header
    printed = capsys.readouterr().out
    assert f"confirmed: trial {winner}" in printed and "\nbest of the single trainings: trial " in printed
    assert "and cheaper" not in printed, "all cost the same"


def test_patience_ends_a_search(ray_address, tmp_path, capsys):
    space = f"{RATE}: {{loguniform: [1e-4, 1e-1]}}, {LOSS}.EPS: {{uniform: [0.0, 0.3]}}"
    table, _, status = search(ray_address, space, "num_samples: 50, sampler: random, stop: {patience: 3}", epochs=1)
    assert status == 0
    assert 4 <= len(table) < 50
    printed = capsys.readouterr().out
    assert "no better trial in the last 3: " in printed
    # softmax_cross_entropy never asks
    assert "trial 0 never read MODEL.SOLVER.LOSS.EPS: sampled for nothing there" in printed


@pytest.mark.parametrize("scheduler", ["pbt", "pb2"])
def test_a_population_leaves_a_lineage_that_trains_again(ray_address, tmp_path, capsys, scheduler):
    if scheduler == "pbt":
        words = ["--cfg", tiny_experiment(epochs=6), "--num-samples", "4"]
        table, folder, status = run(ray_address, str(ROOT / "spaces" / "pbt_schedule.yaml"), *words)
    else:
        space = f"{RATE}: {{loguniform: [1e-4, 1]}}, DATASET.AUGMENTATION.ROTATION_PROB: {{uniform: [0, 1]}}"
        table, folder, status = search(
            ray_address, space, "num_samples: 4, scheduler: {pb2: {perturbation_interval: 2}}", epochs=6
        )
    assert status == 0
    assert (table["state"] == "done").all() and (table["epochs"] == 6).all()
    printed = capsys.readouterr().out
    told = [line.split("] ", 1)[1] for line in printed.splitlines() if "continues with the weights of trial" in line]
    assert told and len(told) == len(set(told)), "each takeover once"
    history = History(EventLog(folder.events).read())
    moved = [record for record in history.trials.values() if record.donor]
    assert moved, "the worst have taken over"
    for record in history.trials.values():
        cfg = load_cfg(folder.trials / record.name / "results" / "config.yaml")
        assert bool(cfg.LINEAGE) == (record in moved)
        best_checkpoint = RunFolder(folder.trials / record.name).best
        if record not in moved or best_checkpoint.exists():  # the donor may not have had it any more
            assert load_checkpoint(best_checkpoint)["epoch"] == record.best("val_score")["epoch"]
        rows: list[dict] = []
        fit(cfg, lambda row, _, rows=rows: rows.append(row), RunFolder(f"again-{record.number}"))
        assert without_times(rows) == without_times(record.rows), "by the training command alone, from the start"
    assert train(["-o", "retrained", "--cfg", str(folder.best)]) == 0
    best = history.best_trial("val_score")
    assert best and without_times(RunFolder("retrained").read_metrics()) == without_times(best.rows)
    row = best.best("val_score")
    there = best.params | {
        key: value for key, value in settings_at(load_cfg(folder.best), row["epoch"]).items() if key in best.params
    }
    assert f"in epoch {row['epoch']}: {describe(there)}\n" in printed, "what it had in that epoch"
    shown = table.loc[table["trial"] == best.number].iloc[0]
    assert all(shown[key] == value for key, value in there.items() if isinstance(value, float))
    segments = [segment for record in moved for segment in record.settings["LINEAGE"]]
    assert all(segment["epochs"][1] % 2 == 0 and RATE in segment["settings"] for segment in segments)


def test_failures_keep_the_sampler_away(ray_address, tmp_path):
    space = "MODEL.HEAD.NAME: {choice: [simple_head_module, raising_head]}, MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}"
    options = "num_samples: 24, scheduler: none, sampler: {tpe: {n_startup_trials: 6}}"
    table, _, _ = search(ray_address, space, options, epochs=1)
    failed = table.loc[table["state"] == "failed", "trial"].tolist()
    assert failed and len(table) == 24
    assert sum(number >= 12 for number in failed) <= 3, "where everything fails, hardly anything is sampled"
