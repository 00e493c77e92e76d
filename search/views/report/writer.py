"""Writes the report when a search ends."""

from dataclasses import replace

from search.analysis import FoundSearch
from search.folder import SearchFolder
from search.plan import SearchPlan
from search.record.events import Event, SearchEnded
from search.record.history import History
from search.record.recorder import Observer


class ReportWriter(Observer):
    """Writes report.html when the search ends, or pauses.

    Args:
        plan: of the search.
        history: of the search.
        folder: of the search.
    """

    def __init__(self, plan: SearchPlan, history: History, folder: SearchFolder):
        self._found = FoundSearch(replace(plan, name=folder.path.name), history, folder)

    def on_event(self, event: Event) -> None:
        if isinstance(event, SearchEnded) and self._found.history.trials:
            from search.views.report.page import write_report  # here: a search that ends needs it, no other

            write_report(self._found)
