"""What ends a search before all its samples are made: `stop:` in the space file, or failures that are all alike."""

import re
from itertools import takewhile

from configs.metric_names import sign
from search.history import FAILED, FINISHED, History
from search.options import SearchOptions, StopRules

FIRST, IN_A_ROW = 4, 10  # trials that fail alike: the first ones of a search, any


def stop_reason(options: SearchOptions, history: History) -> str | None:
    """Returns which rule of the space file has brought a search to its end, None if none has.

    Args:
        options: its target and patience.
        history: of the search so far.
    """
    if options.stop == StopRules():
        return None
    best = history.best_trial(options.metric)
    row = best.best(options.metric) if best else None
    if row is None:
        return None
    if options.stop.target is not None and sign(options.metric) * (row[options.metric] - options.stop.target) >= 0:
        return f"target reached: {options.metric} {row[options.metric]:.4f}"
    if options.stop.patience is not None:
        ended = [record for record in history.samples() if record.state in FINISHED]
        # a trial that runs may be the best so far: the count begins when it has ended
        since = sum(record.ended > best.ended for record in ended) if best and best.state in FINISHED else 0
        if since >= options.stop.patience:
            return f"no better trial in the last {since}"
    return None


def failing_alike(history: History) -> str | None:
    """Returns why the search is of no use: the first few trials, or many in a row, have all failed for one reason."""
    # what failed before the search was resumed may have been mended
    ended = [record for record in history.samples() if record.ended >= history.ends_before]
    ended.sort(key=lambda record: -record.ended)
    in_a_row = list(takewhile(lambda r: r.state == FAILED and _kind(r.reason) == _kind(ended[0].reason), ended))
    if len(in_a_row) >= (FIRST if len(in_a_row) == len(ended) else IN_A_ROW):
        return f"stopped, since {len(in_a_row)} trials in a row failed alike: {in_a_row[0].reason}"
    return None


def _kind(reason: str) -> str:
    """Returns a reason without what differs from trial to trial: paths, numbers and their units."""
    return re.sub(r"[0-9.]+( [KMGT]iB)?", "0", re.sub(r"\S*/\S*", "path", reason))
