"""Writes a search as a study of Optuna's, for optuna-dashboard and Optuna's own functions.

python -m search.export_study experiments/head -o study.db
optuna-dashboard sqlite:///study.db

As often as one likes, also while the search runs: a study of the same name in the file is written anew.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.command_line import command_parser, refuse_url
from configs.errors import ConfigError, ExitStatus, exit_status
from configs.metric_names import direction
from search.analysis import FoundSearch, open_search
from search.folder import add_folder_argument
from search.record.events import TrialEvent
from search.record.history import TrialRecord
from search.record.outcomes import State
from search.record.pareto import objective_values

if TYPE_CHECKING:
    import optuna


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser("search.export_study", __doc__, "Writes a search as a study of Optuna's.")
    add_folder_argument(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="an SQLite database, as study.db")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_args(argv)
    return exit_status(lambda: export(args.folder, args.output))


def export(folder: str, output: str) -> int:
    """Writes the study.

    Args:
        folder: of the search.
        output: an SQLite database; other studies in it are left alone.
    """
    refuse_url(output)
    if not Path(output).absolute().parent.is_dir():
        raise ConfigError(f"-o: there is no folder {Path(output).absolute().parent}")
    if Path(output).is_file() and not _is_database(Path(output)):
        raise ConfigError(f"-o: {output} is there and is no SQLite database; choose another name or remove it")
    found = open_search(folder)
    import optuna  # here: it takes half a second

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = f"sqlite:///{Path(output).absolute()}"
    name = found.plan.name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
        directions = [direction(name) for name in found.plan.options.objectives]
        study = optuna.create_study(storage=storage, study_name=name, directions=directions)
        study.set_metric_names(list(found.plan.options.objectives))
        trials = optuna_trials(found)
        study.add_trials(trials)
    print(f"{len(trials)} trials of {folder} are in {output}; look at them with: optuna-dashboard sqlite:///{output}")
    return ExitStatus.DONE


def _is_database(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(16) in (b"SQLite format 3\0", b"")


def optuna_trials(found: FoundSearch) -> "list[optuna.trial.FrozenTrial]":
    """Returns the trials of a search as Optuna's, with true states and all curves.

    Done ones are COMPLETE; those that wait or were stopped are PRUNED; failed ones FAIL; the others RUNNING, or
    WAITING where they are still to be resumed. Parameters that lie outside their range, as those of a base config
    may, are among the user's attributes.
    """
    times: dict[int, list[float]] = {}
    for event in found.history.events:
        if isinstance(event, TrialEvent):
            times.setdefault(event.trial, []).append(event.time)
    return [_trial(record, found, times[number]) for number, record in sorted(found.history.trials.items())]


def _trial(record: TrialRecord, found: FoundSearch, times: list[float]) -> "optuna.trial.FrozenTrial":
    from optuna.trial import TrialState, create_trial

    states = {
        State.DONE: TrialState.COMPLETE,
        State.WAITING: TrialState.PRUNED,
        State.STOPPED: TrialState.PRUNED,
        State.STOPPED_BY_USER: TrialState.PRUNED,
        State.FAILED: TrialState.FAIL,
        State.RUNNING: TrialState.RUNNING,
        State.INTERRUPTED: TrialState.WAITING,
    }
    options = found.plan.options
    inside = [parameter for parameter in found.plan.space.parameters if parameter.is_within(record.params)]
    attributes: dict[str, Any] = {"trial": record.number, "folder": record.name, "state": str(record.state)}
    keys = {one.key for one in inside}
    attributes |= {key: value for key, value in record.params.items() if key not in keys}
    attributes |= {"is_reference": True} if record.is_reference else {}
    attributes |= {"confirms": record.confirms} if record.confirms is not None else {}
    attributes |= {"reason": record.reason} if record.reason else {}
    trial = create_trial(
        state=states[record.state],
        params={one.name: one.distribution.encode(record.params[one.key]) for one in inside},
        distributions={one.name: one.distribution.to_optuna() for one in inside},
        intermediate_values={row["epoch"]: row[options.metric] for row in record.rows},
        values=objective_values(record, options.objectives) if record.state == State.DONE else None,
        user_attrs=attributes,
    )
    trial.datetime_start = datetime.fromtimestamp(times[0])
    if trial.state.is_finished():
        trial.datetime_complete = datetime.fromtimestamp(times[-1])
    return trial


if __name__ == "__main__":
    sys.exit(main())
