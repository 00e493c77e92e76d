"""The `search:` part of a space file: what is optimised, how much, and by which sampler and scheduler."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from configs.legal import Float
from configs.metric_names import METRICS
from configs.tree import plain
from search.specs.samplers import SAMPLERS
from search.specs.schedulers import SCHEDULERS
from search.specs.spec import SamplerSpec, SchedulerSpec

LARGEST_GRID = 10_000  # combinations that are counted; more are too many to exhaust

AUTO_SAMPLES = 20  # from which on the best of so many single trainings is luck as well

CPUS, GPUS = Float(0.1, 1024), Float(0, 1)  # of one trial; a training uses one GPU at most


@dataclass(frozen=True)
class NamedOptions:
    """A sampler or scheduler by name, with the options that were given for it."""

    name: str
    options: dict[str, Any]

    def to_yaml(self) -> Any:
        """Returns it as a space file writes it."""
        return {self.name: {word: plain(value) for word, value in self.options.items()}} if self.options else self.name


@dataclass(frozen=True)
class StopRules:
    """What ends a search before all samples are made.

    Attributes:
        target: of the metric.
        patience: how many trials may end one after the other without a better one.
    """

    target: float | None = None
    patience: int | None = None


@dataclass(frozen=True)
class Confirm:
    """Repeats that tell luck from merit.

    Attributes:
        top: how many of the best configs are trained again, to their last epoch.
        seeds: how often each, with other seeds.
        is_auto: whether the search chose it by itself: then two repeats are all, and the best mean wins.
        is_on: whether it is done; by itself only where there are samples enough.
    """

    top: int
    seeds: int
    is_auto: bool = False
    is_on: bool = True

    def to_yaml(self) -> Any:
        """Returns it as a space file writes it."""
        return "auto" if self.is_auto else {"top": self.top, "seeds": self.seeds}


@dataclass(frozen=True)
class Notify:
    """A command of the user's that is told what happens.

    Attributes:
        command: for the shell; gets JSON on its stdin.
        beats: a value of the metric; the command runs when a sample is better for the first time.
        timeout: seconds that it may take.
    """

    command: str
    beats: float | None = None
    timeout: float = 30.0

    def to_yaml(self) -> Any:
        """Returns it as a space file writes it."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class StartPoint:
    """A config to begin with.

    Attributes:
        values: by key, those not given are sampled; None: the default of every key.
        source: where it is written, for messages.
    """

    values: dict[str, Any] | None
    source: str

    def to_yaml(self) -> Any:
        """Returns it as a space file writes it."""
        return "defaults" if self.values is None else self.values


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        metric: what is optimised, see configs/metric_names.py; of several objectives the first, by which trials are
            stopped early.
        others: the other objectives.
        num_samples: how many trials are made.
        time_budget: seconds after which the search ends; None: no limit.
        seed: of the sampler.
        sampler: which sampler.
        scheduler: which scheduler stops trials early.
        cpus_per_trial: CPU cores of one trial.
        gpus_per_trial: GPUs of one trial; a fraction shares a GPU.
        stop: what ends the search early.
        start: configs to begin with.
        confirm: how the best are trained again; None: not.
        kinds: keys whose values are not compared with one another before they have been seen at the end; None: not yet
            decided, see search/space/kinds.py.
        reference: whether the base config is trained too, so that samples can be compared with it. Space files that do
            not say it have it.
        max_failures: how often a trial is tried again after a fault of its surroundings: a worker that died, a full
            memory, a disk. What raises by itself would raise again, and is not tried again.
        trial_timeout: seconds that a trial may take to report an epoch; None: no limit.
        notify: a command that is told of the end, and of a value that is beaten; None: there is none.
        sources: where the words of the space file are written, for messages.
    """

    metric: str = "val_score"
    others: tuple[str, ...] = ()
    num_samples: int = 20
    time_budget: float | None = None
    seed: int = 0
    sampler: NamedOptions = NamedOptions("tpe", {})
    scheduler: NamedOptions = NamedOptions("asha", {})
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    stop: StopRules = StopRules()
    start: tuple[StartPoint, ...] = ()
    confirm: Confirm | None = None
    kinds: tuple[str, ...] | None = ()
    reference: bool = False
    max_failures: int = 2
    trial_timeout: float | None = None
    notify: Notify | None = None
    sources: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def mode(self) -> str:
        """Whether the metric is to be `min` or `max`."""
        return str(METRICS[self.metric])

    @property
    def sampler_spec(self) -> SamplerSpec:
        """What the sampler declares about itself."""
        return SAMPLERS[self.sampler.name]

    @property
    def sampler_options(self) -> dict[str, Any]:
        """The options of the sampler, with its defaults."""
        return self.sampler_spec.defaults() | self.sampler.options

    @property
    def scheduler_spec(self) -> SchedulerSpec:
        """What the scheduler declares about itself."""
        return SCHEDULERS[self.scheduler.name]

    @property
    def scheduler_options(self) -> dict[str, Any]:
        """The options of the scheduler, with its defaults."""
        return self.scheduler_spec.defaults() | self.scheduler.options

    @property
    def scheduler_title(self) -> str:
        """What messages call the scheduler."""
        kind = self.scheduler_options.get("type")
        return f"{self.scheduler.name} with type: {kind}" if kind else self.scheduler.name

    @property
    def objectives(self) -> tuple[str, ...]:
        """All objectives, the one that the scheduler follows first."""
        return (self.metric, *self.others)

    @property
    def repeats(self) -> Confirm | None:
        """How the best are trained again, None if they are not."""
        return self.confirm if self.confirm and self.confirm.is_on else None

    @property
    def confirms_by_cost(self) -> bool:
        """Whether the cheapest of those that are tied wins; see confirmation.py."""
        return not (self.confirm and self.confirm.is_auto)

    def lets_wait(self, epochs: int) -> bool:
        """Whether a trial that the scheduler stopped after so many epochs may go on."""
        if self.scheduler_spec.is_population:
            return True
        return self.has_rungs and epochs < self.scheduler_options.get("max_t", math.inf)

    @property
    def has_rungs(self) -> bool:
        """Whether the scheduler lets trials wait at rungs: what kinds are for."""
        return self.scheduler_spec.has_rungs(self.scheduler_options)

    @property
    def can_have_kinds(self) -> bool:
        """Whether the scheduler can keep kinds apart."""
        return self.scheduler_spec.keeps_kinds(self.scheduler_options)

    @property
    def most_at_once(self) -> int:
        """How many trials there could be to run at one time."""
        return max(self.num_samples + self.reference, self.number_of_repeats)

    @property
    def number_of_repeats(self) -> int:
        """How many trainings the best, and the base config with them, are repeated in."""
        return (self.repeats.top + self.reference) * self.repeats.seeds if self.repeats else 0

    def samples_of(self, size: int | None) -> int:
        """Returns how many samples a search makes of a space with so many points (None: without end)."""
        return self.num_samples if size is None else min(self.num_samples, size)

    def science(self) -> dict[str, Any]:
        """Returns what decides which trials a search makes, as YAML; the rest only says how many and where."""
        return {
            "metric": list(self.objectives) if self.others else self.metric,
            "seed": self.seed,
            "sampler": self.sampler.to_yaml(),
            "scheduler": self.scheduler.to_yaml(),
            "kinds": list(self.kinds or ()),
        }

    def to_yaml(self) -> dict[str, Any]:
        """Returns the options as a space file writes them."""
        goal = (
            {"objectives": {name: METRICS[name] for name in self.objectives}}
            if self.others
            else {"metric": self.metric, "mode": self.mode}
        )
        stop = {word: value for word, value in vars(self.stop).items() if value is not None}
        return {
            **goal,
            "num_samples": self.num_samples,
            **({"time_budget": self.time_budget} if self.time_budget else {}),
            "seed": self.seed,
            **({} if self.scheduler_spec.is_population else {"sampler": self.sampler.to_yaml()}),
            "scheduler": self.scheduler.to_yaml(),
            **({} if self.kinds is None else {"kinds": list(self.kinds)}),
            "resources": {"cpu": self.cpus_per_trial, "gpu": self.gpus_per_trial},
            "max_failures": self.max_failures,
            **({"trial_timeout": self.trial_timeout} if self.trial_timeout else {}),
            **({"notify": self.notify.to_yaml()} if self.notify else {}),
            **({"stop": stop} if stop else {}),
            **({"start": [point.to_yaml() for point in self.start]} if self.start else {}),
            "confirm": self.confirm.to_yaml() if self.confirm else False,
            "reference": self.reference,
        }


def scheduling_of(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns what a scheduler is made of, of options as a space file writes them; None: they do not say it."""
    if "scheduler" not in options:
        return None
    return {word: options[word] for word in ("metric", "objectives", "scheduler", "kinds") if word in options}
