"""What ends a search before all its samples are made: `stop:` in the space file."""

from configs.metric_names import METRICS
from search.history import FINISHED, History
from search.options import SearchOptions, StopRules


def stop_reason(options: SearchOptions, history: History) -> str | None:
    """Returns why a search has come to its end, None if it has not.

    Args:
        options: its target and patience.
        history: of the search so far.
    """
    if options.stop == StopRules():
        return None
    sign = 1 if METRICS[options.metric] == "max" else -1
    best = history.best_trial(options.metric)
    row = best.best(options.metric) if best else None
    if row is None:
        return None
    if options.stop.target is not None and sign * row[options.metric] >= sign * options.stop.target:
        return f"target reached: {options.metric} {row[options.metric]:.4f}"
    if options.stop.patience is not None:
        ended = [record for record in history.samples() if record.state in FINISHED]
        # a trial that runs may be the best so far: the count begins when it has ended
        since = sum(record.ended > best.ended for record in ended) if best and best.state in FINISHED else 0
        if since >= options.stop.patience:
            return f"no better trial in the last {since}"
    return None
