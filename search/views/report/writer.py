"""Writes the report when a search ends."""

from search.analysis import FoundSearch
from search.record.events import Event, SearchEnded
from search.record.recorder import Observer


class ReportWriter(Observer):
    """Writes report.html when the search ends, or pauses.

    Args:
        found: the search.
    """

    def __init__(self, found: FoundSearch):
        self._found = found

    def on_event(self, event: Event) -> None:
        if isinstance(event, SearchEnded) and self._found.history.trials:
            from search.views.report.page import write_report  # here: a search that ends needs it, no other

            write_report(self._found)
