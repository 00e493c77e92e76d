"""Tables and studies of what a search has left."""

import optuna
import pytest
from optuna.trial import TrialState

from search.analysis import comparable_epoch, open_search
from search.export_study import main as export
from search.record.history import TrialRecord
from search.record.outcomes import State
from tests.parts.recorded import RATE, recorded
from tests.search.test_views import ASHA, failing_sometimes

BRANCHES = (
    "MODEL.SOLVER.OPTIMIZER: {choice: {"
    "adamw: {NAME: adamw, BASE_LR: {loguniform: [1e-4, 1e-2]}}, "
    "sgd: {NAME: sgd, BASE_LR: {loguniform: [1e-3, 1]}, SGD.MOMENTUM: {uniform: [0, 0.99]}}}}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("analysed")
    return recorded(home / "head", f"num_samples: 40, {ASHA}", curve=failing_sometimes)


def test_trials_are_those_of_the_search_with_all_metrics(folder):
    found = open_search(folder.path)
    trials = found.trials()
    assert list(trials["trial"]) == sorted(found.history.trials)
    best = trials.loc[trials["val_score"].idxmax()]
    row = found.history.best_trial("val_score").best("val_score")
    assert best["val_loss"] == row["val_loss"] and best["best_epoch"] == row["epoch"]
    assert set(trials["state"]) == {"done", "waits", "failed"}


def test_curves_are_a_row_an_epoch(folder):
    found = open_search(folder.path)
    curves = found.curves()
    assert len(curves) == sum(len(record.rows) for record in found.history.trials.values())
    assert not curves.duplicated(["trial", "epoch"]).any()


def test_values_at_an_epoch_are_those_of_that_epoch_alone(folder):
    found = open_search(folder.path)
    at = found.at_epoch(3)
    assert set(at["epoch"]) == {3} and RATE in at
    reached = [record for record in found.history.samples() if len(record.rows) >= 3]
    assert list(at["val_score"]) == [record.rows[2]["val_score"] for record in reached]


def test_the_epoch_at_which_trials_can_be_compared():
    def trials(*epochs: int) -> list[TrialRecord]:
        return [
            TrialRecord(number, "", {}, rows=[{"epoch": epoch} for epoch in range(1, trained + 1)])
            for number, trained in enumerate(epochs)
        ]

    assert comparable_epoch(trials(1, 1, 3, 3, 9), enough=3) == 3
    assert comparable_epoch(trials(1, 1, 3, 3, 9), enough=4) == 1
    assert comparable_epoch(trials(2, 2), enough=20) == 2
    assert comparable_epoch(trials(0, 0)) == 0 == comparable_epoch([])


def study_of(folder, path="study.db") -> optuna.Study:
    assert export([str(folder.path), "-o", path]) == 0
    return optuna.load_study(study_name=folder.path.name, storage=f"sqlite:///{path}")


def test_a_study_has_the_true_states_and_curves(folder, capsys):
    records = open_search(folder.path).history.trials
    for _ in range(2):  # as often as one likes
        study = study_of(folder)
        assert len(study.trials) == len(records) and study.direction.name == "MAXIMIZE"
    states = {State.DONE: TrialState.COMPLETE, State.WAITING: TrialState.PRUNED, State.FAILED: TrialState.FAIL}
    for trial in study.trials:
        record = records[trial.user_attrs["trial"]]
        assert trial.state == states[record.state]
        assert trial.intermediate_values == {row["epoch"]: row["val_score"] for row in record.rows}
        assert trial.user_attrs.get("is_reference", False) == record.is_reference
        assert trial.params == {RATE: record.params[RATE]}
        assert trial.datetime_start < trial.datetime_complete
    best = max((r for r in records.values() if r.state == State.DONE), key=lambda r: r.best("val_score")["val_score"])
    assert study.best_trial.user_attrs["trial"] == best.number
    assert "optuna-dashboard sqlite:///study.db" in capsys.readouterr().out


def test_other_studies_of_the_file_stay(folder):
    optuna.create_study(storage="sqlite:///study.db", study_name="other")
    study_of(folder)
    assert set(optuna.get_all_study_names("sqlite:///study.db")) == {"head", "other"}


def test_a_study_of_a_search_that_runs_and_one_with_objectives_and_branches(tmp_path):
    folder = recorded(tmp_path / "x", f"num_samples: 9, {ASHA}, objectives: {{val_score: max, params: min}}", BRANCHES)
    study = study_of(folder)
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert study.metric_names == ["val_score", "params"] and all(len(trial.values) == 2 for trial in done)
    names = {tuple(sorted(trial.params)) for trial in study.trials}
    assert len(names) >= 2, "what is in no branch of a trial is no parameter of it"
    kept = folder.events.read_text().splitlines(keepends=True)
    folder.events.write_text("".join(kept[: len(kept) // 2]))
    assert {trial.state for trial in study_of(folder).trials} & {TrialState.RUNNING, TrialState.WAITING}


def test_mistakes(folder, tmp_path, capsys):
    (tmp_path / "text.db").write_text("no database of anybody's")
    for output, told in {
        "none/study.db": "-o: there is no folder",
        "text.db": "is there and is no SQLite database",
        "s3://bucket/x.db": "not to URLs",
    }.items():
        assert export([str(folder.path), "-o", output]) == 2
        assert told in capsys.readouterr().err
    assert (tmp_path / "text.db").read_text() == "no database of anybody's"
