"""Ray Tune asks here for the next trial."""

from typing import Any

from ray.tune.search import Searcher

from search.engine.controller import Controller
from search.record.history import TrialRecord
from search.trials.unpickled import Unpickled


class ControllerSearcher(Unpickled, Searcher):
    """Hands out the controller's trials. Nothing is pickled: a resumed search makes a new one from its history.

    Args:
        controller: of the search.
    """

    def __init__(self, controller: Controller):
        super().__init__()
        self._controller = controller

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Returns a trial for Ray, None while there is none, FINISHED when nothing is left to do."""
        record = self._controller.next_trial()
        if record is not None:
            return trial_config(record)
        return Searcher.FINISHED if self._controller.is_idle() else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The callback tells the controller."""

    def save(self, checkpoint_path: str) -> None:
        """Ray asks for a file. It stays empty: the state is in events.jsonl."""
        open(checkpoint_path, "w").close()

    def restore(self, checkpoint_path: str) -> None:
        """Never used: a resumed search makes its controller anew from its events."""
        raise NotImplementedError("a search is resumed from its events.jsonl")


def trial_config(record: TrialRecord) -> dict[str, Any]:
    """Returns what Ray hands to the worker: the trial, and how many of its epochs are known already."""
    donor = record.donor
    return {
        "number": record.number,
        "id": record.id,
        "params": record.params,
        "settings": record.settings,
        "is_reference": record.is_reference,
        "donor": None if donor is None else {"number": donor.number, "name": donor.name, "epoch": donor.epoch},
        "reported_epochs": len(record.rows),
    }
