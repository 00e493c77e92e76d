"""The schedulers: which trials are stopped early, or wait. A new one is a module with `build`, and an entry here."""

from configs.legal import Float, Int, OneOf, TupleOf
from search.specs.spec import Option, SchedulerSpec

_GRACE = Option(Int(1), "the epoch of the first rung", 1)
_RUNGS = {
    "rungs": Option(
        TupleOf(Int(1), ascending=True),
        "the epochs of the rungs, in place of grace_period; without it they are placed by the schedule (see below)",
    ),
    "grace_period": _GRACE,
    "reduction_factor": Option(Float(1, above_low=True), "one of so many trials goes on from a rung", 4.0),
    "max_t": Option(Int(1), "epoch after which every trial ends; all without it"),
}
_INTERVAL = Option(Int(1), "epochs between two comparisons", 1)
_QUANTILE = Option(Float(0, 0.5, above_low=True), "share of the trials that take over weights", 0.25)

_ALL = (
    SchedulerSpec(
        name="asha",
        meaning="trials wait at rungs, and the best are promoted; `type: stopping` decides at once and for good",
        module="search.engine.schedulers.asha",
        options={"type": Option(OneOf(("promotion", "stopping")), "what becomes of the others", "promotion"), **_RUNGS},
        waits_with={"type": "promotion"},
        keeps_kinds_with={"type": "promotion"},
    ),
    SchedulerSpec(
        name="hyperband",
        meaning="several such ladders of rungs, which begin early for many trials and late for few",
        module="search.engine.schedulers.hyperband",
        options=_RUNGS,
        waits_with={},
        keeps_kinds_with={},
    ),
    SchedulerSpec(
        name="median",
        meaning="stops a trial whose best value is worse than the median of the others' means so far",
        module="search.engine.schedulers.median",
        options={
            "grace_period": Option(Int(1), "epochs that every trial trains", 1),
            "min_samples_required": Option(Int(1), "other trials that must have come as far", 3),
        },
        keeps_kinds_with={},
    ),
    SchedulerSpec(
        name="pbt",
        meaning="after each interval the worst take over weights of the best, with changed values",
        module="search.engine.schedulers.pbt",
        options={
            "perturbation_interval": _INTERVAL,
            "quantile_fraction": _QUANTILE,
            "resample_probability": Option(Float(0, 1), "chance that a value is drawn anew", 0.25),
        },
        is_population=True,
    ),
    SchedulerSpec(
        name="pb2",
        meaning="the same, values chosen by a Gaussian process",
        module="search.engine.schedulers.pb2",
        options={"perturbation_interval": _INTERVAL, "quantile_fraction": _QUANTILE},
        is_population=True,
    ),
    SchedulerSpec(
        name="none",
        meaning="every trial trains to its end",
        module="search.engine.schedulers.none",
        compares_epochs=False,
    ),
)

SCHEDULERS: dict[str, SchedulerSpec] = {spec.name: spec for spec in _ALL}
